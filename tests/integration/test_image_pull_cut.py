"""A pull that is cut again and again - connections reset, the registry restarted, berthd killed - comes to its end.

BERTH_TEST_CUTS (10) says how many cuts, BERTH_TEST_SEED where they are; the long form is 50:

    BERTH_TEST_CUTS=50 BERTH_BIN=... tests/integration/run.py test_image_pull_cut
"""
import json
import os
import signal
import subprocess
import sys
import time

from harness import wait_for
from registries import Proxy, random_points
from registry_case import RegistryImageTest
import images

CUTS = int(os.environ.get("BERTH_TEST_CUTS", "10"))
SEED = int(os.environ.get("BERTH_TEST_SEED", time.time_ns() % 1000000))
# What a cut may cost: what its connections carried and had not handed over to the upload.
RESET_OVERLAP = 512 << 10
KILL_OVERLAP = 4 << 20


class PullCutTest(RegistryImageTest):
    # Of different sizes; one is by far the largest.
    layer_bytes = tuple(megabytes << 20 for megabytes in (16, 6, 3, 3, 1))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.total = sum(len(images.gz(layer)) for layer in cls.layers)

    def workers(self):
        """Workers of this test's daemons, living or dead."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/comm" % pid) as file:
                    name = file.read().strip()
                if name == "berth-worker" and os.readlink("/proc/%s/fd/4" % pid).startswith(self.daemon.dir):
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def kill(self):
        self.daemon.process.send_signal(signal.SIGKILL)
        return False

    def cut(self, kinds):
        """Pulls through a proxy that does `kinds` in random order at random places; how many bytes it counted."""
        points, chance = random_points(SEED, len(kinds), self.total)
        chance.shuffle(kinds)

        def reset():
            return True

        def restart():
            self.registry.stop()
            self.registry.start()
            return False

        actions = {"reset": reset, "restart": restart, "kill": self.kill}
        proxy = Proxy(self.registry.port, [(point, actions[kind]) for point, kind in zip(points, kinds)])
        self.addCleanup(proxy.close)
        name = proxy.host + "/app:v1"
        print("seed %d: %s" % (SEED, ", ".join("%s at %d" % pair for pair in zip(kinds, points))))
        pulls = 0
        while True:
            pulls += 1
            result = self.daemon.berth("pull", name, check=False, timeout=120)
            if result.returncode == 0:
                break
            # Nothing but the daemon's death ends a pull.
            wait_for(lambda: self.daemon.process.poll() is not None, 5, "the end of the daemon after " + result.stderr)
            self.daemon.start()
            # No name before everything is here.
            self.assertEqual(self.out("images", "ls", "-q").split(), [])
        self.assertEqual(proxy.points, [])
        print("%d cuts, %d pulls, %d bytes of %d: %d fetched twice" % (
            len(kinds), pulls, proxy.received, self.total, proxy.received - self.total))
        sys.stdout.flush()
        there = json.loads(self.daemon.run(["skopeo", "inspect", "--tls-verify=false",
                                            "docker://%s/app:v1" % self.registry.host]).stdout)["Digest"]
        self.assertIn(there, self.out("images", "ls", "name==" + name))
        self.assertEqual(self.out("run", "--rm", name, self.name(), "ls", "/data").split(), ["f%d" % i for i in range(5)])
        self.assertEqual(self.out("content", "active").strip().split("\n")[1:], [])
        self.daemon.remove_everything()
        self.forget_everything()
        return pulls, proxy.received

    def test_resets_and_restarts_are_gone_over_by_one_pull(self):
        kinds = ["restart"] * max(1, CUTS // 10) + ["reset"] * (CUTS - max(1, CUTS // 10))
        pulls, received = self.cut(kinds)
        self.assertEqual(pulls, 1)
        self.assertLess(received, self.total + CUTS * RESET_OVERLAP)

    def test_cuts_of_all_kinds(self):
        kills, restarts = max(2, CUTS // 4), max(1, CUTS // 8)
        kinds = ["kill"] * kills + ["restart"] * restarts + ["reset"] * (CUTS - kills - restarts)
        pulls, received = self.cut(kinds)
        self.assertLessEqual(pulls, kills + 1)
        self.assertLess(received, self.total + kills * KILL_OVERLAP + (CUTS - kills) * RESET_OVERLAP)
        # A daemon's death takes its workers along; what the living one has ends when idle.
        wait_for(lambda: len(self.workers()) <= 2, 10, "the end of the killed daemons' workers")

    def test_what_is_in_the_store_is_not_asked_for_after_a_kill(self):
        """All but the last bytes came before the kill: the second pull fetches only what is missing."""
        proxy = Proxy(self.registry.port, [(self.total - (2 << 20), self.kill)])
        self.addCleanup(proxy.close)
        name = proxy.host + "/app:v1"
        self.assertNotEqual(self.daemon.berth("pull", name, check=False, timeout=60).returncode, 0)
        wait_for(lambda: self.daemon.process.poll() is not None, 10, "the killed daemon's end")
        self.daemon.start()
        before = proxy.received
        self.daemon.berth("pull", name, timeout=60)
        self.assertLess(proxy.received - before, (2 << 20) + KILL_OVERLAP)
        self.forget_everything()
