"""Archives of images in and out: by the server's Transfer service, through `berth`, against the tools of others."""
import gzip
import json
import os
import subprocess
import tarfile

from event_watch import EventWatch
from harness import BUSYBOX, BerthTest, at_once
import images


class ImageArchivesTest(BerthTest):
    busybox = False

    def path(self, name):
        return os.path.join(self.daemon.dir, name)

    def blobs(self):
        return sorted(self.out("content", "ls", "-q").split())

    def names(self):
        return sorted(self.out("images", "ls", "-q").split())

    def forget_everything(self):
        for name in self.names():
            self.daemon.berth("image", "rm", "--sync", name)
        self.assertEqual(self.blobs(), [])
        self.assertEqual(self.out("snapshots", "ls").strip().split("\n")[1:], [])

    def target_of(self, name):
        return [line for line in self.out("images", "ls").split("\n") if line.startswith(name)][0].split()[2]

    def layers(self, count=4):
        layers = [images.busybox_layer()]
        for i in range(count):
            layers.append(images.Layer().dir("data").add("data/f%d" % i, os.urandom(200000)).bytes())
        return layers

    def multi_platform(self, path):
        """An OCI archive with an index of two platforms, as buildx makes them; the second is another machine's."""
        parts = {}
        entries = []
        for arch in ("amd64", "arm64"):
            one = self.path("one-%s.tar" % arch)
            config = dict(images.BUSYBOX_CONFIG, Labels={"arch": arch})
            images.oci_archive(one, "docker.io/test/multi:1", [images.busybox_layer()], config)
            with tarfile.open(one) as tar:
                index = json.load(tar.extractfile("index.json"))
                blobs = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.name.startswith("blobs/sha256/") and m.isfile()}
            manifest = json.loads(blobs["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
            config_json = json.loads(blobs["blobs/sha256/" + manifest["config"]["digest"][7:]])
            config_json["architecture"] = arch
            data = json.dumps(config_json).encode()
            manifest["config"].update(digest=images.sha(data), size=len(data))
            blobs["blobs/sha256/" + images.sha(data)[7:]] = data
            data = json.dumps(manifest).encode()
            blobs["blobs/sha256/" + images.sha(data)[7:]] = data
            entries.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": images.sha(data),
                            "size": len(data), "platform": {"os": "linux", "architecture": arch}})
            wanted = [images.sha(data), manifest["config"]["digest"]] + [l["digest"] for l in manifest["layers"]]
            parts.update({n: b for n, b in blobs.items() if "sha256:" + n[13:] in wanted})
        index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                            "manifests": entries}).encode()
        parts["blobs/sha256/" + images.sha(index)[7:]] = index
        top = {"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": images.sha(index), "size": len(index),
            "annotations": {"io.containerd.image.name": "docker.io/test/multi:1"}}]}
        with tarfile.open(path, "w") as tar:
            images.put(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            images.put(tar, "index.json", json.dumps(top).encode())
            for name, data in parts.items():
                images.put(tar, name, data)
        return images.sha(index)

    def test_docker_archive_plain_and_compressed_from_file_and_pipe(self):
        images.busybox(self.path("d.tar"))
        with open(self.path("d.tar"), "rb") as file:
            plain = file.read()
        with open(self.path("d.tar.gz"), "wb") as file:
            file.write(gzip.compress(plain))
        subprocess.run(["xz", "-k", self.path("d.tar")], check=True)
        blobs = None
        for archive in ("d.tar", "d.tar.gz", "d.tar.xz"):
            with self.subTest(archive):
                with open(self.path(archive), "rb") as file:
                    out = self.daemon.berth("load", input=file.read(), text=False).stdout.decode()
                self.assertIn("Loaded image: busybox:latest", out)
                self.assertEqual(self.names(), [BUSYBOX])
                self.assertIn("hi there", self.out("run", "--rm", BUSYBOX, self.name(), "echo", "hi there"))
                # Whatever the archive is packed with, the image is the same.
                blobs = blobs or self.blobs()
                self.assertEqual(self.blobs(), blobs)
                self.forget_everything()

    def test_saved_images_are_byte_for_byte_what_other_tools_read(self):
        layers = self.layers()
        images.oci_archive(self.path("in.tar"), "docker.io/test/app:v1", layers, images.BUSYBOX_CONFIG)
        self.daemon.berth("load", "-i", self.path("in.tar"))
        digest = self.target_of("docker.io/test/app:v1")
        self.daemon.berth("save", "-o", self.path("out.tar"), "test/app:v1")
        self.daemon.berth("save", "-o", self.path("again.tar"), "test/app:v1")
        with open(self.path("out.tar"), "rb") as one, open(self.path("again.tar"), "rb") as two:
            self.assertEqual(one.read(), two.read())
        # skopeo, both readings of the archive.
        oci = json.loads(self.daemon.run(["skopeo", "inspect", "oci-archive:" + self.path("out.tar")]).stdout)
        self.assertEqual(oci["Digest"], digest)
        docker = json.loads(self.daemon.run(["skopeo", "inspect", "--config", "docker-archive:" + self.path("out.tar")]).stdout)
        self.assertEqual(docker["rootfs"]["diff_ids"], [images.sha(layer) for layer in layers])
        # umoci reads the layout and unpacks it.
        os.mkdir(self.path("layout"))
        with tarfile.open(self.path("out.tar")) as tar:
            tar.extractall(self.path("layout"))
        self.daemon.run(["umoci", "unpack", "--image", self.path("layout") + ":v1", self.path("bundle")])
        self.assertTrue(os.path.exists(self.path("bundle") + "/rootfs/data/f3"))
        # ctr of containerd 1.6, the client's own way.
        self.forget_everything()
        self.ctr("images", "import", self.path("out.tar"))
        self.assertEqual(self.target_of("docker.io/test/app:v1"), digest)
        self.forget_everything()

    def test_archives_of_others_come_in_with_their_digests(self):
        images.oci_archive(self.path("x.tar"), "docker.io/test/x:v1", self.layers(2), images.BUSYBOX_CONFIG)
        for kind in ("oci-archive", "docker-archive"):
            with self.subTest(kind):
                target = "%s:%s" % (kind, self.path(kind + ".tar")) + (":docker.io/test/x:v1" if kind == "docker-archive" else ":v1")
                self.daemon.run(["skopeo", "copy", "-q", "oci-archive:" + self.path("x.tar"), target])
                self.daemon.berth("load", "--repository", "test/x", "-i", self.path(kind + ".tar"))
                self.assertEqual(self.names(), ["docker.io/test/x:v1"])
                self.assertIn("f1", self.out("run", "--rm", "docker.io/test/x:v1", self.name(), "ls", "/data"))
                if kind == "oci-archive":
                    there = json.loads(self.daemon.run(["skopeo", "inspect", "oci-archive:" + self.path(kind + ".tar")]).stdout)
                    self.assertEqual(self.target_of("docker.io/test/x:v1"), there["Digest"])
                self.forget_everything()

    def test_all_platforms_go_out_and_come_back(self):
        digest = self.multi_platform(self.path("m.tar"))
        self.daemon.berth("load", "-i", self.path("m.tar"))
        self.assertEqual(self.target_of("docker.io/test/multi:1"), digest)
        blobs = self.blobs()
        self.daemon.berth("save", "--all-platforms", "-o", self.path("all.tar"), "test/multi:1")
        self.daemon.berth("save", "-o", self.path("mine.tar"), "test/multi:1")
        self.forget_everything()
        self.daemon.berth("load", "-i", self.path("all.tar"))
        self.assertEqual(self.blobs(), blobs)
        self.forget_everything()
        self.daemon.berth("load", "-i", self.path("mine.tar"))
        self.assertEqual(self.target_of("docker.io/test/multi:1"), digest)
        self.assertLess(len(self.blobs()), len(blobs))
        self.assertIn("ok", self.out("run", "--rm", "docker.io/test/multi:1", self.name(), "echo", "ok"))
        self.forget_everything()
        # Of an archive for several machines, one that is not this one: stored, not unpacked.
        self.daemon.berth("load", "--platform", "linux/arm64", "-i", self.path("all.tar"))
        self.assertEqual(self.out("snapshots", "ls").strip().split("\n")[1:], [])
        self.forget_everything()
        result = self.daemon.berth("load", "--platform", "linux/s390x", "-i", self.path("all.tar"), check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("platform", result.stderr)
        self.assertEqual(self.blobs(), [])

    def broken(self, data, *words):
        result = self.daemon.berth("load", input=data, text=False, check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        for word in words:
            self.assertIn(word, result.stderr.decode())
        self.assertEqual(self.names(), [])

    def test_what_is_no_image_is_refused_and_leaves_nothing(self):
        images.oci_archive(self.path("b.tar"), "docker.io/test/b:v1", self.layers(1), images.BUSYBOX_CONFIG)
        with open(self.path("b.tar"), "rb") as file:
            good = file.read()
        self.broken(b"", "empty")
        self.broken(b"this is no archive at all\n" * 50, "no tar archive")
        self.broken(good[:len(good) // 2], "cut off")
        self.broken(gzip.compress(good)[:-5000], "cut off")
        with tarfile.open(self.path("junk.tar"), "w") as tar:
            images.put(tar, "hello.txt", b"hello")
        with open(self.path("junk.tar"), "rb") as file:
            self.broken(file.read(), "neither manifest.json", "index.json")
        # One byte of a layer is another.
        with tarfile.open(self.path("b.tar")) as tar:
            largest = max((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.size)
        at = largest.offset_data + largest.size // 2
        self.broken(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], "damaged")
        self.ctr("images", "rm", "--sync", "none", check=False)
        self.daemon.ctr("leases", "ls")
        self.daemon.berth("image", "rm", "--force", "--sync", "none")
        # What came in before the fault is nobody's: the next collection takes it.
        images.busybox(self.path("ok.tar"))
        self.daemon.berth("load", "-i", self.path("ok.tar"))
        self.forget_everything()

    def test_many_clients_unpack_each_layer_once(self):
        images.oci_archive(self.path("c.tar"), "docker.io/test/c:v1", self.layers(6), images.BUSYBOX_CONFIG)
        failures = []

        def load():
            result = self.daemon.berth("load", "-i", self.path("c.tar"), check=False)
            if result.returncode != 0:
                failures.append(result.stderr)
        with EventWatch(self.daemon) as events:
            at_once(5, load)
            seen = events.seen()
        self.assertEqual(failures, [])
        prepared = [line for line in seen.split("\n") if "/snapshot/prepare" in line and "extract-" in line]
        self.assertEqual(len(prepared), 7, seen)
        self.assertIn("f5", self.out("run", "--rm", "docker.io/test/c:v1", self.name(), "ls", "/data"))
        self.forget_everything()

    def test_history_prune_tag_and_rmi(self):
        images.busybox(self.path("p.tar"))
        self.daemon.berth("load", "-i", self.path("p.tar"))
        history = json.loads(self.daemon.berth("history", "--format", "json", "busybox").stdout)
        self.assertTrue(history[0]["id"].startswith("sha256:"))
        self.daemon.berth("tag", "busybox", "test/two:2")
        self.assertEqual(self.names(), sorted([BUSYBOX, "docker.io/test/two:2"]))
        self.ctr("run", "-d", BUSYBOX, "user", "sleep", "1000")
        self.daemon.berth("rmi", "test/two:2")
        refused = self.daemon.berth("rmi", "busybox", check=False)
        self.assertIn("used by container user", refused.stderr)
        self.assertIn("Images removed: 0", self.daemon.berth("image", "prune", "-a", "-f").stdout)
        self.ctr("tasks", "kill", "-s", "KILL", "user")
        self.daemon.remove_everything()
        self.assertIn("Images removed: 0", self.daemon.berth("image", "prune", "-f").stdout)
        self.assertIn("Removed: busybox:latest", self.daemon.berth("image", "prune", "-a", "-f").stdout)
        self.assertEqual(self.names(), [])
