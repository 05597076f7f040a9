"""ctr tasks and containers: list, exec, kill, pause, metrics, remove, attach; and the events of all this."""
import fcntl
import glob
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from harness import BUSYBOX, BerthTest, STOCK, wait_for


class TasksTest(BerthTest):
    def test_list_and_ps(self):
        name = self.run_detached()
        pid = self.daemon.tasks()[name][0]
        self.assertIn(str(pid), self.out("tasks", "ps", name))
        self.assertIn(name, self.out("tasks", "ls", "-q").split())

    def test_exec_output_and_code(self):
        name = self.run_detached()
        result = self.ctr("tasks", "exec", "--exec-id", "e1", name, "sh", "-c", "echo in; exit 7", check=False)
        self.assertEqual((result.stdout, result.returncode), ("in\n", 7))
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e2", "--cwd", "/tmp", name, "pwd"), "/tmp\n")
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e3", "--user", "1000", name, "id", "-u"), "1000\n")

    def test_exec_shares_the_namespaces(self):
        name = self.run_detached("sh", "-c", "echo mine > /tmp/x; exec sleep 1000")
        wait_for(lambda: self.ctr("tasks", "exec", "--exec-id", "w%d" % time.monotonic_ns(), name, "cat", "/tmp/x",
                                  check=False).stdout == "mine\n")
        pid = self.daemon.tasks()[name][0]
        for kind in ("pid", "net", "mnt", "ipc", "uts"):
            out = self.out("tasks", "exec", "--exec-id", "ns-" + kind, name, "readlink", "/proc/self/ns/" + kind)
            self.assertEqual(out.strip(), os.readlink("/proc/%d/ns/%s" % (pid, kind)))
        with open("/proc/%d/cgroup" % pid) as file:
            mine = sorted(line for line in file if ":pids:" in line)
        inside = self.out("tasks", "exec", "--exec-id", "cg", name, "cat", "/proc/self/cgroup")
        self.assertEqual(sorted(l + "\n" for l in inside.split("\n") if ":pids:" in l), mine)

    @unittest.skipIf(STOCK, "its shim is a file of the host")
    def test_the_shims_program_cannot_be_overwritten(self):
        """CVE-2019-5736's class: what clones into containers runs from memory that nobody can write to."""
        name = self.run_detached()
        shims = []
        for path in glob.glob("/proc/[0-9]*"):
            try:
                target = os.readlink(path + "/cwd")
            except OSError:
                continue
            if target.startswith(self.daemon.state + "/") and os.path.basename(target) == name:
                shims.append(path)
        self.assertEqual(len(shims), 1, shims)
        image = os.open(shims[0] + "/exe", os.O_RDONLY)
        self.addCleanup(os.close, image)
        write, grow, shrink, seal = 8, 4, 2, 1
        self.assertEqual(fcntl.fcntl(image, fcntl.F_GET_SEALS) & 15, write | grow | shrink | seal)
        with self.assertRaises(OSError):
            os.close(os.open("/proc/self/fd/%d" % image, os.O_WRONLY | os.O_TRUNC))

    def test_exec_stdin(self):
        name = self.run_detached()
        result = self.daemon.run(self.daemon.ctr_argv("tasks", "exec", "--exec-id", "cat", name, "cat"), input="typed\n")
        self.assertEqual(result.stdout, "typed\n")

    def test_exec_of_a_missing_program(self):
        name = self.run_detached()
        result = self.fails("tasks", "exec", "--exec-id", "m", name, "nothing-here")
        self.assertIn("executable file not found in $PATH", result.stderr)
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")

    def test_duplicate_exec_id(self):
        name = self.run_detached()
        self.ctr("tasks", "exec", "-d", "--exec-id", "same", name, "sleep", "500")
        self.fails("tasks", "exec", "--exec-id", "same", name, "true", words=["already exists"])

    def test_many_execs(self):
        name = self.run_detached()
        for i in range(20):
            self.assertEqual(self.out("tasks", "exec", "--exec-id", "n%d" % i, name, "echo", str(i)), "%d\n" % i)
        self.assertEqual(len(self.out("tasks", "ps", name).strip().split("\n")), 2)

    def test_kill_and_exit_status(self):
        name = self.run_detached("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done")
        time.sleep(0.3)
        self.ctr("tasks", "kill", "-s", "SIGTERM", name)
        wait_for(lambda: self.daemon.tasks()[name][1] == "STOPPED")
        self.fails("tasks", "kill", name, words=["process already finished"])
        self.assertIn("exit code 9", self.ctr("tasks", "rm", name, check=False).stderr)

    def test_kill_exec(self):
        name = self.run_detached()
        self.ctr("tasks", "exec", "-d", "--exec-id", "long", name, "sleep", "500")
        self.assertIn("long", self.out("tasks", "ps", name))
        self.ctr("tasks", "kill", "-s", "SIGKILL", "--exec-id", "long", name)
        wait_for(lambda: "500" not in self.out("tasks", "exec", "--exec-id", "p%d" % time.monotonic_ns(), name, "ps"))
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")

    def test_pause_and_resume(self):
        name = self.run_detached("sh", "-c", "while :; do echo x >> /tmp/n; sleep 0.05; done")
        self.ctr("tasks", "pause", name)
        self.assertEqual(self.daemon.tasks()[name][1], "PAUSED")
        self.fails("tasks", "exec", "--exec-id", "frozen", name, "true")
        self.ctr("tasks", "resume", name)
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "after", name, "echo", "back"), "back\n")

    def test_metrics(self):
        name = self.run_detached()
        out = self.out("tasks", "metrics", name)
        self.assertIn(name, out)
        self.assertIn("memory.usage_in_bytes", out)
        metrics = json.loads(self.out("tasks", "metrics", "--format", "json", name))
        self.assertEqual(metrics["pids"]["current"], 1)
        self.assertGreater(metrics["memory"]["usage"]["usage"], 0)

    def test_remove_refuses_a_running_task(self):
        name = self.run_detached()
        self.fails("tasks", "rm", name)
        self.fails("containers", "rm", name)
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")
        self.ctr("tasks", "rm", "-f", name, check=False)
        self.assertNotIn(name, self.daemon.tasks())
        self.ctr("containers", "rm", name)
        self.assertNotIn(name, self.out("containers", "ls", "-q").split())

    def test_created_started_separately(self):
        name = self.name()
        self.ctr("containers", "create", BUSYBOX, name, "sleep", "1000")
        self.assertIn(name, self.out("containers", "ls", "-q").split())
        self.assertEqual(self.daemon.tasks(), {})
        self.ctr("tasks", "start", "-d", name)
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")
        self.fails("tasks", "start", "-d", name, words=["already exists"])

    def test_container_info_and_spec(self):
        name = self.run_detached()
        info = json.loads(self.out("containers", "info", name))
        self.assertEqual(info["ID"], name)
        self.assertEqual(info["Image"], BUSYBOX)
        self.assertEqual(info["Runtime"]["Name"], "io.containerd.runc.v2")
        self.assertEqual(info["Spec"]["process"]["args"], ["sleep", "1000"])

    def test_attach(self):
        name = self.run_detached("sh", "-c", "sleep 1; echo from the start; sleep 2; exit 3")
        attached = subprocess.run(self.daemon.ctr_argv("tasks", "attach", name), capture_output=True, timeout=30,
                                  stdin=subprocess.DEVNULL)
        self.assertEqual(attached.returncode, 3, attached.stderr)

    def test_children_die_with_init(self):
        name = self.run_detached("sh", "-c", "sleep 999 & sleep 998 & exec sleep 997")
        wait_for(lambda: len(self.out("tasks", "ps", name).strip().split("\n")) == 4)
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        wait_for(lambda: self.daemon.tasks()[name][1] == "STOPPED")
        self.ctr("tasks", "rm", name, check=False)

    def test_shim_answers_ctr_shim_state(self):
        name = self.run_detached()
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)


