"""Debian's dockerd with `--containerd` on berthd's socket: the life of a container as docker's users know it."""
import shutil
import signal
import unittest

from dockerd import Dockerd
from harness import STOCK, BerthTest, wait_for


@unittest.skipUnless(shutil.which("dockerd") and shutil.which("docker"), "docker.io is not installed")
@unittest.skipIf(STOCK, "dockerd under containerd is Debian's own business")
class DockerdTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dockerd = Dockerd(cls.daemon.dir + "/docker", cls.daemon.sock)
        cls.addClassCleanup(cls.dockerd.stop)
        wait_for(lambda: cls.docker("version", check=False).returncode == 0, 60, "dockerd")
        cls.docker("import", cls.dockerd.busybox_archive("sh", "sleep", "cat", "echo", "date"), "bb")

    @classmethod
    def docker(cls, *arguments, **options):
        return cls.daemon.run(cls.dockerd.argv(*arguments), **options)

    def run_in(self, *arguments, **options):
        return self.docker("run", "--rm", "--net", "none", *arguments, **options)

    def start(self, *arguments):
        identity = self.docker("run", "-d", "--net", "none", *arguments).stdout.strip()
        self.addCleanup(self.docker, "rm", "-f", identity, check=False)
        return identity

    def test_output_and_exit_codes(self):
        self.assertEqual(self.run_in("bb", "echo", "hi").stdout, "hi\n")
        self.assertEqual(self.run_in("bb", "sh", "-c", "exit 42", check=False).returncode, 42)
        self.assertEqual(self.run_in("bb", "/nowhere", check=False).returncode, 127)
        self.assertEqual(self.run_in("bb", "/bin", check=False).returncode, 126)

    def test_stdin_and_terminal(self):
        self.assertEqual(self.run_in("-i", "bb", "cat", input="typed\n").stdout, "typed\n")
        self.assertEqual(self.run_in("-t", "bb", "echo", "hi", text=False).stdout, b"hi\r\n")

    def test_exec_and_top(self):
        self.start("--name", "life", "bb", "sleep", "1000")
        self.assertEqual(self.docker("exec", "life", "echo", "in").stdout, "in\n")
        self.assertEqual(self.docker("exec", "life", "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertIn("sleep 1000", self.docker("top", "life").stdout)

    def test_pause_stop_and_limits(self):
        self.start("--name", "limited", "--memory", "64m", "--cpus", "0.5", "bb", "sleep", "1000")
        self.assertIn("/ 64MiB", self.docker("stats", "--no-stream", "limited").stdout)
        self.docker("pause", "limited")
        self.assertIn("(Paused)", self.docker("ps", "-f", "name=limited").stdout)
        self.docker("unpause", "limited")
        self.docker("stop", "-t", "1", "limited")
        self.assertIn("Exited (137)", self.docker("ps", "-a", "-f", "name=limited").stdout)

    def test_restart_policy_sees_every_exit(self):
        self.start("--name", "again", "--restart", "on-failure:2", "bb", "sh", "-c", "exit 3")
        wait_for(lambda: self.docker("inspect", "-f", "{{.RestartCount}} {{.State.Running}} {{.State.ExitCode}}", "again")
                 .stdout == "2 false 3\n", 30)

    def test_containers_run_on_when_berthd_is_killed(self):
        self.start("--name", "on", "bb", "sh", "-c", "while sleep 0.1; do date; done")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        wait_for(lambda: self.docker("exec", "on", "echo", "still", check=False).stdout == "still\n", 30)
        before = len(self.docker("logs", "on").stdout)
        wait_for(lambda: len(self.docker("logs", "on").stdout) > before)
        self.docker("kill", "on")
        wait_for(lambda: "Exited (137)" in self.docker("ps", "-a", "-f", "name=on").stdout)


if __name__ == "__main__":
    unittest.main()
