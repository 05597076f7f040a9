"""An ordinary user for tests of rootless containers: an account with subordinate ids that only this test's processes see.

The account is in copies of /etc/passwd, /etc/subuid and so on, which are bound over the real ones in a mount namespace of the
test's own; the machine's files stay as they are. Commands are run in there as that user.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import BIN

UID = 29990
SUBORDINATE, COUNT = 2990000, 65536
APPLETS = ("sh", "sleep", "true", "cat", "id", "ls", "echo", "mount", "touch", "ps", "tty", "stat", "kill", "mkdir", "readlink", "head", "chown")


class RootlessCase(unittest.TestCase):
    """Base: a bundle, a runtime directory and `user`, which runs a command as the user."""

    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="berth-rootless-")
        cls.addClassCleanup(shutil.rmtree, cls.top, True)
        os.chmod(cls.top, 0o755)
        cls.runtime = cls.top + "/berth-runtime"
        shutil.copy(BIN + "/berth-runtime", cls.runtime)
        files = {"passwd": "berthuser:x:%d:%d::%s/home:/bin/sh\n" % (UID, UID, cls.top), "group": "berthuser:x:%d:\n" % UID,
                 "subuid": "berthuser:%d:%d\n" % (SUBORDINATE, COUNT), "subgid": "berthuser:%d:%d\n" % (SUBORDINATE, COUNT)}
        script = ""
        for name, line in files.items():
            real = "/etc/" + name
            with open("%s/%s" % (cls.top, name), "w") as copy:
                if os.path.exists(real):
                    with open(real) as file:
                        copy.write(file.read())
                else:
                    open(real, "w").close()
                copy.write(line)
            script += "mount --bind %s/%s %s && " % (cls.top, name, real)
        for folder in ("home", "xdg"):
            cls.folder(cls.top + "/" + folder, 0o700)
        # Everything that is started in there ends by its own or by the tests; this one holds the namespace.
        cls.holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script + "echo ready && exec sleep 100000"],
                                      stdout=subprocess.PIPE)
        cls.addClassCleanup(cls.end_holder)
        if cls.holder.stdout.readline() != b"ready\n":
            raise AssertionError("no mount namespace for the user")

    @classmethod
    def end_holder(cls):
        cls.holder.kill()
        cls.holder.wait()
        cls.holder.stdout.close()

    @classmethod
    def folder(cls, path, mode=0o755):
        os.makedirs(path, exist_ok=True)
        os.chown(path, UID, UID)
        os.chmod(path, mode)
        return path

    @classmethod
    def command(cls, *words, cwd=None, xdg=None, path=None, cgroup=None):
        """The words that run `words` as the user in `cwd`; in `cgroup`'s directories first, if there are any."""
        enter = "".join("echo 0 > %s/cgroup.procs && " % directory for directory in cgroup or ())
        return ["nsenter", "-t", str(cls.holder.pid), "-m", "--wdns=" + (cwd or cls.top), "sh", "-c", enter + 'exec "$@"', "sh",
                "setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups",
                "env", "-i", "PATH=" + (path or os.environ["PATH"]), "HOME=%s/home" % cls.top, "USER=berthuser",
                "XDG_RUNTIME_DIR=" + (xdg or cls.top + "/xdg"), *words]

    @classmethod
    def user(cls, *words, check=True, cwd=None, timeout=60, stdin=subprocess.DEVNULL, **options):
        result = subprocess.run(cls.command(*words, cwd=cwd, **options), capture_output=True, text=True, timeout=timeout, stdin=stdin)
        if check and result.returncode != 0:
            raise AssertionError("%s: exit code %d: %s" % (" ".join(words), result.returncode, result.stderr + result.stdout))
        return result

    @classmethod
    def make_bundle(cls, path):
        root = path + "/rootfs"
        for folder in ("bin", "proc", "dev", "sys", "tmp", "etc"):
            os.makedirs("%s/%s" % (root, folder), exist_ok=True)
        shutil.copy("/bin/busybox", root + "/bin/busybox")
        for applet in APPLETS:
            os.symlink("busybox", "%s/bin/%s" % (root, applet))
        for folder, _, names in os.walk(path):
            os.chown(folder, UID, UID)
            for name in names:
                os.chown("%s/%s" % (folder, name), UID, UID, follow_symlinks=False)
        return path

    @staticmethod
    def read(bundle):
        with open(bundle + "/config.json") as file:
            return json.load(file)

    @staticmethod
    def write(bundle, config):
        with open(bundle + "/config.json", "w") as file:
            json.dump(config, file)
        os.chown(bundle + "/config.json", UID, UID)
