"""Bad input gets a clear error, and nothing is lost or left."""
import json
import os
import subprocess
import unittest

from harness import BUSYBOX, BIN, BerthTest, Daemon, STOCK, wait_for
import images


class BadArchivesTest(BerthTest):
    busybox = False

    def path(self, name):
        return os.path.join(self.daemon.dir, name)

    def assert_empty(self):
        self.ctr("leases", "create", "--id", "collect")
        self.ctr("leases", "delete", "--sync", "collect")
        self.assertEqual(self.out("images", "ls", "-q").split(), [])
        self.assertEqual(self.out("snapshots", "ls").strip().split("\n")[1:], [])

    def test_truncated_archive(self):
        images.busybox(self.path("whole.tar"))
        with open(self.path("whole.tar"), "rb") as whole, open(self.path("cut.tar"), "wb") as cut:
            cut.write(whole.read(700000))
        self.fails("images", "import", self.path("cut.tar"))
        self.assert_empty()

    def test_garbage(self):
        with open(self.path("garbage.tar"), "wb") as file:
            file.write(os.urandom(4096))
        self.fails("images", "import", self.path("garbage.tar"))
        self.assert_empty()

    def corrupt_layer(self, change):
        """Imports an OCI archive whose layer blob is `change(blob)` under a digest that matches the changed bytes."""
        layer = images.busybox_layer()
        original = images.gz
        images.gz = lambda data: change(original(data))
        try:
            path = images.oci_archive(self.path("bad.tar"), "docker.io/test/bad:1", [layer], images.BUSYBOX_CONFIG)
        finally:
            images.gz = original
        return self.fails("images", "import", path)

    def test_layer_that_ends_early(self):
        self.corrupt_layer(lambda blob: blob[:len(blob) // 2])
        self.remove_bad()

    def test_layer_with_flipped_bytes(self):
        def flip(blob):
            middle = len(blob) // 2
            return blob[:middle] + bytes([blob[middle] ^ 0xff]) + blob[middle + 1:]
        self.corrupt_layer(flip)
        self.remove_bad()

    def remove_bad(self):
        for name in self.out("images", "ls", "-q").split():
            self.ctr("images", "rm", "--sync", name)
        self.assert_empty()

    def test_diff_id_that_lies(self):
        original = images.image_config
        images.image_config = lambda layers, config: original([b"other bytes"], config)
        try:
            path = images.oci_archive(self.path("lie.tar"), "docker.io/test/lie:1", [images.busybox_layer()],
                                      images.BUSYBOX_CONFIG)
        finally:
            images.image_config = original
        self.assertIn("wrong diff id", self.fails("images", "import", path).stderr)
        self.remove_bad()

    def hostile(self, layer):
        """Imports an image with `layer` on top; whatever it answers, the host must be as before."""
        path = images.docker_archive(self.path("hostile.tar"), "docker.io/test/hostile:1",
                                     [images.busybox_layer(), layer], images.BUSYBOX_CONFIG)
        result = self.ctr("images", "import", path, check=False)
        self.assertFalse(os.path.exists("/berth-escaped"))
        self.assertFalse(os.path.exists(self.daemon.root + "/berth-escaped"))
        self.remove_bad()
        return result

    def test_entry_above_the_root(self):
        self.hostile(images.Layer().add("../../../../../../../../berth-escaped", b"x").bytes())

    def test_absolute_entry_stays_inside(self):
        self.hostile(images.Layer().add("/berth-escaped", b"x").bytes())

    def test_entry_through_a_link(self):
        self.hostile(images.Layer().link("out", "/").add("out/berth-escaped", b"x").bytes())
        self.hostile(images.Layer().link("out", "../../../../../../../../").add("out/berth-escaped", b"x").bytes())

    def test_hard_link_to_the_host(self):
        secret = self.path("secret")
        with open(secret, "w") as file:
            file.write("secret")
        self.hostile(images.Layer().hard("stolen", "../../../../../../../.." + secret).bytes())
        self.assertEqual(os.stat(secret).st_nlink, 1)

    def test_whiteout_of_the_parent(self):
        self.hostile(images.Layer().add(".wh...", b"").add("a/.wh..", b"").bytes())


class BadSpecsTest(BerthTest):
    def create(self, change):
        """Creates and starts a container whose otherwise good spec went through `change`."""
        name = self.name()
        self.ctr("containers", "create", BUSYBOX, name, "sleep", "1000")
        spec = json.loads(self.out("containers", "info", name))["Spec"]
        self.ctr("containers", "rm", name)
        spec["root"]["path"] = "rootfs"
        change(spec)
        path = self.daemon.dir + "/spec.json"
        with open(path, "w") as file:
            json.dump(spec, file)
        self.ctr("containers", "create", "--config", path, name)
        return self.ctr("tasks", "start", "-d", name, check=False)

    def refused(self, change, *words):
        result = self.create(change)
        self.assertNotEqual(result.returncode, 0)
        for word in words if not STOCK else ():
            self.assertIn(word, result.stderr)

    def test_unknown_namespace(self):
        self.refused(lambda s: s["linux"]["namespaces"].append({"type": "planet"}), "$.linux.namespaces[", "planet")

    def test_no_args(self):
        self.refused(lambda s: s["process"].update(args=[]), "$.process.args")

    def test_relative_cwd(self):
        self.refused(lambda s: s["process"].update(cwd="tmp"), "$.process.cwd")

    def test_unknown_rlimit(self):
        self.refused(lambda s: s["process"].update(rlimits=[{"type": "RLIMIT_LUCK", "hard": 1, "soft": 1}]), "RLIMIT_LUCK")

    def test_mount_without_destination(self):
        self.refused(lambda s: s["mounts"].append({"type": "tmpfs", "source": "tmpfs"}), "$.mounts[")


@unittest.skipIf(STOCK, "asks for berthd")
class DaemonErrorsTest(BerthTest):
    busybox = False

    def berthd(self, *arguments):
        return subprocess.run([BIN + "/berthd"] + list(arguments), capture_output=True, text=True, timeout=20)

    def test_second_daemon_is_refused_by_pid(self):
        result = self.berthd("--root", self.daemon.root, "--state", self.daemon.state, "--address", self.daemon.sock)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(str(self.daemon.process.pid), result.stderr)
        self.ctr("version")

    def test_unknown_configuration_key(self):
        path = self.daemon.dir + "/bad.toml"
        with open(path, "w") as file:
            file.write("root = \"/x\"\n\n[grpc]\nadress = \"/y\"\n")
        result = self.berthd("--config", path, "config", "dump")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("bad.toml", result.stderr)
        self.assertIn(":4", result.stderr)
        self.assertIn("adress", result.stderr)

    def test_default_configuration_is_accepted(self):
        path = self.daemon.dir + "/default.toml"
        with open(path, "w") as file:
            file.write(self.berthd("config", "default").stdout)
        result = self.berthd("--config", path, "config", "dump")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_socket_mode(self):
        self.assertEqual(os.stat(self.daemon.sock).st_mode & 0o777, 0o660)


@unittest.skipIf(STOCK, "asks for berthd")
class FullDiskTest(BerthTest):
    """The store lies on a small filesystem that an import fills."""
    busybox = False

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(name="full")
        cls.addClassCleanup(cls.daemon.stop)
        os.makedirs(cls.daemon.root)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "berth-test", cls.daemon.root], check=True)
        cls.addClassCleanup(lambda: subprocess.run(["umount", "-l", cls.daemon.root]))
        cls.daemon.start()
        cls.counter = 0

    def test_import_into_a_full_store(self):
        big = images.Layer().add("big", os.urandom(16 << 20)).bytes()
        path = images.docker_archive(self.daemon.dir + "/big.tar", "docker.io/test/big:1", [big], images.BUSYBOX_CONFIG)
        result = self.fails("images", "import", path, timeout=120)
        self.assertRegex(result.stderr, "(?i)no space|space left|full")
        # The daemon lives, and what was written can be given back.
        self.ctr("version")
        for ref in self.out("content", "active").strip().split("\n")[1:]:
            self.ctr("content", "ingest", "--help", check=False)
        self.ctr("leases", "create", "--id", "collect")
        self.ctr("leases", "delete", "--sync", "collect")
        images.hello_world(self.daemon.dir + "/small.tar", "/usr/bin/busybox")
        for name in self.out("images", "ls", "-q").split():
            self.ctr("images", "rm", "--sync", name)

        def fits():
            return self.ctr("images", "import", self.daemon.dir + "/small.tar", check=False).returncode == 0
        wait_for(fits, 20, "room for a small image")
        self.ctr("images", "rm", "--sync", "docker.io/library/hello-world:latest")
