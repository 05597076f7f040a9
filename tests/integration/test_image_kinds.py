"""Images of other kinds than `docker save` and plain gzip: eStargz, zstd:chunked, artifacts; and what a terminal shows."""
import gzip
import http.client
import json
import os
import re
import struct
import subprocess
import threading
import zlib

from harness import BIN
from registries import Proxy
from registry_case import RegistryImageTest
from terminal import Terminal
import images


def stargz_member(data, extra=None):
    """One gzip member; `extra`: of its header."""
    header = b"\x1f\x8b\x08" + (b"\x04" if extra else b"\x00") + b"\0" * 4 + b"\0\xff"
    if extra:
        header += struct.pack("<H", len(extra)) + extra
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return header + packer.compress(data) + packer.flush() + struct.pack("<II", zlib.crc32(data), len(data))


def estargz(tar):
    """(blob, its plain bytes): each member of the archive in gzip members of its own, its table of contents, its footer."""
    entries, members, at = [], [], 0
    body = tar.rstrip(b"\0")
    body = tar[:(len(body) + 511) // 512 * 512]
    while at < len(body):
        size = int(body[at + 124:at + 136].split(b"\0")[0].strip() or b"0", 8)
        end = at + 512 + (size + 511) // 512 * 512
        entries.append({"name": body[at:at + 100].split(b"\0")[0].decode(), "size": size, "offset": sum(map(len, members))})
        members += [stargz_member(body[at:at + 512])] + ([stargz_member(body[at + 512:end])] if size else [])
        at = end
    table = images.Layer().add("stargz.index.json", json.dumps({"version": 1, "entries": entries}).encode()).bytes()
    place = sum(map(len, members))
    footer = stargz_member(b"", b"SG" + struct.pack("<H", 22) + b"%016xSTARGZ" % place)
    return b"".join(members) + stargz_member(table) + footer, body + table


class ImageKindsTest(RegistryImageTest):
    layer_bytes = (3 << 20,) * 2

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.registry.host, timeout=30)
        self.addCleanup(connection.close)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        response.read()
        self.assertLess(response.status, 300, (method, path, response.status))
        return response

    def put_blob(self, repository, data):
        place = self.request("POST", "/v2/%s/blobs/uploads/" % repository).getheader("Location")
        place = place[place.index("/v2/"):]
        self.request("PUT", "%s%sdigest=%s" % (place, "&" if "?" in place else "?", images.sha(data)), data,
                     {"Content-Type": "application/octet-stream"})
        return {"digest": images.sha(data), "size": len(data)}

    def put_manifest(self, name, tag, document):
        data = json.dumps(document).encode()
        self.request("PUT", "/v2/%s/manifests/%s" % (name, tag), data, {"Content-Type": document["mediaType"]})
        return images.sha(data)

    def digest(self, name):
        raw = self.daemon.run(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + name]).stdout
        return images.sha(raw.encode())

    def test_estargz_is_a_plain_layer(self):
        files = images.Layer().dir("star").add("star/one", b"1" * 70000).add("star/empty").link("star/link", "one").bytes()
        blob, plain = estargz(files)
        # The test's own archive is what it is meant to be.
        self.assertEqual(gzip.decompress(blob), plain)
        config = images.image_config([self.layers[0], plain], images.BUSYBOX_CONFIG)
        base = images.gz(self.layers[0])
        layer = "application/vnd.oci.image.layer.v1.tar+gzip"
        digest = self.put_manifest("stargz", "1", {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": dict(self.put_blob("stargz", config), mediaType="application/vnd.oci.image.config.v1+json"),
            "layers": [dict(self.put_blob("stargz", base), mediaType=layer),
                       dict(self.put_blob("stargz", blob), mediaType=layer,
                            annotations={"containerd.io/snapshot/stargz/toc.digest": images.sha(b"not looked at")})]})
        name = self.registry.host + "/stargz:1"
        self.assertIn(digest, self.daemon.berth("pull", name).stdout)
        self.assertEqual(self.out("run", "--rm", name, self.name(), "sh", "-c", "wc -c < /star/one; readlink /star/link; ls /star"),
                         "70000\none\nempty\nlink\none\n")
        self.daemon.berth("push", name, self.registry.host + "/copy/stargz:1")
        self.assertEqual(self.digest(self.registry.host + "/copy/stargz:1"), digest)
        self.forget_everything()

    def test_zstd_chunked_is_a_plain_layer(self):
        # Written by skopeo: data in frames of their own, its table in a frame that is to be skipped.
        plain = self.daemon.dir + "/plain.tar"
        # This skopeo keeps two blocks of zeros of an archive's end, and promises the digest of what it was given.
        layers = [self.layers[0]] + [layer.rstrip(b"\0") for layer in self.layers[1:]]
        layers[1:] = [layer + b"\0" * (-len(layer) % 512 + 1024) for layer in layers[1:]]
        images.oci_archive(plain, "docker.io/test/plain:1", layers, images.BUSYBOX_CONFIG, compress=False)
        name = self.registry.host + "/chunked:1"
        self.daemon.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-compress-format", "zstd:chunked",
                         "oci-archive:" + plain, "docker://" + name])
        manifest = json.loads(self.daemon.run(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + name]).stdout)
        chunked = [layer for layer in manifest["layers"] if any("zstd-chunked" in key for key in layer.get("annotations", {}))]
        self.assertGreaterEqual(len(chunked), 2, manifest)
        self.assertTrue(all(layer["mediaType"].endswith("+zstd") for layer in chunked), manifest)
        digest = self.digest(name)
        self.assertIn(digest, self.daemon.berth("pull", name).stdout)
        sums = self.out("run", "--rm", name, self.name(), "sh", "-c", "cat /data/f0 /data/f1 | wc -c")
        self.assertEqual(sums, "%d\n" % sum(self.layer_bytes))
        self.daemon.berth("push", name, self.registry.host + "/copy/chunked:1")
        self.assertEqual(self.digest(self.registry.host + "/copy/chunked:1"), digest)
        self.forget_everything()

    def test_artifacts_are_carried_and_not_unpacked(self):
        config = dict(self.put_blob("thing", b"{}"), mediaType="application/vnd.example.thing.config.v1+json")
        data = os.urandom(100000)
        digest = self.put_manifest("thing", "1", {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
            "layers": [dict(self.put_blob("thing", data), mediaType="application/vnd.example.thing.layer.v1.bin")]})
        name = self.registry.host + "/thing:1"
        self.assertIn(digest, self.daemon.berth("pull", name).stdout)
        self.assertIn(images.sha(data), self.out("content", "ls", "-q"))
        # It goes on to another place as it is, through an archive as well.
        self.daemon.berth("push", name, self.registry.host + "/other/thing:1")
        self.assertEqual(self.digest(self.registry.host + "/other/thing:1"), digest)
        self.daemon.berth("save", "-o", self.daemon.dir + "/thing.tar", name)
        self.forget_everything()
        self.daemon.berth("load", "-q", "-i", self.daemon.dir + "/thing.tar")
        self.assertIn(digest, self.out("images", "ls"))
        refused = self.daemon.berth("run", "--rm", name, "true", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, "is no .*image|no container image|cannot be run|artifact")
        self.forget_everything()

    def test_referrers_and_tags_are_listed(self):
        name = self.registry.host + "/app"
        subject = self.digest(name + ":v1")
        self.daemon.run(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://%s:v1" % name,
                         "docker://%s:v2" % name])
        tags = [row["tag"] for row in json.loads(self.daemon.berth("image", "tags", "--format", "json", name).stdout)]
        self.assertLessEqual({"v1", "v2"}, set(tags))
        none = self.daemon.berth("image", "referrers", "--format", "json", name + ":v1").stdout
        self.assertEqual(json.loads(none or "[]"), [])
        # This registry has no list of referrers of its own: they are under a tag. Berth enters there what it pushes.
        config = dict(self.put_blob("made", b"{}"), mediaType="application/vnd.oci.empty.v1+json")
        digest = self.put_manifest("made", "1", {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": "application/x.bom",
            "config": config, "layers": [dict(self.put_blob("made", b"parts"), mediaType="application/x.bom")],
            "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 1}})
        made = self.registry.host + "/made:1"
        self.daemon.berth("pull", "-q", made)
        self.daemon.berth("push", "-q", made, name + ":bom")
        found = json.loads(self.daemon.berth("image", "referrers", "--format", "json", name + ":v1").stdout)
        self.assertEqual([(row["digest"], row["artifactType"]) for row in found], [(digest, "application/x.bom")])
        by_digest = self.daemon.berth("image", "referrers", "--artifact-type", "application/x.bom", "%s@%s" % (name, subject)).stdout
        self.assertIn(digest, by_digest)
        others = json.loads(self.daemon.berth("image", "referrers", "--artifact-type", "application/x.other", "--format", "json",
                                              name + ":v1").stdout or "[]")
        self.assertEqual(others, [])
        missing = self.daemon.berth("image", "tags", self.registry.host + "/never", check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("never", missing.stderr)
        self.forget_everything()

    def test_a_terminal_shows_each_layer_with_rate_and_total(self):
        seen = threading.Event()
        half = sum(self.layer_bytes) // 2
        proxy = Proxy(self.registry.port, [(half, lambda: (seen.wait(30), False)[1])])
        self.addCleanup(proxy.close)
        name = proxy.host + "/app:v1"
        terminal = Terminal([BIN + "/berth", "-a", self.daemon.sock, "-n", self.daemon.namespace, "pull", name], columns=110)
        try:
            shown = terminal.expect("/s", 30)
            while not re.search(rb"layer [0-9a-f]{12}.*\[=+> *\].*[0-9.]+[KM]iB/3\.0MiB.*[0-9.]+[KM]?i?B/s", shown):
                shown = terminal.expect("/s", 30)
        finally:
            seen.set()
        self.assertEqual(terminal.wait(60), 0, terminal.seen)
        quiet = subprocess.run([BIN + "/berth", "-a", self.daemon.sock, "-n", self.daemon.namespace, "pull", "--quiet", name], capture_output=True,
                               text=True, timeout=60)
        self.assertEqual((quiet.returncode, quiet.stdout, quiet.stderr), (0, name + "\n", ""))
        # Without a terminal: plain lines.
        self.forget_everything()
        plain = self.daemon.berth("pull", name)
        self.assertNotIn("\x1b", plain.stderr)
        self.assertRegex(plain.stderr, "(?m)^.*layer [0-9a-f]{12}.*$")
        self.forget_everything()
