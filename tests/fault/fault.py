"""What the fault tests share: containers that write without end, and a daemon that dies and comes back."""
import glob
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import BUSYBOX, BerthTest, wait_for  # noqa: E402

LONG = os.environ.get("BERTH_FAULT_LONG") == "1"


def amount(short, long):
    return long if LONG else short


def last_number(path):
    """The last whole line of a file that a container counts into; 0 when there is none."""
    try:
        with open(path) as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return 0
    return int(lines[-2]) if len(lines) > 1 else 0


def numbers(path):
    with open(path) as file:
        return [int(line) for line in file.read().split("\n")[:-1]]


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as file:
        return int([line for line in file if line.startswith("VmRSS:")][0].split()[1])


class FaultTest(BerthTest):
    """Starts each test with its own daemon's containers gone, and checks afterwards that nothing is left."""

    def setUp(self):
        super().setUp()
        self.outputs = self.daemon.dir + "/out"
        self.triggers = self.daemon.dir + "/go"
        for folder in (self.outputs, self.triggers):
            os.makedirs(folder, exist_ok=True)
        self.addCleanup(self.ensure_daemon)

    def ensure_daemon(self):
        if self.daemon.process is None:
            self.daemon.start()

    def start_writer(self):
        """A container that counts, twice a second, into a file by way of its shim."""
        name = self.name("w")
        self.ctr("run", "-d", "--log-uri", "file://" + self.output(name), BUSYBOX, name, "sh", "-c",
                 "i=0; while :; do i=$((i+1)); echo $i; sleep 0.5; done")
        return name

    def output(self, name):
        return os.path.join(self.outputs, name)

    def start_waiter(self, code):
        """A container that exits with `code` once let_go(name) was called."""
        name = self.name("x")
        self.ctr("run", "-d", "--mount", "type=bind,src=%s,dst=/go,options=rbind:ro" % self.triggers, BUSYBOX, name,
                 "sh", "-c", "while [ ! -e /go/%s ]; do sleep 0.1; done; exit %d" % (name, code))
        return name

    def let_go(self, name):
        open(os.path.join(self.triggers, name), "w").close()

    def kill_daemon(self, number=signal.SIGKILL):
        return self.daemon.signal(number)

    def restart_daemon(self):
        began = time.monotonic()
        self.daemon.start()
        return time.monotonic() - began

    def shim_of(self, name):
        """The pid of the shim whose bundle is that of `name`."""
        for path in glob.glob("/proc/[0-9]*/cwd"):
            try:
                target = os.readlink(path)
            except OSError:
                continue
            if target.startswith(self.daemon.state + "/") and os.path.basename(target) == name:
                return int(path.split("/")[2])
        raise AssertionError("no shim has the bundle of " + name)

    def wait_until_dead(self, *pids):
        wait_for(lambda: not any(alive(pid) for pid in pids), 10, "the end of %s" % (pids,))

    def wait_status(self, name, status):
        wait_for(lambda: self.daemon.tasks().get(name, (0, None))[1] == status, 15, "%s to be %s" % (name, status))

    def removed_with(self, name):
        """Deletes an exited task and returns the exit status that its deletion reports."""
        result = self.ctr("tasks", "rm", name)
        marker = "exit with non-zero exit code "
        if marker not in result.stderr:
            return 0
        return int("".join(c for c in result.stderr.split(marker)[1] if c.isdigit() or c == " ").split()[0])
