"""Debian's dockerd with `--containerd` on berthd's socket: the life of a container as docker's users know it, builds, compose, and
daemons that are restarted underneath."""
import os
import shutil
import signal
import sys
import unittest

from dockerd import Dockerd
from harness import STOCK, BerthTest, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "testing"))
from terminal import Terminal  # noqa: E402

APPLETS = ("sh", "sleep", "cat", "echo", "date", "touch", "mkdir", "ls", "nc", "wget", "httpd", "true")


@unittest.skipUnless(shutil.which("dockerd") and shutil.which("docker"), "docker.io is not installed")
@unittest.skipIf(STOCK, "dockerd under containerd is Debian's own business")
class DockerdBase(BerthTest):
    busybox = False
    options = ()
    own_network = False

    @classmethod
    def setUpClass(cls):
        if cls is DockerdBase:
            raise unittest.SkipTest("a base")
        super().setUpClass()
        cls.dockerd = Dockerd(cls.daemon.dir + "/docker", cls.daemon.sock, *cls.options, own_network=cls.own_network)
        cls.addClassCleanup(cls.dockerd.stop)
        cls.await_dockerd()
        cls.docker("import", cls.dockerd.busybox_archive(*APPLETS), "bb")

    @classmethod
    def await_dockerd(cls):
        wait_for(lambda: cls.docker("version", check=False).returncode == 0, 60, "dockerd")

    @classmethod
    def docker(cls, *arguments, **options):
        return cls.daemon.run(cls.dockerd.argv(*arguments), **options)

    def run_in(self, *arguments, **options):
        return self.docker("run", "--rm", "--net", "none", *arguments, **options)

    def start(self, *arguments):
        identity = self.docker("run", "-d", "--net", "none", *arguments).stdout.strip()
        self.addCleanup(self.docker, "rm", "-f", identity, check=False)
        return identity

    def inspect(self, name, template):
        return self.docker("inspect", "-f", template, name).stdout.strip()


class DockerdTest(DockerdBase):
    def test_output_and_exit_codes(self):
        self.assertEqual(self.run_in("bb", "echo", "hi").stdout, "hi\n")
        self.assertEqual(self.run_in("bb", "sh", "-c", "exit 42", check=False).returncode, 42)
        self.assertEqual(self.run_in("bb", "/nowhere", check=False).returncode, 127)
        self.assertEqual(self.run_in("bb", "/bin", check=False).returncode, 126)

    def test_stdin_and_terminal(self):
        self.assertEqual(self.run_in("-i", "bb", "cat", input="typed\n").stdout, "typed\n")
        self.assertEqual(self.run_in("-t", "bb", "echo", "hi", text=False).stdout, b"hi\r\n")

    def test_a_shell_at_a_terminal(self):
        shell = Terminal(self.dockerd.argv("run", "-it", "--rm", "--net", "none", "bb", "sh"))
        self.addCleanup(shell.process.kill)
        shell.type("echo $((6*7))-$(echo sum)\n")
        shell.expect("42-sum")
        shell.type("exit 5\n")
        self.assertEqual(shell.wait(), 5)

    def test_exec_at_a_terminal(self):
        self.start("--name", "typed", "bb", "sleep", "1000")
        shell = Terminal(self.dockerd.argv("exec", "-it", "typed", "sh"))
        self.addCleanup(shell.process.kill)
        shell.type("echo in-$((6*7))\n")
        shell.expect("in-42")
        shell.type("exit 6\n")
        self.assertEqual(shell.wait(), 6)

    def test_logs_follow_to_the_end(self):
        name = self.start("--name", "talks", "bb", "sh", "-c", "for i in 1 2 3 4; do echo line $i; sleep 0.3; done; echo bad >&2; exit 3")
        followed = self.docker("logs", "-f", name)
        self.assertEqual(followed.stdout, "".join("line %d\n" % i for i in (1, 2, 3, 4)))
        self.assertEqual(followed.stderr, "bad\n")
        self.assertEqual(self.docker("wait", name).stdout, "3\n")
        self.assertEqual(self.docker("logs", "--tail", "1", name).stdout + self.docker("logs", "--tail", "1", name).stderr, "bad\n")

    def test_stop_asks_and_kill_does_not(self):
        self.start("--name", "polite", "bb", "sh", "-c", "trap 'echo bye; exit 4' TERM; while :; do sleep 0.05; done")
        self.docker("stop", "-t", "20", "polite")
        self.assertEqual(self.inspect("polite", "{{.State.ExitCode}}"), "4")
        self.assertEqual(self.docker("logs", "polite").stdout, "bye\n")
        self.docker("start", "polite")
        self.docker("kill", "-s", "KILL", "polite")
        wait_for(lambda: self.inspect("polite", "{{.State.ExitCode}} {{.State.Running}}") == "137 false")

    def test_copy_and_commit(self):
        self.start("--name", "changed", "bb", "sh", "-c", "mkdir /d && echo made > /d/made && sleep 1000")
        wait_for(lambda: self.docker("exec", "changed", "cat", "/d/made", check=False).stdout == "made\n")
        folder = self.daemon.dir + "/cp"
        os.mkdir(folder)
        self.docker("cp", "changed:/d/made", folder + "/out")
        with open(folder + "/out") as file:
            self.assertEqual(file.read(), "made\n")
        with open(folder + "/in", "w") as file:
            file.write("carried\n")
        self.docker("cp", folder + "/in", "changed:/d/in")
        self.assertEqual(self.docker("exec", "changed", "cat", "/d/in").stdout, "carried\n")
        self.docker("commit", "changed", "kept")
        self.assertEqual(self.run_in("kept", "cat", "/d/made", "/d/in").stdout, "made\ncarried\n")

    def test_build(self):
        folder = self.daemon.dir + "/context"
        os.mkdir(folder)
        with open(folder + "/note", "w") as file:
            file.write("copied\n")
        with open(folder + "/Dockerfile", "w") as file:
            file.write('FROM bb\nCOPY note /note\nRUN cat /note > /made && echo built >> /made\nENV WORD=said\n'
                       'CMD ["sh", "-c", "cat /made; echo $WORD"]\n')
        built = self.docker("build", "--network", "none", "-t", "made", folder, env={"DOCKER_BUILDKIT": "0"}, timeout=120)
        self.assertIn("Successfully built", built.stdout)
        self.assertEqual(self.run_in("made").stdout, "copied\nbuilt\nsaid\n")
        with open(folder + "/Dockerfile", "w") as file:
            file.write("FROM bb\nRUN exit 9\n")
        failed = self.docker("build", "--network", "none", folder, env={"DOCKER_BUILDKIT": "0"}, check=False, timeout=120)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("returned a non-zero code: 9", failed.stdout + failed.stderr)

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


