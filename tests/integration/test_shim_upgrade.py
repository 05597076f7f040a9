"""A shim becomes another program in its own process: containers, their clients and the daemon do not notice."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

from docker_case import DockerTest
from harness import BIN, BUSYBOX, STOCK, BerthTest, shims, wait_for

FOREIGN_SHIM = "/usr/bin/containerd-shim-runc-v2"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def shim_of(daemon, container):
    """The pid of the container's shim, by its working directory."""
    for pid in shims(daemon.state):
        with open("/proc/%d/comm" % pid) as file:
            is_log = file.read().strip() == "berth-log"
        if not is_log and os.path.basename(os.readlink("/proc/%d/cwd" % pid)) == container:
            return pid
    raise AssertionError("no shim of " + container)


def assert_let_go(test, touched):
    """Of an exec that touches what its container waits for: whose end may come before its own, and kills it then."""
    test.assertIn(touched.returncode, (0, 137), touched.stderr)


def children(pid):
    """The process's children: pid -> command line."""
    lines = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout.splitlines()
    return {int(number): words for number, words in (line.split(None, 1) for line in lines)}


class UpgradeCase(DockerTest):
    def upgrade(self, *arguments):
        """As a user does: again, while something is under way."""
        for _ in range(20):
            result = self.daemon.berth("shim", "upgrade", *arguments, check=False)
            if result.returncode == 0 or "try again" not in result.stderr:
                break
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def id_of(self, name):
        return self.berth("inspect", "--format", "{{.Id}}", name).strip()

    def shim(self, name):
        return shim_of(self.daemon, self.id_of(name))

    def inspect(self, name, template):
        return self.berth("inspect", "--format", template, name).strip()


