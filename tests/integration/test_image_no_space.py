"""A store whose filesystem is full: pull and load say so and what to do, leave no name, and go on once there is space."""
import os
import subprocess

from harness import BerthTest, Daemon, wait_for
from registries import Proxy, Registry
import images


class NoSpaceTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(name="nospace")
        cls.addClassCleanup(cls.daemon.stop)
        os.mkdir(cls.daemon.root)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", cls.daemon.root], check=True)
        cls.daemon.start()
        cls.counter = 0

    def resize(self, size):
        def fits():
            use = os.statvfs(self.daemon.root)
            return (use.f_blocks - use.f_bfree) * use.f_frsize < int(size[:-1]) << 20
        wait_for(fits, 30, "room for a root of " + size)  # what was removed goes in the background
        subprocess.run(["mount", "-o", "remount,size=" + size, self.daemon.root], check=True)

    def refused(self, *arguments):
        result = self.daemon.berth(*arguments, check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("full", result.stderr)
        self.assertIn("free space", result.stderr)
        self.assertEqual(self.out("images", "ls", "-q"), "")
        return result.stderr

    def test_pull_and_load(self):
        registry = Registry(self.daemon.dir + "/registry").start()
        self.addCleanup(registry.stop)
        proxy = Proxy(registry.port)
        self.addCleanup(proxy.close)
        archive = self.daemon.dir + "/large.tar"
        layers = [images.busybox_layer()] + [images.Layer().add("f%d" % i, os.urandom(15 << 20)).bytes() for i in range(2)]
        images.oci_archive(archive, "docker.io/test/large:v1", layers, images.BUSYBOX_CONFIG, compress=False)
        total = sum(len(layer) for layer in layers)
        self.daemon.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "oci-archive:" + archive,
                         "docker://%s/large:v1" % registry.host])
        name = proxy.host + "/large:v1"
        self.refused("pull", name)
        # What came stays: with space enough only the rest is fetched.
        self.resize("200m")
        before = proxy.received
        self.daemon.berth("pull", name)
        self.assertLess(proxy.received - before, total - (5 << 20))
        self.assertIn("f1", self.out("run", "--rm", name, self.name(), "ls", "/"))
        self.daemon.remove_everything()
        self.forget_everything()
        # An archive does not fit: nothing of it is left.
        self.resize("24m")
        self.refused("load", "-i", archive)
        self.resize("200m")
        self.daemon.berth("load", "-i", archive)
        self.assertIn("f1", self.out("run", "--rm", "docker.io/test/large:v1", self.name(), "ls", "/"))
        self.daemon.remove_everything()
        self.forget_everything()