class LiveRestoreTest(DockerdBase):
    options = ("--live-restore",)

    def test_containers_outlive_both_daemons(self):
        self.start("--name", "lives", "bb", "sh", "-c", "while sleep 0.1; do date; done")
        self.start("--name", "ends", "bb", "sh", "-c", "sleep 5; exit 8")
        pid = self.inspect("lives", "{{.State.Pid}}")
        ending = self.inspect("ends", "{{.State.Pid}}")
        # dockerd goes, then berthd; one container ends while neither is there.
        self.dockerd.process.send_signal(signal.SIGTERM)
        self.dockerd.process.wait(60)
        self.daemon.signal(signal.SIGKILL)
        wait_for(lambda: not os.path.exists("/proc/" + ending), 20, "the end of the container")
        self.assertTrue(os.path.exists("/proc/" + pid))
        self.daemon.start()
        self.dockerd.start()
        self.await_dockerd()
        self.assertEqual(self.inspect("lives", "{{.State.Pid}} {{.State.Running}}"), pid + " true")
        wait_for(lambda: self.inspect("ends", "{{.State.Running}} {{.State.ExitCode}}") == "false 8", 30)
        self.assertEqual(self.docker("exec", "lives", "echo", "still").stdout, "still\n")
        before = len(self.docker("logs", "lives").stdout)
        wait_for(lambda: len(self.docker("logs", "lives").stdout) > before)
        # And berthd alone, with dockerd watching.
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        wait_for(lambda: self.docker("exec", "lives", "echo", "again", check=False).stdout == "again\n", 30)
        self.docker("stop", "-t", "0", "lives")
        self.assertEqual(self.inspect("lives", "{{.State.Running}}"), "false")


@unittest.skipUnless(shutil.which("docker-compose") and shutil.which("iptables"), "docker-compose is not installed")
class ComposeTest(DockerdBase):
    own_network = True

    COMPOSE = """
version: "3"
services:
  server:
    image: bb
    command: sh -c "echo from-the-server > /index.html && exec httpd -f -p 8080 -h /"
  client:
    image: bb
    depends_on: [server]
    command: sh -c "until wget -q -O - http://server:8080/index.html; do sleep 0.2; done; exec sleep 1000"
"""

    def compose(self, *arguments, **options):
        return self.daemon.run(["docker-compose", "-H", self.dockerd.host, "-p", "two"] + list(arguments),
                               env={"COMPOSE_FILE": self.file, "DOCKER_HOST": self.dockerd.host}, timeout=180, **options)

    def setUp(self):
        super().setUp()
        self.file = self.daemon.dir + "/docker-compose.yml"
        with open(self.file, "w") as file:
            file.write(self.COMPOSE)

    def test_two_services_meet_by_name(self):
        self.addCleanup(self.compose, "down", "-t", "0", check=False)
        self.compose("up", "-d")
        wait_for(lambda: "from-the-server" in self.compose("logs", "--no-color", "client").stdout, 40, "the server's page")
        self.assertIn("two_server_1", self.docker("ps").stdout)
        self.assertEqual(self.compose("exec", "-T", "server", "cat", "/index.html").stdout, "from-the-server\n")
        self.compose("stop", "-t", "0", "client")
        self.compose("start", "client")
        self.compose("down", "-t", "0")
        self.assertNotIn("two_", self.docker("ps", "-a").stdout)
        self.assertNotIn("two_default", self.docker("network", "ls").stdout)

    def test_the_bridge_gives_an_address(self):
        self.assertEqual(self.docker("run", "--rm", "bb", "cat", "/sys/class/net/eth0/operstate").stdout, "up\n")


if __name__ == "__main__":
    unittest.main()
