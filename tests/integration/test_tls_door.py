"""The API over TCP with mutual TLS: real certificates, and clients that may, and may not, come in."""
import concurrent.futures
import glob
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

from harness import STOCK, Daemon, wait_for
from test_door import call_version, free_port
from test_upgrade import hand_over


class Authority:
    """A certificate authority of the test's own, in `directory`."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.ca = self.path(name, "pem")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                     "/CN=" + name, "-keyout", self.path(name, "key"), "-out", self.ca)

    def path(self, name, kind):
        return "%s/%s.%s" % (self.directory, name, kind)

    def openssl(self, *arguments):
        subprocess.run(["openssl"] + list(arguments), check=True, capture_output=True, timeout=60)

    def issue(self, name, usage, days=2, more=""):
        """(certificate, key) files of `name`."""
        with open(self.path(name, "ext"), "w") as file:
            file.write("extendedKeyUsage = %s\n%s" % (usage, more))
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name, "-keyout",
                     self.path(name, "key"), "-out", self.path(name, "csr"))
        self.openssl("x509", "-req", "-in", self.path(name, "csr"), "-CA", self.ca, "-CAkey", self.path(self.name, "key"),
                     "-CAcreateserial", "-days", str(days), "-extfile", self.path(name, "ext"), "-out", self.path(name, "pem"))
        return self.path(name, "pem"), self.path(name, "key")


@unittest.skipIf(STOCK, "how berthd is configured")
class TlsDoorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = tempfile.mkdtemp(prefix="berth-certificates-")
        cls.addClassCleanup(shutil.rmtree, cls.certificates)
        cls.ours = Authority(cls.certificates, "ours")
        cls.theirs = Authority(cls.certificates, "theirs")
        cls.server = cls.ours.issue("server", "serverAuth", more="subjectAltName = IP:127.0.0.1\n")
        cls.admin = cls.ours.issue("admin", "clientAuth")

    def config(self, port, address="127.0.0.1", more="", server=None):
        certificate, key = server or self.server
        return '[grpc]\ntcp_address = "%s:%d"\ntcp_tls_ca = "%s"\ntcp_tls_cert = "%s"\ntcp_tls_key = "%s"\n%s' % (
            address, port, self.ours.ca, certificate, key, more)

    def daemon(self, config, name="tls"):
        daemon = Daemon(config, name=name)
        self.addCleanup(daemon.stop)
        daemon.start()
        return daemon

    def call(self, port, identity=None, *options):
        shown = ["--cert", identity[0], "--key", identity[1]] if identity else []
        return call_version("https://127.0.0.1:%d" % port, "--cacert", self.ours.ca, *shown, *options)

    def assert_served(self, port, identity, *options):
        code, answer = self.call(port, identity, *options)
        self.assertEqual(code, 0, answer)
        self.assertIn(b"grpc-status: 0", answer)

    def assert_turned_away(self, port, identity, *options):
        code, answer = self.call(port, identity, *options)
        self.assertNotEqual(code, 0, answer)
        self.assertNotIn(b"grpc-status", answer)

    def test_who_comes_in(self):
        port = free_port()
        daemon = self.daemon(self.config(port))
        self.assert_served(port, self.admin)
        self.assert_served(port, self.admin, "--tls-max", "1.2")
        # The log names each: one a second.
        for identity, word in ((None, "did not return a certificate"),
                               (self.theirs.issue("stranger", "clientAuth"), "certificate"),
                               (self.ours.issue("web", "serverAuth"), "purpose"),
                               (self.ours.issue("late", "clientAuth", days=-1), "expired")):
            before = os.path.getsize(daemon.log_path)
            self.assert_turned_away(port, identity)

            def told():
                self.assert_turned_away(port, identity)
                with open(daemon.log_path) as log:
                    log.seek(before)
                    return word in log.read()
            wait_for(told, 30, "a word of " + word)
        self.assertIn("turned a TLS client away", daemon.log())
        # Not in the clear, and not by another protocol than HTTP/2.
        code, answer = call_version("http://127.0.0.1:%d" % port, "--http2-prior-knowledge")
        self.assertNotEqual(code, 0, answer)
        self.assertNotIn(b"grpc-status", answer)
        self.assert_turned_away(port, self.admin, "--http1.1")
        self.assert_served(port, self.admin)

    def test_a_name_that_is_asked_for(self):
        port = free_port()
        self.daemon(self.config(port, more='tcp_tls_common_name = "admin"\n'))
        self.assert_served(port, self.admin)
        self.assert_served(port, self.ours.issue("other", "clientAuth", more="subjectAltName = DNS:admin\n"))
        self.assert_turned_away(port, self.ours.issue("nobody", "clientAuth"))
        self.assert_turned_away(port, self.ours.issue("*", "clientAuth"))

    def test_files_that_cannot_be_used_are_told_at_the_start(self):
        def refused(config, *words):
            daemon = Daemon(config, name="tls")
            self.addCleanup(daemon.stop)
            daemon.start(wait=False)
            self.assertNotEqual(daemon.process.wait(30), 0)
            for word in words:
                self.assertIn(word, daemon.log())
        port = free_port()
        refused(self.config(port, server=(self.server[0], self.admin[1])), "key cannot be used", "mismatch")
        refused(self.config(port, server=("/nonexistent.pem", self.server[1])), "tcp_tls_cert", "/nonexistent.pem")
        refused(self.config(port, server=(self.server[1], self.server[1])), "certificate cannot be used")
        with open(self.certificates + "/empty", "w"):
            refused(self.config(port, server=(self.server[0], self.certificates + "/empty")), "key cannot be used")

    def test_an_address_beyond_loopback_needs_tls(self):
        port = free_port()
        daemon = Daemon('[grpc]\ntcp_address = "0.0.0.0:%d"\ntcp_plaintext = "loopback"\n' % port, name="tls")
        self.addCleanup(daemon.stop)
        daemon.start(wait=False)
        self.assertNotEqual(daemon.process.wait(20), 0)
        self.daemon(self.config(port, address="0.0.0.0"))
        self.assert_served(port, self.admin)
        self.assert_turned_away(port, None)

    def session(self, port):
        """A TLS connection with the admin's certificate, for clients that misbehave."""
        context = ssl.create_default_context(cafile=self.ours.ca)
        context.load_cert_chain(*self.admin)
        context.set_alpn_protocols(["h2"])
        return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="127.0.0.1")

    def test_much_goes_through_both_ways(self):
        port = free_port()
        daemon = self.daemon(self.config(port))
        self.assertEqual(daemon.ctr("namespaces", "create", "big").returncode, 0)
        self.addCleanup(daemon.ctr, "namespaces", "rm", "big", check=False)
        # A request of twelve megabytes is read whole before it is refused for what it says.
        data = self.certificates + "/data"
        payload = b"\x0a" + self.varint(12 << 20) + b"x" * (12 << 20)
        with open(data, "wb") as file:
            file.write(b"\0" + len(payload).to_bytes(4, "big") + payload)
        identity = ["--cacert", self.ours.ca, "--cert", self.admin[0], "--key", self.admin[1]]

        def echo(_):
            return subprocess.run(
                ["curl", "-sS", "-i", "-m", "120", "-H", "content-type: application/grpc", "-H", "te: trailers", "-H",
                 "containerd-namespace: big", "--data-binary", "@" + data] + identity +
                ["https://127.0.0.1:%d/containerd.services.containers.v1.Containers/Get" % port], capture_output=True,
                timeout=150).stdout
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for answer in pool.map(echo, range(8)):
                self.assertRegex(answer, rb"grpc-status: (3|5)")

    @staticmethod
    def varint(value):
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    def test_clients_that_say_nothing_do_not_keep_others_out(self):
        port = free_port()
        daemon = self.daemon(self.config(port))
        mute = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(100)]
        self.addCleanup(lambda: [client.close() for client in mute])
        self.assert_served(port, self.admin)
        # They are let go after their time.
        mute[0].settimeout(30)
        self.assertEqual(mute[0].recv(1), b"")
        wait_for(lambda: "no handshake" in daemon.log(), 10, "the log")

    def door_process(self, daemon):
        for path in glob.glob("/proc/[0-9]*/status"):
            try:
                with open(path) as status, open(os.path.dirname(path) + "/cmdline", "rb") as line:
                    if line.read().startswith(b"berth-worker\0door\0") and "\nPPid:\t%d\n" % daemon.process.pid in status.read():
                        return int(path.split("/")[2])
            except OSError:
                continue
        return None

    def test_a_door_that_died_opens_again(self):
        port = free_port()
        daemon = self.daemon(self.config(port))
        first = self.door_process(daemon)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: self.door_process(daemon) not in (None, first), 30, "another process")
        self.assert_served(port, self.admin)
        self.assertIn("started again", daemon.log())

    def test_the_port_survives_the_daemons_death_and_handover(self):
        port = free_port()
        daemon = self.daemon(self.config(port))
        daemon.signal(signal.SIGKILL)
        daemon.start()
        self.assert_served(port, self.admin)
        first = self.door_process(daemon)
        with self.session(port) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            self.assertTrue(client.recv(9))
            hand_over(daemon)
            wait_for(lambda: not client.recv(4096), 30, "the end of the old daemon's connection")
        self.assert_served(port, self.admin)
        self.assertFalse(os.path.exists("/proc/%d" % first))

    def test_the_process_of_the_door_is_confined(self):
        daemon = self.daemon(self.config(free_port()))
        with open("/proc/%d/status" % self.door_process(daemon)) as file:
            status = file.read()
        self.assertIn("Seccomp:\t2\n", status)
        self.assertIn("NoNewPrivs:\t1\n", status)
        with open("/proc/%d/maps" % daemon.process.pid) as file:
            self.assertNotIn("libssl", file.read())


if __name__ == "__main__":
    unittest.main()
