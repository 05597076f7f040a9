"""Archives of images in and out: by the server's Transfer service, through `berth`, against the tools of others."""
import gzip
import json
import os
import subprocess
import tarfile
import time

from dockerd import Dockerd
from event_watch import EventWatch
from harness import BUSYBOX, BerthTest, at_once, mounts, wait_for
import images


class ImageArchivesTest(BerthTest):
    busybox = False

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_images)

    def remove_images(self):
        """What a test that failed leaves must not fail the next."""
        self.daemon.remove_everything()
        for name in self.names():
            self.daemon.berth("image", "rm", "--force", "--sync", name, check=False)

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
        digest = images.multi_platform_archive(self.path("m.tar"), "docker.io/test/multi:1", [images.busybox_layer()],
                                               images.BUSYBOX_CONFIG)
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

    @staticmethod
    def unmount_below(directory):
        """Both engines keep their storage mounted on itself."""
        for line in reversed(mounts()):
            point = line.split()[4]
            if point.startswith(directory) and point.split("/")[-1] in ("vfs", "docker", "data", "podman", "podman-run"):
                subprocess.run(["umount", point], capture_output=True)

    def id_of(self, name):
        return json.loads(self.daemon.berth("history", "--format", "json", name).stdout)[0]["id"]

    def tree(self, directory):
        return sorted(os.path.relpath(os.path.join(folder, name), directory)
                      for folder, _, names in os.walk(directory) for name in names)

    def test_a_layout_in_a_directory_goes_in_and_out(self):
        images.oci_archive(self.path("dir.tar"), "docker.io/test/dir:v1", self.layers(2), images.BUSYBOX_CONFIG)
        self.daemon.run(["skopeo", "copy", "-q", "oci-archive:" + self.path("dir.tar"), "oci:" + self.path("skopeo-layout") + ":v1"])
        self.daemon.berth("load", "--repository", "test/dir", "-i", self.path("skopeo-layout"))
        self.assertEqual(self.names(), ["docker.io/test/dir:v1"])
        digest = self.target_of("docker.io/test/dir:v1")
        blobs = self.blobs()
        self.daemon.berth("save", "-o", self.path("ours") + "/", "test/dir:v1")
        self.assertEqual(sorted("sha256:" + os.path.basename(f) for f in self.tree(self.path("ours")) if f.startswith("blobs/sha256/")), blobs)
        self.assertEqual(json.loads(self.daemon.run(["skopeo", "inspect", "oci:" + self.path("ours") + ":v1"]).stdout)["Digest"], digest)
        self.forget_everything()
        self.daemon.berth("load", "-i", self.path("ours"))
        self.assertEqual((self.target_of("docker.io/test/dir:v1"), self.blobs()), (digest, blobs))
        # What is there already is not overwritten; what is no layout is told.
        again = self.daemon.berth("save", "-o", self.path("ours"), "test/dir:v1", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is not empty", again.stderr)
        os.mkdir(self.path("nothing"))
        empty = self.daemon.berth("load", "-i", self.path("nothing"), check=False)
        self.assertEqual(empty.returncode, 1)
        self.assertIn(self.path("nothing"), empty.stderr)
        # A directory with a part of the blobs only.
        largest = max((f for f in self.tree(self.path("ours")) if f.startswith("blobs/")), key=lambda f: os.stat(self.path("ours/" + f)).st_size)
        os.remove(self.path("ours/" + largest))
        self.forget_everything()
        partial = self.daemon.berth("load", "-i", self.path("ours"), check=False)
        self.assertEqual(partial.returncode, 1)
        self.assertIn(os.path.basename(largest), partial.stderr)
        self.assertEqual(self.names(), [])

    def test_umoci_changes_an_image_and_berth_runs_it(self):
        images.oci_archive(self.path("u.tar"), "docker.io/test/u:v1", self.layers(1), images.BUSYBOX_CONFIG)
        self.daemon.berth("load", "-i", self.path("u.tar"))
        self.daemon.berth("save", "-o", self.path("u-layout") + "/", "test/u:v1")
        self.daemon.run(["umoci", "unpack", "--image", self.path("u-layout") + ":v1", self.path("u-bundle")])
        with open(self.path("u-bundle") + "/rootfs/added", "w") as file:
            file.write("by umoci")
        os.remove(self.path("u-bundle") + "/rootfs/data/f0")
        self.daemon.run(["umoci", "repack", "--image", self.path("u-layout") + ":v2", self.path("u-bundle")])
        self.daemon.run(["umoci", "config", "--image", self.path("u-layout") + ":v2", "--config.env", "MADE_BY=umoci"])
        self.forget_everything()
        self.daemon.berth("load", "--repository", "test/u", "-i", self.path("u-layout"))
        self.assertEqual(self.names(), ["docker.io/test/u:v1", "docker.io/test/u:v2"])
        there = json.loads(self.daemon.run(["skopeo", "inspect", "oci:" + self.path("u-layout") + ":v2"]).stdout)["Digest"]
        self.assertEqual(self.target_of("docker.io/test/u:v2"), there)
        out = self.out("run", "--rm", "docker.io/test/u:v2", self.name(), "sh", "-c", "cat /added; echo; echo $MADE_BY; ls /data | wc -l")
        self.assertEqual(out.split(), ["by", "umoci", "umoci", "0"])
        self.forget_everything()

    def test_docker_and_podman_load_what_was_saved(self):
        images.oci_archive(self.path("s.tar"), "docker.io/test/s:v1", self.layers(2), images.BUSYBOX_CONFIG)
        self.daemon.berth("load", "-i", self.path("s.tar"))
        image_id = self.id_of("test/s:v1")
        saved = self.daemon.berth("save", "test/s:v1", text=False).stdout
        docker = Dockerd(self.path("docker"), self.daemon.sock, "--storage-driver=vfs")
        self.addCleanup(self.unmount_below, self.path(""))
        self.addCleanup(docker.stop)
        wait_for(lambda: subprocess.run(docker.argv("version"), capture_output=True).returncode == 0, 60, "dockerd")
        self.daemon.run(docker.argv("load"), input=saved, text=False, timeout=120)
        self.assertEqual(self.daemon.run(docker.argv("inspect", "-f", "{{.Id}}", "test/s:v1")).stdout.strip(), image_id)
        # And back: what docker saves has the same id here.
        back = self.daemon.run(docker.argv("save", "test/s:v1"), text=False, timeout=120).stdout
        self.forget_everything()
        self.daemon.berth("load", input=back, text=False)
        self.assertEqual(self.id_of("test/s:v1"), image_id)
        self.forget_everything()
        podman = ["podman", "--root", self.path("podman"), "--runroot", self.path("podman-run"), "--storage-driver", "vfs",
                  "--cgroup-manager", "cgroupfs"]
        self.daemon.run(podman + ["load"], input=saved, text=False, timeout=120)
        self.assertEqual("sha256:" + self.daemon.run(podman + ["image", "inspect", "-f", "{{.Id}}", "docker.io/test/s:v1"]).stdout.strip(), image_id)
        for kind in ("oci-archive", "docker-archive"):
            back = self.daemon.run(podman + ["save", "--format", kind, "docker.io/test/s:v1"], text=False, timeout=120).stdout
            self.daemon.berth("load", input=back, text=False)
            self.assertEqual(self.id_of("test/s:v1"), image_id)
            self.forget_everything()

    def test_conversions(self):
        layers = self.layers(2)
        images.oci_archive(self.path("k.tar"), "docker.io/test/k:v1", layers, images.BUSYBOX_CONFIG)
        self.daemon.berth("load", "-i", self.path("k.tar"))
        before = self.id_of("test/k:v1")
        snapshots = self.out("snapshots", "ls")
        for words, compression in ((["--compression", "zstd"], "zstd"), (["--compression", "none"], None),
                                   (["--docker", "--compression", "gzip"], "gzip"), (["--compression", "gzip"], "gzip")):
            with self.subTest(words):
                self.daemon.berth("image", "convert", *words, "test/k:v1", "test/k:other")
                self.daemon.berth("save", "-o", self.path("k-other.tar"), "test/k:other")
                with tarfile.open(self.path("k-other.tar")) as tar:
                    index = json.load(tar.extractfile("index.json"))
                    manifest = json.load(tar.extractfile("blobs/sha256/" + index["manifests"][0]["digest"][7:]))
                for layer in manifest["layers"]:
                    self.assertEqual(layer["mediaType"].rsplit("tar", 1)[1].strip("+.") or None, compression)
                # The same config: the same id and the same snapshots.
                self.assertEqual(self.id_of("test/k:other"), before)
                self.assertIn("f1", self.out("run", "--rm", "docker.io/test/k:other", self.name(), "ls", "/data"))
                self.assertEqual(self.out("snapshots", "ls"), snapshots)
                # Another tool agrees on every layer.
                config = json.loads(self.daemon.run(["skopeo", "inspect", "--config", "oci-archive:" + self.path("k-other.tar")]).stdout)
                self.assertEqual(config["rootfs"]["diff_ids"], [images.sha(layer) for layer in layers])
                self.daemon.run(["skopeo", "copy", "-q", "oci-archive:" + self.path("k-other.tar"), "dir:" + self.path("k-dir")])
        # What has the wanted form already keeps its digest.
        self.daemon.berth("image", "convert", "--oci", "--compression", "gzip", "test/k:v1", "test/k:same")
        self.assertEqual(self.target_of("docker.io/test/k:same"), self.target_of("docker.io/test/k:v1"))
        refused = self.daemon.berth("image", "convert", "--docker", "--compression", "zstd", "test/k:v1", "test/k:x", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("no type for zstd", refused.stderr)
        refused = self.daemon.berth("image", "convert", "--compression", "lzma", "test/k:v1", "test/k:x", check=False)
        self.assertIn("none, gzip or zstd", refused.stderr)
        self.daemon.remove_everything()
        self.forget_everything()

    def test_a_subset_of_platforms(self):
        images.multi_platform_archive(self.path("p3.tar"), "docker.io/test/p:1", [images.busybox_layer()], images.BUSYBOX_CONFIG,
                                      ("amd64", "arm64", "s390x"))
        self.daemon.berth("load", "-i", self.path("p3.tar"))
        self.daemon.berth("image", "convert", "--platform", "linux/arm64", "--platform", "linux/amd64", "test/p:1", "test/p:two")
        self.daemon.berth("save", "--all-platforms", "-o", self.path("p2.tar"), "test/p:two")
        raw = json.loads(self.daemon.run(["skopeo", "inspect", "--raw", "oci-archive:" + self.path("p2.tar")]).stdout)
        self.assertEqual(sorted(m["platform"]["architecture"] for m in raw["manifests"]), ["amd64", "arm64"])
        refused = self.daemon.berth("image", "convert", "--platform", "linux/riscv64", "test/p:1", "test/p:none", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("platforms that were asked for", refused.stderr)
        self.forget_everything()

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
        self.assertEqual(self.daemon.berth("image", "prune", "-a", "-f").stdout, "Total reclaimed space: 0B\n")
        self.ctr("tasks", "kill", "-s", "KILL", "user")
        self.daemon.remove_everything()
        self.assertEqual(self.daemon.berth("image", "prune", "-f").stdout, "Total reclaimed space: 0B\n")
        self.assertIn("untagged: busybox:latest", self.daemon.berth("image", "prune", "-a", "-f").stdout)
        self.assertEqual(self.names(), [])

    def made(self, name, created, labels):
        """Loads an image that was made at `created` and has `labels`."""
        layer = images.Layer().add(name, os.urandom(50000)).bytes()
        config = json.loads(images.image_config([layer], dict(images.BUSYBOX_CONFIG, Labels=labels)))
        config["created"] = created
        manifest = [{"Config": "c.json", "RepoTags": ["docker.io/prune/%s:1" % name], "Layers": ["l.tar"]}]
        with tarfile.open(self.path("made.tar"), "w") as tar:
            images.put(tar, "c.json", json.dumps(config).encode())
            images.put(tar, "l.tar", layer)
            images.put(tar, "manifest.json", json.dumps(manifest).encode())
        self.daemon.berth("load", "-q", "-i", self.path("made.tar"))
        return "docker.io/prune/%s:1" % name

    def prune(self, *arguments):
        before = set(self.names())
        said = self.daemon.berth("image", "prune", "-f", *arguments).stdout
        gone = before - set(self.names())
        self.assertEqual(said.count("untagged: "), len(gone), said)
        return sorted(name.split("/")[-1].split(":")[0] for name in gone)

    def test_prune_takes_what_its_filters_say(self):
        old, new = "2001-02-03T04:05:06Z", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.made("old", old, {})
        self.made("oldkeep", old, {"keep": "yes", "stage": "prod"})
        self.made("new", new, {"stage": "test"})
        self.made("newkeep", new, {"keep": "no", "stage": "test"})
        self.assertEqual(self.prune(), [])
        self.assertEqual(self.prune("--filter", "dangling=true"), [])
        self.assertEqual(self.prune("-a", "--filter", "label=stage=none"), [])
        self.assertEqual(self.prune("-a", "--filter", "until=%s" % old), [])
        self.assertEqual(self.prune("-a", "--filter", "until=24h", "--filter", "label!=keep"), ["old"])
        self.assertEqual(self.prune("-a", "--filter", "label=stage=test", "--filter", "label!=keep=no"), ["new"])
        # Both have the label, only one is that old.
        self.assertEqual(self.prune("-a", "--filter", "label=keep", "--filter", "until=2002-01-01T00:00:00Z"), ["oldkeep"])
        self.assertEqual(self.prune("--filter", "dangling=false"), ["newkeep"])
        for bad, words in (("until=soon", 'until "soon"'), ("dangling=maybe", "invalid filter 'dangling=maybe'"),
                           ("colour=red", "invalid filter 'colour'"), ("label", "KEY=VALUE")):
            refused = self.daemon.berth("image", "prune", "-f", "--filter", bad, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(words, refused.stderr)
        self.forget_everything()

    def test_prune_takes_dangling_images_whose_names_moved_on(self):
        layer = self.layers(1)
        images.docker_archive(self.path("u.tar"), "docker.io/test/u:1", layer, images.BUSYBOX_CONFIG)
        self.daemon.berth("load", "-q", "-i", self.path("u.tar"))
        # Nothing but a digest names it: dangling, unless a proper name has the same target.
        target = self.target_of("docker.io/test/u:1")
        self.ctr("images", "tag", "docker.io/test/u:1", "archive@" + target)
        self.assertEqual(self.prune(), [])
        self.daemon.berth("rmi", "test/u:1")
        self.assertEqual(self.prune("--filter", "until=2002-01-01T00:00:00Z"), [])
        self.assertEqual(len(self.prune()), 1)
        self.assertEqual(self.names(), [])
        wait_for(lambda: self.blobs() == [], 30, "the collection")

    def test_df_counts_what_images_share_once(self):
        shared = self.layers(1)
        for name in ("a", "b"):
            own = images.Layer().dir("own").add("own/" + name, os.urandom(300000)).bytes()
            images.oci_archive(self.path("df.tar"), "docker.io/df/%s:1" % name, shared + [own], images.BUSYBOX_CONFIG)
            self.daemon.berth("load", "-q", "-i", self.path("df.tar"))
        self.ctr("run", "-d", "docker.io/df/a:1", "user", "sleep", "1000")
        rows = {row["name"].split("/")[-1]: row for row in json.loads(
            self.daemon.berth("image", "df", "--format", "json").stdout)}
        self.assertEqual(sorted(rows), ["a:1", "b:1"])
        for row in rows.values():
            self.assertEqual(row["size"], row["shared"] + row["unique"])
            self.assertGreater(row["unique"], 300000)
            self.assertLess(row["unique"], 1500000)
            self.assertGreater(row["shared"], 400000)
        self.assertEqual((rows["a:1"]["containers"], rows["b:1"]["containers"]), (1, 0))
        self.assertEqual(rows["a:1"]["shared"], rows["b:1"]["shared"])
        # Docker's form of the same; another name of an image shares nothing with it.
        self.daemon.berth("tag", "df/a:1", "df/a:again")
        table = self.daemon.berth("system", "df", "-v").stdout.split("\n\n")[1].splitlines()
        cells = {tuple(line.split()[:2]): line.split() for line in table[1:]}
        self.assertEqual(sorted(key for key in cells if key[0].endswith(("df/a", "df/b"))), sorted(
            key for key in cells))
        for name, row in (("a", "a:1"), ("b", "b:1")):
            line = [line for key, line in cells.items() if key[0].endswith("df/" + name) and key[1] == "1"][0]
            sizes = [cell for cell in line if cell.endswith("B")]
            self.assertEqual(len(sizes), 3, line)
            for cell, wanted in zip(sizes, (rows[row]["size"], rows[row]["shared"], rows[row]["unique"])):
                shown = float(cell[:-2]) * {"kB": 1e3, "MB": 1e6}[cell[-2:]]
                self.assertAlmostEqual(shown / wanted, 1, delta=0.02, msg=line)
        self.daemon.berth("rmi", "df/a:again")
        text = self.daemon.berth("image", "df").stdout
        self.assertRegex(text, r"Together [0-9.]+\w+, of which [0-9.]+\w+ are no container's")
        self.daemon.remove_everything()
        self.forget_everything()
