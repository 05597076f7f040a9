"""An image of 12 layers and 300 MB of this machine's packages: in by an archive, out to a registry, to ctr, skopeo and umoci."""
import hashlib
import io
import tarfile
import unittest

from harness import BerthTest
from registries import Registry
import images

LAYERS = 12


class LargeImageTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.daemon.dir + "/registry").start()
        cls.addClassCleanup(cls.registry.stop)
        layers = images.machine_layers(300 << 20, LAYERS)
        cls.sums = {}
        for layer in layers:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                for member in tar:
                    if member.isfile():
                        cls.sums["/" + member.name] = hashlib.sha256(tar.extractfile(member).read()).hexdigest()
        cls.plain = cls.daemon.dir + "/plain.tar"
        images.oci_archive(cls.plain, "docker.io/test/large:1", [images.busybox_layer()] + layers, images.BUSYBOX_CONFIG, compress=False)

    def holds_all(self, snapshotter, name):
        out = self.out("run", "--rm", "--snapshotter", snapshotter, name, self.name(), "sh", "-c",
                       "find /usr -type f -print0 | xargs -0 sha256sum", timeout=300)
        found = dict(reversed(line.split("  ", 1)) for line in out.splitlines())
        self.assertEqual({path: found.get(path) for path in self.sums}, self.sums)

    def digest(self, name):
        return images.sha(self.daemon.run(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + name]).stdout.encode())

    def target(self, name):
        return [line.split()[2] for line in self.out("images", "ls").splitlines() if line.startswith(name + " ")][0]

    def test_every_file_comes_through(self):
        name = self.registry.host + "/large:1"
        self.daemon.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "oci-archive:" + self.plain, "docker://" + name], timeout=400)
        digest = self.digest(name)
        self.daemon.berth("pull", "-q", name, timeout=300)
        self.assertEqual(self.target(name), digest)
        self.holds_all("overlayfs", name)
        # Elsewhere, and from there by others' programs: the same digest and files.
        other = self.registry.host + "/other/large:1"
        self.daemon.berth("push", "-q", name, other, timeout=300)
        self.assertEqual(self.digest(other), digest)
        archive = self.daemon.dir + "/saved.tar"
        self.daemon.berth("save", "-o", archive, name, timeout=300)
        self.assertEqual(images.sha(self.daemon.run(["skopeo", "inspect", "--raw", "oci-archive:" + archive]).stdout.encode()), digest)
        self.forget_everything()
        self.ctr("images", "import", archive, timeout=300)
        self.assertEqual(self.target(name), digest)
        self.holds_all("overlayfs", name)
        self.forget_everything()
        plugins = [line.split() for line in self.out("plugins", "ls").splitlines() if " erofs " in line]
        if plugins and plugins[0][-1] == "ok":
            self.daemon.berth("--snapshotter", "erofs", "load", "-q", "-i", archive, timeout=300)
            self.holds_all("erofs", name)
            self.daemon.remove_everything()
            self.forget_everything()
        layout = self.daemon.dir + "/layout"
        self.daemon.run(["skopeo", "copy", "-q", "oci-archive:" + archive, "oci:%s:1" % layout], timeout=300)
        self.daemon.run(["umoci", "unpack", "--image", layout + ":1", self.daemon.dir + "/bundle"], timeout=300)
        for path in list(self.sums)[::97]:
            with open(self.daemon.dir + "/bundle/rootfs" + path, "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).hexdigest(), self.sums[path], path)


if __name__ == "__main__":
    unittest.main()
