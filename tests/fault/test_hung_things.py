"""What hangs affects its own container only, and can be killed and removed: shims, FIFOs, loggers, hooks."""
import glob
import json
import os
import signal
import subprocess
import time
import unittest

from fault import FaultTest, amount
from harness import BUSYBOX, wait_for


class HungThingsTest(FaultTest):
    def stop_shim(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.wake, pid)

    def wake(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_stopped_shims_do_not_slow_calls_on_others(self):
        bystander = self.run_detached()
        victims = [self.run_detached() for _ in range(amount(20, 200))]
        for name in victims:
            self.stop_shim(self.shim_of(name))
        # The first list waits for each of them at once, up to the time that one question has.
        self.daemon.tasks()
        began = time.monotonic()
        for _ in range(10):
            self.assertEqual(self.out("tasks", "exec", "--exec-id", "e%d" % time.monotonic_ns(), bystander, "echo", "on"),
                             "on\n")
        self.assertLess((time.monotonic() - began) / 10, 2)
        began = time.monotonic()
        listed = self.daemon.tasks()
        self.assertLess(time.monotonic() - began, 1.5, "a list does not wait for shims that were slow before")
        for name in victims:
            self.assertEqual(listed[name][1], "RUNNING", "answered from the journal")
        for name in victims:
            os.kill(self.shim_of(name), signal.SIGKILL)
        wait_for(lambda: set(self.daemon.tasks()) <= {bystander}, 60, "the end of all victims")

    def test_a_fifo_that_nobody_reads(self):
        # Its writer fills the pipe and blocks; kill and removal do not wait for a reader.
        fifo = self.outputs + "/fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        name = self.name()
        self.ctr("run", "-d", "--log-uri", "file://" + fifo, BUSYBOX, name, "yes")
        bystander = self.run_detached()
        began = time.monotonic()
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        self.wait_status(name, "STOPPED")
        self.assertEqual(self.removed_with(name), 137)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.daemon.tasks()[bystander][1], "RUNNING")

    def test_a_logger_that_died(self):
        logger = self.outputs + "/logger"
        with open(logger, "w") as file:
            # Says that it is ready, and ends at once.
            file.write("#!/bin/sh\nexec 5>&-\nexit 1\n")
        os.chmod(logger, 0o755)
        name = self.name()
        self.ctr("run", "-d", "--log-uri", "binary://" + logger, BUSYBOX, name, "sh", "-c",
                 "trap '' PIPE; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 5")
        self.wait_status(name, "STOPPED")
        self.assertEqual(self.removed_with(name), 5)

    def test_a_hook_that_never_ends(self):
        model = self.run_detached()
        spec = json.loads(self.out("containers", "info", "--spec", model))
        name = self.name("hook")
        spec["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep-of-" + name, "997"]}]}
        spec["linux"]["cgroupsPath"] = spec["linux"]["cgroupsPath"].replace(model, name)
        path = self.outputs + "/config.json"
        with open(path, "w") as file:
            json.dump(spec, file)
        # An empty root filesystem is enough: the hook comes before the program.
        self.ctr("containers", "create", "--config", path, name)
        create = subprocess.Popen(self.daemon.ctr_argv("tasks", "start", "-d", name), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
        self.addCleanup(create.kill)

        def hook():
            return [p for p in glob.glob("/proc/[0-9]*/cmdline") if ("sleep-of-" + name) in self.text_of(p)]
        wait_for(lambda: hook() or create.poll() is not None, 15, "the hook")
        self.assertTrue(hook(), create.stdout.read() if create.poll() is not None else "")
        listed = self.daemon.berth("ps", "--ops").stdout
        self.assertIn("Tasks.Create", [word for line in listed.splitlines() if name in line for word in line.split()], listed)
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", model, "echo", "on"), "on\n")
        # The client that waits for the create gives up, and with it goes what it asked for.
        create.kill()
        create.communicate()
        wait_for(lambda: not hook(), 20, "the end of the hook")
        wait_for(lambda: name not in self.daemon.tasks(), 20, "the end of the task")

    def text_of(self, path):
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            return ""


if __name__ == "__main__":
    unittest.main()
