"""The erofs snapshotter: layers as EROFS images, made while unpacking, mounted from their files, stacked by overlayfs."""
import glob
import os
import signal
import subprocess
import unittest

from harness import BerthTest, Daemon, wait_for
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
        self.daemon.berth("image", "rm", "--force", "--sync", name)
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
