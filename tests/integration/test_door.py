"""The doors of berthd: socket permissions, TCP, the metrics page, bounds and paths of requests."""
import os
import re
import socket
import stat
import subprocess
import unittest
import urllib.request

from harness import STOCK, BerthTest, Daemon, wait_for

VERSION = "containerd.services.version.v1.Version/Version"
EMPTY_MESSAGE = b"\0\0\0\0\0"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call_version(url, *options):
    """curl as the simplest of gRPC's clients; (exit code, everything that came, trailers included)."""
    result = subprocess.run(["curl", "-sS", "-m", "20", "-i", "-H", "content-type: application/grpc", "-H", "te: trailers",
                             "--data-binary", "@-", url + "/" + VERSION] + list(options), input=EMPTY_MESSAGE, capture_output=True,
                            timeout=30)
    return result.returncode, result.stdout


@unittest.skipIf(STOCK, "how berthd is configured")
class DoorTest(unittest.TestCase):
    def daemon(self, config, start=True):
        daemon = Daemon(config, name="door")
        self.addCleanup(daemon.stop)
        if start:
            daemon.start()
        return daemon

    def refused(self, config, *words):
        daemon = self.daemon(config, start=False)
        daemon.start(wait=False)
        self.assertNotEqual(daemon.process.wait(20), 0)
        for word in words:
            self.assertIn(word, daemon.log())

    def test_tcp_is_refused_without_mutual_tls(self):
        port = free_port()
        self.refused('[grpc]\ntcp_address = "127.0.0.1:%d"\n' % port, "mutual TLS", "tcp_tls_ca")
        self.refused('[grpc]\ntcp_address = "0.0.0.0:%d"\ntcp_plaintext = "loopback"\n' % port, "no loopback address")
        self.refused('[grpc]\ntcp_address = "0.0.0.0:%d"\ntcp_tls_cert = "/c"\ntcp_tls_key = "/k"\n' % port, "mutual TLS")
        self.refused('[grpc]\ntcp_address = "localhost:%d"\n' % port, "numeric address")

    def test_plaintext_on_loopback_where_asked_for(self):
        port = free_port()
        self.daemon('[grpc]\ntcp_address = "127.0.0.1:%d"\ntcp_plaintext = "loopback"\n' % port)
        code, answer = call_version("http://127.0.0.1:%d" % port, "--http2-prior-knowledge")
        self.assertEqual(code, 0, answer)
        self.assertIn(b"grpc-status: 0", answer)

    def test_the_socket_has_its_owner_and_mode(self):
        daemon = self.daemon("[grpc]\nuid = 12345\ngid = 23456\n[ttrpc]\nuid = 34567\n")
        info = os.stat(daemon.sock)
        self.assertEqual((info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)), (12345, 23456, 0o660))
        info = os.stat(daemon.sock + ".ttrpc")
        self.assertEqual((info.st_uid, stat.S_IMODE(info.st_mode) & 0o007), (34567, 0))
        os.chmod(daemon.dir, 0o755)

        def version_as(uid, gid, *groups):
            def become():
                os.setgroups(groups)
                os.setgid(gid)
                os.setuid(uid)
            return subprocess.run(daemon.ctr_argv("version"), preexec_fn=become, capture_output=True, timeout=20).returncode
        self.assertEqual(version_as(12345, 1), 0)
        self.assertEqual(version_as(4321, 23456), 0)
        self.assertEqual(version_as(4321, 1, 23456), 0)
        self.assertNotEqual(version_as(4321, 1), 0)
        # Somebody widens the socket: berthd still looks at who comes.
        os.chmod(daemon.sock, 0o666)
        self.assertNotEqual(version_as(4321, 1), 0)
        self.assertIn("turned a client away", daemon.log())

    def test_metrics(self):
        port = free_port()
        daemon = self.daemon('[metrics]\naddress = "127.0.0.1:%d"\n' % port)
        daemon.import_busybox()
        self.addCleanup(daemon.remove_everything)
        daemon.ctr("run", "-d", "docker.io/library/busybox:latest", "measured", "sleep", "1000")
        daemon.ctr("tasks", "kill", "nobody", check=False)
        url = "http://127.0.0.1:%d/v1/metrics" % port

        def page():
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read().decode()
        text = page()
        self.assertIn('berth_tasks{namespace="%s",state="running"} 1\n' % daemon.namespace, text)
        self.assertIn('berth_containers{namespace="%s"} 1\n' % daemon.namespace, text)
        self.assertIn('berth_grpc_calls_total{method="/containerd.services.tasks.v1.Tasks/Create",code="0"} 1\n', text)
        self.assertRegex(text, r'berth_grpc_calls_total\{method="/containerd.services.containers.v1.Containers/Get",code="5"\} [1-9]')
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) .*|[a-z_]+(\{([a-z_]+="[^"\\]*",?)+\})? [0-9.e+-]+)$')
        # Each histogram's buckets rise to its count.
        for method, count in re.findall(r'berth_grpc_call_seconds_count\{method="([^"]*)"\} (\d+)', text):
            buckets = [int(n) for n in re.findall(r'seconds_bucket\{method="%s",le="[^"]*"\} (\d+)' % re.escape(method), text)]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(buckets[-1], int(count))
        # A client that says nothing delays the next by its two seconds at most, and berthd not at all.
        with socket.create_connection(("127.0.0.1", port)):
            self.assertEqual(daemon.ctr("version").returncode, 0)
            self.assertIn("berth_build_info", page())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /v1/metrics HTTP/1.1\r\n" + b"X: " + b"y" * 20000)
            self.assertEqual(wait_for(lambda: self.received(client), 10) or b"", b"closed")

    @staticmethod
    def received(client):
        client.settimeout(5)
        try:
            return client.recv(100) or b"closed"
        except ConnectionResetError:
            return b"closed"


@unittest.skipIf(STOCK, "what berthd refuses")
class RequestBoundsTest(BerthTest):
    def test_labels_are_bounded(self):
        name = self.name()
        self.ctr("containers", "create", "docker.io/library/busybox:latest", name, "true")
        self.addCleanup(self.ctr, "containers", "rm", name, check=False)
        self.ctr("containers", "label", name, "k=" + "v" * 4095)
        self.fails("containers", "label", name, "kk=" + "v" * 4095, words=["4096"])

    def test_a_request_larger_than_the_limit_is_refused_and_the_daemon_lives(self):
        big = self.daemon.dir + "/big"
        with open(big, "wb") as file:
            file.truncate(17 << 20)
        result = self.daemon.run(["curl", "-sS", "-i", "-m", "30", "--http2-prior-knowledge", "--unix-socket", self.daemon.sock, "-H",
                                  "content-type: application/grpc", "-H", "te: trailers", "-H", "containerd-namespace: default",
                                  "--data-binary", "@" + big,
                                  "http://localhost/containerd.services.containers.v1.Containers/Create"], check=False, text=False)
        self.assertNotIn(b"grpc-status: 0", result.stdout)
        self.ctr("version")

    def test_headers_are_bounded(self):
        many = [part for number in range(40) for part in ("-H", "x-%d: %s" % (number, "y" * 4000))]
        result = self.daemon.run(["curl", "-sS", "-i", "-m", "30", "--http2-prior-knowledge", "--unix-socket", self.daemon.sock, "-H",
                                  "content-type: application/grpc", "-H", "te: trailers"] + many +
                                 ["--data-binary", "@-", "http://localhost/" + VERSION], check=False, text=False,
                                 input=EMPTY_MESSAGE)
        self.assertNotIn(b"grpc-status: 0", result.stdout)
        self.ctr("version")

    def test_names_are_no_paths(self):
        for name in ("../up", "a/b", ".", "..", "a//b", "x" * 77):
            self.fails("run", "-d", "docker.io/library/busybox:latest", name, "true")
            self.fails("namespaces", "create", name)
            self.fails("tasks", "kill", name)
        self.assertNotIn("up", os.listdir(self.daemon.state))

    def test_a_snapshot_key_is_text_and_no_path(self):
        for key in ("../../outside", "/etc", "a/../../b"):
            self.ctr("snapshots", "prepare", key)
            mounts = self.out("snapshots", "mounts", "/target", key)
            for path in re.findall(r"(?:upperdir|workdir|source)=([^,\s]*)", mounts):
                self.assertTrue(path.startswith(self.daemon.root + "/"), path)
                self.assertNotIn("..", path)
            self.ctr("snapshots", "rm", key)
        self.assertFalse(os.path.exists(self.daemon.dir + "/outside"))


if __name__ == "__main__":
    unittest.main()
