"""An ordinary user's podman with berth-runtime (--runtime): podman makes the user namespace and is root in it, the runtime is not."""
import os
import shutil
import signal
import subprocess
import unittest

from harness import STOCK, mounts, wait_for
from rootless_case import UID, RootlessCase


@unittest.skipUnless(shutil.which("podman") and shutil.which("conmon") and shutil.which("newuidmap"), "podman or uidmap is not installed")
@unittest.skipIf(STOCK, "podman has nothing to do with the daemon under test")
class RootlessPodmanTest(RootlessCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        root = cls.make_bundle(cls.top + "/image") + "/rootfs"
        subprocess.run(["tar", "-C", root, "-cf", cls.top + "/image.tar", "bin", "tmp"], check=True)
        cls.addClassCleanup(cls.end_podman)
        cls.podman("import", cls.top + "/image.tar", "bb")

    @classmethod
    def podman(cls, *words, check=True, **options):
        return cls.user("podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", cls.runtime, *words,
                        check=check, cwd=cls.top + "/home", timeout=120, **options)

    @classmethod
    def end_podman(cls):
        cls.podman("rm", "-f", "-a", "-t", "0", check=False)
        # The process that holds podman's user namespace.
        try:
            with open(cls.top + "/xdg/libpod/tmp/pause.pid") as file:
                os.kill(int(file.read()), signal.SIGKILL)
        except (OSError, ValueError):
            pass

    def run_detached(self, name, *words):
        with open(self.top + "/out", "w+") as out:
            command = self.command("podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", self.runtime, "run", "-d",
                                   "--network", "none", "--name", name, "bb", *words, cwd=self.top + "/home")
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=120).returncode
            out.seek(0)
            self.assertEqual(code, 0, out.read())

    def test_run_and_exit_code(self):
        result = self.podman("run", "--rm", "--network", "none", "bb", "sh", "-c", "id; cat /proc/self/uid_map; exit 5", check=False)
        lines = result.stdout.splitlines()
        self.assertEqual((result.returncode, lines[0]), (5, "uid=0 gid=0"), result.stderr)
        self.assertEqual(lines[1].split(), ["0", str(UID), "1"])

    def test_a_life(self):
        self.run_detached("w", "sleep", "1000")
        pid = int(self.podman("inspect", "-f", "{{.State.Pid}}", "w").stdout)
        self.assertEqual(os.stat("/proc/%d" % pid).st_uid, UID)
        self.assertEqual(self.podman("inspect", "-f", "{{.OCIRuntime}}", "w").stdout.strip(), self.runtime)
        self.assertEqual(self.podman("exec", "w", "id").stdout.strip(), "uid=0 gid=0")
        self.assertTrue(self.podman("exec", "-u", "1000:1000", "w", "id").stdout.startswith("uid=1000 gid=1000"))
        self.assertEqual(self.podman("exec", "w", "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertIn("sleep 1000", self.podman("top", "w").stdout)
        self.podman("stop", "-t", "1", "w")
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), 30, "the end of the container")
        self.podman("start", "w")
        self.podman("kill", "w")
        self.podman("rm", "-f", "-t", "0", "w")
        self.assertEqual(self.podman("ps", "-aq").stdout, "")
        self.assertEqual([line for line in mounts() if self.top in line], [])

    def test_the_users_own_id_inside(self):
        out = self.podman("run", "--rm", "--network", "none", "--userns", "keep-id", "bb", "sh", "-c", "id -u; touch /tmp/x; stat -c %u /tmp/x")
        self.assertEqual(out.stdout.split(), [str(UID), str(UID)])

    def test_a_container_in_anothers_namespaces(self):
        self.run_detached("first", "sleep", "1000")
        self.addCleanup(self.podman, "rm", "-f", "-t", "0", "first", check=False)
        out = self.podman("run", "--rm", "--network", "container:first", "--pid", "container:first", "--ipc", "container:first", "bb", "cat", "/proc/1/cmdline")
        self.assertIn("sleep", out.stdout)


if __name__ == "__main__":
    unittest.main()
