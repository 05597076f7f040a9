"""What a client in the foreground notices of a daemon that dies: nothing. Input, output, ends, and uploads."""
import hashlib
import io
import os
import random
import signal
import subprocess
import tarfile
import threading
import unittest

from docker_case import DockerTest
from harness import BIN, BUSYBOX, STOCK, wait_for


@unittest.skipIf(STOCK, "asks for berth")
class SessionsTest(DockerTest):
    def restart(self, how=signal.SIGKILL):
        self.daemon.signal(how)
        self.daemon.start()

    def piped(self, *arguments):
        process = subprocess.Popen([BIN + "/berth"] + list(arguments), env=dict(os.environ, **self.env()), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for pipe in (process.stdout, process.stderr):
            self.addCleanup(pipe.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def write(self, process, data):
        try:
            process.stdin.write(data)
            process.stdin.flush()
        except BrokenPipeError:
            self.fail("the client went: %s" % process.stderr.read())

    def test_piped_input_is_whole_over_restarts(self):
        process = self.piped("run", "-i", "--rm", "--name", "sum", "busybox", "md5sum")
        digest, numbers = hashlib.md5(), random.Random(1)
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, None):
            for _ in range(24):
                piece = numbers.randbytes(50000)
                digest.update(piece)
                self.write(process, piece)
            if how is not None:
                self.restart(how)
        process.stdin.close()
        self.assertEqual(process.wait(60), 0, process.stderr.read())
        self.assertEqual(process.stdout.read().decode(), digest.hexdigest() + "  -\n")

    def test_an_end_of_input_that_the_daemon_did_not_pass_on(self):
        # The program reads nothing until it is told to: what was sent, and its end, wait in the pipes.
        process = self.piped("run", "-i", "--name", "late", "busybox", "sh", "-c", "while ! test -e /go; do sleep 0.05; done; wc -c")
        wait_for(lambda: self.daemon.berth("ps", "-q").stdout)
        writer = threading.Thread(target=lambda: (process.stdin.write(b"x" * 400000), process.stdin.close()))
        writer.start()
        self.restart()
        self.daemon.berth("exec", "late", "touch", "/go")
        writer.join(60)
        self.assertEqual(process.wait(60), 0, process.stderr.read())
        self.assertEqual(process.stdout.read(), b"400000\n")

    def test_a_client_that_goes_ends_its_input(self):
        process = self.piped("run", "-i", "--name", "left", "busybox", "sh", "-c", "cat; echo over")
        process.stdin.write(b"said\n")
        process.stdin.flush()
        wait_for(lambda: "said" in self.daemon.berth("logs", "left", check=False).stdout)
        process.kill()
        process.wait()
        process.stdin.close()
        wait_for(lambda: self.daemon.berth("logs", "left").stdout == "said\nover\n", 30)

    def test_a_program_that_ends_while_the_daemon_is_away(self):
        for name, options in (("kept", ()), ("goes", ("--rm",))):
            with self.subTest(name):
                process = self.piped("run", *options, "--name", name, "busybox", "sh", "-c",
                                     "echo up; while ! test -e /go; do sleep 0.05; done; exit 6")
                process.stdin.close()
                self.assertEqual(process.stdout.readline(), b"up\n")
                pid = self.daemon.berth("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
                self.daemon.signal(signal.SIGKILL)
                with open("/proc/%s/root/go" % pid, "w"):
                    pass
                wait_for(lambda: not os.path.exists("/proc/%s/root/bin" % pid), 30)
                self.daemon.start()
                self.assertEqual(process.wait(60), 6, process.stderr.read())

    def test_attach_to_one_that_ends_meanwhile(self):
        self.daemon.berth("run", "-d", "--name", "ends", "busybox", "sh", "-c", "while ! test -e /go; do echo on; sleep 0.05; done; exit 6")
        process = self.piped("attach", "ends")
        process.stdin.close()
        self.assertEqual(process.stdout.readline(), b"on\n")
        pid = self.daemon.berth("inspect", "-f", "{{.State.Pid}}", "ends").stdout.strip()
        self.daemon.signal(signal.SIGKILL)
        with open("/proc/%s/root/go" % pid, "w"):
            pass
        wait_for(lambda: not os.path.exists("/proc/%s/root/bin" % pid), 30)
        self.daemon.start()
        process.stdout.read()
        self.assertEqual(process.wait(60), 6, process.stderr.read())

    def test_an_exec_that_outlives_the_daemon(self):
        self.daemon.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
        pid = self.daemon.berth("inspect", "-f", "{{.State.Pid}}", "host").stdout.strip()
        for name, ends_while_away in (("after", False), ("away", True)):
            with self.subTest(name):
                go = "/proc/%s/root/%s" % (pid, name)
                process = self.piped("exec", "host", "sh", "-c",
                                     "echo up; while ! test -e /%s; do sleep 0.05; done; touch /%s.over; echo down; exit 6" % (name, name))
                process.stdin.close()
                self.assertEqual(process.stdout.readline(), b"up\n")
                self.daemon.signal(signal.SIGKILL)
                if ends_while_away:
                    with open(go, "w"):
                        pass
                    wait_for(lambda: os.path.exists(go + ".over"), 30)
                self.daemon.start()
                if not ends_while_away:
                    # It says how it ends to the client that has come back.
                    wait_for(lambda: "sh -c echo up" in self.daemon.berth("top", "host").stdout, 30)
                    with open(go, "w"):
                        pass
                self.assertEqual(process.wait(60), 6, process.stderr.read())
        # Nothing of them is left in the shim.
        wait_for(lambda: "sh" not in self.daemon.berth("top", "host").stdout, 30)

    def test_execs_of_other_clients_are_theirs(self):
        # An id of dockerd's form, in a container that the engine did not make.
        name, exec_id = self.name("theirs"), "ab" * 32
        self.daemon.ctr("run", "-d", BUSYBOX, name, "sleep", "1000")
        self.addCleanup(self.daemon.ctr, "task", "rm", "-f", name, check=False)
        self.daemon.ctr("task", "exec", "-d", "--exec-id", exec_id, name, "true")
        self.daemon.berth("run", "-d", "--name", "ours", "busybox", "sleep", "1000")
        # Ends are told in order: behind this one, the engine has heard of the other.
        self.daemon.berth("exec", "ours", "true")
        again = self.daemon.ctr("task", "exec", "-d", "--exec-id", exec_id, name, "true", check=False)
        self.assertIn("already exists", again.stderr)

    def test_an_upload_keeps_a_stopped_container_from_starting(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("begun"))
            info = tarfile.TarInfo("f")
            info.size = 4000000
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        data = out.getvalue()
        for is_finished in (True, False):
            with self.subTest(is_finished):
                name = "up%d" % is_finished
                self.daemon.berth("create", "--name", name, "busybox", "sh", "-c", "wc -c < /f || echo none")
                upload = self.piped("cp", "-", name + ":/")
                upload.stdin.write(data[:3000000])
                upload.stdin.flush()
                # Something of it is there: the upload has begun.
                changed = lambda: self.daemon.berth("diff", name, check=False).stdout
                wait_for(lambda: "/begun" in changed(), 30)
                start = self.in_background("start", "-a", name)
                with self.assertRaises(subprocess.TimeoutExpired):
                    start.wait(1)
                if is_finished:
                    upload.stdin.write(data[3000000:])
                    upload.stdin.close()
                    self.assertEqual(upload.wait(30), 0, upload.stderr.read())
                else:
                    upload.kill()
                    upload.stdin.close()
                self.assertEqual(start.wait(30), 0)
                if is_finished:
                    self.assertEqual(start.stdout.read(), "4000000\n")


if __name__ == "__main__":
    unittest.main()
