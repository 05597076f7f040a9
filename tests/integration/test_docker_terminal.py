"""Every way out of a session at a terminal: the mode is put back, the exit code is Docker's, the container is as it should be."""
import os
import signal
import unittest

from docker_case import DockerTest
from harness import BIN, STOCK, wait_for
from terminal import Terminal


@unittest.skipIf(STOCK, "asks for berth")
class WaysOutTest(DockerTest):
    def shell(self, *options, name):
        terminal = self.terminal("run", "-it", "--name", name, *options, "busybox", "sh")
        terminal.expect("# ")
        self.assertTrue(terminal.is_raw())
        return terminal

    def ends(self, terminal, code, timeout_s=20):
        self.assertEqual(terminal.wait(timeout_s), code)
        self.assertTrue(terminal.is_restored())

    def running(self):
        return set(self.daemon.berth("ps", "--format", "{{.Names}}").stdout.split())

    def test_the_interrupt_key_is_the_programs(self):
        terminal = self.shell("--rm", name="keys")
        terminal.type("sleep 1000\r")
        wait_for(lambda: "sleep 1000" in self.daemon.berth("top", "keys").stdout)
        terminal.type("\x03")
        terminal.type("echo status-$?\r")
        terminal.expect("status-130")
        terminal.type("exit 9\r")
        self.ends(terminal, 9)

    def test_a_signal_to_the_client_is_passed_on(self):
        terminal = self.terminal("run", "-it", "--rm", "busybox", "sh", "-c",
                                 "trap 'echo got-it; exit 3' TERM; echo armed; while :; do sleep 0.05; done")
        terminal.expect("armed")
        terminal.process.send_signal(signal.SIGTERM)
        self.ends(terminal, 3)
        self.assertIn(b"got-it", terminal.seen)

    def test_a_signal_without_a_proxy_ends_the_client_alone(self):
        terminal = self.shell("--sig-proxy=false", name="left")
        terminal.process.send_signal(signal.SIGTERM)
        self.ends(terminal, 143)
        self.assertEqual(self.running(), {"left"})

    def test_stop_and_remove_from_elsewhere(self):
        terminal = self.shell(name="stopped")
        self.daemon.berth("stop", "-t", "0", "stopped")
        self.ends(terminal, 137)
        terminal = self.shell(name="removed")
        self.daemon.berth("rm", "-f", "removed")
        self.ends(terminal, 137)

    def test_exec_detached_from_and_ended(self):
        self.daemon.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
        terminal = self.terminal("exec", "-it", "host", "sh")
        terminal.expect("# ")
        self.assertTrue(terminal.is_raw())
        terminal.type("\x10\x11")
        self.ends(terminal, 0)
        terminal = self.terminal("exec", "-it", "--detach-keys", "ctrl-e,e", "host", "sh", rows=31, columns=99)
        terminal.expect("# ")
        terminal.type("stty size\r")
        terminal.expect("31 99")
        terminal.type("exit 4\r")
        self.ends(terminal, 4)
        terminal = self.terminal("exec", "-it", "host", "no-such-program")
        self.ends(terminal, 127)
        terminal = self.terminal("exec", "-it", "host", "sh")
        terminal.expect("# ")
        self.daemon.berth("kill", "host")
        self.ends(terminal, 137)

    def test_attach_without_input(self):
        first = self.shell(name="watched")
        watcher = self.terminal("attach", "--no-stdin", "watched")

        def sees():
            first.type("echo $((20 + 3))\r")
            watcher.read(1)
            return b"23" in watcher.seen
        wait_for(sees, 20, "what the first one typed")
        self.assertFalse(watcher.is_raw())
        first.type("exit 6\r")
        self.ends(first, 6)
        self.ends(watcher, 6)

    def test_start_attached(self):
        self.daemon.berth("create", "-it", "--name", "made", "busybox", "sh")
        terminal = self.terminal("start", "-ai", "made")
        terminal.type("echo $((40 + 4))\r")
        terminal.expect("44")
        terminal.type("\x10\x11")
        self.ends(terminal, 0)
        again = self.terminal("attach", "made")
        again.type("exit 2\r")
        self.ends(again, 2)

    def test_a_terminal_that_goes_away(self):
        terminal = Terminal([BIN + "/berth", "run", "-it", "--name", "hung-up", "busybox", "sh"], self.env())
        terminal.expect("# ")
        os.close(terminal.slave)
        os.close(terminal.master)
        terminal.process.wait(20)
        self.assertEqual(self.running(), {"hung-up"})

    def test_the_interrupt_key_while_the_daemon_is_away(self):
        terminal = self.shell(name="away")
        self.daemon.signal(signal.SIGKILL)
        terminal.type("\x03")
        self.ends(terminal, 130)
        self.daemon.start()
        self.assertEqual(self.running(), {"away"})

    def test_what_is_typed_while_the_daemon_is_away_is_kept(self):
        terminal = self.shell(name="kept")
        self.daemon.signal(signal.SIGKILL)
        terminal.type("echo $((500 + 55))\r")
        self.daemon.start()
        terminal.expect("555", 30)
        terminal.type("exit 8\r")
        self.ends(terminal, 8)

    def test_progress_is_for_terminals(self):
        path = self.daemon.dir + "/busybox.tar"
        self.daemon.berth("image", "rm", "busybox")
        self.addCleanup(self.daemon.berth, "image", "load", "-i", path)
        terminal = self.terminal("image", "load", "-i", path)
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b"\x1b[", terminal.seen)
        self.assertIn(b"Loaded image", terminal.seen)
        self.daemon.berth("image", "rm", "busybox")
        result = self.daemon.berth("image", "load", "-i", path)
        self.assertNotIn("\x1b", result.stdout + result.stderr)

    def test_a_question_at_a_terminal(self):
        self.daemon.berth("run", "--name", "done", "busybox", "true")
        terminal = self.terminal("container", "prune")
        terminal.expect("[y/N]")
        terminal.type("n\r")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn("done", self.daemon.berth("ps", "-a").stdout)
        terminal = self.terminal("container", "prune")
        terminal.expect("[y/N]")
        terminal.type("y\r")
        terminal.expect("Total reclaimed space")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.daemon.berth("ps", "-aq").stdout, "")


if __name__ == "__main__":
    unittest.main()
