"""The erofs snapshotter: layers as EROFS images, made while unpacking, mounted from their files, stacked by overlayfs."""
import glob
import os
import signal
import subprocess
import unittest

from harness import BIN, BerthTest, Daemon, wait_for
from registries import Registry
import images


def able():
    """Whether this kernel's daemon offers it; asked of a daemon of its own."""
    daemon = Daemon(name="erofs-probe").start()
    try:
        rows = [line.split() for line in daemon.ctr("plugins", "ls").stdout.splitlines() if " erofs " in line]
        return rows and rows[0][-1] == "ok"
    finally:
        daemon.stop()


class ErofsTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        if not able():
            raise unittest.SkipTest("this kernel does not mount EROFS images from files")
        super().setUpClass()
        cls.registry = Registry(cls.daemon.dir + "/registry").start()
        cls.addClassCleanup(cls.registry.stop)
        top = images.Layer().dir("data").add("data/.wh.f0").add("data/f9", b"nine").hard("data/linked", "data/f1").add(
            "etc/.wh..wh..opq").add("etc/only", b"this").bytes()
        cls.layers = [images.busybox_layer()]
        for i in range(5):
            cls.layers.append(images.Layer().dir("data").add("data/f%d" % i, (b"%d" % i) * 5000, mode=0o640 + i, uid=i).bytes())
        # Not described, and of other layers: the directory etc, and the file that is linked.
        cls.layers.append(top)
        cls.archive = cls.daemon.dir + "/e.tar"
        images.oci_archive(cls.archive, "docker.io/test/e:v1", cls.layers, images.BUSYBOX_CONFIG)

    def erofs_mounts(self):
        with open("/proc/self/mountinfo") as table:
            return [line.split()[4] for line in table if " - erofs " in line and self.daemon.root in line]

    def images_of_layers(self):
        return glob.glob(self.daemon.root + "/snapshots/erofs/layers/*/layer.erofs")

    def remove(self, name):
        self.daemon.remove_everything()
        # Leases keep what a load brought that was killed.
        self.forget_everything()
        wait_for(lambda: self.erofs_mounts() == [] and self.images_of_layers() == [], 30, "layers to go")
        self.assertEqual(os.listdir(self.daemon.root + "/snapshots/erofs/layers"), [])

    def shows(self, name, *options):
        script = "cd /data; ls; stat -c '%a %u %h' f1 f4 linked; cat f9; md5sum < f3; ls /etc"
        return self.out("run", "--rm", *options, name, self.name(), "sh", "-c", script)

    def same_as_overlayfs(self, name):
        self.daemon.berth("load", "-q", "-i", self.archive)
        self.assertEqual(self.shows(name), self.shows(name, "--snapshotter", "erofs"))

    def test_a_loaded_image_runs_as_on_overlayfs(self):
        self.daemon.berth("--snapshotter", "erofs", "load", "-q", "-i", self.archive)
        self.assertEqual(len(self.images_of_layers()), 7)
        for image in self.images_of_layers():
            subprocess.run(["fsck.erofs", image], check=True, stdout=subprocess.DEVNULL)
        self.same_as_overlayfs("docker.io/test/e:v1")
        self.assertEqual(len(self.erofs_mounts()), 7)
        self.remove("docker.io/test/e:v1")

    def test_a_pulled_image_is_written_below_by_nobody(self):
        self.daemon.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "oci-archive:" + self.archive, "docker://%s/e:v1" % self.registry.host])
        name = self.registry.host + "/e:v1"
        self.daemon.berth("--snapshotter", "erofs", "pull", "-q", name)
        before = {path: images.sha(open(path, "rb").read()) for path in self.images_of_layers()}
        wrote = "rm /data/f1; echo more >> /data/f2; mkdir /data/new; cat /data/f2 | tail -c 5"
        self.assertEqual(self.out("run", "--snapshotter", "erofs", "--rm", name, self.name(), "sh", "-c", wrote), "more\n")
        self.assertEqual({path: images.sha(open(path, "rb").read()) for path in self.images_of_layers()}, before)
        # The same layers, made twice, are the same bytes.
        self.remove(name)
        self.daemon.berth("--snapshotter", "erofs", "pull", "-q", name)
        self.assertEqual({images.sha(open(path, "rb").read()) for path in self.images_of_layers()}, set(before.values()))
        self.remove(name)

    def test_a_client_that_unpacks_by_itself(self):
        self.ctr("images", "import", "--snapshotter", "erofs", self.archive)
        self.assertEqual(len(self.images_of_layers()), 7)
        self.same_as_overlayfs("docker.io/test/e:v1")
        self.remove("docker.io/test/e:v1")

    def test_a_kill_in_the_middle_of_unpacking_is_gone_over(self):
        big = images.Layer().dir("big")
        for i in range(24):
            big.add("big/f%d" % i, os.urandom(1 << 20) * 3)
        path = self.daemon.dir + "/big.tar"
        images.oci_archive(path, "docker.io/test/big:v1", self.layers + [big.bytes()] * 2, images.BUSYBOX_CONFIG)
        for _ in range(3):
            load = subprocess.Popen([BIN + "/berth", "-a", self.daemon.sock, "-n", self.daemon.namespace, "--snapshotter", "erofs", "load", "-q", "-i", path],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: any(os.path.getsize(image) > (4 << 20) for image in self.images_of_layers()), 60, "a layer to grow")
            self.daemon.process.send_signal(signal.SIGKILL)
            self.daemon.process.wait()
            load.wait(60)
            self.daemon.start()
            self.assertNotIn("test/big", self.out("images", "ls"))
        self.daemon.berth("--snapshotter", "erofs", "load", "-q", "-i", path)
        self.assertEqual(self.out("run", "--rm", "--snapshotter", "erofs", "docker.io/test/big:v1", self.name(), "sh", "-c",
                                  "cat /big/* | wc -c"), "%d\n" % (24 * 3 << 20))
        self.assertEqual(self.daemon.berth("fsck", timeout=120).returncode, 0)
        committed = self.committed()
        self.assertEqual(len(committed), 9)
        self.remove("docker.io/test/big:v1")

    def committed(self):
        rows = [line.split() for line in self.out("snapshots", "--snapshotter", "erofs", "ls").splitlines()[1:]]
        return [row[0] for row in rows if row[-1] == "Committed"]

    def test_usage_commit_and_what_is_made_on_it(self):
        self.daemon.berth("--snapshotter", "erofs", "load", "-q", "-i", self.archive)
        snapshots = ("snapshots", "--snapshotter", "erofs")
        self.ctr("run", "--snapshotter", "erofs", "docker.io/test/e:v1", "writer", "sh", "-c",
                 "rm /data/f1; rm -r /data/linked; dd if=/dev/zero bs=1M count=2 2>/dev/null | tr '\\0' x > /data/big; "
                 "mkdir -p /data/deep/er; ln -s ../big /data/deep/link; chown 7:8 /data/deep; chmod 750 /data/deep")
        self.ctr("containers", "label", "writer", "kept=1")
        self.ctr(*snapshots, "commit", "changed", "writer")
        usage = [line.split() for line in self.out(*snapshots, "usage", "changed").splitlines()][1]
        self.assertEqual(usage[0], "changed")
        # It is an image now, which erofs-utils judge, and its size is that of the image's file.
        for image in self.images_of_layers():
            subprocess.run(["fsck.erofs", image], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(len(self.images_of_layers()), 8)
        dump = [subprocess.run(["dump.erofs", "-s", image], check=True, capture_output=True, text=True).stdout
                for image in self.images_of_layers()]
        self.assertTrue(all("Filesystem magic number:" in text for text in dump), dump)
        self.ctr(*snapshots, "prepare", "again", "changed")
        target = self.daemon.dir + "/again"
        os.makedirs(target)
        mount = self.out(*snapshots, "mounts", target, "again").split()
        subprocess.run(mount, check=True)
        try:
            self.assertFalse(os.path.exists(target + "/data/f1"))
            self.assertFalse(os.path.exists(target + "/data/linked"))
            self.assertTrue(os.path.exists(target + "/data/f2"))
            self.assertEqual(os.path.getsize(target + "/data/big"), 2 << 20)
            self.assertEqual(os.readlink(target + "/data/deep/link"), "../big")
            info = os.stat(target + "/data/deep")
            self.assertEqual((info.st_mode & 0o7777, info.st_uid, info.st_gid), (0o750, 7, 8))
        finally:
            subprocess.run(["umount", target], check=True)
        # What a client unpacks or a container wrote is compared as any other's.
        diff = self.out("snapshots", "--snapshotter", "erofs", "ls")
        self.assertIn("changed", diff)
        self.ctr(*snapshots, "rm", "again")
        self.ctr(*snapshots, "rm", "changed")
        self.remove("docker.io/test/e:v1")

    def test_berths_own_containers_and_pruning(self):
        self.ctr("namespaces", "label", self.daemon.namespace, "containerd.io/defaults/snapshotter=erofs")
        self.addCleanup(self.ctr, "namespaces", "label", self.daemon.namespace, "containerd.io/defaults/snapshotter=")
        self.daemon.berth("load", "-q", "-i", self.archive)
        self.assertEqual(len(self.images_of_layers()), 7)
        self.daemon.berth("run", "--name", "mine", "test/e:v1", "sh", "-c", "echo kept > /data/kept; rm -f /data/f2")
        # Started again by a daemon that was killed.
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()
        self.daemon.start()
        self.assertEqual(self.daemon.berth("start", "-a", "mine").returncode, 0)
        self.assertEqual(self.daemon.berth("cp", "mine:/data/kept", "-").returncode, 0)
        changed = self.daemon.berth("diff", "mine").stdout.split("\n")
        self.assertIn("A /data/kept", changed)
        self.assertIn("D /data/f2", changed)
        self.daemon.berth("rm", "mine")
        self.daemon.berth("image", "prune", "-a", "-f")
        wait_for(lambda: self.erofs_mounts() == [] and self.images_of_layers() == [], 30, "layers to go")
        self.assertEqual(os.listdir(self.daemon.root + "/snapshots/erofs/layers"), [])

    def test_containers_outlive_the_daemon_and_a_boot_mounts_again(self):
        self.daemon.berth("--snapshotter", "erofs", "load", "-q", "-i", self.archive)
        self.ctr("run", "-d", "--snapshotter", "erofs", "docker.io/test/e:v1", "stays", "sleep", "1000")
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()
        self.daemon.start()
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "a", "stays", "cat", "/data/f9"), "nine")
        self.ctr("tasks", "kill", "-s", "KILL", "stays")
        self.daemon.remove_everything()
        # As after a boot: nothing is mounted.
        for target in self.erofs_mounts():
            subprocess.run(["umount", target], check=True)
        self.assertEqual(self.out("run", "--rm", "--snapshotter", "erofs", "docker.io/test/e:v1", self.name(), "cat", "/data/f9"), "nine")
        self.assertEqual(self.daemon.berth("fsck", timeout=120).returncode, 0)
        self.remove("docker.io/test/e:v1")
