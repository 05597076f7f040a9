"""Containers with the labels of containerd's restart monitor come back: by the shim, so also while berthd is away."""
import os
import signal
import subprocess
import time
import unittest

from harness import BUSYBOX, STOCK, BerthTest, shims, wait_for

STATUS = "containerd.io/restart.status="
POLICY = "containerd.io/restart.policy="
STOPPED = "containerd.io/restart.explicitly-stopped="


@unittest.skipIf(STOCK, "containerd's own monitor looks every ten seconds only")
class RestartMonitorTest(BerthTest):
    def run_labelled(self, policy, *command, labels=(), arguments=()):
        name = self.name()
        flags = []
        for label in (STATUS + "running", POLICY + policy) + tuple(labels):
            flags += ["--label", label]
        self.ctr("run", "-d", *flags, *arguments, BUSYBOX, name, *(command or ("sleep", "1000")))
        # Or it would come back between the kill and the removal of the base class.
        self.addCleanup(self.ctr, "containers", "label", name, STATUS + "stopped", check=False)
        return name

    def label(self, name, *labels):
        self.ctr("containers", "label", name, *labels)

    def pid(self, name):
        return self.daemon.tasks().get(name, (0, ""))[0]

    def is_running(self, name, other_than):
        pid, status = self.daemon.tasks().get(name, (0, ""))
        return pid if status == "RUNNING" and pid != other_than else 0

    def stays_stopped(self, name):
        wait_for(lambda: self.daemon.tasks()[name][1] == "STOPPED")
        time.sleep(0.5)
        self.assertEqual(self.daemon.tasks()[name][1], "STOPPED")

    def test_killed_container_comes_back_with_its_files_and_in_order(self):
        events = subprocess.Popen(self.daemon.ctr_argv("events"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(events.wait)
        self.addCleanup(events.kill)
        name = self.run_labelled("always", "sh", "-c", "echo life >> /lives; exec sleep 1000")
        pid = self.pid(name)
        wait_for(lambda: self.ctr("tasks", "exec", "--exec-id", "r%d" % time.monotonic_ns(), name, "cat", "/lives",
                                  check=False).stdout == "life\n")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.is_running(name, pid), what="the next generation")
        wait_for(lambda: self.ctr("tasks", "exec", "--exec-id", "r%d" % time.monotonic_ns(), name, "cat", "/lives",
                                  check=False).stdout == "life\nlife\n")
        self.ctr("containers", "label", name, STATUS + "stopped")
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        self.stays_stopped(name)
        self.ctr("tasks", "rm", name)
        time.sleep(0.2)
        events.kill()
        topics = [line.split()[5] for line in events.communicate()[0].splitlines()
                  if " /tasks/" in line and '"%s"' % name in line and "exec" not in line and '"id":"r' not in line]
        self.assertEqual(topics, ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete", "/tasks/create",
                                  "/tasks/start", "/tasks/exit", "/tasks/delete"])

    def test_comes_back_while_the_daemon_is_away(self):
        name = self.run_labelled("always")
        pid = self.pid(name)
        self.daemon.signal(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        bundle = "%s/io.containerd.runtime.v2.task/%s/%s" % (self.daemon.state, self.daemon.namespace, name)

        def next_pid():
            with open(bundle + "/init.pid") as file:
                text = file.read()
            return int(text) if text not in ("", str(pid)) else 0
        again = wait_for(next_pid, what="a restart without the daemon")
        self.daemon.start()
        wait_for(lambda: self.daemon.tasks()[name] == (again, "RUNNING"))

    def test_on_failure_looks_at_the_code_and_counts(self):
        name = self.run_labelled("on-failure:2", "sh", "-c", "echo x >> /count; exit 3")
        wait_for(lambda: len(self.log_of(name)) == 3, what="the first run and two restarts")
        self.stays_stopped(name)
        self.assertEqual(len(self.log_of(name)), 3)
        good = self.run_labelled("on-failure", "sh", "-c", "echo x >> /count; exit 0")
        self.stays_stopped(good)
        self.assertEqual(len(self.log_of(good)), 1)

    def test_a_labelled_container_without_a_task_is_started_and_its_restarts_are_counted(self):
        name = self.name()
        self.ctr("containers", "create", "--label", STATUS + "running", "--label", POLICY + "always", BUSYBOX, name, "sleep",
                 "1000")
        self.addCleanup(self.ctr, "containers", "label", name, STATUS + "stopped", check=False)
        pid = wait_for(lambda: self.is_running(name, 0), 25, "a start by the monitor")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.is_running(name, pid), 25, "a restart by the shim")
        wait_for(lambda: '"containerd.io/restart.count": "1"' in self.out("containers", "info", name), 25, "the count")
        # A daemon that finds the task gone (after a boot, say) makes it again.
        self.ctr("containers", "label", name, STATUS + "stopped")
        wait_for(lambda: name not in self.daemon.tasks(), 25, "its end by the monitor")

    def test_an_explicitly_stopped_container_without_a_task_stays_away(self):
        stopped, failing = self.name(), self.name()
        self.ctr("containers", "create", "--label", STATUS + "running", "--label", POLICY + "unless-stopped", "--label",
                 STOPPED + "true", BUSYBOX, stopped, "sleep", "1000")
        self.ctr("containers", "create", "--label", STATUS + "running", "--label", POLICY + "on-failure", BUSYBOX, failing,
                 "sleep", "1000")
        first = self.name()
        self.ctr("containers", "create", "--label", STATUS + "running", BUSYBOX, first, "sleep", "1000")
        self.addCleanup(self.ctr, "containers", "label", first, STATUS + "stopped", check=False)
        # One look of the monitor sees all three.
        wait_for(lambda: self.is_running(first, 0), 25, "a start by the monitor")
        self.assertEqual(set(self.daemon.tasks()), {first})

    def log_of(self, name):
        """What the container wrote to /count, read from its snapshot."""
        mounts = self.out("snapshots", "mounts", "/x", name)
        upper = [word for word in mounts.replace(",", " ").replace("=", " ").split() if word.endswith("/fs")][0]
        for word in mounts.replace(",", " ").split():
            if word.startswith("upperdir="):
                upper = word[len("upperdir="):]
        try:
            with open(upper + "/count") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def test_unless_stopped_heeds_the_mark_and_a_plain_kill_is_none(self):
        name = self.run_labelled("unless-stopped")
        pid = self.pid(name)
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        again = wait_for(lambda: self.is_running(name, pid), what="the restart after a kill")
        self.label(name, STOPPED + "true")
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        self.stays_stopped(name)
        # Taken back, the container that is to run and has ended runs again.
        self.label(name, STOPPED + "false")
        wait_for(lambda: self.is_running(name, again), what="the restart after the mark went")

    def test_label_that_comes_later_counts_as_soon_as_the_update_returns(self):
        name = self.run_detached()
        self.addCleanup(self.ctr, "containers", "label", name, STATUS + "stopped", check=False)
        self.label(name, STATUS + "running")
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.is_running(name, pid))
        self.label(name, STATUS)  # removes the label
        os.kill(self.pid(name), signal.SIGKILL)
        self.stays_stopped(name)

    def test_delete_ends_the_policy(self):
        name = self.run_labelled("always", "sh", "-c", "exit 1")
        wait_for(lambda: self.ctr("tasks", "rm", name, check=False).returncode == 0, what="a delete in a pause")
        time.sleep(0.5)
        self.assertNotIn(name, self.daemon.tasks())

    def test_later_generations_write_to_the_log_that_a_label_names(self):
        log = self.daemon.dir + "/later.log"
        name = self.run_labelled("always", "sh", "-c", "echo hello; exec sleep 1000",
                                 labels=("containerd.io/restart.loguri=file://" + log,))
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: os.path.exists(log) and open(log).read() == "hello\n")

    def test_killed_shim_ends_it_once(self):
        name = self.run_labelled("always")
        pid = self.pid(name)
        for shim in shims(self.daemon.state):
            with open("/proc/%d/cmdline" % shim) as file:
                if name in file.read():
                    os.kill(shim, signal.SIGKILL)
        wait_for(lambda: name not in self.daemon.tasks())
        wait_for(lambda: not os.path.exists("/proc/%d" % pid))
