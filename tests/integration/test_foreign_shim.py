"""Debian's containerd-shim-runc-v2 under berthd, by its path and by an alias: the `start` protocol, adoption, loss."""
import os
import signal
import subprocess
import unittest

from harness import BUSYBOX, STOCK, BerthTest, shims, wait_for

SHIM = "/usr/bin/containerd-shim-runc-v2"


@unittest.skipUnless(os.access(SHIM, os.X_OK), "containerd-shim-runc-v2 is not installed")
@unittest.skipIf(STOCK, "containerd's own shim is not foreign to containerd")
class ForeignShimTest(BerthTest):
    config = '[runtime_aliases]\n"io.containerd.debian.v2" = "%s"\n' % SHIM

    def start(self, name, *command, runtime=SHIM):
        self.ctr("run", "-d", "--runtime", runtime, BUSYBOX, name, *command)
        return self.daemon.tasks()[name][0]

    def test_run_by_path_and_by_alias(self):
        for runtime in (SHIM, "io.containerd.debian.v2"):
            result = self.ctr("run", "--rm", "--runtime", runtime, BUSYBOX, "once", "sh", "-c", "echo out; exit 9", check=False)
            self.assertEqual((result.stdout, result.returncode), ("out\n", 9))

    def test_the_task_survives_the_daemon(self):
        pid = self.start("lasting", "sleep", "1000")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        self.assertEqual(self.daemon.tasks()["lasting"], (pid, "RUNNING"))
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", "lasting", "echo", "again"), "again\n")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "lasting")
        wait_for(lambda: self.daemon.tasks()["lasting"][1] == "STOPPED")
        self.ctr("tasks", "rm", "lasting", check=False)
        self.ctr("containers", "rm", "lasting")

    def test_a_lost_shim_is_reconciled(self):
        events = subprocess.Popen(self.daemon.ctr_argv("events", 'topic=="/tasks/exit"', 'topic=="/tasks/delete"'), stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(events.communicate)
        self.addCleanup(events.kill)
        pid = self.start("lost", "sleep", "1000")
        for shim in shims(self.daemon.state):
            os.kill(shim, signal.SIGKILL)
        wait_for(lambda: "lost" not in self.daemon.tasks())
        wait_for(lambda: not os.path.exists("/proc/%d" % pid))
        self.assertIn("/tasks/exit", events.stdout.readline())
        self.assertIn("/tasks/delete", events.stdout.readline())
        self.ctr("containers", "rm", "lost")

    def test_a_runtime_that_is_not_installed(self):
        self.fails("run", "--runtime", "io.containerd.absent.v2", BUSYBOX, "no", "true",
                   words=["containerd-shim-absent-v2", "runtime_aliases"])
        self.ctr("containers", "rm", "no", check=False)


if __name__ == "__main__":
    unittest.main()
