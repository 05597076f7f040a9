"""A call that is repeated after its client gave up or died gets the first one's result, or a clean start; never "reserved"."""
import os
import signal
import subprocess
import time
import unittest

from harness import BUSYBOX, BerthTest, shims, wait_for


class RetryTest(BerthTest):
    def begin_and_kill(self, seconds, *arguments):
        # ctr itself mounts a root to look a user up, and leaves that mount when it is killed meanwhile.
        mounts = os.path.join(self.daemon.dir, "ctr-mounts")
        os.makedirs(mounts, exist_ok=True)
        client = subprocess.Popen(self.daemon.ctr_argv(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=mounts))
        try:
            client.wait(seconds)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
        for left in os.listdir(mounts):
            subprocess.run(["umount", "-l", os.path.join(mounts, left)], stderr=subprocess.DEVNULL)

    def test_a_run_whose_client_was_killed_can_be_repeated_under_its_id(self):
        for step in range(12):
            name = self.name("again")
            self.begin_and_kill(0.02 + 0.02 * step, "run", "-d", BUSYBOX, name, "sleep", "1000")

            def repeated():
                self.ctr("tasks", "rm", "-f", name, check=False)
                self.ctr("containers", "rm", name, check=False)
                self.ctr("snapshots", "rm", name, check=False)  # its client's lease keeps it when nothing else does
                return self.ctr("run", "-d", BUSYBOX, name, "sleep", "1000", check=False).returncode == 0
            wait_for(repeated, 20, "a repeated run of " + name)
            self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")
            self.ctr("tasks", "kill", "-s", "SIGKILL", name)
            self.ctr("tasks", "rm", "-f", name)
            self.ctr("containers", "rm", name)

    def test_a_delete_that_missed_its_deadline_is_joined(self):
        name = self.run_detached("sh", "-c", "exit 9")
        wait_for(lambda: self.daemon.tasks()[name][1] == "STOPPED")
        shim = shims(self.daemon.state)[0]
        os.kill(shim, signal.SIGSTOP)
        self.addCleanup(lambda: os.path.exists("/proc/%d" % shim) and os.kill(shim, signal.SIGCONT))
        self.begin_and_kill(1, "tasks", "rm", name)
        second = subprocess.Popen(self.daemon.ctr_argv("tasks", "rm", name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)
        time.sleep(0.3)
        os.kill(shim, signal.SIGCONT)
        output = second.communicate(timeout=30)[0]
        # The first one's result, or that it has done its work.
        self.assertTrue("exit code 9" in output or "not found" in output, output)
        wait_for(lambda: name not in self.daemon.tasks(), 10, "the end of the task")
        self.ctr("containers", "rm", name)
        self.assertEqual(self.out("run", "--rm", BUSYBOX, name, "echo", "free"), "free\n")

    def test_a_start_that_missed_its_deadline_is_joined(self):
        name = self.name()
        self.ctr("containers", "create", BUSYBOX, name, "sleep", "1000")
        # The task is created with the shim stopped before it is told to start.
        self.begin_and_kill(0.08, "tasks", "start", "-d", name)

        def started():
            self.ctr("tasks", "start", "-d", name, check=False)
            return self.daemon.tasks().get(name, (0, ""))[1] in ("RUNNING", "CREATED")
        wait_for(started, 20, "a repeated start")
        self.ctr("tasks", "kill", "-s", "SIGKILL", name, check=False)
        self.ctr("tasks", "rm", "-f", name)

    def test_an_import_whose_client_was_killed_can_be_repeated(self):
        path = self.daemon.dir + "/busybox.tar"
        for step in range(6):
            self.ctr("images", "rm", "--sync", BUSYBOX, check=False)
            self.begin_and_kill(0.03 + 0.05 * step, "images", "import", path)
            self.ctr("images", "import", path, timeout=60)
            self.assertEqual(self.out("run", "--rm", BUSYBOX, self.name(), "echo", "works"), "works\n")


if __name__ == "__main__":
    unittest.main()
