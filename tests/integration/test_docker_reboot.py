"""What comes back after a reboot: the state directory is gone, no process of before is there, the kernel has another boot id."""
import os
import shutil
import signal
import subprocess
import unittest

from docker_case import DockerTest
from harness import STOCK, cgroups, mounts, shims, wait_for


@unittest.skipIf(STOCK, "asks for berth")
class RebootTest(DockerTest):
    def inspect(self, name, template):
        return self.daemon.berth("inspect", "-f", template, name).stdout.strip()

    def reboot(self):
        """As the machine going down does it: everything at once, and nothing is asked."""
        self.daemon.signal(signal.SIGKILL)
        processes = set(shims(self.daemon.state))
        for group in cgroups(self.daemon.namespace):
            with open(group + "/cgroup.procs") as file:
                processes.update(int(pid) for pid in file.read().split())
        for pid in processes:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(os.path.exists("/proc/%d/exe" % pid) and os.path.exists("/proc/%d/cwd/." % pid)
                                 for pid in processes), what="the end of all processes")

        def groups_are_gone():
            for group in cgroups(self.daemon.namespace):
                subprocess.run(["rmdir", group], capture_output=True)
            return not cgroups(self.daemon.namespace)
        wait_for(groups_are_gone, what="the end of the control groups")
        for line in reversed(mounts()):
            point = line.split()[4]
            if point.startswith(self.daemon.state + "/"):
                subprocess.run(["umount", "-l", point], check=True)
        shutil.rmtree(self.daemon.state)
        with open(self.daemon.root + "/containers/boot", "w") as file:
            file.write("00000000-0000-0000-0000-000000000000\n")
        self.daemon.start()

    def test_policies_after_a_reboot(self):
        run = lambda name, *options: self.daemon.berth("run", "-d", "--name", name, *options, "busybox", "sh", "-c",
                                                       "echo up >> /ups; sleep 1000")
        stop = lambda name: self.daemon.berth("stop", "-t", "0", name)
        for policy in ("always", "unless-stopped", "on-failure", "no"):
            run(policy, "--restart", policy)
            run(policy + "-by-hand", "--restart", policy)
            stop(policy + "-by-hand")
        run("removed", "--rm")
        run("volume", "--restart", "always", "-v", "/data", "-m", "64m")
        self.daemon.berth("exec", "volume", "sh", "-c", "echo kept > /data/f; echo kept > /own")
        self.daemon.berth("run", "--name", "ended", "--restart", "on-failure", "busybox", "true")
        self.daemon.berth("create", "--name", "created", "--restart", "always", "busybox", "sleep", "1000")

        self.reboot()
        back = {"always", "always-by-hand", "unless-stopped", "on-failure", "volume"}
        running = lambda: set(self.daemon.berth("ps", "--format", "{{.Names}}").stdout.split())
        wait_for(lambda: running() == back, 20, "those that come back")
        wait_for(lambda: self.daemon.berth("ps", "-aq", "--filter", "name=removed").stdout == "", what="--rm after the reboot")
        # Each in its old root, with a new process.
        for name in back - {"volume"}:
            wait_for(lambda: self.daemon.berth("exec", name, "cat", "/ups").stdout == "up\nup\n", what=name)
        self.assertEqual(self.daemon.berth("exec", "volume", "cat", "/data/f", "/own").stdout, "kept\nkept\n")
        status = lambda name: self.inspect(name, "{{.State.Status}} {{.State.ExitCode}}")
        self.assertEqual(status("no"), "exited 255")
        for name, expected in (("no-by-hand", "exited 137"), ("unless-stopped-by-hand", "exited 137"),
                               ("on-failure-by-hand", "exited 137"), ("ended", "exited 0"), ("created", "created 0")):
            self.assertEqual(status(name), expected, name)
        # And they go on being what they were: a second reboot, and a stop that is remembered.
        stop("unless-stopped")
        self.reboot()
        wait_for(lambda: running() == back - {"unless-stopped"}, 20, "those that come back again")
        self.daemon.berth("start", "unless-stopped", "no")
        self.assertLessEqual({"unless-stopped", "no"}, running())

    def test_a_restart_of_the_daemon_alone_is_no_reboot(self):
        self.daemon.berth("run", "-d", "--name", "stopped", "--restart", "always", "busybox", "sleep", "1000")
        self.daemon.berth("run", "-d", "--name", "on", "--restart", "always", "busybox", "sleep", "1000")
        self.daemon.berth("stop", "-t", "0", "stopped")
        pid = self.inspect("on", "{{.State.Pid}}")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        self.assertEqual(self.inspect("on", "{{.State.Pid}}"), pid)
        self.assertEqual(self.daemon.berth("ps", "--format", "{{.Names}}").stdout, "on\n")


if __name__ == "__main__":
    unittest.main()
