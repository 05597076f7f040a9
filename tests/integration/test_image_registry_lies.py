"""Registries that lie or stall: each costs a clear error, little memory and disk, and nothing is stored."""
import hashlib
import json
import os
import threading
import time

from harness import BerthTest, SANITIZED
from registries import Server
import images

OCI = "application/vnd.oci.image."


class LyingRegistryTest(BerthTest):
    busybox = False

    def setUp(self):
        super().setUp()
        self.layer = os.urandom(300000)
        self.config = images.image_config([self.layer], images.BUSYBOX_CONFIG)
        self.blobs = {images.sha(self.layer): self.layer, images.sha(self.config): self.config}
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", "digest": images.sha(self.config), "size": len(self.config)},
            "layers": [{"mediaType": OCI + "layer.v1.tar", "digest": images.sha(self.layer), "size": len(self.layer)}]}).encode()

    def pull(self, lie, words, honest_bytes=False):
        """Pulls from a registry where `lie(handler, digest)` may answer itself (True); the pull must fail with `words`."""
        def answer(handler):
            name = handler.path.rsplit("/", 1)[1]
            if lie(handler, name):
                return
            if "/manifests/" in handler.path:
                return handler.say(200, self.manifest, Content_Type=OCI + "manifest.v1+json",
                                   Docker_Content_Digest=images.sha(self.manifest))
            if name in self.blobs:
                return handler.say(200, self.blobs[name])
            handler.say(404)
        server = Server(answer)
        self.addCleanup(server.close)
        watch = Watch(self.daemon)
        result = self.daemon.berth("pull", server.host + "/lie:v1", check=False)
        peak_kb, ingest_bytes = watch.stop()
        self.assertEqual(result.returncode, 1, result.stdout)
        for word in words + [server.host]:
            self.assertIn(word, result.stderr)
        if not SANITIZED:
            self.assertLess(peak_kb, 60 << 10)
        self.assertLess(ingest_bytes, 16 << 20)
        # Nothing has a name, and of the lie not a byte is kept.
        self.assertEqual(self.out("images", "ls", "-q"), "")
        self.assertEqual(images.sha(self.layer) in self.out("content", "ls", "-q"), honest_bytes)
        for lease in self.out("leases", "ls", "-q").split():
            self.ctr("leases", "rm", "--sync", lease)
        self.assertEqual(self.out("content", "ls", "-q"), "")
        return result.stderr

    def stream(self, handler, piece, pause=0.0, **headers):
        """An answer that does not end by itself."""
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        end = time.monotonic() + 120
        while time.monotonic() < end:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(pause)

    def test_other_bytes(self):
        changed = bytearray(self.layer)
        changed[1000] ^= 1

        def lie(handler, digest):
            if digest == images.sha(self.layer):
                handler.say(200, bytes(changed))
                return True
            return False
        self.pull(lie, [images.sha(self.layer), "hash to sha256:", "nothing of them was kept"])

    def test_other_sizes(self):
        for size in (len(self.layer) - 1000, len(self.layer) + 1000):
            with self.subTest(size):
                def lie(handler, digest):
                    if digest == images.sha(self.layer):
                        handler.say(200, (self.layer * 2)[:size])
                        return True
                    return False
                self.pull(lie, [images.sha(self.layer), "says that it has %d bytes; it has %d" % (size, len(self.layer))])

    def test_an_endless_blob(self):
        def lie(handler, digest):
            if digest == images.sha(self.layer):
                self.stream(handler, b"x" * 65536)
                return True
            return False
        self.pull(lie, [images.sha(self.layer), "sends more than %d bytes" % len(self.layer)])

    def test_an_endless_and_a_huge_manifest(self):
        def endless(handler, digest):
            if "/manifests/" in handler.path:
                self.stream(handler, b" " * 65536, Content_Type=OCI + "manifest.v1+json")
                return True
            return False
        self.pull(endless, ["with more than 8388608 bytes"])

        def huge(handler, digest):
            if "/manifests/" in handler.path:
                handler.say(200, b"{" + b" " * (20 << 20), Content_Type=OCI + "manifest.v1+json")
                return True
            return False
        self.pull(huge, ["with more than 8388608 bytes"])

    def test_a_manifest_that_is_another(self):
        def lie(handler, digest):
            if "/manifests/" in handler.path:
                handler.say(200, self.manifest + b" ", Content_Type=OCI + "manifest.v1+json",
                            Docker_Content_Digest=images.sha(self.manifest))
                return True
            return False
        self.pull(lie, ["sent other bytes than it said"])

    def test_a_manifest_with_more_layers_than_anybody_has(self):
        layers = [{"mediaType": OCI + "layer.v1.tar", "digest": "sha256:" + hashlib.sha256(b"%d" % i).hexdigest(), "size": 1 << 40}
                  for i in range(20000)]
        self.manifest = json.dumps(dict(json.loads(self.manifest), layers=layers)).encode()
        self.pull(lambda handler, digest: False, ["more than 1000"])

    def test_redirects_in_circles(self):
        def lie(handler, digest):
            if digest == images.sha(self.layer):
                handler.say(307, b"", Location=handler.path)
                return True
            return False
        self.pull(lie, ["redirects in circles", "more than 10 redirects"])

    def test_headers_without_end(self):
        def lie(handler, digest):
            if digest != images.sha(self.layer):
                return False
            handler.send_response(200)
            for i in range(2000):
                handler.send_header("X-%d" % i, "y" * 100)
            handler.end_headers()
            return True
        self.pull(lie, ["more than 64 KiB of headers"])

    def test_layers_that_are_no_layers(self):
        """The bytes are what the digest says, but no archive: refused when it is unpacked, by the name of the layer."""
        self.pull(lambda handler, digest: False, [images.sha(self.layer)[:19]], honest_bytes=True)

    def test_a_client_that_gives_up_on_a_slow_drip_ends_it(self):
        ended = threading.Event()

        def lie(handler, digest):
            if digest != images.sha(self.layer):
                return False
            try:
                self.stream(handler, b"x", pause=0.05)
            finally:
                ended.set()
            return True
        server_side = {}

        def answer(handler):
            name = handler.path.rsplit("/", 1)[1]
            if lie(handler, name):
                return
            if "/manifests/" in handler.path:
                return handler.say(200, self.manifest, Content_Type=OCI + "manifest.v1+json")
            handler.say(200, self.blobs[name])
        server = Server(answer)
        self.addCleanup(server.close)
        server_side["pull"] = self.daemon.run(["timeout", "3", os.environ["BERTH_BIN"] + "/berth", "-a", self.daemon.sock,
                                               "-n", self.daemon.namespace, "pull", server.host + "/drip:v1"], check=False)
        self.assertEqual(server_side["pull"].returncode, 124)
        # The daemon hears of the client's end and lets go of the registry.
        self.assertTrue(ended.wait(20))
        self.assertEqual(self.out("images", "ls", "-q"), "")
        for lease in self.out("leases", "ls", "-q").split():
            self.ctr("leases", "rm", "--sync", lease)


class Watch:
    """The highest that the workers took of memory, and the store's uploads of disk, until stopped."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.peak_kb = 0
        self.ingest_bytes = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.02):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/comm" % pid) as file:
                        if file.read().strip() != "berth-worker":
                            continue
                    if not os.readlink("/proc/%s/fd/4" % pid).startswith(self.daemon.dir):
                        continue
                    with open("/proc/%s/status" % pid) as file:
                        fields = dict(line.split(":", 1) for line in file if ":" in line)
                    self.peak_kb = max(self.peak_kb, sum(int(fields[k].split()[0]) for k in ("RssAnon", "RssShmem")))
                except (OSError, KeyError, ValueError):
                    continue
            total = 0
            for folder, _, names in os.walk(self.daemon.root + "/content/ingest"):
                for name in names:
                    try:
                        total += os.stat(os.path.join(folder, name)).st_blocks * 512
                    except OSError:
                        continue
            self.ingest_bytes = max(self.ingest_bytes, total)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.peak_kb, self.ingest_bytes
