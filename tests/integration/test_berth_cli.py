"""The `berth` command: Docker's verbs and ctr's nouns, at a pipe and at a terminal."""
import json
import os
import pty
import select
import subprocess
import time
import unittest

from harness import BIN, BUSYBOX, BerthTest, STOCK, wait_for
import images


@unittest.skipIf(STOCK, "asks for berth")
class BerthCliTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        images.busybox(cls.daemon.dir + "/busybox.tar")
        cls.daemon.berth("image", "load", "-i", cls.daemon.dir + "/busybox.tar")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_containers)

    def remove_containers(self):
        for name in self.berth("ps", "-a", "-q").split():
            self.daemon.berth("rm", "-f", name, check=False)

    def berth(self, *arguments, **options):
        return self.daemon.berth(*arguments, **options).stdout

    def code(self, *arguments):
        return self.daemon.berth(*arguments, check=False).returncode

    def test_run(self):
        self.assertEqual(self.berth("run", "--rm", "busybox", "echo", "hi there"), "hi there\n")
        result = self.daemon.berth("run", "--rm", "busybox", "sh", "-c", "echo e >&2; exit 5", check=False)
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("", "e\n", 5))

    def test_exit_codes_of_docker(self):
        self.assertEqual(self.code("run", "--rm", "busybox", "no-such-program"), 127)
        self.assertEqual(self.code("run", "--rm", "busybox", "/etc/passwd"), 126)
        self.assertEqual(self.code("run", "--rm", "no-such-image", "true"), 125)
        self.assertEqual(self.code("run", "--no-such-option", "busybox"), 125)

    def test_run_options(self):
        out = self.berth("run", "--rm", "-e", "A=1", "-e", "B=2", "-w", "/tmp", "--hostname", "box", "-u", "1000",
                         "busybox", "sh", "-c", "echo $A$B; pwd; hostname; id -u")
        self.assertEqual(out.split(), ["12", "/tmp", "box", "1000"])
        self.assertEqual(self.berth("run", "--rm", "--entrypoint", "/bin/echo", "busybox", "x").strip(), "x")
        folder = self.daemon.dir + "/vol"
        os.makedirs(folder, exist_ok=True)
        self.berth("run", "--rm", "-v", folder + ":/data", "busybox", "sh", "-c", "echo kept > /data/f")
        with open(folder + "/f") as file:
            self.assertEqual(file.read(), "kept\n")
        self.assertNotEqual(self.code("run", "--rm", "-v", folder + ":/data:ro", "busybox", "touch", "/data/g"), 0)

    def test_stdin(self):
        self.assertEqual(self.daemon.berth("run", "--rm", "-i", "busybox", "cat", input="piped\n").stdout, "piped\n")

    def test_detached_ps_exec_logs_stop_rm(self):
        self.berth("run", "-d", "--name", "web", "busybox", "sh", "-c", "echo started; exec sleep 1000")
        self.assertIn("web", self.berth("ps"))
        self.assertEqual(self.berth("exec", "web", "echo", "in"), "in\n")
        self.assertEqual(self.code("exec", "web", "sh", "-c", "exit 3"), 3)
        wait_for(lambda: self.berth("logs", "web") == "started\n")
        self.berth("kill", "web")
        wait_for(lambda: "web" not in self.berth("ps"))
        self.assertIn("web", self.berth("ps", "-a"))
        self.assertEqual(self.berth("logs", "web"), "started\n")
        self.berth("rm", "web")
        self.assertNotIn("web", self.berth("ps", "-a"))

    def test_stop_takes_the_grace_only_when_needed(self):
        self.berth("run", "-d", "--name", "polite", "busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
        time.sleep(0.3)
        began = time.monotonic()
        self.berth("stop", "polite")
        self.assertLess(time.monotonic() - began, 8)
        self.berth("run", "-d", "--name", "deaf", "busybox", "sleep", "1000")
        self.berth("stop", "-t", "1", "deaf")
        self.assertNotIn("deaf", self.berth("ps"))

    def test_name_conflict(self):
        self.berth("run", "-d", "--name", "one", "busybox", "sleep", "1000")
        result = self.daemon.berth("run", "-d", "--name", "one", "busybox", "true", check=False)
        self.assertEqual(result.returncode, 125)
        self.assertIn("one", result.stderr)
        self.assertIn("one", self.berth("ps"))

    def test_inspect(self):
        self.berth("run", "-d", "--name", "look", "--memory", "64m", "busybox", "sleep", "1000")
        document = json.loads(self.berth("inspect", "look"))
        self.assertIn("look", json.dumps(document))
        self.assertEqual(self.code("inspect", "nothing"), 1)

    def test_json_listings(self):
        self.berth("run", "-d", "--name", "listed", "busybox", "sleep", "1000")
        for arguments in (("ps",), ("image", "ls"), ("namespace", "ls"), ("container", "ls"), ("task", "ls"),
                          ("content", "ls"), ("snapshot", "ls"), ("plugin", "ls"), ("version",)):
            text = self.berth(*arguments, "--format", "json")
            self.assertTrue(text.strip(), arguments)
            try:
                json.loads(text)
            except json.JSONDecodeError:
                [json.loads(line) for line in text.strip().split("\n")]

    def test_image_save_load_rm(self):
        path = self.daemon.dir + "/saved.tar"
        self.berth("image", "save", "-o", path, "busybox")
        self.daemon.run(["skopeo", "inspect", "--raw", "docker-archive:" + path], check=False)
        self.assertIn("busybox", self.berth("image", "ls"))
        self.berth("image", "rm", "busybox")
        self.assertNotIn("busybox", self.berth("image", "ls"))
        self.berth("image", "load", "-i", path)
        self.assertEqual(self.berth("run", "--rm", "busybox", "echo", "again"), "again\n")

    def test_unreachable_daemon_says_what_to_do(self):
        result = self.daemon.berth("ps", env={"BERTH_ADDRESS": self.daemon.dir + "/nothing.sock"}, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("nothing.sock", result.stderr)
        self.assertIn("berthd", result.stderr)

    def test_help_has_examples(self):
        for arguments in (("--help",), ("run", "--help"), ("image", "load", "--help"), ("exec", "--help")):
            self.assertIn("xample", self.berth(*arguments), arguments)

    def test_terminal_is_restored_and_resized(self):
        master, slave = pty.openpty()
        import fcntl
        import struct
        import termios
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        before = termios.tcgetattr(slave)
        env = dict(os.environ, BERTH_ADDRESS=self.daemon.sock, BERTH_NAMESPACE=self.daemon.namespace)
        process = subprocess.Popen([BIN + "/berth", "run", "--rm", "-it", "busybox", "sh"], stdin=slave, stdout=slave,
                                   stderr=slave, env=env, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        output = b""

        def expect(word, typed=None):
            nonlocal output
            if typed:
                os.write(master, typed)
            deadline = time.monotonic() + 15
            while word not in output:
                self.assertLess(time.monotonic(), deadline, output)
                if select.select([master], [], [], 0.1)[0]:
                    output += os.read(master, 4096)
        expect(b"# ")
        output = b""
        expect(b"33 101", b"stty size\n")
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 120, 0, 0))
        deadline = time.monotonic() + 10
        while b"44 120" not in output and time.monotonic() < deadline:
            output = b""
            os.write(master, b"stty size\n")
            time.sleep(0.2)
            while select.select([master], [], [], 0.2)[0]:
                output += os.read(master, 4096)
        self.assertIn(b"44 120", output)
        os.write(master, b"exit 6\n")
        self.assertEqual(process.wait(15), 6)
        self.assertEqual(termios.tcgetattr(slave), before)
        os.close(master)
        os.close(slave)
