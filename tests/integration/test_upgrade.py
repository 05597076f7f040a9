"""Upgrade in place: SIGUSR2 hands the listening sockets to a successor, systemd's LISTEN_FDS hands them to a daemon; no client is
refused, and containers do not notice."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import BUSYBOX, STOCK, BerthTest, Daemon, wait_for


class Adopted:
    """A process that is no child of ours, with as much of Popen as the harness uses."""

    def __init__(self, pid):
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.returncode = None

    def poll(self):
        import select
        ended = select.select([self.pidfd], [], [], 0)[0]
        self.returncode = 0 if ended else None
        return self.returncode

    def send_signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def kill(self):
        try:
            self.send_signal(signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait(self, timeout=20):
        wait_for(lambda: self.poll() is not None, timeout or 20, "the end of the successor")
        return 0


def serving_pid(daemon):
    """Whoever holds ROOT's lock says its pid."""
    try:
        with open(daemon.root + "/berthd.lock") as file:
            return int(file.read() or 0)
    except (OSError, ValueError):
        return 0


def hand_over(daemon):
    """SIGUSR2; the exit code of the old process."""
    old = daemon.process
    old.send_signal(signal.SIGUSR2)
    new = wait_for(lambda: serving_pid(daemon) not in (0, old.pid) and serving_pid(daemon), 60, "the successor")
    successor = Adopted(new)
    code = old.wait(60)
    daemon.process = successor
    return code


class Knocker(threading.Thread):
    """Connects again and again, and counts who was refused."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_, self.stopping = daemon, threading.Event()
        self.connected, self.failed = 0, []

    def run(self):
        while not self.stopping.is_set():
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                try:
                    client.connect(self.daemon_.sock)
                    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                    if not client.recv(9):
                        raise ConnectionError("closed before the first frame")
                    self.connected += 1
                except OSError as error:
                    self.failed.append(repr(error))
            time.sleep(0.005)

    def finish(self):
        self.stopping.set()
        self.join(30)


@unittest.skipIf(STOCK, "containerd cannot hand over")
class HandoverTest(BerthTest):
    def hand_over(self):
        self.assertEqual(hand_over(self.daemon), 0)

    def test_nobody_is_refused_and_containers_run_on(self):
        self.ctr("run", "-d", BUSYBOX, "lasting", "sh", "-c", "while sleep 0.05; do :; done")
        pid = self.daemon.tasks()["lasting"][0]
        knocker = Knocker(self.daemon)
        knocker.start()
        versions = []
        try:
            wait_for(lambda: knocker.connected > 5)
            for _ in range(2):
                self.hand_over()
                versions.append(self.ctr("version").returncode)
        finally:
            knocker.finish()
        self.assertEqual(knocker.failed, [])
        self.assertGreater(knocker.connected, 10)
        self.assertEqual(versions, [0, 0])
        self.assertEqual(self.daemon.tasks()["lasting"], (pid, "RUNNING"))
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", "lasting", "echo", "here"), "here\n")

    def test_an_exit_during_the_handover_is_known_afterwards(self):
        self.ctr("run", "-d", BUSYBOX, "ending", "sh", "-c", "sleep 1; exit 7")
        self.hand_over()
        wait_for(lambda: self.daemon.tasks()["ending"][1] == "STOPPED")
        self.assertIn("exit code 7", self.ctr("tasks", "rm", "ending").stderr)
        self.ctr("containers", "rm", "ending")

    def test_a_program_that_does_not_fit_changes_nothing(self):
        # As if the installed program had been replaced by one that does not understand the configuration.
        own = tempfile.mkdtemp(prefix="berth-upgrade-")
        self.addCleanup(shutil.rmtree, own)
        for name in os.listdir(harness.BIN):
            if name.startswith("berth"):
                shutil.copy(os.path.join(harness.BIN, name), own)
        daemon = Daemon(name="unfit")
        self.addCleanup(daemon.stop)
        before, harness.BIN = harness.BIN, own
        try:
            daemon.start()
        finally:
            harness.BIN = before
        os.rename(own + "/berthd", own + "/berthd.old")
        with open(own + "/berthd", "w") as file:
            file.write("#!/bin/sh\nexit 3\n")
        os.chmod(own + "/berthd", 0o755)
        daemon.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: "not fit" in daemon.log(), 20, "the refusal in the log")
        self.assertIsNone(daemon.process.poll())
        daemon.ctr("version")
        # And by one that does.
        os.rename(own + "/berthd.old", own + "/berthd")
        old = daemon.process
        old.send_signal(signal.SIGUSR2)
        new = wait_for(lambda: serving_pid(daemon) not in (0, old.pid) and serving_pid(daemon), 30, "the successor")
        successor = Adopted(new)
        self.assertEqual(old.wait(30), 0)
        daemon.process = successor
        daemon.ctr("version")


@unittest.skipIf(STOCK, "how berthd takes sockets")
class SocketActivationTest(unittest.TestCase):
    def test_clients_wait_in_the_backlog_until_berthd_serves(self):
        daemon = Daemon(name="activated")
        self.addCleanup(daemon.stop)
        os.mkdir(daemon.state)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(daemon.sock)
        listener.listen(16)
        early = subprocess.Popen(daemon.ctr_argv("version"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # What a service manager does: descriptor 3, its own pid in LISTEN_PID.
        os.set_inheritable(listener.fileno(), True)
        script = 'exec 3<&%d; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' % listener.fileno()
        inode = os.stat(daemon.sock).st_ino

        def start():
            log = open(daemon.log_path, "ab")
            daemon.process = subprocess.Popen(
                ["bash", "-c", script, "sh", harness.BIN + "/berthd", "--root", daemon.root, "--state", daemon.state, "--address",
                 daemon.sock], stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[listener.fileno()])
            log.close()
        start()
        out, err = early.communicate(timeout=30)
        self.assertEqual(early.returncode, 0, err)
        self.assertEqual(os.stat(daemon.sock).st_ino, inode)
        # It goes and comes back; whoever knocks meanwhile waits.
        daemon.signal(signal.SIGTERM)
        early = subprocess.Popen(daemon.ctr_argv("version"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        start()
        self.assertEqual(early.communicate(timeout=30) and early.returncode, 0)
        self.assertEqual(os.stat(daemon.sock).st_ino, inode)


if __name__ == "__main__":
    unittest.main()
