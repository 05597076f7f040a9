"""berth-runtime by itself: lives that end well, and lives whose runtime is killed at a random moment, leave nothing.

Also where `/` is a shared mount, as systemd makes it: there the outer mount table must not change either.

Several workers run side by side, each with a bundle, a state directory and a control group of its own: a life is mostly the kernel's
own waiting. A worker is the subreaper of what it starts, so that whatever outlives a command of the runtime is a child of the worker.
"""
import ctypes
import glob
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
import unittest

from fault import amount
from harness import BIN, STOCK

RUNTIME = BIN + "/berth-runtime"
# Set in the copy of these tests that runs inside a private mount namespace with a shared root.
INSIDE = "BERTH_RUNTIME_CYCLES_SHARED"
TURNS = amount(20 if os.environ.get(INSIDE) else 50, 1000)
WORKERS = amount(2, 4)
PR_SET_CHILD_SUBREAPER = 36


class Worker:
    """One bundle, and everything that its lives may leave somewhere."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="berth-rtcycles-")
        root = self.dir + "/bundle/rootfs"
        for folder in ("bin", "proc", "dev", "sys"):
            os.makedirs("%s/%s" % (root, folder))
        shutil.copy("/bin/busybox", root + "/bin/busybox")
        os.symlink("busybox", root + "/bin/sleep")
        subprocess.run([RUNTIME, "spec"], cwd=self.dir + "/bundle", check=True)
        with open(self.dir + "/bundle/config.json") as file:
            config = json.load(file)
        config["process"].update(args=["sleep", "1000"], terminal=False)
        config["root"]["readonly"] = False
        self.group = "berth_rtcycles_" + os.path.basename(self.dir)[-8:]
        config["linux"]["cgroupsPath"] = "/%s/c" % self.group
        # The rules and the filter that engines ask for take time in the set-up: more moments to die at.
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["swapon", "swapoff"], "action": "SCMP_ACT_ERRNO"}]}
        with open(self.dir + "/bundle/config.json", "w") as file:
            json.dump(config, file)
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
        self.runtime("create", "--bundle", self.dir + "/bundle", "warm")  # compiles the filter
        self.runtime("delete", "-f", "warm")
        # How long a create takes here and now: the moments to die at are spread over one and a half.
        began = time.monotonic()
        self.runtime("create", "--bundle", self.dir + "/bundle", "warm")
        self.one_create_s = time.monotonic() - began
        self.runtime("delete", "-f", "warm")
        deadline = time.monotonic() + 15
        while self.children() or self.ours():
            if time.monotonic() > deadline:
                raise AssertionError("the first container's process does not end")
            time.sleep(0.002)
        self.before = self.facts()

    def remove(self):
        for path in self.groups():
            for inner in (path + "/c", path):
                try:
                    os.rmdir(inner)
                except OSError:
                    pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def argv(self, *arguments):
        return [RUNTIME, "--root", self.dir + "/state"] + list(arguments)

    def runtime(self, *arguments, check=True):
        with open(self.dir + "/output", "w+") as out:
            code = subprocess.run(self.argv(*arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60).returncode
            out.seek(0)
            text = out.read()
        if check and code != 0:
            raise AssertionError("%s ended with %d: %s" % (arguments, code, text))
        return code, text

    def groups(self):
        return glob.glob("/sys/fs/cgroup/*/" + self.group) + glob.glob("/sys/fs/cgroup/" + self.group)

    def children(self):
        """What outlived the runtime's commands and still lives; the dead among it are reaped here."""
        with open("/proc/self/task/%d/children" % os.getpid()) as file:
            pids = [int(pid) for pid in file.read().split()]
        # No command of the runtime runs now, so that none of these is one that subprocess waits for.
        return [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0] == 0]

    def ours(self):
        """The processes anywhere that run from our directory, or in our control groups."""
        found = []
        for path in glob.glob("/proc/[0-9]*"):
            try:
                with open(path + "/cgroup") as file:
                    inside = self.group in file.read()
                with open(path + "/cmdline") as file:
                    inside = inside or self.dir + "/" in file.read()
            except OSError:
                continue
            if inside and int(path[6:]) != os.getpid():
                found.append(path)
        return sorted(found)

    def facts(self):
        with open("/proc/self/mountinfo") as file:
            mounts = sorted(line.split()[4] for line in file if self.dir in line)
        state = sorted(name for name in os.listdir(self.dir + "/state") if not name.startswith("."))
        filters = sorted(os.listdir(self.dir + "/state/.seccomp"))
        return {"mounts": mounts, "processes": self.children(), "groups": [g for g in self.groups() if os.path.isdir(g + "/c")],
                "state": state, "filters": filters, "bundle": sorted(os.listdir(self.dir + "/bundle"))}

    def assert_clean(self, what):
        deadline = time.monotonic() + 15
        while True:
            now = self.facts()
            if now == self.before:
                return
            if time.monotonic() > deadline:
                raise AssertionError("%s: before %s, now %s" % (what, self.before, now))
            time.sleep(0.002)

    def assert_alone(self):
        if self.ours():
            raise AssertionError("processes that are nobody's child: %s" % self.ours())

    def live(self, turns):
        for turn in range(turns):
            self.runtime("create", "--bundle", self.dir + "/bundle", "c")
            self.runtime("start", "c")
            if turn % 10 == 0:
                self.runtime("exec", "c", "sleep", "0")
            self.runtime("delete", "-f", "c")
            self.assert_clean("turn %d" % turn)
        self.assert_alone()

    def live_killed(self, turns):
        seed = random.randrange(1 << 30)
        choose = random.Random(seed)
        landed = {"before the record": 0, "after it": 0}
        for turn in range(turns):
            arguments = choose.choice((["create"], ["run"], ["run", "-d"])) + ["--bundle", self.dir + "/bundle", "c"]
            with open(os.devnull, "r+") as null:
                process = subprocess.Popen(self.argv(*arguments), stdin=null, stdout=null, stderr=null)
            # One in each of as many stretches as there are turns, close together where a create is under way: on any
            # machine some fall before the record and some after it.
            time.sleep(3 * self.one_create_s * ((turn + choose.random()) / turns) ** 2)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            recorded = os.path.exists(self.dir + "/state/c/state.json")
            landed["after it" if recorded else "before the record"] += 1
            if recorded and choose.random() < 0.3:
                self.runtime("start", "c", check=False)
            self.runtime("delete", "-f", "c")
            self.assert_clean("seed %d, turn %d: %s, %s" % (seed, turn, arguments, "recorded" if recorded else "not recorded"))
        self.assert_alone()
        if not all(landed.values()):
            raise AssertionError("the moments were not spread: %s" % landed)