@unittest.skipIf(STOCK, "containerd's shims cannot be upgraded")
class ShimUpgradeTest(UpgradeCase):
    def test_a_log_at_full_speed_is_whole_and_the_end_is_known(self):
        self.berth("run", "-d", "--name", "web", "busybox", "sh", "-c", "seq 1 150000; while ! [ -e /go ]; do sleep 0.02; done; exit 5")
        waiter = self.in_background("wait", "web")
        shim, pid = self.shim("web"), self.inspect("web", "{{.State.Pid}}")
        for _ in range(4):
            self.assertEqual(self.upgrade("web"), "web: 0.1.0 -> 0.1.0\n")
        self.assertEqual((self.shim("web"), self.inspect("web", "{{.State.Pid}}")), (shim, pid))
        with open("/proc/%d/cmdline" % shim) as file:
            self.assertIn("-upgrade-take", file.read())
        self.assertIsNone(waiter.poll())
        assert_let_go(self, self.daemon.berth("exec", "web", "touch", "/go", check=False))
        self.assertEqual(waiter.communicate(timeout=60)[0], "5\n")
        self.assertEqual(self.berth("logs", "web"), "".join("%d\n" % i for i in range(1, 150001)))
        self.berth("rm", "web")

    def test_the_foreground_of_another_client_goes_on(self):
        """ctr's FIFOs and its Wait."""
        ctr = subprocess.Popen(self.daemon.ctr_argv("run", "--rm", BUSYBOX, "front", "sh", "-c",
                                                    "seq 1 200000; while ! [ -e /go ]; do sleep 0.02; done; echo last; exit 3"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(ctr.kill)
        text = []
        reader = threading.Thread(target=lambda: text.append(ctr.stdout.read()))
        reader.start()
        wait_for(lambda: self.daemon.tasks().get("front", (0, ""))[1] == "RUNNING", 30)
        for _ in range(3):
            self.upgrade("front")
        assert_let_go(self, self.ctr("tasks", "exec", "--exec-id", "e", "front", "touch", "/go", check=False))
        self.assertEqual(ctr.wait(60), 3)
        reader.join(30)
        self.assertEqual(text[0], "".join("%d\n" % i for i in range(1, 200001)) + "last\n")

    def test_input_an_exec_and_a_terminal_go_on(self):
        front = subprocess.Popen([BIN + "/berth", "run", "-i", "--name", "front", "busybox", "sh", "-c", "while read line; do echo got $line; done; exit 7"],
                                 env=dict(os.environ, **self.env()), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(front.kill)
        front.stdin.write("one\n")
        front.stdin.flush()
        self.assertEqual(front.stdout.readline(), "got one\n")
        run = self.in_background("exec", "front", "sh", "-c", "echo begun > /begun; while ! [ -e /go ]; do sleep 0.02; done; echo ended; exit 9")
        wait_for(lambda: self.daemon.berth("exec", "front", "test", "-e", "/begun", check=False).returncode == 0, 30)
        terminal = self.terminal("exec", "-it", "front", "sh")
        terminal.expect("#")
        self.upgrade("front")
        terminal.type("echo a$((1+1))b\n")
        terminal.expect("a2b")
        self.upgrade("front")
        terminal.type("exit 4\n")
        self.assertEqual(terminal.wait(), 4)
        front.stdin.write("two\n")
        front.stdin.flush()
        self.assertEqual(front.stdout.readline(), "got two\n")
        assert_let_go(self, self.daemon.berth("exec", "front", "touch", "/go", check=False))
        self.assertEqual((run.communicate(timeout=60)[0], run.returncode), ("ended\n", 9))
        front.stdin.close()
        self.assertEqual(front.wait(60), 7)

    def test_an_exec_begins_with_every_signal_at_its_default_before_and_after(self):
        """The shim ignores some, and its next program asks again which."""
        self.berth("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
        for _ in range(2):
            for _ in range(2):  # the first asks, the second knows
                lines = self.berth("exec", "plain", "grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status").split("\n")[:3]
                # But 32 and 33, the C library's own: posix_spawn leaves them ignored, and sigaction lets nobody set them.
                self.assertEqual([int(line.split()[1], 16) & ~0x180000000 for line in lines], [0, 0, 0], lines)
            self.upgrade("plain")

    def test_restarts_and_health_checks_go_on(self):
        self.berth("run", "-d", "--name", "again", "--restart", "always", "--health-cmd", "test -e /well", "--health-interval", "100ms",
                   "--health-retries", "1", "busybox", "sh", "-c", "echo x >> /runs; [ $(wc -l < /runs) -ge 4 ] && sleep 1000; exit 6")
        wait_for(lambda: int(self.inspect("again", "{{.RestartCount}}")) >= 1, 30)
        self.upgrade("again")
        wait_for(lambda: self.inspect("again", "{{.RestartCount}} {{.State.Running}}") == "3 true", 60)
        wait_for(lambda: self.inspect("again", "{{.State.Health.Status}}") == "unhealthy", 30)
        self.upgrade("again")
        self.assertEqual(self.inspect("again", "{{.State.Health.Status}}"), "unhealthy")
        self.berth("exec", "again", "touch", "/well")
        wait_for(lambda: self.inspect("again", "{{.State.Health.Status}}") == "healthy", 30)

    def test_a_paused_container_stays_paused_and_an_oom_kill_is_seen(self):
        self.berth("run", "-d", "--name", "small", "-m", "24m", "busybox", "sh", "-c", "while ! [ -e /go ]; do sleep 0.02; done; tail /dev/zero; sleep 1000")
        self.berth("pause", "small")
        self.upgrade("small")
        self.assertEqual(self.inspect("small", "{{.State.Status}}"), "paused")
        self.berth("unpause", "small")
        assert_let_go(self, self.daemon.berth("exec", "small", "touch", "/go", check=False))
        wait_for(lambda: self.inspect("small", "{{.State.OOMKilled}}") == "true", 60)

    def test_a_program_that_cannot_take_over_changes_nothing(self):
        self.berth("run", "-d", "--name", "still", "busybox", "sleep", "1000")
        shim = self.shim("still")
        open_files, program = set(os.listdir("/proc/%d/fd" % shim)), digest("/proc/%d/exe" % shim)
        programs = {"says-no": ("#!/bin/sh\necho it is too late\nexit 1\n", "ended with status 1, saying: it is too late"),
                    "garbage": ("x" * 5000, "could not be executed"),
                    "dies": ("#!/bin/sh\nkill -9 $$\n", "ended by signal 9")}
        for name, (text, words) in programs.items():
            path = "%s/%s" % (self.daemon.dir, name)
            with open(path, "w") as file:
                file.write(text)
            os.chmod(path, 0o755)
            self.fails(1, "shim", "upgrade", "--program", path, "still", words=[words, "goes on as it was"])
        self.fails(1, "shim", "upgrade", "--program", "/does/not/exist", "still", words=["/does/not/exist"])
        self.fails(1, "shim", "upgrade", "nobody", words=["nobody"])
        self.assertNotEqual(self.daemon.berth("shim", "upgrade", check=False).returncode, 0)
        # The connection for events is made again with the next one.
        self.assertLessEqual(set(os.listdir("/proc/%d/fd" % shim)), open_files)
        self.assertEqual(digest("/proc/%d/exe" % shim), program)
        self.assertEqual(self.berth("shim", "upgrade", "--check", "still"), "still: 0.1.0 could become 0.1.0\n")
        with open("/proc/%d/cmdline" % shim) as file:
            self.assertNotIn("-upgrade-take", file.read())

    def test_all_of_a_namespace_become_another_program_and_twenty_times_cost_nothing(self):
        for name in ("one", "two"):
            self.berth("run", "-d", "--name", name, "busybox", "sleep", "1000")
        other = self.daemon.dir + "/other-shim"
        shutil.copyfile(BIN + "/berth-shim", other)
        with open(other, "ab") as file:
            file.write(b"another build")
        os.chmod(other, 0o755)
        answers = self.upgrade("--all", "--program", other)
        self.assertEqual(len(re.findall(r"^\S+: 0\.1\.0 -> 0\.1\.0$", answers, re.M)), 2, answers)
        for name in ("one", "two"):
            self.assertEqual(digest("/proc/%d/exe" % self.shim(name)), digest(other))
        shim = self.shim("one")
        open_files = len(os.listdir("/proc/%d/fd" % shim))
        for _ in range(20):
            self.upgrade("one")
        self.assertEqual(len(os.listdir("/proc/%d/fd" % shim)), open_files)
        self.assertEqual(digest("/proc/%d/exe" % shim), digest(BIN + "/berth-shim"))
        self.assertEqual(self.berth("exec", "one", "echo", "here"), "here\n")

    def test_a_shim_that_is_killed_after_it_is_a_killed_shim(self):
        self.berth("run", "-d", "--name", "lost", "busybox", "sleep", "1000")
        pid = int(self.inspect("lost", "{{.State.Pid}}"))
        self.upgrade("lost")
        os.kill(self.shim("lost"), signal.SIGKILL)
        wait_for(lambda: self.inspect("lost", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137", 30)
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), 30)


@unittest.skipIf(STOCK, "containerd's shims cannot be upgraded")
class DaemonAndShimUpgradeTest(UpgradeCase):
    def test_a_daemon_that_is_killed_in_the_middle_and_the_next_one(self):
        self.berth("run", "-d", "--name", "lasting", "busybox", "sh", "-c", "while ! [ -e /go ]; do sleep 0.02; done; exit 8")
        pid = self.inspect("lasting", "{{.State.Pid}}")
        hangs, began = self.daemon.dir + "/hangs", self.daemon.dir + "/began"
        with open(hangs, "w") as file:
            file.write("#!/bin/sh\n[ \"$1\" = -v ] && exit 0\ntouch %s\nexec sleep 1000\n" % began)
        os.chmod(hangs, 0o755)
        asking = self.in_background("shim", "upgrade", "--program", hangs, "lasting")
        wait_for(lambda: os.path.exists(began), 30)
        self.daemon.signal(signal.SIGKILL)
        self.assertNotEqual(asking.wait(60), 0)
        self.daemon.start()
        # The check of before still runs: its time is not over.
        wait_for(lambda: "under way" not in self.daemon.berth("shim", "upgrade", "lasting", check=False).stderr, 60)
        self.upgrade("lasting")
        self.assertEqual(self.inspect("lasting", "{{.State.Pid}} {{.State.Status}}"), pid + " running")
        # An exit while no daemon is there, after an upgrade.
        assert_let_go(self, self.daemon.berth("exec", "lasting", "touch", "/go", check=False))
        wait_for(lambda: self.inspect("lasting", "{{.State.Status}} {{.State.ExitCode}}") == "exited 8", 30)

    def test_an_end_while_the_daemon_is_away_after_an_upgrade(self):
        self.berth("run", "-d", "--name", "ending", "busybox", "sh", "-c", "sleep 1.5; exit 12")
        self.upgrade("ending")
        self.daemon.signal(signal.SIGKILL)
        time.sleep(2)
        self.daemon.start()
        wait_for(lambda: self.inspect("ending", "{{.State.Status}} {{.State.ExitCode}}") == "exited 12", 30)


LOGGER = """#!/bin/sh
echo begun >> {dir}/logger
exec 5>&-
cat <&3 > {dir}/logged-out &
cat <&4 > {dir}/logged-err
wait
echo ended >> {dir}/logger
"""


@unittest.skipIf(STOCK, "containerd's shims cannot be upgraded")
class LoggerUpgradeTest(BerthTest):
    """A container whose output goes to a logging program, `binary://`: a child of the shim, which stays its parent."""

    def setUp(self):
        super().setUp()
        self.program = self.daemon.dir + "/logger-program"
        with open(self.program, "w") as file:
            file.write(LOGGER.format(dir=self.daemon.dir))
        os.chmod(self.program, 0o755)
        self.addCleanup(lambda: os.path.exists(self.daemon.dir + "/logger") and os.unlink(self.daemon.dir + "/logger"))

    def text(self, name):
        with open("%s/%s" % (self.daemon.dir, name)) as file:
            return file.read()

    def upgrade(self, name):
        wait_for(lambda: self.daemon.berth("shim", "upgrade", name, check=False).returncode == 0, 30)

    def loggers(self, shim):
        """The children of the shim that run the logging program."""
        return [pid for pid, words in children(shim).items() if self.program in words]

    def end_with(self, name, code):
        assert_let_go(self, self.ctr("tasks", "exec", "--exec-id", "go", name, "touch", "/go", check=False))
        wait_for(lambda: self.daemon.tasks()[name][1] == "STOPPED", 60)
        self.assertIn("exit code %d" % code, self.ctr("tasks", "rm", name).stderr)

    def test_what_it_is_told_is_whole_and_it_stays_one_process(self):
        name = self.name()
        self.ctr("run", "-d", "--log-uri", "binary://" + self.program, BUSYBOX, name, "sh", "-c",
                 "seq 1 150000; seq 1 1000 >&2; while ! [ -e /go ]; do sleep 0.02; done; echo last; echo late >&2; exit 6")
        shim = shim_of(self.daemon, name)
        wait_for(lambda: self.loggers(shim), 30)
        logger = self.loggers(shim)
        for _ in range(4):
            self.upgrade(name)
        self.assertEqual(self.loggers(shim), logger)
        self.end_with(name, 6)
        # The delete has waited for it.
        self.assertEqual(self.text("logger"), "begun\nended\n")
        self.assertEqual(self.text("logged-out"), "".join("%d\n" % i for i in range(1, 150001)) + "last\n")
        self.assertEqual(self.text("logged-err"), "".join("%d\n" % i for i in range(1, 1001)) + "late\n")

    def test_one_that_dies_after_an_upgrade_stops_nobody(self):
        name = self.name()
        self.ctr("run", "-d", "--log-uri", "binary://" + self.program, BUSYBOX, name, "sh", "-c",
                 "trap '' PIPE; while ! [ -e /go ]; do seq 1 2000; echo to stderr >&2; done; exit 7")
        shim = shim_of(self.daemon, name)
        wait_for(lambda: self.loggers(shim), 30)
        self.upgrade(name)
        # Its readers go with it: a container's pipe would be full at once if nobody else read.
        for pid in self.loggers(shim):
            for one in [pid, *children(pid)]:
                os.kill(one, signal.SIGKILL)
        wait_for(lambda: not self.loggers(shim), 30)
        for _ in range(2):
            self.upgrade(name)
        self.end_with(name, 7)


@unittest.skipUnless(os.access(FOREIGN_SHIM, os.X_OK), "containerd-shim-runc-v2 is not installed")
@unittest.skipIf(STOCK, "containerd's shims cannot be upgraded")
class ForeignShimUpgradeTest(BerthTest):
    def test_it_is_refused_and_runs_on(self):
        self.ctr("run", "-d", "--runtime", FOREIGN_SHIM, BUSYBOX, "foreign", "sleep", "1000")
        result = self.daemon.berth("shim", "upgrade", "foreign", check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("not Berth's own", result.stderr)
        self.assertEqual(self.daemon.tasks()["foreign"][1], "RUNNING")


@unittest.skipUnless(shutil.which("runc"), "runc is not installed")
@unittest.skipIf(STOCK, "containerd's shims cannot be upgraded")
class OtherRuntimeUpgradeTest(BerthTest):
    """A container that the shim drives through another runtime's command line: runc, under a name that is not its own."""

    def test_its_shim_is_upgraded_as_well(self):
        program = self.daemon.dir + "/other-runtime"
        os.symlink(os.path.realpath(shutil.which("runc")), program)
        self.ctr("run", "-d", "--runc-binary", program, BUSYBOX, "other", "sh", "-c", "while ! [ -e /go ]; do sleep 0.05; done; exit 9")
        pid = self.daemon.tasks()["other"][0]
        for _ in range(2):
            wait_for(lambda: self.daemon.berth("shim", "upgrade", "other", check=False).returncode == 0, 30)
        self.assertEqual(self.out("tasks", "exec", "--exec-id", "e", "other", "echo", "here"), "here\n")
        self.ctr("tasks", "pause", "other")
        wait_for(lambda: self.daemon.berth("shim", "upgrade", "other", check=False).returncode == 0, 30)
        self.assertEqual(self.daemon.tasks()["other"], (pid, "PAUSED"))
        self.ctr("tasks", "resume", "other")
        assert_let_go(self, self.ctr("tasks", "exec", "--exec-id", "g", "other", "touch", "/go", check=False))
        wait_for(lambda: self.daemon.tasks()["other"][1] == "STOPPED", 30)
        self.assertIn("exit code 9", self.ctr("tasks", "rm", "other").stderr)


if __name__ == "__main__":
    unittest.main()
