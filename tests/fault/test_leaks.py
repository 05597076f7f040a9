"""Many lives leave nothing: processes, mounts, control groups, namespaces, files, FIFOs, or memory in the daemon."""
import glob
import os
import subprocess
import sys
import unittest

from fault import FaultTest, amount, resident_kib
from harness import BIN, BUSYBOX, SANITIZED

MEMORY_BOUND_KIB = 4096
WARM_UP_CYCLES = 5


def network_namespaces(daemon):
    """Those held by processes of this daemon's containers, by its shims and by itself: others may run containers too."""
    found = set()
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(path + "/cgroup") as file:
                ours = "/%s/" % daemon.namespace in file.read()
            with open(path + "/cmdline") as file:
                ours = ours or daemon.dir + "/" in file.read()
            if ours:
                found.add(os.readlink(path + "/ns/net"))
        except OSError:
            pass
    return found


class CyclesTest(FaultTest):
    def cycle(self):
        name = self.name()
        self.ctr("run", "-d", BUSYBOX, name, "sleep", "1000")
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", name, "echo", "hi"), "hi\n")
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        self.ctr("tasks", "rm", "-f", name)
        self.ctr("containers", "rm", name)

    def open_descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.daemon.process.pid))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.daemon.process.pid))

    def test_cycles_leave_nothing(self):
        for _ in range(WARM_UP_CYCLES):
            self.cycle()
        pid = self.daemon.process.pid
        memory, descriptors, threads = resident_kib(pid), self.open_descriptors(), self.threads()
        namespaces = network_namespaces(self.daemon)
        temporary = set(os.listdir("/tmp"))
        for _ in range(amount(20, 200)):
            self.cycle()
        if not SANITIZED:
            self.assertLess(resident_kib(pid), memory + MEMORY_BOUND_KIB)
        self.assertLessEqual(self.open_descriptors(), descriptors + 8)  # pooled readers of the database
        self.assertLessEqual(self.threads(), threads + 4)
        self.assertLessEqual(network_namespaces(self.daemon), namespaces)
        self.assertEqual({n for n in os.listdir("/tmp") if n.startswith("berth")} - temporary, set())
        snapshots = self.out("snapshots", "ls").strip().split("\n")[1:]
        self.assertEqual([line for line in snapshots if "Active" in line], [])

    def test_cycles_where_the_root_mount_is_shared(self):
        # systemd makes / shared; a runtime that forgets it takes the host's mounts down with the container's.
        script = "mount --make-rshared / && exec %s %s %s" % (sys.executable, os.path.abspath(__file__), "SharedRoot")
        result = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script], capture_output=True,
                                text=True, timeout=600, env=dict(os.environ, BERTH_BIN=BIN))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class SharedRoot(CyclesTest):
    """Run by itself in a mount namespace whose root is shared; the footprint includes the mount table."""

    def test_cycles_where_the_root_mount_is_shared(self):
        with open("/proc/self/mountinfo") as file:
            root = [line for line in file if line.split()[4] == "/"][-1]
        self.assertIn("shared:", root)

    def test_cycles_leave_nothing(self):
        for _ in range(amount(5, 50)):
            self.cycle()


def load_tests(loader, tests, pattern):
    """SharedRoot runs only when it is named: elsewhere the root is not shared."""
    if "SharedRoot" in sys.argv:
        return tests
    return loader.loadTestsFromTestCase(CyclesTest)


if __name__ == "__main__":
    unittest.main()
