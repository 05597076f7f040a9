"""ctr images, content and snapshots over archives of every common form."""
import hashlib
import json
import os
import tarfile

from harness import BUSYBOX, BerthTest
import images


class ImagesTest(BerthTest):
    busybox = False

    def archive(self, name):
        return os.path.join(self.daemon.dir, name)

    def remove(self, *names):
        self.ctr("images", "rm", "--sync", *names)

    def many_layers(self):
        layers = [images.busybox_layer()]
        for i in range(12):
            layers.append(images.Layer().dir("data").add("data/f%d" % i, b"layer %d\n" % i, 0o600 + i).bytes())
        layers.append(images.Layer().add("data/.wh.f3").add("data/f4", b"changed\n").bytes())
        layers.append(images.Layer().dir("opaque").add("opaque/old", b"old").bytes())
        layers.append(images.Layer().add("opaque/.wh..wh..opq").add("opaque/new", b"new").bytes())
        return layers

    def test_docker_archive_import_list_run(self):
        images.busybox(self.archive("d.tar"))
        out = self.out("images", "import", self.archive("d.tar"))
        self.assertIn("busybox", out)
        line = [l for l in self.out("images", "ls").split("\n") if l.startswith(BUSYBOX)][0]
        self.assertIn("application/vnd.docker.distribution.manifest.v2+json", line)
        self.assertIn("linux/amd64", line)
        self.assertEqual(self.out("images", "ls", "-q").split(), [BUSYBOX])
        self.assertIn("hi there", self.out("run", "--rm", BUSYBOX, self.name(), "echo", "hi there"))
        self.remove(BUSYBOX)
        self.assertEqual(self.out("images", "ls", "-q").split(), [])

    def test_oci_archive_with_many_layers(self):
        path = images.oci_archive(self.archive("o.tar"), "docker.io/test/many:v1", self.many_layers(),
                                  images.BUSYBOX_CONFIG)
        self.ctr("images", "import", path)
        out = self.out("run", "--rm", "docker.io/test/many:v1", self.name(), "sh", "-c",
                       "ls /data; cat /data/f4; ls /opaque; stat -c %a /data/f5")
        lines = out.split()
        self.assertNotIn("f3", lines)
        self.assertIn("f11", lines)
        self.assertIn("changed", lines)
        self.assertNotIn("old", lines)
        self.assertIn("new", lines)
        self.assertIn("605", lines)
        self.remove("docker.io/test/many:v1")

    def test_check_tag_label_and_remove(self):
        images.busybox(self.archive("c.tar"))
        self.ctr("images", "import", self.archive("c.tar"))
        self.assertRegex(self.out("images", "check"), r"complete \(2/2\).*true")
        self.ctr("images", "tag", BUSYBOX, "docker.io/test/other:2")
        self.fails("images", "tag", BUSYBOX, "docker.io/test/other:2", words=["already exists"])
        self.ctr("images", "label", BUSYBOX, "color=green")
        self.assertIn("color=green", self.out("images", "ls"))
        self.remove(BUSYBOX)
        self.assertIn("hi", self.out("run", "--rm", "docker.io/test/other:2", self.name(), "echo", "hi"))
        self.remove("docker.io/test/other:2")
        self.assertEqual(self.out("content", "ls", "-q").split(), [])
        self.assertEqual(self.out("snapshots", "ls").strip().split("\n")[1:], [])
        # ctr reports the unknown name and goes on.
        self.assertIn("not found", self.ctr("images", "rm", "docker.io/none/none:1", check=False).stderr)

    def test_export_can_be_imported_again(self):
        path = images.oci_archive(self.archive("e.tar"), "docker.io/test/e:v1", [images.busybox_layer()],
                                  images.BUSYBOX_CONFIG)
        self.ctr("images", "import", path)
        digests = sorted(self.out("content", "ls", "-q").split())
        self.ctr("images", "export", self.archive("e2.tar"), "docker.io/test/e:v1")
        self.remove("docker.io/test/e:v1")
        self.assertEqual(self.out("content", "ls", "-q").split(), [])
        self.ctr("images", "import", self.archive("e2.tar"))
        again = self.out("content", "ls", "-q").split()
        for digest in digests[:]:
            if digest in again:
                digests.remove(digest)
        # The index is written anew by the client; manifest, config and layer keep their digests.
        self.assertLessEqual(len(digests), 1)
        self.assertIn("ok", self.out("run", "--rm", "docker.io/test/e:v1", self.name(), "echo", "ok"))
        self.remove("docker.io/test/e:v1")

    def test_import_through_native_snapshotter(self):
        images.busybox(self.archive("n.tar"))
        self.ctr("images", "import", "--snapshotter", "native", self.archive("n.tar"))
        self.assertIn("native", self.out("run", "--rm", "--snapshotter", "native", BUSYBOX, self.name(),
                                         "echo", "native"))
        self.remove(BUSYBOX)

    def test_mount_and_unmount(self):
        images.busybox(self.archive("m.tar"))
        self.ctr("images", "import", self.archive("m.tar"))
        target = self.archive("mnt")
        os.mkdir(target)
        self.ctr("images", "mount", BUSYBOX, target)
        self.assertTrue(os.path.exists(target + "/bin/busybox"))
        self.ctr("images", "unmount", "--rm", target)
        self.assertFalse(os.path.exists(target + "/bin/busybox"))
        self.remove(BUSYBOX)


