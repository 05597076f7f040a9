"""ctr's nouns of the `berth` command, and what it sees of a daemon that dies. Runs against Debian's containerd too
(BERTH_TEST_DAEMON=containerd): both speak the same API, and `ctr` and `berth` must agree about what is there."""
import hashlib
import json
import os
import signal
import subprocess
import time
import unittest

from harness import BIN, BUSYBOX, BerthTest, STOCK, attached, wait_for
import images


class BerthNounsTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        images.busybox(cls.daemon.dir + "/busybox.tar")
        cls.env = {"BERTH_LOG_DIR": cls.daemon.dir + "/logs", "BERTH_FIFO_DIR": cls.daemon.dir + "/fifo"}
        cls.daemon.berth("image", "load", "-i", cls.daemon.dir + "/busybox.tar", env=cls.env)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_containers)

    def remove_containers(self):
        names = self.run_berth("ps", "-aq", check=False).stdout.split()
        if names:
            self.run_berth("rm", "-f", *names, check=False)

    def run_berth(self, *arguments, **options):
        return self.daemon.berth(*arguments, env=self.env, **options)

    def berth(self, *arguments, **options):
        return self.run_berth(*arguments, **options).stdout

    def ctr(self, *arguments, **options):
        return self.daemon.ctr(*arguments, **options).stdout

    def listing(self, *arguments):
        return json.loads(self.berth(*arguments, "--format", "json"))

    def test_images_agree(self):
        self.berth("image", "tag", "busybox", "copy:1")
        names = {image["name"] for image in self.listing("image", "records")}
        self.assertEqual(names, set(self.ctr("images", "ls", "-q").split()))
        self.assertIn("docker.io/library/copy:1", names)
        self.berth("image", "label", "copy:1", "a=b")
        self.assertIn("a=b", self.ctr("images", "ls"))
        self.berth("image", "rm", "--sync", "copy:1")
        self.assertNotIn("copy:1", self.ctr("images", "ls", "-q"))
        self.assertEqual(self.listing("image", "check")[0]["status"], "complete")

    def test_namespaces_agree(self):
        self.berth("namespace", "create", "nouns-extra", "a=b")
        self.berth("namespace", "label", "nouns-extra", "a=", "c=d")
        found = {ns["name"]: ns["labels"] for ns in self.listing("namespace", "ls")}
        self.assertEqual(found["nouns-extra"], {"c": "d"})
        self.assertIn("c=d", self.ctr("namespaces", "ls"))
        self.berth("namespace", "rm", "nouns-extra")
        self.assertNotIn("nouns-extra", self.ctr("namespaces", "ls"))
        self.assertEqual(self.run_berth("namespace", "rm", self.daemon.namespace, check=False).returncode, 1)

    def test_content(self):
        text = "some bytes\n"
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        self.run_berth("content", "ingest", "--expected-digest", digest, "-l", "containerd.io/gc.root=x", "ref-1", input=text)
        self.assertEqual(self.berth("content", "get", digest), text)
        self.assertIn(digest, self.ctr("content", "ls", "-q"))
        self.berth("content", "label", digest, "k=v")
        self.assertEqual([b["digest"] for b in self.listing("content", "ls", "-f", "labels.k==v")], [digest])
        self.berth("content", "rm", digest)
        self.assertNotIn(digest, self.berth("content", "ls", "-q"))

    def test_an_upload_with_the_wrong_bytes_stays_to_be_aborted(self):
        wrong = "sha256:" + "0" * 64
        result = self.run_berth("content", "ingest", "--expected-digest", wrong, "ref-2", input="x", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(wrong, result.stderr)
        self.assertEqual([u["ref"] for u in self.listing("content", "active")], ["ref-2"])
        self.berth("content", "abort", "ref-2")
        self.assertEqual(self.listing("content", "active"), [])

    def test_snapshots(self):
        self.assertIn("mount -t bind", self.berth("snapshot", "prepare", "k1"))
        self.berth("snapshot", "commit", "n1", "k1")
        self.assertIn("ro", self.berth("snapshot", "view", "v1", "n1"))
        kinds = {s["key"]: s["kind"] for s in self.listing("snapshot", "ls")}
        self.assertEqual((kinds["n1"], kinds["v1"]), ("committed", "view"))
        self.assertIn("n1\n  v1", self.berth("snapshot", "tree"))
        self.assertEqual(self.run_berth("snapshot", "rm", "n1", check=False).returncode, 1)
        self.berth("snapshot", "rm", "v1", "n1")
        self.assertNotIn("n1", self.ctr("snapshots", "ls"))

    def test_leases(self):
        self.assertEqual(self.berth("lease", "create", "--id", "L1", "a=b").strip(), "L1")
        self.assertIn("L1", self.ctr("leases", "ls"))
        lease = [found for found in self.listing("lease", "ls") if found["id"] == "L1"][0]
        self.assertIn("containerd.io/gc.expire", lease["labels"])
        self.assertEqual(self.listing("lease", "resources", "L1"), [])
        self.berth("lease", "rm", "--sync", "L1")
        self.assertNotIn("L1", self.ctr("leases", "ls"))

    def test_a_created_container_starts_with_the_input_of_its_starter(self):
        self.ctr("containers", "create", BUSYBOX, "job", "grep", "hey")
        result = self.run_berth("task", "start", "job", input="you\nhey\n", check=False)
        self.assertEqual((result.stdout, result.returncode), ("hey\n", 0))
        self.assertEqual(self.run_berth("task", "start", "job", input="you\n", check=False).returncode, 1)
        self.ctr("containers", "rm", "job")

    def test_an_argument_may_be_called_like_its_command(self):
        self.ctr("run", "-d", BUSYBOX, "pause", "sleep", "1000")
        self.berth("task", "pause", "pause")
        self.assertIn("PAUSED", self.ctr("tasks", "ls"))
        self.berth("task", "resume", "pause")

    def test_tasks_of_ctr_are_ours_too(self):
        self.ctr("run", "-d", BUSYBOX, "theirs", "sleep", "1000")
        task = [t for t in self.listing("task", "ls") if t["id"] == "theirs"][0]
        self.assertEqual(task["status"], "running")
        self.assertEqual(self.berth("task", "exec", "theirs", "echo", "in"), "in\n")
        self.assertEqual(self.listing("task", "ps", "theirs")[0]["pid"], task["pid"])
        self.berth("task", "pause", "theirs")
        self.assertIn("PAUSED", self.ctr("tasks", "ls"))
        self.berth("task", "resume", "theirs")
        self.assertIn("pids", json.loads(self.berth("task", "metrics", "theirs"))[0]["data"])
        self.assertEqual(self.run_berth("task", "rm", "theirs", check=False).returncode, 1)
        self.berth("task", "kill", "-s", "KILL", "theirs")
        wait_for(lambda: "STOPPED" in self.ctr("tasks", "ls"))
        self.berth("task", "rm", "theirs")
        self.assertNotIn("theirs", self.ctr("tasks", "ls"))

    def test_events_are_one_json_object_a_line(self):
        log = self.daemon.dir + "/events"
        environment = dict(os.environ, BERTH_ADDRESS=self.daemon.sock)
        with open(log, "wb") as file:
            watcher = subprocess.Popen([BIN + "/berth", "event", "--format", "json", "topic~=|^/tasks/|"],
                                       stdout=file, env=environment)
        self.addCleanup(watcher.wait)
        self.addCleanup(watcher.kill)

        def topics():
            with open(log) as file:
                return [json.loads(line)["topic"] for line in file.read().splitlines(keepends=True) if line.endswith("\n")]

        def seen():
            # The subscription takes a moment; what happened before it is not replayed.
            self.ctr("run", "--rm", BUSYBOX, "brief", "true")
            return "/tasks/delete" in topics()
        wait_for(seen, 30, "an event")
        last = topics()[-4:]
        self.assertEqual(last, ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"])

    @unittest.skipIf(STOCK, "asks for berth's engine")
    def test_a_run_in_the_foreground_outlives_its_daemon(self):
        environment = dict(os.environ, BERTH_ADDRESS=self.daemon.sock, BERTH_NAMESPACE=self.daemon.namespace, **self.env)
        process = subprocess.Popen(
            [BIN + "/berth", "run", "--rm", "-v", self.daemon.dir + ":/host", "busybox", "sh", "-c",
             "echo up; until test -e /host/go; do sleep 0.1; done; echo after; exit 42"],
            stdout=subprocess.PIPE, text=True, env=environment)
        self.assertEqual(process.stdout.readline(), "up\n")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        wait_for(lambda: attached(self.daemon.state), 10, "berth's return")
        open(self.daemon.dir + "/go", "w").close()
        self.assertEqual(process.stdout.read(), "after\n")
        self.assertEqual(process.wait(30), 42)
        process.stdout.close()

    @unittest.skipIf(STOCK, "asks for berth's engine")
    def test_interrupts_reach_the_program_and_the_third_one_ends_it(self):
        environment = dict(os.environ, BERTH_ADDRESS=self.daemon.sock, BERTH_NAMESPACE=self.daemon.namespace, **self.env)
        polite = subprocess.Popen([BIN + "/berth", "run", "--rm", "busybox", "sh", "-c",
                                   "trap 'echo got; exit 5' INT; echo up; while :; do sleep 0.1; done"],
                                  stdout=subprocess.PIPE, text=True, env=environment)
        self.assertEqual(polite.stdout.readline(), "up\n")
        polite.send_signal(signal.SIGINT)
        self.assertEqual((polite.stdout.read(), polite.wait(30)), ("got\n", 5))
        polite.stdout.close()
        deaf = subprocess.Popen([BIN + "/berth", "run", "--rm", "busybox", "sh", "-c", "echo up; exec sleep 1000"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.assertEqual(deaf.stdout.readline(), "up\n")

        for _ in range(3):
            deaf.send_signal(signal.SIGINT)
            time.sleep(0.3)  # signals that are sent at once arrive as one
        self.assertEqual(deaf.wait(30), 137)
        deaf.stdout.close()

    @unittest.skipIf(STOCK, "asks for berth's engine")
    def test_a_reader_that_leaves_ends_the_program(self):
        line = '%s/berth run --rm busybox yes | head -1; echo ${PIPESTATUS[0]}' % BIN
        environment = dict(BERTH_ADDRESS=self.daemon.sock, BERTH_NAMESPACE=self.daemon.namespace, **self.env)
        result = self.daemon.run(["bash", "-c", line], env=environment)
        self.assertEqual(result.stdout, "y\n137\n")

    @unittest.skipIf(STOCK, "asks for berth's engine")
    def test_stop_says_that_the_program_ignores_the_signal(self):
        self.berth("run", "-d", "--name", "deaf", "busybox", "sleep", "1000")
        result = self.run_berth("stop", "-t", "3", "deaf")
        self.assertIn("no handler for SIGTERM", result.stderr)
        self.assertIn("Exited (137)", self.berth("ps", "-a"))

    @unittest.skipIf(STOCK, "asks for berth's engine")
    def test_a_terminal_in_the_background_has_a_log(self):
        self.berth("run", "-dt", "--name", "term", "busybox", "tty")
        wait_for(lambda: self.berth("logs", "term") == "/dev/pts/0\n")  # text mode drops the \r

    @unittest.skipIf(STOCK, "asks for berth's engine")
    def test_follow_ends_with_the_container(self):
        self.berth("run", "-d", "--name", "brief", "busybox", "sh", "-c", "echo one; sleep 1; echo two")
        self.assertEqual(self.berth("logs", "-f", "brief"), "one\ntwo\n")


if __name__ == "__main__":
    unittest.main()
