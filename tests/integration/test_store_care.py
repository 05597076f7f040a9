"""berth fsck finds what is not as recorded and a new import heals it; berth df adds up; berth ps --ops shows what hangs;
berth explain says where time went."""
import glob
import json
import os
import signal
import subprocess
import threading
import unittest

from harness import BIN, BUSYBOX, STOCK, BerthTest, shims, wait_for


@unittest.skipIf(STOCK, "Berth's own commands")
class StoreCareTest(BerthTest):
    def fsck(self, *arguments):
        return self.daemon.berth("fsck", *arguments, check=False, timeout=120)

    def blobs(self):
        return glob.glob(self.daemon.root + "/content/blobs/sha256/*")

    def layers(self):
        return glob.glob(self.daemon.root + "/snapshots/overlayfs/layers/*/fs/bin")

    def works(self):
        name = self.name()
        self.assertEqual(self.out("run", "--rm", BUSYBOX, name, "echo", "works"), "works\n")

    def test_a_healthy_store(self):
        result = self.fsck("-v")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("damaged: 0", result.stdout)
        self.assertEqual(result.stdout.count("ok       blob"), len(self.blobs()))
        self.assertIn("ok       layer " + self.daemon.namespace + "/overlayfs/", result.stdout)

    def test_a_damaged_blob_is_quarantined_and_a_new_import_heals_it(self):
        blob = max(self.blobs(), key=os.path.getsize)
        os.chmod(blob, 0o644)
        with open(blob, "r+b") as file:
            file.seek(os.path.getsize(blob) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        self.assertIn("DAMAGED", self.fsck("--report-only").stdout)
        self.assertTrue(os.path.exists(blob))
        result = self.fsck()
        self.assertEqual(result.returncode, 1)
        self.assertIn(os.path.basename(blob), result.stdout)
        self.assertIn("damaged: 1, taken out of use: 1", result.stdout)
        self.assertFalse(os.path.exists(blob))
        self.assertEqual(len([n for n in os.listdir(self.daemon.root + "/content/quarantine")
                              if os.path.basename(blob) in n]), 1)
        self.daemon.import_busybox()
        self.assertTrue(os.path.exists(blob))
        self.assertEqual(self.fsck().returncode, 0)
        self.works()

    def test_what_is_removed_meanwhile_is_not_damaged(self):
        # Images come and go beside a check that has enough to read for that.
        archive, large = self.daemon.dir + "/again.tar", self.daemon.dir + "/large"
        self.daemon.berth("image", "save", "-o", archive, BUSYBOX)
        for number in range(6):
            with open(large, "wb") as file:
                file.write(os.urandom(16 << 20))
            self.daemon.berth("content", "ingest", "-l", "containerd.io/gc.root=1", "large%d" % number, large)
        over = threading.Event()

        def load_and_remove():
            while not over.is_set():
                self.daemon.berth("image", "load", "-q", "-i", archive, check=False)
                self.daemon.berth("rmi", "--sync", BUSYBOX, check=False)

        beside = threading.Thread(target=load_and_remove)
        beside.start()
        try:
            for _ in range(20):
                result = self.fsck("--report-only", "-v")
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        finally:
            over.set()
            beside.join()
            self.daemon.berth("image", "load", "-q", "-i", archive)

    def test_a_missing_blob_is_noticed(self):
        blob = max(self.blobs(), key=os.path.getsize)
        os.unlink(blob)
        result = self.fsck()
        self.assertEqual(result.returncode, 1)
        self.assertIn("its bytes are missing", result.stdout)
        self.daemon.import_busybox()
        self.assertEqual(self.fsck().returncode, 0)

    def test_a_damaged_layer_is_quarantined_and_a_new_import_unpacks_it(self):
        victim = self.layers()[0]
        subprocess.run(["rm", "-rf", victim], check=True)
        result = self.fsck()
        self.assertEqual(result.returncode, 1)
        self.assertIn("taken out layer", result.stdout)
        self.assertIn("recorded are", result.stdout)
        layer = os.path.basename(os.path.dirname(os.path.dirname(victim)))
        self.assertTrue(os.path.isdir(self.daemon.root + "/snapshots/overlayfs/quarantine/" + layer))
        self.assertEqual(self.fsck().returncode, 0)
        self.daemon.import_busybox()
        self.works()

    def test_a_damaged_layer_in_use_stays_and_is_told(self):
        name = self.run_detached()
        victim = self.layers()[0] + "/fsck-was-here"
        with open(victim, "w") as file:
            file.write("x" * 10000)
        result = self.fsck()
        self.assertEqual(result.returncode, 1)
        self.assertIn("containers use it", result.stdout)
        self.assertIn("taken out of use: 0", result.stdout)
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")
        os.unlink(victim)
        self.assertEqual(self.fsck().returncode, 0)

    def test_df_adds_up_to_what_the_disk_says(self):
        name = self.name("df")
        self.daemon.berth("run", "--name", name, "busybox", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=5")
        self.addCleanup(self.daemon.berth, "rm", "-f", name, check=False)
        rows = {}
        for line in self.daemon.berth("df", "--format", "{{json .}}").stdout.splitlines():
            row = json.loads(line)
            rows[row["Type"]] = row

        def in_bytes(text):
            for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1)):
                if text.endswith(unit):
                    return float(text[:-len(unit)]) * factor
            raise AssertionError(text)

        def on_disk(*folders):
            seen, total = set(), 0
            for top in folders:
                for folder, folders_in, names in os.walk(top):
                    for entry in folders_in + names:
                        status = os.lstat(os.path.join(folder, entry))
                        if (status.st_dev, status.st_ino) not in seen:
                            seen.add((status.st_dev, status.st_ino))
                            total += status.st_blocks * 512
            return total
        snapshots = self.daemon.root + "/snapshots/overlayfs/layers"
        active = [folder for folder in glob.glob(snapshots + "/*/fs") if os.path.exists(folder + "/big")]
        self.assertEqual(len(active), 1)
        self.assertAlmostEqual(in_bytes(rows["Containers"]["Size"]), on_disk(active[0]), delta=0.02 * 5e6 + 20000)
        committed = [folder for folder in glob.glob(snapshots + "/*/fs") if folder != active[0]]
        expected = on_disk(self.daemon.root + "/content/blobs", *committed)
        self.assertAlmostEqual(in_bytes(rows["Images"]["Size"]), expected, delta=0.03 * expected + 50000)

    def test_explain_says_where_the_time_went(self):
        name = self.name("explained")
        self.daemon.berth("run", "-d", "--name", name, "busybox", "sleep", "1000")
        self.addCleanup(self.daemon.berth, "rm", "-f", name, check=False)
        self.daemon.berth("exec", name, "true")
        rows = json.loads(self.daemon.berth("explain", "--format", "json", name).stdout)
        steps = {(row["source"], row["call"], row["step"]): row for row in rows}
        for call, step in (("Tasks.Create", "spawn the shim"), ("Tasks.Create", "shim: Create"), ("Tasks.Start", "shim: Start")):
            self.assertIn(("berthd", call, step), steps)
        for verb in ("create", "start", "exec"):
            self.assertTrue([key for key in steps if key[:2] == ("shim", verb)], verb)
        # The shim's part of its Create is no longer than the call.
        inside = sum(row["took_nanoseconds"] for key, row in steps.items() if key[:2] == ("shim", "create"))
        self.assertGreater(inside, 0)
        self.assertLessEqual(inside, steps["berthd", "Tasks.Create", "shim: Create"]["took_nanoseconds"])
        self.assertIn("spawn the shim", self.daemon.berth("explain", name).stdout)
        # Another daemon has only what the shim knows.
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        rows = json.loads(self.daemon.berth("explain", "--format", "json", name).stdout)
        self.assertEqual({row["source"] for row in rows}, {"shim"})
        identity = self.daemon.berth("inspect", "-f", "{{.Id}}", name).stdout.strip()
        self.daemon.berth("rm", "-f", name)
        self.assertIn("No such container", self.daemon.berth("explain", identity, check=False).stderr)

    def test_explain_of_a_task_that_is_gone(self):
        name = self.name("gone")
        self.daemon.ctr("run", "--rm", BUSYBOX, name, "true")
        text = self.daemon.berth("explain", name).stdout
        self.assertIn("Tasks.Delete", text)
        self.assertIn("shim: Delete", text)

    def test_operations_show_stage_and_age_of_what_hangs(self):
        name = self.name("ops")
        identity = self.daemon.berth("run", "-d", "--name", name, "busybox", "sleep", "1000").stdout.strip()
        self.addCleanup(self.daemon.berth, "rm", "-f", name, check=False)
        shim = [pid for pid in shims(self.daemon.state)][0]
        os.kill(shim, signal.SIGSTOP)
        self.addCleanup(lambda: os.path.exists("/proc/%d" % shim) and os.kill(shim, signal.SIGCONT))
        pause = subprocess.Popen([BIN + "/berth", "pause", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, BERTH_ADDRESS=self.daemon.sock, BERTH_NAMESPACE=self.daemon.namespace))

        def rows():
            lines = self.daemon.berth("ps", "--ops").stdout.splitlines()[1:]
            return [line for line in lines if identity in line.split()]
        row = wait_for(rows, 10, "the operation")[0]
        self.assertIn("Engine.PauseContainer", row)
        self.assertIn("container running, shim %d is stopped" % shim, row)
        os.kill(shim, signal.SIGCONT)
        pause.wait(20)
        wait_for(lambda: not rows(), 10, "its end")
        self.daemon.berth("unpause", name, check=False)


if __name__ == "__main__":
    unittest.main()
