"""Berth's shim under Debian's containerd, as containerd-shim-berth-v1; and containerd's snapshotter under berthd."""
import glob
import json
import os
import re
import shutil
import signal
import tempfile
import unittest

from event_watch import EventWatch
from harness import BIN, BUSYBOX, STOCK, Daemon, mounts, wait_for
from stock_containerd import StockContainerd

import images

BERTH_RUNTIME = ("--runtime", "io.containerd.berth.v1")


def berth_shims():
    """pid -> command line of the shims of Berth's that stock containerd started."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(path + "/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0] == b"berth-shim":
            found[int(path[6:])] = b" ".join(words).decode(errors="replace")
    return found


@unittest.skipUnless(shutil.which("containerd"), "containerd is not installed")
@unittest.skipIf(STOCK, "runs its own stock containerd")
class BerthShimTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = StockContainerd("stockshim", path=cls.shim_directory())
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr = cls.daemon.ctr
        images.busybox(cls.daemon.dir + "/busybox.tar")
        cls.ctr("images", "import", cls.daemon.dir + "/busybox.tar")

    @classmethod
    def shim_directory(cls):
        directory = tempfile.mkdtemp(prefix="berth-shimdir-")
        cls.addClassCleanup(shutil.rmtree, directory)
        os.symlink(os.path.realpath(BIN + "/berth-shim"), directory + "/containerd-shim-berth-v1")
        return directory

    def setUp(self):
        self.before = sorted(line.split()[4] for line in mounts())
        self.addCleanup(self.assert_nothing_left)

    def ours(self):
        return [pid for pid, line in berth_shims().items() if self.daemon.sock in line]

    def assert_nothing_left(self):
        wait_for(lambda: not self.ours(), 20, "the end of the shims")
        wait_for(lambda: sorted(line.split()[4] for line in mounts()) == self.before, 20, "the mounts of before")

    def status(self, name):
        for line in self.ctr("tasks", "ls").stdout.split("\n")[1:]:
            if line.split()[:1] == [name]:
                return line.split()[2]
        return None

    def start(self, name, *command, options=()):
        self.addCleanup(self.ctr, "containers", "rm", name, check=False)
        self.addCleanup(self.ctr, "tasks", "rm", "-f", name, check=False)
        self.ctr("run", "-d", *BERTH_RUNTIME, *options, BUSYBOX, name, *command)

    def test_output_and_exit_codes(self):
        def once(*arguments, **options):
            return self.ctr("run", "--rm", *BERTH_RUNTIME, BUSYBOX, "once", *arguments, **options)
        self.assertEqual(once("echo", "hi").stdout, "hi\n")
        self.assertEqual(once("sh", "-c", "exit 42", check=False).returncode, 42)
        # ctr may miss the end of a short input: the container does not wait for it.
        self.assertEqual(once("sh", "-c", "read line; echo got $line", input="typed\n").stdout, "got typed\n")
        missing = once("nosuch", check=False)
        self.assertIn("executable file not found in $PATH", missing.stderr)
        self.ctr("containers", "rm", "once", check=False)

    def test_every_task_command(self):
        self.start("life", "sleep", "1000", options=("--memory-limit", "67108864"))
        self.assertTrue(self.ours())
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "a", "life", "echo", "in").stdout, "in\n")
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "b", "life", "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertEqual(len(self.ctr("tasks", "ps", "life").stdout.strip().split("\n")), 2)
        metrics = json.loads(self.ctr("tasks", "metrics", "--format", "json", "life").stdout)
        self.assertEqual(metrics["memory"]["usage"]["limit"], 67108864)
        self.ctr("tasks", "pause", "life")
        self.assertEqual(self.status("life"), "PAUSED")
        self.ctr("tasks", "resume", "life")
        self.assertEqual(self.status("life"), "RUNNING")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "life")
        wait_for(lambda: self.status("life") == "STOPPED", 10, "the end of the task")
        self.ctr("tasks", "rm", "life")
        self.ctr("tasks", "start", "-d", "life")
        self.assertEqual(self.status("life"), "RUNNING")
        self.ctr("tasks", "rm", "-f", "life")

    def test_events_come_in_order(self):
        with EventWatch(self.watched()) as watch:
            self.ctr("run", "--rm", *BERTH_RUNTIME, BUSYBOX, "told", "true")
            seen = watch.seen()
        topics = [topic for topic in re.findall(r"(/tasks/[a-z-]+)", seen)]
        self.assertEqual(topics, ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"])

    def watched(self):
        daemon = self.daemon

        class Watched:
            ctr = staticmethod(daemon.ctr)

            @staticmethod
            def ctr_argv(*arguments):
                return ["ctr", "-a", daemon.sock, "-n", "berthclients"] + list(arguments)
        return Watched

    def test_a_killed_shim_is_cleaned_up(self):
        self.start("lost", "sleep", "1000")
        pid = int(re.search(r"lost\s+(\d+)", self.ctr("tasks", "ls").stdout).group(1))
        for shim in self.ours():
            os.kill(shim, signal.SIGKILL)
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), 20, "the end of the container's process")
        wait_for(lambda: self.status("lost") in (None, "STOPPED", "UNKNOWN"), 20, "containerd to notice")


def snapshot_plugin(name, address, more=""):
    return '[proxy_plugins]\n  [proxy_plugins.%s]\n    type = "snapshot"\n    address = "%s"\n%s' % (name, address, more)


@unittest.skipUnless(shutil.which("containerd"), "containerd is not installed")
@unittest.skipIf(STOCK, "runs its own stock containerd")
class ProxySnapshotterTest(unittest.TestCase):
    def import_and_run(self, ctr, directory, *options):
        images.busybox(directory + "/busybox.tar")
        ctr("images", "import", *options, directory + "/busybox.tar")
        self.addCleanup(ctr, "containers", "rm", "proxied", check=False)
        self.addCleanup(ctr, "tasks", "rm", "-f", "proxied", check=False)
        ctr("run", "-d", *options, BUSYBOX, "proxied", "sh", "-c", "echo written > /file; sleep 1000")
        wait_for(lambda: ctr("tasks", "exec", "--exec-id", "e", "proxied", "cat", "/file", check=False).stdout == "written\n", 15)
        ctr("tasks", "rm", "-f", "proxied")
        ctr("containers", "rm", "proxied")

    def test_stock_containerds_snapshotter_under_berthd(self):
        stock = StockContainerd("lends")
        self.addCleanup(stock.stop)
        berthd = Daemon(config=snapshot_plugin("there", stock.sock, 'snapshotter = "overlayfs"\n'), name="borrows")
        self.addCleanup(berthd.stop)
        berthd.start()
        self.assertRegex(berthd.ctr("plugins", "ls").stdout, r"io.containerd.snapshotter.v1\s+there\s")
        self.import_and_run(berthd.ctr, berthd.dir, "--snapshotter", "there")
        listed = stock.ctr("-n", "berth", "snapshots", "ls").stdout.strip().split("\n")[1:]
        self.assertTrue(any("Committed" in line for line in listed), listed)

    def test_one_berthd_uses_anothers_snapshotter(self):
        lender = Daemon(name="lends")
        self.addCleanup(lender.stop)
        lender.start()
        berthd = Daemon(config=snapshot_plugin("remote", "unix://" + lender.sock, 'snapshotter = "overlayfs"\n'), name="borrows")
        self.addCleanup(berthd.stop)
        berthd.start()
        self.import_and_run(berthd.ctr, berthd.dir, "--snapshotter", "remote")
        listed = lender.ctr("snapshots", "ls", namespace="berth").stdout.strip().split("\n")[1:]
        self.assertTrue(any("Committed" in line for line in listed), listed)
        self.assertFalse(any("proxied" in line for line in listed), listed)
        # It goes and comes back: the error says which, and later calls work.
        lender.signal(signal.SIGTERM)
        gone = berthd.ctr("snapshots", "--snapshotter", "remote", "prepare", "k", check=False)
        self.assertNotEqual(gone.returncode, 0)
        self.assertIn("remote", gone.stderr)
        lender.start()
        wait_for(lambda: berthd.ctr("snapshots", "--snapshotter", "remote", "prepare", "k", check=False).returncode == 0, 30)
        berthd.ctr("snapshots", "--snapshotter", "remote", "rm", "k")


if __name__ == "__main__":
    unittest.main()
