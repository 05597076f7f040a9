"""Debian's own containerd, private to a test."""
import glob
import os
import shutil
import signal
import subprocess
import tempfile

from harness import BIN, mounts, wait_for


class StockContainerd:
    """Debian's containerd in a directory of its own."""

    def __init__(self, name, config="", path="", disabled=()):
        """`config`: more of its configuration; `path`: a directory in front of PATH, where it looks for shims; `disabled`: plugins."""
        self.dir = tempfile.mkdtemp(prefix="berth-%s-" % name)
        with open(self.dir + "/config.toml", "w") as file:
            plugins = ("io.containerd.grpc.v1.cri",) + tuple(disabled)
            file.write("version = 2\ndisabled_plugins = [%s]\n" % ", ".join('"%s"' % plugin for plugin in plugins) + config)
        self.sock = self.dir + "/c.sock"
        self.log = open(self.dir + "/log", "wb")
        self.process = subprocess.Popen(
            ["containerd", "--config", self.dir + "/config.toml", "--root", self.dir + "/root", "--state", self.dir + "/state",
             "--address", self.sock], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env=dict(os.environ, PATH=":".join(filter(None, (path, os.environ["PATH"], BIN)))))
        wait_for(lambda: os.path.exists(self.sock) and self.ctr("version", check=False).returncode == 0, 30, "containerd")

    def ctr(self, *arguments, check=True, **options):
        result = subprocess.run(["ctr", "-a", self.sock, "-n", "berthclients"] + list(arguments), capture_output=True, text=True,
                                timeout=60, stdin=None if "input" in options else subprocess.DEVNULL, **options)
        if check and result.returncode != 0:
            raise AssertionError("ctr %s\n%s%s" % (" ".join(arguments), result.stdout, result.stderr))
        return result

    def shims(self):
        """The directories in /proc of the shims that know this daemon; nobody else's do."""
        found = []
        for path in glob.glob("/proc/[0-9]*"):
            try:
                with open(path + "/cmdline", "rb") as file:
                    if ("\0-address\0" + self.sock).encode() in file.read():
                        found.append(path)
            except OSError:
                continue
        return found

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        # Those of a test that failed.
        for path in self.shims():
            os.kill(int(path[6:]), signal.SIGKILL)
        for line in reversed(mounts()):
            if line.split()[4].startswith(self.dir):
                subprocess.run(["umount", "-l", line.split()[4]], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)
