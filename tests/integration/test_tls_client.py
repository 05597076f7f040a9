"""berth over TCP: with mutual TLS, with everything that may be wrong with it, and in the clear where that is served."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import BIN, STOCK, BerthTest, Daemon, wait_for
from terminal import Terminal
from test_door import free_port
from test_tls_door import Authority


class RemoteTest(BerthTest):
    """Base: berthd on a TCP port as well, and `berth` at that."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_containers)

    def remove_containers(self):
        for name in self.daemon.berth("ps", "-aq", check=False).stdout.split():
            self.daemon.berth("rm", "-f", "-v", name, check=False)

    def env(self, **more):
        return dict({"BERTH_ADDRESS": "tcp://127.0.0.1:%d" % self.port, "BERTH_NAMESPACE": self.daemon.namespace}, **more)

    def remote(self, *arguments, env=None, **options):
        return self.daemon.run([BIN + "/berth"] + list(arguments), env=env if env is not None else self.env(), **options)

    def turned_down(self, *arguments, words=(), code=1, env=None):
        result = self.remote(*arguments, env=env, check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        return result

    def background(self, *arguments, **options):
        process = subprocess.Popen([BIN + "/berth"] + list(arguments), env=dict(os.environ, **self.env()), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, **options)
        self.addCleanup(lambda: (process.kill(), process.wait(), [p.close() for p in (process.stdin, process.stdout) if p]))
        return process


@unittest.skipIf(STOCK, "how berthd is configured")
class TlsClientTest(RemoteTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="berth-certificates-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.ours = Authority(cls.directory, "ours")
        cls.theirs = Authority(cls.directory, "theirs")
        cls.server = cls.ours.issue("server", "serverAuth", more="subjectAltName = IP:127.0.0.1,DNS:berth.example\n")
        cls.admin = cls.ours.issue("admin", "clientAuth")
        cls.path = cls.directory + "/admin-files"
        os.mkdir(cls.path)
        for source, name in ((cls.ours.ca, "ca.pem"), (cls.admin[0], "cert.pem"), (cls.admin[1], "key.pem")):
            shutil.copy(source, cls.path + "/" + name)
        os.chmod(cls.path + "/key.pem", 0o600)
        cls.port = free_port()
        cls.config = cls.door(cls.port, cls.server)
        super().setUpClass()

    @classmethod
    def door(cls, port, server):
        return '[grpc]\ntcp_address = "127.0.0.1:%d"\ntcp_tls_ca = "%s"\ntcp_tls_cert = "%s"\ntcp_tls_key = "%s"\n' % (
            port, cls.ours.ca, server[0], server[1])

    def env(self, **more):
        return super().env(BERTH_CERT_PATH=self.path, **more)

    def bare(self, **more):
        """No files of TLS in the environment."""
        return super().env(**more)

    def files(self, ca=None, identity=None):
        certificate, key = identity or self.admin
        os.chmod(key, 0o600)
        return ["--tlscacert", ca or self.ours.ca, "--tlscert", certificate, "--tlskey", key]

    def test_who_comes_in(self):
        self.assertIn("Server:", self.remote("version").stdout)
        self.assertIn("Server:", self.remote(*self.files(), "version", env=self.bare()).stdout)
        by_variable = self.bare(BERTH_TLS_CACERT=self.ours.ca, BERTH_TLS_CERT=self.admin[0], BERTH_TLS_KEY=self.admin[1])
        self.assertIn("Server:", self.remote("version", env=by_variable).stdout)
        # The option wins over the variable, the variable over the directory.
        self.assertIn("Server:", self.remote("--tlscacert", self.ours.ca, "version", env=self.env(BERTH_TLS_CACERT="/nowhere")).stdout)
        self.turned_down("version", env=self.env(BERTH_TLS_CACERT="/nowhere"), words=["/nowhere", "ENOENT", "--tlscacert"])

    def test_who_does_not(self):
        env = self.bare()
        self.turned_down("version", env=env, words=["in the clear", "--tlscacert", "BERTH_CERT_PATH"])
        self.turned_down(*self.files(ca=self.theirs.ca), "version", env=env,
                         words=["server's certificate is not to be trusted", self.theirs.ca, "--tlscacert"])
        self.turned_down("--tlsverify", "version", env=env, words=["not to be trusted", "system", "--tlscacert"])
        self.turned_down("--tlscacert", self.ours.ca, "version", env=env, words=["client's certificate", "--tlscert", "--tlskey"])
        stranger = self.theirs.issue("stranger", "clientAuth")
        self.turned_down(*self.files(identity=stranger), "version", env=env, words=["stranger.pem", "tcp_tls_ca"])
        self.turned_down(*self.files(identity=self.ours.issue("late", "clientAuth", days=-1)), "version", env=env,
                         words=["late.pem", "expired"])
        self.turned_down(*self.files(identity=self.ours.issue("web", "serverAuth")), "version", env=env,
                         words=["does not take the client's certificate", "web.pem", "extended key usage"])

    def test_files_that_cannot_be_used(self):
        env = self.bare()
        admin, key = self.admin
        self.turned_down("--tlscert", admin, "version", env=env, words=["--tlskey"])
        self.turned_down("--tlskey", key, "version", env=env, words=["--tlscert"])
        self.turned_down(*self.files(identity=(admin, self.server[1])), "version", env=env, words=["server.key", "mismatch", "belong to"])
        self.turned_down(*self.files(identity=(key, key)), "version", env=env, words=["client's certificate", "--tlscert"])
        locked = self.directory + "/locked.key"
        self.ours.openssl("ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked)
        self.turned_down(*self.files(identity=(admin, locked)), "version", env=env, words=["locked.key", "passphrase"])
        # A key that others can read works, and is told.
        self.files()
        os.chmod(key, 0o644)
        result = self.remote("--tlscacert", self.ours.ca, "--tlscert", admin, "--tlskey", key, "version", env=env)
        self.assertIn("chmod 600 " + key, result.stderr)
        os.chmod(key, 0o600)
        self.assertEqual(self.remote(*self.files(), "version", env=env).stderr, "")
        self.turned_down("-a", self.daemon.sock, *self.files(), "version", env=env, words=["unix socket", "tcp://"])
        # From the environment they are for whenever an address is TCP.
        self.assertIn("Server:", self.remote("-a", self.daemon.sock, "version").stdout)

    def test_the_servers_name(self):
        address = "tcp://localhost:%d" % self.port
        self.turned_down("-a", address, "version", words=["not for \"localhost\"", "IP:127.0.0.1, DNS:berth.example", "--tlsname"])
        self.assertIn("Server:", self.remote("-a", address, "--tlsname", "berth.example", "version").stdout)
        self.assertIn("Server:", self.remote("-a", address, "version", env=self.env(BERTH_TLS_NAME="127.0.0.1")).stdout)
        self.turned_down("--tlsname", "other.example", "version", words=["not for \"other.example\""])

    def test_addresses(self):
        self.turned_down("-a", "127.0.0.1:2376", "version", words=["is tcp://127.0.0.1:2376 meant?"])
        self.turned_down("-a", "https://127.0.0.1:2376", "version", words=["no way to reach one", "tcp://HOST:PORT"])
        self.turned_down("-a", "tcp://127.0.0.1:%d" % free_port(), "version", words=["cannot reach berthd", "ECONNREFUSED", "grpc.tcp_address"])
        self.turned_down("-a", "tcp://no-such-host.invalid", "version", words=["tcp://no-such-host.invalid:2376"])

    def test_a_server_without_tls(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = self.background("-a", "tcp://127.0.0.1:%d" % listener.getsockname()[1], "version")
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.0 400 no\r\n\r\n")
                out = process.communicate(timeout=60)[0].decode()
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("does not speak TLS", out)
        self.assertIn("BERTH_CERT_PATH", out)

    def test_an_expired_server(self):
        port = free_port()
        daemon = Daemon(self.door(port, self.ours.issue("old", "serverAuth", days=-1, more="subjectAltName = IP:127.0.0.1\n")), name="oldtls")
        self.addCleanup(daemon.stop)
        daemon.start()
        self.turned_down("-a", "tcp://127.0.0.1:%d" % port, "version", words=["server's certificate", "expired", "tcp_tls_cert"])

    def test_sessions(self):
        self.assertEqual(self.remote("run", "-i", "--rm", "busybox", "cat", input="a line\n" * 20000).stdout, "a line\n" * 20000)
        self.turned_down("run", "--rm", "busybox", "sh", "-c", "exit 7", code=7)
        name = self.remote("run", "-d", "busybox", "sh", "-c", "echo first; sleep 3600").stdout.strip()
        self.turned_down("exec", name, "sh", "-c", "exit 5", code=5)
        self.assertEqual(self.remote("exec", "-i", name, "wc", "-c", input="12345").stdout.strip(), "5")
        logs = self.background("logs", "-f", name)
        self.assertEqual(logs.stdout.readline(), b"first\n")
        self.remote("exec", name, "sh", "-c", "echo second > /proc/1/fd/1")
        self.assertEqual(logs.stdout.readline(), b"second\n")
        self.remote("kill", name)
        self.assertEqual(logs.wait(60), 0)
        self.assertEqual(self.remote("wait", name).stdout.strip(), "137")

    def test_a_terminal(self):
        name = self.remote("run", "-d", "busybox", "sleep", "3600").stdout.strip()
        terminal = Terminal([BIN + "/berth", "exec", "-it", name, "sh"], self.env(), rows=33, columns=99)
        self.addCleanup(terminal.close)
        terminal.expect("#")
        terminal.type("stty size\n")
        terminal.expect("33 99")
        terminal.type("exit 4\n")
        self.assertEqual(terminal.process.wait(60), 4)

    def test_files_and_images_go_over_it(self):
        name = self.remote("run", "-d", "busybox", "sleep", "3600").stdout.strip()
        source = self.directory + "/data"
        with open(source, "wb") as file:
            file.write(os.urandom(3 << 20))
        self.remote("cp", source, name + ":/data")
        self.remote("cp", name + ":/data", self.directory + "/back")
        with open(source, "rb") as sent, open(self.directory + "/back", "rb") as back:
            self.assertEqual(sent.read(), back.read())
        archive = self.directory + "/image.tar"
        self.remote("image", "save", "-o", archive, "busybox")
        self.assertIn("busybox", self.remote("image", "load", "-i", archive).stdout)
        self.assertIn("damaged: 0", self.remote("fsck").stdout)
        self.assertIn("CALL", self.remote("ps", "--ops").stdout)

    def test_what_needs_this_machine_says_so(self):
        self.ctr("containers", "create", "docker.io/library/busybox:latest", "plain", "sleep", "1000")
        for command in (["task", "start", "plain"], ["task", "attach", "plain"], ["task", "exec", "plain", "true"]):
            self.turned_down(*command, words=["named pipes of this machine", "berth exec"])
        self.assertEqual(self.daemon.tasks(), {})

    def test_a_session_outlives_the_daemon(self):
        process = self.background("run", "-i", "--rm", "busybox", "cat", stdin=subprocess.PIPE)
        process.stdin.write(b"before\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"before\n")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        process.stdin.write(b"after\n")
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"after\n")
        self.assertEqual(process.wait(60), 0)

    def test_the_local_end_serves_nobody_else(self):
        logs = self.background("events")
        wait_for(lambda: self.local_ends(logs.pid), 30, "the local end")
        for name in self.local_ends(logs.pid):
            with socket.socket(socket.AF_UNIX) as other:
                other.settimeout(30)
                other.connect(b"\0" + name.encode())
                try:
                    other.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                    self.assertEqual(other.recv(9), b"")
                except (BrokenPipeError, ConnectionResetError):
                    pass

    @staticmethod
    def local_ends(pid):
        """Names of the abstract sockets on which the process listens."""
        inodes = set()
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        with open("/proc/net/unix") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        # Flag 00010000: it listens.
        return [row[7][1:] for row in rows if len(row) > 7 and row[3] == "00010000" and row[6] in inodes and row[7].startswith("@")]


@unittest.skipIf(STOCK, "how berthd is configured")
class PlainClientTest(RemoteTest):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.config = '[grpc]\ntcp_address = "127.0.0.1:%d"\ntcp_plaintext = "loopback"\n' % cls.port
        super().setUpClass()

    def test_in_the_clear(self):
        self.assertIn("Server:", self.remote("version").stdout)
        self.assertEqual(self.remote("run", "-i", "--rm", "busybox", "cat", input="hello\n").stdout, "hello\n")
        self.assertIn("damaged: 0", self.remote("fsck").stdout)
        self.turned_down("--tlsverify", "version", words=["does not speak TLS", "leave the TLS options"])
        self.turned_down("task", "exec", "nobody", "true", words=["named pipes of this machine"])


if __name__ == "__main__":
    unittest.main()
