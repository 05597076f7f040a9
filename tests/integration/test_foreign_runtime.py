"""Other OCI runtimes by their command line (the runtime option BinaryName): crun, and Debian's runc under a name of its own."""
import itertools
import os
import re
import shutil
import signal
import sys
import tempfile
import unittest

from event_watch import EventWatch
from harness import BUSYBOX, STOCK, BerthTest, mounts, shims, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "testing"))
from terminal import Terminal  # noqa: E402


@unittest.skipIf(STOCK, "containerd's own shim always does this")
class ForeignRuntimeBase(BerthTest):
    binary = None

    @classmethod
    def setUpClass(cls):
        if cls is ForeignRuntimeBase:
            raise unittest.SkipTest("a base")
        if not shutil.which(cls.binary):
            raise unittest.SkipTest(cls.binary + " is not installed")
        super().setUpClass()
        cls.directory = tempfile.mkdtemp(prefix="berth-foreign-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.program = cls.directory + "/other-" + cls.binary
        # It notes each call and is then the runtime itself.
        with open(cls.program, "w") as file:
            file.write('#!/bin/sh\necho "$@" >> %s/calls\n%s' % (cls.directory, cls.command()))
        os.chmod(cls.program, 0o755)

    @classmethod
    def command(cls):
        return 'exec %s "$@"\n' % shutil.which(cls.binary)

    def calls(self):
        try:
            with open(self.directory + "/calls") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def once(self, *arguments, **options):
        name = self.name("once")
        return self.ctr("run", "--rm", "--runc-binary", self.program, BUSYBOX, name, *arguments, **options)

    def start(self, *command, options=()):
        name = self.name("life")
        self.ctr("run", "-d", "--runc-binary", self.program, *options, BUSYBOX, name, *(command or ("sleep", "1000")))
        return name


class Cases:
    def test_output_input_and_exit_codes(self):
        self.assertEqual(self.once("echo", "hi").stdout, "hi\n")
        self.assertEqual(self.once("sh", "-c", "echo bad >&2; exit 42", check=False).returncode, 42)
        # ctr may miss the end of a short input: the container does not wait for it.
        self.assertEqual(self.once("sh", "-c", "read line; echo got $line", input="typed\n").stdout, "got typed\n")
        self.assertIn(" create --bundle ", self.calls())

    def test_a_program_that_is_not_there(self):
        failed = self.once("/nosuch", check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertRegex(failed.stderr, "no such file|not found")

    def test_the_whole_life(self):
        name = self.start(options=("--memory-limit", "67108864"))
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "a", name, "echo", "in"), "in\n")
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "b", name, "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertEqual(len(self.out("tasks", "ps", name).strip().split("\n")), 2)
        self.assertIn("memory", self.out("tasks", "metrics", name))
        self.ctr("tasks", "pause", name)
        self.assertEqual(self.daemon.tasks()[name][1], "PAUSED")
        self.ctr("tasks", "resume", name)
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")
        self.ctr("tasks", "kill", "-s", "SIGTERM", name)  # sleep is init there and has no handler: nothing happens
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        wait_for(lambda: self.daemon.tasks()[name][1] == "STOPPED")
        removed = self.ctr("tasks", "rm", name, check=False)
        self.assertNotIn("not found", removed.stderr)
        self.ctr("containers", "rm", name)
        for verb in ("create", "start", "exec", "pause", "resume", "kill", "delete"):
            self.assertRegex(self.calls(), r"(?m) %s( |$)" % verb)

    def test_a_terminal(self):
        shell = Terminal(self.daemon.ctr_argv("run", "--rm", "-t", "--runc-binary", self.program, BUSYBOX, self.name("tty"), "sh"))
        self.addCleanup(shell.process.kill)
        shell.type("echo $((6*7))-sum\n")
        shell.expect("42-sum")
        shell.type("exit 5\n")
        self.assertEqual(shell.wait(), 5)

    def test_an_exec_at_a_terminal(self):
        name = self.start()
        shell = Terminal(self.daemon.ctr_argv("tasks", "exec", "-t", "--exec-id", "tty", name, "sh"))
        self.addCleanup(shell.process.kill)
        shell.type("echo in-$((6*7))\n")
        shell.expect("in-42")
        shell.type("exit 6\n")
        self.assertEqual(shell.wait(), 6)

    def test_events_come_in_order(self):
        with EventWatch(self.daemon) as watch:
            self.once("true")
            seen = watch.seen()
        self.assertEqual(re.findall(r"(/tasks/[a-z-]+)", seen), ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"])

    def test_it_outlives_the_daemon_and_its_exit_is_known(self):
        name = self.start("sh", "-c", "sleep 2; exit 7")
        lasting = self.start()
        pid = self.daemon.tasks()[lasting][0]
        self.daemon.signal(signal.SIGKILL)
        ending = [p for p in self.ending(name)]
        wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in ending), 20)
        self.daemon.start()
        self.assertEqual(self.daemon.tasks()[lasting], (pid, "RUNNING"))
        self.assertEqual(self.daemon.tasks()[name][1], "STOPPED")
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", lasting, "echo", "still"), "still\n")
        self.assertIn("exit code 7", self.ctr("tasks", "rm", name).stderr)

    def test_a_restart_policy(self):
        name = self.start("sh", "-c", "echo life >> /lives; exec sleep 1000",
                          options=("--label", "containerd.io/restart.status=running", "--label", "containerd.io/restart.policy=always"))
        self.addCleanup(self.ctr, "containers", "label", name, "containerd.io/restart.status=stopped", check=False)
        pid = self.daemon.tasks()[name][0]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.daemon.tasks()[name][1] == "RUNNING" and self.daemon.tasks()[name][0] != pid, 30, "the next life")
        count = itertools.count()
        wait_for(lambda: self.ctr("tasks", "exec", "--exec-id", "l%d" % next(count), name, "cat", "/lives",
                                  check=False).stdout == "life\nlife\n", 30, "its line")
        self.ctr("containers", "label", name, "containerd.io/restart.status=stopped")
        self.ctr("tasks", "rm", "-f", name)

    def ending(self, name):
        path = "%s/io.containerd.runtime.v2.task/%s/%s/init.pid" % (self.daemon.state, self.daemon.namespace, name)
        with open(path) as file:
            return [int(file.read())]

    def test_a_killed_shim_leaves_nothing(self):
        name = self.start()
        pid = self.daemon.tasks()[name][0]
        for shim in shims(self.daemon.state):
            os.kill(shim, signal.SIGKILL)
        wait_for(lambda: name not in self.daemon.tasks(), 20)
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), 20)
        self.assertFalse([line for line in mounts() if "/%s/rootfs" % name in line])

    def test_many_execs_leave_no_zombies(self):
        name = self.start()
        for number in range(5):
            self.ctr("tasks", "exec", "--exec-id", "e%d" % number, name, "sh", "-c", "(sleep 0.1 &) ; true")
        shim = shims(self.daemon.state)[0]

        def zombies():
            found = []
            with open("/proc/%d/task/%d/children" % (shim, shim)) as file:
                for child in file.read().split():
                    with open("/proc/%s/stat" % child) as stat:
                        found += [child] if ") Z " in stat.read() else []
            return found
        wait_for(lambda: not zombies(), 10, "the reaping of all children")


@unittest.skipUnless(shutil.which("crun"), "crun is not installed")
class CrunTest(Cases, ForeignRuntimeBase):
    binary = "crun"

    @classmethod
    def command(cls):
        # crun refuses a host that has controllers in version 2 beside version 1: it is not shown that mount there.
        plain = super().command()
        try:
            with open("/sys/fs/cgroup/unified/cgroup.controllers") as file:
                hybrid = file.read().strip()
        except FileNotFoundError:
            return plain
        hidden = "exec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec \"$0\" \"$@\"' %s \"$@\"\n" % shutil.which(cls.binary)
        return hidden if hybrid else plain

    def test_berth_run_with_another_runtime(self):
        missing = self.ctr("run", "--rm", "--runc-binary", "no-such-runtime", BUSYBOX, self.name(), "true", check=False)
        self.assertIn("no-such-runtime", missing.stderr)
        self.assertIn("executable file not found in $PATH", missing.stderr)


@unittest.skipUnless(shutil.which("runc"), "runc is not installed")
class RuncTest(Cases, ForeignRuntimeBase):
    binary = "runc"


if __name__ == "__main__":
    unittest.main()