def work(method, turns, results):
    try:
        worker = Worker()
        try:
            getattr(worker, method)(turns)
        finally:
            worker.remove()
        results.put("")
    except BaseException:
        results.put(traceback.format_exc())


@unittest.skipIf(STOCK, "no daemon is under test")
class RuntimeCyclesTest(unittest.TestCase):
    def run_workers(self, method):
        fork = multiprocessing.get_context("fork")
        results = fork.Queue()
        workers = [fork.Process(target=work, args=(method, TURNS // WORKERS, results)) for _ in range(WORKERS)]
        began = time.monotonic()
        for worker in workers:
            worker.start()
        problems = [results.get(timeout=amount(300, 3000)) for _ in workers]
        for worker in workers:
            worker.join(60)
        print("%d lives by %d workers in %.0f s" % (TURNS // WORKERS * WORKERS, WORKERS, time.monotonic() - began))
        self.assertEqual("", "\n".join(problems).strip())

    def test_lives_leave_nothing(self):
        self.run_workers("live")

    def test_killed_at_random_they_leave_nothing(self):
        self.run_workers("live_killed")

    @unittest.skipIf(os.environ.get(INSIDE), "is inside already")
    def test_both_where_the_root_is_shared(self):
        directory = tempfile.mkdtemp(prefix="berth-rtshared-")
        self.addCleanup(shutil.rmtree, directory, True)
        with open("/proc/self/mountinfo") as file:
            outer = sorted(line.split()[4] for line in file if "berth-rtcycles" in line)
        script = "mount --make-rshared / && exec python3 %s/run.py %s test_runtime_cycles.RuntimeCyclesTest" % (
            os.path.dirname(os.path.abspath(__file__)), "--long" if amount(0, 1) else "")
        # A peer group of its own: what would spread to the host's namespace spreads to this one's table, which is compared.
        table = "awk '{ print $5 }' /proc/self/mountinfo | sort > %s/table" % directory
        result = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             "mount --make-rshared / && %s.1 && ( %s ); code=$?; %s.2; exit $code" % (table, script, table)],
            env=dict(os.environ, **{INSIDE: "1"}), capture_output=True, text=True, timeout=amount(600, 3600))
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr[-1000:])
        print("".join(line + "\n" for line in result.stdout.splitlines() if "lives by" in line), end="")
        with open(directory + "/table.1") as first, open(directory + "/table.2") as second:
            self.assertEqual(first.read(), second.read())
        with open("/proc/self/mountinfo") as file:
            self.assertEqual(outer, sorted(line.split()[4] for line in file if "berth-rtcycles" in line))
