"""A test class with a registry of its own that holds one image, test/app:v1, of layers that do not compress."""
import os

from harness import BerthTest
from registries import Registry
import images


class RegistryImageTest(BerthTest):
    busybox = False
    layer_bytes = ()  # of each layer above busybox; each holds one file, /data/f<number>

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.daemon.dir + "/registry").start()
        cls.addClassCleanup(cls.registry.stop)
        cls.layers = [images.busybox_layer()]
        for i, size in enumerate(cls.layer_bytes):
            cls.layers.append(images.Layer().dir("data").add("data/f%d" % i, os.urandom(size)).bytes())
        cls.archive = cls.daemon.dir + "/app.tar"
        images.oci_archive(cls.archive, "docker.io/test/app:v1", cls.layers, images.BUSYBOX_CONFIG)
        cls.seed("app:v1")

    @classmethod
    def seed(cls, name, archive=None):
        """Puts the image (or `archive`'s) into the registry."""
        cls.daemon.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "oci-archive:" + (archive or cls.archive),
                        "docker://%s/%s" % (cls.registry.host, name)])
