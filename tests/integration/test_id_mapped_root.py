"""Roots for user namespaces: the layers are shown by maps of ids, as the snapshot's labels say; nothing is copied or chowned."""
import os
import unittest

from harness import BUSYBOX, BerthTest

HOST = 100000
MAPS = ("--uidmap", "0:%d:65536" % HOST, "--gidmap", "0:%d:65536" % (HOST + 1), "--remap-labels")


class IdMappedRootTest(BerthTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The container's root is nobody on the host, and must come to its own root directory.
        os.chmod(cls.daemon.dir, 0o711)

    def snapshots(self, snapshotter):
        return [line.split()[0] for line in self.out("snapshots", "--snapshotter", snapshotter, "ls").splitlines()[1:]]

    def runs_mapped(self, snapshotter):
        self.daemon.berth("--snapshotter", snapshotter, "image", "unpack", "busybox")
        before = set(self.snapshots(snapshotter))
        script = "stat -c '%u:%g' /bin/busybox / /proc/1; echo mine > /file; chown 5:6 /file; stat -c '%u:%g' /file; head -1 /proc/self/uid_map"
        self.ctr("run", "-d", "--snapshotter", snapshotter, *MAPS, BUSYBOX, "mapped", "sh", "-c", script + "; sleep 1000")
        out = self.out("tasks", "exec", "--exec-id", "look", "mapped", "sh", "-c", script)
        self.assertEqual(out.split("\n")[:4], ["0:0", "0:0", "0:0", "5:6"])
        self.assertEqual(out.split("\n")[4].split(), ["0", str(HOST), "65536"])
        # One snapshot, of the layers that everybody has: no copy with other owners.
        self.assertEqual(set(self.snapshots(snapshotter)) - before, {"mapped"})
        mounts = self.out("snapshots", "--snapshotter", snapshotter, "mounts", "/nowhere", "mapped")
        upper = mounts.split("upperdir=")[1].split(",")[0].split()[0]
        lower = mounts.split("lowerdir=")[1].split(",")[0].split()[0].split(":")[0]
        written = os.stat(upper + "/file")
        self.assertEqual((written.st_uid, written.st_gid), (HOST + 5, HOST + 7))
        self.assertEqual((os.stat(upper).st_uid, os.stat(upper).st_gid), (HOST, HOST + 1))
        self.assertEqual(os.stat(lower + "/bin/busybox").st_uid, 0)
        self.ctr("tasks", "kill", "-s", "KILL", "mapped")
        self.daemon.remove_everything()

    def test_on_overlayfs(self):
        self.runs_mapped("overlayfs")

    def test_on_erofs(self):
        rows = [line.split() for line in self.out("plugins", "ls").splitlines() if " erofs " in line]
        if not rows or rows[0][-1] != "ok":
            self.skipTest("this kernel does not mount EROFS images from files")
        self.runs_mapped("erofs")
        self.daemon.berth("image", "rm", "--sync", "busybox")
        self.daemon.import_busybox()

    def test_a_foreign_runtime_is_told(self):
        # With maps `ctr run` gives the task options of its own, and forgets the binary in them; `tasks start` does not.
        self.ctr("run", "-d", *MAPS, "--runc-binary", "/usr/bin/crun", BUSYBOX, "foreign", "sleep", "1000")
        self.ctr("tasks", "rm", "-f", "foreign")
        result = self.ctr("tasks", "start", "foreign", check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("needs the native runtime", result.stderr)


if __name__ == "__main__":
    unittest.main()