class ContentTest(BerthTest):
    busybox = False

    def test_ingest_get_label_remove(self):
        data = os.urandom(300000)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.daemon.run(self.daemon.ctr_argv("content", "ingest", "--expected-digest", digest, "--expected-size",
                                             str(len(data)), "ref1"), input=data, text=False)
        got = self.daemon.run(self.daemon.ctr_argv("content", "get", digest), text=False).stdout
        self.assertEqual(got, data)
        self.ctr("content", "label", digest, "kind=test")
        self.assertIn("kind=test", self.out("content", "ls"))
        self.assertIn(digest, self.out("content", "ls", "-q"))
        self.ctr("content", "rm", digest)
        self.assertNotIn(digest, self.out("content", "ls", "-q"))
        self.fails("content", "get", digest, words=["not found"])

    def test_wrong_digest_and_size_store_nothing(self):
        data = b"some words"
        wrong = "sha256:" + "0" * 64
        result = self.daemon.run(self.daemon.ctr_argv("content", "ingest", "--expected-digest", wrong, "ref2"),
                                 input=data, text=False, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"unexpected commit digest", result.stderr)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        result = self.daemon.run(self.daemon.ctr_argv("content", "ingest", "--expected-digest", digest,
                                                      "--expected-size", "3", "ref3"), input=data, text=False, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(self.out("content", "ls", "-q").split(), [])

    def test_same_content_twice(self):
        data = b"twice"
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        for ref in ("r1", "r2"):
            self.daemon.run(self.daemon.ctr_argv("content", "ingest", "--expected-digest", digest, "--expected-size",
                                                 "5", ref), input=data, text=False)
        self.assertEqual(self.out("content", "ls", "-q").split(), [digest])
        self.ctr("content", "rm", digest)

    def test_empty_blob(self):
        digest = "sha256:" + hashlib.sha256(b"").hexdigest()
        self.daemon.run(self.daemon.ctr_argv("content", "ingest", "--expected-digest", digest, "empty"), input=b"",
                        text=False)
        self.assertEqual(self.daemon.run(self.daemon.ctr_argv("content", "get", digest), text=False).stdout, b"")
        self.ctr("content", "rm", digest)


class SnapshotsTest(BerthTest):
    def top(self):
        """The chain id of busybox's only layer."""
        return [l.split()[0] for l in self.out("snapshots", "ls").split("\n") if "Committed" in l][0]

    def setUp(self):
        super().setUp()
        self.ctr("run", "--rm", BUSYBOX, self.name("warm"), "true")

    def test_prepare_view_mounts_commit_tree_usage_remove(self):
        parent = self.top()
        out = self.out("snapshots", "prepare", "--target", "/mnt", "work", parent)
        self.assertIn("mount -t overlay overlay /mnt", out)
        self.assertIn("upperdir=", out)
        self.assertEqual(out, self.out("snapshots", "mounts", "/mnt", "work"))
        upper = out.split("upperdir=")[1].split(",")[0].split(" ")[0].strip()
        with open(upper + "/hello", "w") as file:
            file.write("x" * 10000)
        self.ctr("snapshots", "commit", "done", "work")
        self.fails("snapshots", "mounts", "/mnt", "done", words=["committed"])
        view = self.out("snapshots", "view", "--target", "/mnt", "look", "done")
        self.assertIn("lowerdir=", view)
        self.assertNotIn("upperdir=", view)
        tree = self.out("snapshots", "tree")
        self.assertIn("done", tree)
        self.assertIn("look", tree)
        info = self.out("snapshots", "info", "done")
        self.assertIn('"Kind": "Committed"', info)
        usage = self.out("snapshots", "usage", "done")
        self.assertIn("done", usage)
        self.fails("snapshots", "rm", "done", words=["failed precondition"])
        self.ctr("snapshots", "rm", "look")
        self.ctr("snapshots", "rm", "done")
        self.fails("snapshots", "info", "done", words=["not found"])

    def test_errors(self):
        self.fails("snapshots", "prepare", "x", "no-such-parent", words=["not found"])
        parent = self.top()
        self.ctr("snapshots", "prepare", "twice", parent)
        self.fails("snapshots", "prepare", "twice", parent, words=["already exists"])
        self.fails("snapshots", "--snapshotter", "nope", "ls", words=["nope"])
        self.fails("snapshots", "commit", "n", "unknown", words=["not found"])
        self.ctr("snapshots", "rm", "twice")

    def test_label_and_list(self):
        parent = self.top()
        self.ctr("snapshots", "prepare", "lab", parent)
        self.ctr("snapshots", "label", "lab", "a=b")
        self.assertIn('"a": "b"', self.out("snapshots", "info", "lab"))
        self.ctr("snapshots", "rm", "lab")

    def test_diff_of_a_changed_container(self):
        name = self.run_detached("sh", "-c", "echo new > /added; rm /etc/group; exec sleep 1000")
        self.ctr("tasks", "exec", "--exec-id", "sync", name, "sh", "-c",
                 "while ! [ -e /added ] || [ -e /etc/group ]; do sleep 0.1; done")
        path = self.daemon.dir + "/diff.tar.gz"
        data = self.daemon.run(self.daemon.ctr_argv("snapshots", "diff", "--keep", name), text=False).stdout
        with open(path, "wb") as file:
            file.write(data)
        with tarfile.open(path) as tar:
            names = [n.lstrip("/") for n in tar.getnames()]
        self.assertIn("added", names)
        self.assertIn("etc/.wh.group", names)
