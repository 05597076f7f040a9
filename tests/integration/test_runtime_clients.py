"""berth-runtime as the runtime of others: Debian's podman (--runtime), stock containerd (BinaryName), stock dockerd (--add-runtime).

The same life with each: run, exit codes, exec into it, a terminal, pause, limits, stop, remove; then nothing of it is left.
"""
import errno
import glob
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from dockerd import Dockerd
from harness import BIN, BUSYBOX, STOCK, mounts, wait_for
from stock_containerd import StockContainerd

import images

RUNTIME = os.path.realpath(BIN + "/berth-runtime")
# Engines ask for limits above what a machine without CAP_SYS_RESOURCE may give; runc refuses them as we do.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]


def processes_of(program):
    """The pids that execute `program`: the runtime leaves none behind."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.readlink(path + "/exe").startswith(program):
                found.append(int(path[6:]))
        except OSError:
            pass
    return found


class Leftovers(unittest.TestCase):
    """Base: what the host shows before a test is what it shows after it."""

    def setUp(self):
        before = self.facts()
        self.addCleanup(self.assert_nothing_left, before)

    def facts(self):
        groups = sorted(path for top in self.cgroup_tops() for path in glob.glob(top + "/*") if os.path.isdir(path))
        return {"cgroups": groups, "runtime": processes_of(RUNTIME), "mounts": self.containers_mounts()}

    def containers_mounts(self):
        """The mounts of containers: those of the engine itself come with its first one and stay."""
        points = [line.split()[4] for line in mounts()]
        return sorted(p for p in points if p.startswith(self.dir) and ("containers/" in p or "rootfs" in p or "merged" in p))

    def assert_nothing_left(self, before):
        try:
            wait_for(lambda: self.facts() == before or None, 15, "the state before the test")
        except AssertionError:
            self.assertEqual(self.facts(), before)
            raise


@unittest.skipUnless(shutil.which("podman") and shutil.which("conmon"), "podman is not installed")
@unittest.skipIf(STOCK, "podman has nothing to do with the daemon under test")
class PodmanTest(Leftovers):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="berth-podman-")
        cls.addClassCleanup(cls.remove)
        root = cls.dir + "/image"
        os.makedirs(root + "/bin")
        shutil.copy("/bin/busybox", root + "/bin/busybox")
        for applet in ("sh", "sleep", "cat", "echo", "ls"):
            os.symlink("busybox", root + "/bin/" + applet)
        subprocess.run(["tar", "-C", root, "-cf", cls.dir + "/image.tar", "."], check=True)
        cls.podman("import", cls.dir + "/image.tar", "bb")

    @classmethod
    def remove(cls):
        cls.podman("rm", "-f", "-a", "-t", "0", check=False)
        for line in reversed(mounts()):
            if line.split()[4].startswith(cls.dir):
                subprocess.run(["umount", "-l", line.split()[4]], capture_output=True)
        for top in cls.cgroup_tops():
            for group in (top + "/conmon", top):
                try:
                    os.rmdir(group)
                except OSError:
                    pass
        shutil.rmtree(cls.dir, ignore_errors=True)

    @classmethod
    def cgroup_tops(cls):
        return glob.glob("/sys/fs/cgroup/*/berth_podman") + ["/sys/fs/cgroup/berth_podman"]

    def facts(self):
        """Without the group of podman's own monitors: it comes with the first container and stays, with runc as well."""
        facts = super().facts()
        facts["cgroups"] = [group for group in facts["cgroups"] if os.path.basename(group) != "conmon"]
        return facts

    @classmethod
    def podman(cls, *arguments, check=True, **options):
        argv = ["podman", "--root", cls.dir + "/root", "--runroot", cls.dir + "/run", "--tmpdir", cls.dir + "/tmp",
                "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", RUNTIME]
        result = subprocess.run(argv + list(arguments), capture_output=True, text=True, timeout=60,
                                stdin=None if "input" in options else subprocess.DEVNULL, **options)
        if check and result.returncode != 0:
            raise AssertionError("podman %s\nexit code %d\n%s%s" % (" ".join(arguments), result.returncode, result.stdout,
                                                                    result.stderr))
        return result

    def run_in(self, *arguments, **options):
        return self.podman("run", "--rm", "--network", "none", "--cgroup-parent", "/berth_podman", *LIMITS, *arguments, **options)

    def start(self, name, *arguments):
        self.addCleanup(self.podman, "rm", "-f", "-t", "0", name, check=False)
        self.podman("run", "-d", "--name", name, "--network", "none", "--cgroup-parent", "/berth_podman", *LIMITS,
                    *arguments)

    def state(self, name):
        return json.loads(self.podman("inspect", name).stdout)[0]["State"]

    def test_output_exit_codes_and_stdin(self):
        self.assertEqual(self.run_in("bb", "echo", "hi").stdout, "hi\n")
        self.assertEqual(self.run_in("bb", "sh", "-c", "exit 42", check=False).returncode, 42)
        self.assertEqual(self.run_in("bb", "nosuch", check=False).returncode, 127)
        self.assertEqual(self.run_in("bb", "/bin", check=False).returncode, 126)
        self.assertEqual(self.run_in("-i", "bb", "cat", input="typed\n").stdout, "typed\n")
        self.assertEqual(self.run_in("-t", "bb", "echo", "tty").stdout.strip(), "tty")

    def test_what_the_options_ask_for_is_there(self):
        result = self.run_in("--read-only", "--tmpfs", "/tmp", "-v", self.dir + "/image:/mnt:ro", "--user", "1000", "bb", "sh", "-c",
                             "echo t > /tmp/x && cat /tmp/x; ls /mnt; echo r > /root.txt", check=False)
        self.assertEqual(result.stdout.split(), ["t", "bin"])
        self.assertIn("Read-only file system", result.stderr)
        self.assertEqual(self.run_in("--uidmap", "0:100000:65536", "bb", "cat", "/proc/self/uid_map").stdout.split(),
                         ["0", "100000", "65536"])
        self.assertEqual(self.run_in("--privileged", "--pid", "host", "--ipc", "host", "--uts", "host", "bb", "echo", "x").stdout, "x\n")

    def test_the_whole_life(self):
        self.start("life", "--memory", "64m", "--pids-limit", "50", "bb", "sleep", "1000")
        self.assertEqual(self.podman("exec", "life", "echo", "in").stdout, "in\n")
        self.assertEqual(self.podman("exec", "-t", "life", "echo", "in").stdout.strip(), "in")
        self.assertEqual(self.podman("exec", "life", "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertEqual(self.podman("exec", "life", "nosuch", check=False).returncode, 127)
        self.assertEqual(self.podman("exec", "life", "/bin", check=False).returncode, 126)
        self.podman("exec", "-d", "life", "sleep", "1000")
        self.assertEqual(self.podman("top", "life", "args").stdout.count("sleep 1000"), 2)
        self.assertEqual(self.podman("stats", "--no-stream", "--format", "{{.PIDS}}", "life").stdout, "2\n")
        self.podman("pause", "life")
        self.assertEqual(self.state("life")["Status"], "paused")
        self.podman("unpause", "life")
        self.podman("update", "--memory", "48m", "life")
        self.podman("stop", "-t", "0", "life")
        state = self.state("life")
        self.assertEqual((state["Status"], state["ExitCode"]), ("exited", 137))
        self.podman("start", "life")
        self.assertEqual(self.state("life")["Status"], "running")
        self.podman("kill", "-s", "KILL", "life")
        self.assertEqual(self.podman("wait", "life").stdout, "137\n")
        self.podman("rm", "life")


@unittest.skipUnless(shutil.which("containerd-shim-runc-v2"), "containerd is not installed")
@unittest.skipIf(STOCK, "runs its own stock containerd")
class StockContainerdTest(Leftovers):
    @classmethod
    def setUpClass(cls):
        cls.daemon = StockContainerd("stockc")
        cls.dir = cls.daemon.dir
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr = cls.daemon.ctr
        images.busybox(cls.daemon.dir + "/busybox.tar")
        cls.ctr("images", "import", cls.daemon.dir + "/busybox.tar")

    @classmethod
    def cgroup_tops(cls):
        return glob.glob("/sys/fs/cgroup/*/berthclients") + ["/sys/fs/cgroup/berthclients"]

    def run_in(self, *arguments, **options):
        return self.ctr("run", "--rm", "--runc-binary", RUNTIME, BUSYBOX, *arguments, **options)

    def test_output_and_exit_codes(self):
        self.assertEqual(self.run_in("once", "echo", "hi").stdout, "hi\n")
        self.assertEqual(self.run_in("once", "sh", "-c", "exit 42", check=False).returncode, 42)
        missing = self.run_in("once", "nosuch", check=False)
        self.assertIn("executable file not found in $PATH", missing.stderr)
        self.ctr("containers", "rm", "once", check=False)

    def test_the_whole_life(self):
        self.addCleanup(self.ctr, "containers", "rm", "life", check=False)
        self.addCleanup(self.ctr, "tasks", "rm", "-f", "life", check=False)
        self.ctr("run", "-d", "--runc-binary", RUNTIME, "--memory-limit", "67108864", BUSYBOX, "life", "sleep", "1000")
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "a", "life", "echo", "in").stdout, "in\n")
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "b", "life", "sh", "-c", "exit 9", check=False).returncode, 9)
        missing = self.ctr("tasks", "exec", "--exec-id", "c", "life", "nosuch", check=False)
        self.assertIn("executable file not found in $PATH", missing.stderr)
        self.assertEqual(len(self.ctr("tasks", "ps", "life").stdout.strip().split("\n")), 2)
        self.assertIn("memory", self.ctr("tasks", "metrics", "life").stdout)
        self.ctr("tasks", "pause", "life")
        self.assertIn("PAUSED", self.ctr("tasks", "ls").stdout)
        self.ctr("tasks", "resume", "life")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "life")
        wait_for(lambda: "STOPPED" in self.ctr("tasks", "ls").stdout, 10, "the end of the task")
        self.ctr("tasks", "rm", "life")
        self.ctr("containers", "rm", "life")


    def test_our_shim_in_the_place_of_containerds(self):
        runtime = ("--runtime", "io.containerd.berth.v1")
        self.addCleanup(self.ctr, "containers", "rm", "own", check=False)
        self.addCleanup(self.ctr, "tasks", "rm", "-f", "own", check=False)
        self.assertEqual(self.ctr("run", "--rm", *runtime, BUSYBOX, "own", "sh", "-c", "echo hi; exit 3", check=False).stdout, "hi\n")
        self.ctr("run", "-d", *runtime, BUSYBOX, "own", "sleep", "1000")
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "a", "own", "echo", "in").stdout, "in\n")
        # What clones into containers does not run from the file that is installed, where it could be overwritten.
        # The first one's shim is going, or gone.
        wait_for(lambda: len(self.daemon.shims()) == 1, 15, "the end of the first shim")
        with self.assertRaises(OSError) as caught:
            os.close(os.open(self.daemon.shims()[0] + "/exe", os.O_WRONLY | os.O_TRUNC))
        self.assertIn(caught.exception.errno, (errno.EROFS, errno.EPERM))
        self.ctr("tasks", "kill", "-s", "SIGKILL", "own")
        wait_for(lambda: "STOPPED" in self.ctr("tasks", "ls").stdout, 10, "the end of the task")
        self.ctr("tasks", "rm", "own")


