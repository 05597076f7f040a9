"""Policies of the image store: compressed layers that go once they are unpacked."""
import os

from harness import wait_for
from registry_case import RegistryImageTest
import images


class DropLayersTest(RegistryImageTest):
    """compressed_layers = "drop": the blobs of unpacked layers are left to the collection."""
    config = '[image]\ncompressed_layers = "drop"\n'
    layer_bytes = (200000,) * 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.blobs_of_layers = {images.sha(images.gz(layer)) for layer in cls.layers}

    def blobs(self):
        return set(self.out("content", "ls", "-q").split())

    def only_documents_stay(self):
        wait_for(lambda: not self.blobs() & self.blobs_of_layers, 30, "the collection of the layers' blobs")
        self.assertEqual(len(self.blobs()), 2, "manifest and config")
        stored = os.listdir(self.daemon.root + "/content/blobs/sha256")
        wait_for(lambda: len(os.listdir(self.daemon.root + "/content/blobs/sha256")) == 2, 30, "their bytes: %s" % stored)

    def runs(self, name):
        self.assertEqual(self.out("run", "--rm", name, self.name(), "ls", "/data"), "f0\nf1\nf2\n")

    def test_a_pulled_image_keeps_its_files_and_loses_its_blobs(self):
        name = self.registry.host + "/app:v1"
        self.daemon.berth("pull", "-q", name)
        self.only_documents_stay()
        self.runs(name)
        # Pulled again, nothing is fetched: it is unpacked already.
        self.daemon.berth("pull", "-q", name)
        self.assertEqual(len(self.blobs()), 2)
        # What is gone can neither be saved nor pushed, and that is said.
        refused = self.daemon.berth("save", "-o", self.daemon.dir + "/out.tar", name, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("sha256:", refused.stderr)
        # Once it is gone altogether, a pull brings it back.
        self.daemon.berth("image", "rm", "--sync", name)
        self.assertEqual(self.blobs(), set())
        self.daemon.berth("pull", "-q", name)
        self.runs(name)
        self.only_documents_stay()
        self.daemon.berth("image", "rm", "--sync", name)

    def test_a_loaded_image_too(self):
        self.daemon.berth("load", "-q", "-i", self.archive)
        self.only_documents_stay()
        self.runs("docker.io/test/app:v1")
        self.daemon.berth("image", "rm", "--sync", "docker.io/test/app:v1")
        self.assertEqual(self.out("snapshots", "ls").strip().split("\n")[1:], [])
