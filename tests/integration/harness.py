"""A private berthd for a test class, Debian's `ctr` and our `berth` pointed at it, and the check that nothing stays behind.

The programs come from $BERTH_BIN (tools/test sets it to an install prefix). With BERTH_TEST_DAEMON=containerd the same tests
run against Debian's containerd instead: the way to find out what the real one answers.
"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "testing"))
import images  # noqa: E402

BIN = os.environ.get("BERTH_BIN", "/usr/local/bin")
STOCK = os.environ.get("BERTH_TEST_DAEMON") == "containerd"
SANITIZED = "ASAN_OPTIONS" in os.environ  # memory is then the sanitizer's too
BUSYBOX = "docker.io/library/busybox:latest"


def wait_for(condition, timeout_s=10, what="the condition"):
    """Polls until `condition()` is truthy and returns that value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("%s did not come within %d s" % (what, timeout_s))
        time.sleep(0.02)


def at_once(count, function):
    """Calls `function` on that many threads and waits for all of them."""
    threads = [threading.Thread(target=function) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Daemon:
    """One berthd with root, state and socket in a directory of its own."""

    def __init__(self, config="", name="it"):
        self.dir = tempfile.mkdtemp(prefix="berth-%s-" % name)
        self.root, self.state = self.dir + "/root", self.dir + "/state"
        self.sock = self.state + "/berth.sock"
        self.log_path = self.dir + "/daemon.log"
        self.namespace = "t" + os.path.basename(self.dir).replace("_", "x").lower().replace("-", "")
        self.process = None
        self.config = config

    def start(self, wait=True, prefix=()):
        log = open(self.log_path, "ab")
        if STOCK:
            argv = ["containerd", "--root", self.root, "--state", self.state, "--address", self.sock]
        else:
            argv = [BIN + "/berthd", "--root", self.root, "--state", self.state, "--address", self.sock]
            if self.config:
                with open(self.dir + "/config.toml", "w") as file:
                    file.write(self.config)
                argv += ["--config", self.dir + "/config.toml"]
        self.process = subprocess.Popen(list(prefix) + argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("the daemon ended with %d:\n%s" % (self.process.returncode, self.log()))
            return os.path.exists(self.sock) and self.ctr("version", check=False).returncode == 0
        wait_for(ready, 20, "the daemon's socket")

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()[-8000:]

    def run(self, argv, check=True, timeout=60, input=None, env=None, text=True):
        result = subprocess.run(argv, capture_output=True, timeout=timeout, input=input, text=text,
                                stdin=None if input is not None else subprocess.DEVNULL,
                                env=dict(os.environ, **(env or {})))
        if check and result.returncode != 0:
            raise AssertionError("%s\nexit code %d\nstdout: %s\nstderr: %s\ndaemon: %s" % (
                " ".join(argv), result.returncode, result.stdout, result.stderr, self.log()))
        return result

    def ctr_argv(self, *arguments, namespace=None):
        return ["ctr", "-a", self.sock, "-n", namespace or self.namespace] + list(arguments)

    def ctr(self, *arguments, namespace=None, **options):
        return self.run(self.ctr_argv(*arguments, namespace=namespace), **options)

    def out(self, *arguments, **options):
        return self.ctr(*arguments, **options).stdout

    def berth(self, *arguments, **options):
        env = {"BERTH_ADDRESS": self.sock, "BERTH_NAMESPACE": self.namespace}
        env.update(options.pop("env", {}))
        return self.run([BIN + "/berth"] + list(arguments), env=env, **options)

    def signal(self, number):
        """Sends a signal to the daemon and waits for its end."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def import_busybox(self, namespace=None):
        path = self.dir + "/busybox.tar"
        if not os.path.exists(path):
            images.busybox(path)
        self.ctr("images", "import", path, namespace=namespace, timeout=120)

    def tasks(self, namespace=None):
        """id -> (pid, status) of the tasks in the namespace."""
        lines = self.out("tasks", "ls", namespace=namespace).strip().split("\n")[1:]
        return {line.split()[0]: (int(line.split()[1]), line.split()[2]) for line in lines}

    def remove_everything(self, namespace=None):
        for task in self.tasks(namespace):
            self.ctr("tasks", "kill", "-s", "SIGKILL", task, check=False, namespace=namespace)
            self.ctr("tasks", "rm", "-f", task, check=False, namespace=namespace)
        for container in self.out("containers", "ls", "-q", namespace=namespace).split():
            self.ctr("containers", "rm", container, check=False, namespace=namespace)

    def stop(self):
        try:
            if self.process and self.process.poll() is None:
                self.signal(signal.SIGTERM)
        finally:
            if self.process:
                self.process.kill()
                self.process.wait()
            for shim in shims(self.state):
                try:
                    os.kill(shim, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for line in reversed(mounts()):
                point = line.split()[4]
                if point.startswith(self.dir):
                    subprocess.run(["umount", "-l", point], capture_output=True)
            # The parent of the namespace's containers; like containerd, the runtime leaves it.
            for group in glob.glob("/sys/fs/cgroup/*/" + self.namespace) + ["/sys/fs/cgroup/" + self.namespace]:
                try:
                    os.rmdir(group)
                except OSError:
                    pass
            shutil.rmtree(self.dir, ignore_errors=True)


def mounts():
    with open("/proc/self/mountinfo") as file:
        return file.read().strip().split("\n")


def shims(state):
    """The pids of the shims whose working directory (their bundle) lies under `state`."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            cwd = os.readlink(path + "/cwd")
        except OSError:
            continue
        if cwd.startswith(state + "/"):
            found.append(int(path[6:]))
    return found


def attached(state):
    """How many clients hold the attach sockets of the shims under `state`: unix(7), /proc/net/unix."""
    with open("/proc/net/unix") as file:
        lines = [line.split() for line in file]
    connected = {words[6] for words in lines if words[5] == "03" and words[-1].endswith("/attach")}
    count = 0
    for pid in shims(state):
        for path in glob.glob("/proc/%d/fd/*" % pid):
            try:
                target = os.readlink(path)
            except OSError:
                continue
            count += target.startswith("socket:[") and target[8:-1] in connected
    return count


def cgroups(namespace):
    return [d for base in glob.glob("/sys/fs/cgroup/*") for d in glob.glob("%s/%s/*" % (base, namespace))
            if os.path.isdir(d)]


class Footprint:
    """What a container may leave on the host: mounts, processes, cgroups, files of the state directory."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.before = self.take()

    def take(self):
        files = []
        for top in (self.daemon.state + "/io.containerd.runtime.v2.task", self.daemon.state + "/s"):
            for folder, folders, names in os.walk(top):
                files += [os.path.join(folder, n) for n in names]
                if folder.count("/") - top.count("/") >= 1:
                    files += [os.path.join(folder, n) for n in folders]
        return {"mounts": sorted(" ".join(l.split()[3:5]) for l in mounts()), "shims": sorted(shims(self.daemon.state)),
                "cgroups": sorted(cgroups(self.daemon.namespace)), "files": sorted(files)}

    def assert_unchanged(self, test, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while True:
            now = self.take()
            if now == self.before or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        test.assertEqual(self.before, now)


class BerthTest(unittest.TestCase):
    """Base: one daemon per class with busybox imported; every test must leave the host as it found it."""
    config = ""
    busybox = True

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(cls.config, name=cls.__name__.lower())
        cls.addClassCleanup(cls.daemon.stop)
        cls.daemon.start()
        if cls.busybox:
            cls.daemon.import_busybox()
        cls.counter = 0

    def setUp(self):
        self.footprint = Footprint(self.daemon)
        self.addCleanup(self.check_footprint)
        self.addCleanup(self.daemon.remove_everything)

    def check_footprint(self):
        if not STOCK:
            self.footprint.assert_unchanged(self)

    def forget_everything(self):
        """Removes every image and lease; no content stays."""
        for name in self.out("images", "ls", "-q").split():
            self.daemon.berth("image", "rm", "--force", "--sync", name)
        # A pull that broke keeps what came by a lease.
        for lease in self.out("leases", "ls", "-q").split():
            self.ctr("leases", "rm", "--sync", lease)
        self.assertEqual(self.out("content", "ls", "-q").split(), [])

    def name(self, prefix="c"):
        type(self).counter += 1
        return "%s%d" % (prefix, self.counter)

    def ctr(self, *arguments, **options):
        return self.daemon.ctr(*arguments, **options)

    def out(self, *arguments, **options):
        return self.daemon.out(*arguments, **options)

    def run_detached(self, *arguments, options=()):
        """A container that runs `arguments` (default: sleep); returns its id."""
        name = self.name()
        self.ctr("run", "-d", *options, BUSYBOX, name, *(arguments or ("sleep", "1000")))
        return name

    def fails(self, *arguments, words=(), **options):
        result = self.ctr(*arguments, check=False, **options)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        for word in words:
            self.assertIn(word, result.stderr)
        return result