@unittest.skipUnless(shutil.which("dockerd") and shutil.which("docker"), "docker.io is not installed")
@unittest.skipIf(STOCK, "runs its own stock containerd")
class StockDockerdTest(Leftovers):
    @classmethod
    def setUpClass(cls):
        cls.containerd = StockContainerd("stockd")
        cls.dir = cls.containerd.dir
        cls.addClassCleanup(cls.containerd.stop)
        cls.dockerd = Dockerd(cls.containerd.dir + "/docker", cls.containerd.sock, "--add-runtime", "berth=" + RUNTIME,
                              "--default-runtime", "berth", "--cgroup-parent", "/berth_dockerd")
        cls.addClassCleanup(cls.stop_dockerd)
        wait_for(lambda: cls.docker("version", check=False).returncode == 0, 60, "dockerd")
        cls.docker("import", cls.dockerd.busybox_archive("sh", "sleep", "cat", "echo"), "bb")

    @classmethod
    def stop_dockerd(cls):
        cls.dockerd.stop()
        for top in cls.cgroup_tops():
            try:
                os.rmdir(top)
            except OSError:
                pass

    @classmethod
    def cgroup_tops(cls):
        return glob.glob("/sys/fs/cgroup/*/berth_dockerd") + ["/sys/fs/cgroup/berth_dockerd"]

    @classmethod
    def docker(cls, *arguments, check=True, **options):
        result = subprocess.run(cls.dockerd.argv(*arguments), capture_output=True, text=True, timeout=60,
                                stdin=None if "input" in options else subprocess.DEVNULL, **options)
        if check and result.returncode != 0:
            raise AssertionError("docker %s\nexit code %d\n%s%s" % (" ".join(arguments), result.returncode, result.stdout,
                                                                    result.stderr))
        return result

    def run_in(self, *arguments, **options):
        return self.docker("run", "--rm", "--net", "none", *arguments, **options)

    def test_output_exit_codes_and_stdin(self):
        self.assertEqual(self.run_in("bb", "echo", "hi").stdout, "hi\n")
        self.assertEqual(self.run_in("bb", "sh", "-c", "exit 42", check=False).returncode, 42)
        self.assertEqual(self.run_in("bb", "/nowhere", check=False).returncode, 127)
        self.assertEqual(self.run_in("bb", "/bin", check=False).returncode, 126)
        self.assertEqual(self.run_in("-i", "bb", "cat", input="typed\n").stdout, "typed\n")
        self.assertEqual(self.run_in("-t", "bb", "echo", "tty").stdout.strip(), "tty")

    def test_the_whole_life(self):
        self.addCleanup(self.docker, "rm", "-f", "life", check=False)
        self.docker("run", "-d", "--name", "life", "--net", "none", "--memory", "64m", "--init=false", "bb", "sleep", "1000")
        self.assertEqual(json.loads(self.docker("inspect", "life").stdout)[0]["HostConfig"]["Runtime"], "berth")
        self.assertEqual(self.docker("exec", "life", "echo", "in").stdout, "in\n")
        self.assertEqual(self.docker("exec", "life", "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertIn(self.docker("exec", "life", "nosuch", check=False).returncode, (126, 127))
        self.assertIn("sleep 1000", self.docker("top", "life").stdout)
        self.assertIn("/ 64MiB", self.docker("stats", "--no-stream", "life").stdout)
        self.docker("pause", "life")
        self.assertIn("(Paused)", self.docker("ps", "-f", "name=life").stdout)
        self.docker("unpause", "life")
        self.docker("update", "--memory", "48m", "--memory-swap", "48m", "life")
        self.docker("stop", "-t", "0", "life")
        self.assertEqual(json.loads(self.docker("inspect", "life").stdout)[0]["State"]["ExitCode"], 137)
        self.docker("start", "life")
        self.docker("kill", "life")
        self.docker("rm", "life")
