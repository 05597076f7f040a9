"""Shims are killed: their containers end, are reported, and leave nothing; other containers do not notice."""
import os
import signal
import unittest

from fault import FaultTest, alive, amount
from harness import wait_for


class ShimDeathTest(FaultTest):
    def test_killed_shim_ends_its_container_with_137_and_no_other(self):
        victim, bystander = self.run_detached(), self.run_detached()
        pid = self.daemon.tasks()[victim][0]
        os.kill(self.shim_of(victim), signal.SIGKILL)
        self.wait_until_dead(pid)
        wait_for(lambda: self.daemon.tasks().get(victim, (0, "STOPPED"))[1] == "STOPPED", 15, "the news of its end")
        self.assertEqual(self.daemon.tasks()[bystander][1], "RUNNING")
        self.ctr("tasks", "rm", victim, check=False)
        self.ctr("containers", "rm", victim)
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", bystander, "echo", "on").strip(), "on")

    def test_id_of_a_killed_shim_can_be_used_again(self):
        for _ in range(amount(3, 20)):
            name = "again"
            self.ctr("run", "-d", "docker.io/library/busybox:latest", name, "sleep", "1000")
            os.kill(self.shim_of(name), signal.SIGKILL)
            wait_for(lambda: self.daemon.tasks().get(name, (0, "STOPPED"))[1] == "STOPPED", 15, "the news of its end")
            self.ctr("tasks", "rm", name, check=False)
            wait_for(lambda: name not in self.daemon.tasks(), 15, "the task's removal")
            self.ctr("containers", "rm", name)

    def test_shim_and_daemon_killed_together(self):
        names = [self.run_detached() for _ in range(amount(3, 20))]
        pids = {name: task[0] for name, task in self.daemon.tasks().items()}
        shims = {name: self.shim_of(name) for name in names}
        self.kill_daemon(signal.SIGKILL)
        lost = names[::2]
        for name in lost:
            os.kill(shims[name], signal.SIGKILL)
        self.wait_until_dead(*[shims[name] for name in lost])
        self.restart_daemon()
        self.wait_until_dead(*[pids[name] for name in lost])
        for name in names[1::2]:
            self.assertEqual(self.daemon.tasks()[name], (pids[name], "RUNNING"))
            self.assertTrue(alive(shims[name]))

    def test_all_shims_killed_at_once(self):
        names = [self.run_detached() for _ in range(amount(5, 50))]
        for name in names:
            os.kill(self.shim_of(name), signal.SIGKILL)
        wait_for(lambda: not [t for t in self.daemon.tasks().values() if t[1] == "RUNNING"], 30, "the end of all tasks")


if __name__ == "__main__":
    unittest.main()
