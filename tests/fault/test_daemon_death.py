"""The daemon dies while containers run and write: they run on, and the next daemon knows all of them."""
import os
import signal
import subprocess
import unittest

from fault import FaultTest, alive, amount, last_number, numbers
from harness import BIN, wait_for


class DaemonDeathTest(FaultTest):
    def check_death(self, kill):
        writers = [self.start_writer() for _ in range(amount(8, 50))]
        waiters = {self.start_waiter(code): code for code in (0, 7, 200)}
        for name in writers:
            wait_for(lambda: last_number(self.output(name)) > 0, 20, "output of " + name)
        before = self.daemon.tasks()
        kill()
        self.assertFalse(os.path.exists("/proc/%d" % self.daemon_pid))

        # Everything runs on and writes while nobody is there.
        counts = {name: last_number(self.output(name)) for name in writers}
        for name in writers:
            wait_for(lambda: last_number(self.output(name)) > counts[name] + 1, 20, "more output of " + name)
        for name in waiters:
            self.let_go(name)
        self.wait_until_dead(*[before[name][0] for name in waiters])

        self.restart_daemon()
        after = self.daemon.tasks()
        self.assertEqual(set(after), set(writers) | set(waiters))
        for name in writers:
            self.assertEqual(after[name], before[name], name)
            self.assertTrue(alive(after[name][0]))
        for name, code in waiters.items():
            self.assertEqual(after[name][1], "STOPPED", name)
            self.assertEqual(self.removed_with(name), code)
        for name in writers:
            self.assertEqual(self.out("tasks", "exec", "--exec-id", "e1", name, "echo", "in " + name).strip(), "in " + name)
            # No line was lost or doubled on the way.
            seen = numbers(self.output(name))
            self.assertEqual(seen, list(range(1, len(seen) + 1)))
        for name in writers:
            self.ctr("tasks", "kill", "-s", "SIGKILL", name)
            self.wait_status(name, "STOPPED")
            self.assertEqual(self.removed_with(name), 137)

    def setUp(self):
        super().setUp()
        self.daemon_pid = self.daemon.process.pid

    def test_kill_9(self):
        self.check_death(lambda: self.kill_daemon(signal.SIGKILL))

    def test_sigterm(self):
        self.check_death(lambda: self.assertEqual(self.kill_daemon(signal.SIGTERM), 0))

    def test_ctrl_c_in_the_foreground(self):
        # A terminal sends SIGINT to the whole foreground process group: the daemon's and nothing else's.
        self.assertEqual(self.kill_daemon(signal.SIGTERM), 0)
        log = open(self.daemon.log_path, "ab")
        self.daemon.process = subprocess.Popen(
            [BIN + "/berthd", "--root", self.daemon.root, "--state", self.daemon.state, "--address", self.daemon.sock],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.daemon.wait_ready()
        self.daemon_pid = self.daemon.process.pid

        def interrupt():
            os.killpg(self.daemon_pid, signal.SIGINT)
            self.assertEqual(self.daemon.process.wait(30), 0)
            self.daemon.process = None
        self.check_death(interrupt)

    def test_killed_in_the_middle_of_creates_and_deletes(self):
        for _ in range(amount(4, 30)):
            runs = [subprocess.Popen(self.daemon.ctr_argv("run", "--rm", "docker.io/library/busybox:latest", self.name("m"),
                                                          "true"),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    for _ in range(4)]
            runs[0].wait(60)  # the others are somewhere on their way
            self.kill_daemon(signal.SIGKILL)
            for run in runs[1:]:
                run.wait(60)
            self.restart_daemon()
            self.daemon.remove_everything()
            wait_for(lambda: not self.daemon.tasks(), 15, "the end of all tasks")

    def test_exit_after_the_restart_is_seen_by_the_new_daemon(self):
        name = self.start_waiter(3)
        self.kill_daemon(signal.SIGKILL)
        self.restart_daemon()
        self.let_go(name)
        self.wait_status(name, "STOPPED")
        self.assertEqual(self.removed_with(name), 3)


if __name__ == "__main__":
    unittest.main()