class EventsTest(BerthTest):
    def test_events_of_one_life_in_order(self):
        process = subprocess.Popen(["ctr", "-a", self.daemon.sock, "events"], stdout=subprocess.PIPE, text=True)
        lines = []
        thread = threading.Thread(target=lambda: [lines.append(l) for l in process.stdout])
        thread.start()
        try:
            # The subscription stands once a first event comes through.
            def streaming():
                self.ctr("namespaces", "create", "probe%d" % time.monotonic_ns())
                return lines
            wait_for(streaming)
            for namespace in self.out("namespaces", "ls", "-q").split():
                if namespace.startswith("probe"):
                    self.ctr("namespaces", "rm", namespace)
            name = self.name()
            self.ctr("run", "--rm", BUSYBOX, name, "true")
            wait_for(lambda: any("/containers/delete" in l and name in l for l in lines))
            mine = [l for l in lines if name in l]
            topics = [l.split()[5] for l in mine]
            order = ["/snapshot/prepare", "/containers/create", "/tasks/create", "/tasks/start", "/tasks/exit",
                     "/tasks/delete", "/containers/delete"]
            self.assertEqual([t for t in topics if t in order], order, "".join(mine))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)
            thread.join(10)

    def test_oom(self):
        process = subprocess.Popen(["ctr", "-a", self.daemon.sock, "events"], stdout=subprocess.PIPE, text=True)
        lines = []
        thread = threading.Thread(target=lambda: [lines.append(l) for l in process.stdout])
        thread.start()
        try:
            name = self.run_detached("sh", "-c", "sleep 0.5; tail /dev/zero", options=["--memory-limit", str(16 << 20)])
            wait_for(lambda: any("/tasks/oom" in l and name in l for l in lines), 20)
            wait_for(lambda: any("/tasks/exit" in l and name in l for l in lines), 20)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)
            thread.join(10)
