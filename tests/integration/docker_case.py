"""berthd with a few images, and `berth` as a user types it: the base of the tests of Docker's verbs."""
import os
import shutil
import subprocess

from harness import BIN, BerthTest
import images
from terminal import Terminal


class DockerTest(BerthTest):
    """berthd with busybox, hello-world, alpine and, where it is installed, redis."""
    busybox = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, make in (("busybox", images.busybox), ("hello", lambda p: images.greeting(p, "Hello from Berth!")),
                           ("alpine", lambda p: images.busybox(p, "docker.io/library/alpine:latest"))):
            path = "%s/%s.tar" % (cls.daemon.dir, name)
            make(path)
            cls.daemon.berth("image", "load", "-i", path)
        if shutil.which("redis-server"):
            images.redis(cls.daemon.dir + "/redis.tar")
            cls.daemon.berth("image", "load", "-i", cls.daemon.dir + "/redis.tar")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_containers)

    def remove_containers(self):
        for name in self.daemon.berth("ps", "-aq", check=False).stdout.split():
            self.daemon.berth("rm", "-f", "-v", name, check=False)

    def between(self):
        """What happens between two steps of the tutorial."""

    def berth(self, *arguments, **options):
        self.between()
        return self.daemon.berth(*arguments, **options).stdout

    def fails(self, code, *arguments, words=(), **options):
        self.between()
        result = self.daemon.berth(*arguments, check=False, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        return result

    def env(self):
        return {"BERTH_ADDRESS": self.daemon.sock, "BERTH_NAMESPACE": self.daemon.namespace}

    def terminal(self, *arguments, **options):
        terminal = Terminal([BIN + "/berth"] + list(arguments), self.env(), **options)
        self.addCleanup(terminal.close)
        return terminal

    def in_background(self, *arguments, **options):
        process = subprocess.Popen([BIN + "/berth"] + list(arguments), env=dict(os.environ, **self.env()),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process
