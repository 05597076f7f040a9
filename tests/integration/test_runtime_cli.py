"""berth-runtime's command line against Debian's runc: the same commands, in the same order, give the same exit codes and the same JSON."""
import glob
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import BIN, STOCK

RUNC = shutil.which("runc")
# {top} is the side's own directory. "end" waits until the container has stopped.
COMMANDS = """
state none
start none
kill none
delete none
delete -f none
exec none true
ps none
pause none
update none
events none
list
list -q
list -f json
list -f yaml
create --bundle /nowhere c
create ../x
create
bogus
--bogus
create --bogus c
create c
create c
state c
list -f json
pause c
resume c
kill c BADSIG
exec c true
start c
start c
exec c true
exec c nosuch
exec c /bin
exec c /bin/nosuch
exec c
exec --cwd /nowhere c true
exec --user abc c true
exec --process /nowhere c
exec -d --pid-file {top}/pid c sleep 1
exec c sh -c exit\t7
exec c sh -c kill\t-9\t$$
ps c -o pid,comm
delete c
update --memory 10m c
update --memory xx c
update --pids-limit 30 c
pause c
pause c
state c
exec c true
resume c
resume c
events --stats c
kill c 0
kill c KILL
end
state c
list -f json
kill c KILL
kill -a c KILL
exec c true
ps c
pause c
start c
events --stats c
update --pids-limit 30 c
delete c
delete c
config sleep\t1000 nosuch
run c
create c
config nosuch true
run c
run --pid-file {top}/pid c
run -d c
end
state c
delete c
run --keep c
state c
delete c
config false true
create c
run -d c
create --console-socket /nowhere c
config true false
create --console-socket /nowhere c
state c
checkpoint c
kill
state
state a b
kill a TERM b
"""


@unittest.skipUnless(RUNC, "runc is not installed")
@unittest.skipIf(STOCK, "no daemon is under test")
class RuncTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="berth-cli-")
        self.sides = []
        self.addCleanup(self.remove)
        for name, program in (("runc", RUNC), ("berth", BIN + "/berth-runtime")):
            top = "%s/%s" % (self.dir, name)
            root = top + "/b/rootfs"
            for folder in ("bin", "proc", "dev", "sys"):
                os.makedirs("%s/%s" % (root, folder))
            shutil.copy("/bin/busybox", root + "/bin/busybox")
            for applet in ("sh", "sleep", "true"):
                os.symlink("busybox", "%s/bin/%s" % (root, applet))
            subprocess.run([RUNC, "spec"], cwd=top + "/b", check=True)
            with open(top + "/b/config.json") as file:
                config = json.load(file)
            config["process"].update(args=["sleep", "1000"], terminal=False, rlimits=[])
            config["root"]["readonly"] = False
            config["annotations"] = {"b": "2", "a": "1"}
            config["linux"]["cgroupsPath"] = "/berth_cli/%s-%s" % (name, os.path.basename(self.dir))
            self.sides.append((program, top, config))
            self.write(top, config)

    def remove(self):
        for program, top, _ in self.sides:
            subprocess.run([program, "--root", top + "/s", "delete", "-f", "c"], capture_output=True)
        for path in glob.glob("/sys/fs/cgroup/*/berth_cli") + ["/sys/fs/cgroup/berth_cli"]:
            try:
                os.rmdir(path)
            except OSError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def write(top, config):
        with open(top + "/b/config.json", "w") as file:
            json.dump(config, file)

    @staticmethod
    def call(side, words):
        """Runs one command and returns its exit code, output and the last line of its log."""
        program, top, _ = side
        log = top + "/log"
        # A file, since a container keeps its end of a pipe.
        with open(top + "/out", "w+") as out, open(top + "/err", "w+") as err:
            code = subprocess.run([program, "--root", top + "/s", "--log", log, "--log-format", "json"] + words, stdout=out, stderr=err,
                                  stdin=subprocess.DEVNULL, cwd=top + "/b", timeout=30).returncode
            out.seek(0)
            text = out.read()
        line = ""
        if os.path.exists(log):
            with open(log) as file:
                line = file.read()
            os.remove(log)
        return code, text, line

    def wait_for_end(self, side):
        deadline = time.monotonic() + 10
        while json.loads(self.call(side, ["state", "c"])[1])["status"] != "stopped":
            self.assertLess(time.monotonic(), deadline, "the container does not end")

    @staticmethod
    def configure(config, old, new):
        if old in ("true", "false") and new in ("true", "false"):
            config["process"]["terminal"] = new == "true"
        else:
            config["process"]["args"] = new.split("\t")

    @staticmethod
    def facts(text, top):
        """The JSON without what two containers cannot share."""
        value = json.loads(text)
        for state in value if isinstance(value, list) else [value]:
            state["pid"] = state["pid"] > 0
            state["created"] = len(state["created"].split("T")) == 2 and state["created"].endswith("Z")
            state["bundle"] = state["bundle"].replace(top, "")
            state["rootfs"] = state["rootfs"].replace(top, "")
        return value

    def test_same_codes_and_json(self):
        for line in COMMANDS.strip().split("\n"):
            words = line.split(" ")
            if words[0] == "config":
                for _, top, config in self.sides:
                    self.configure(config, words[1], words[2])
                    self.write(top, config)
                continue
            if words[0] == "end":
                for side in self.sides:
                    self.wait_for_end(side)
                continue
            results = []
            for side in self.sides:
                own = [word.replace("{top}", side[1]).replace("\t", " ") for word in words]
                results.append(self.call(side, own))
            with self.subTest(line):
                self.assertEqual(results[0][0], results[1][0], results)
                # Callers read the log: a failure that runc logs, we log, in the same form.
                self.assertEqual(results[0][2] == "", results[1][2] == "", results)
                if results[1][2]:
                    entry = json.loads(results[1][2])
                    self.assertEqual((entry["level"], sorted(entry)), ("error", ["level", "msg", "time"]))
                if words[0] == "state" and results[0][0] == 0 or line == "list -f json" and results[0][1] != "null\n":
                    self.assertEqual(*(self.facts(r[1], s[1]) for r, s in zip(results, self.sides)))
                if words[0] == "list" and line != "list -f json":
                    self.assertEqual(results[0][1], results[1][1])

    def test_a_missing_program_is_told_in_the_words_that_callers_look_for(self):
        side = self.sides[1]
        self.assertEqual(self.call(side, ["run", "-d", "c"])[0], 0)
        for program, words in (("nosuch", "executable file not found in $PATH"), ("/bin", "permission denied"),
                               ("/bin/nosuch", "no such file or directory")):
            code, _, log = self.call(side, ["exec", "c", program])
            self.assertEqual(code, 255)
            self.assertIn("exec failed: ", json.loads(log)["msg"])
            self.assertIn(words, json.loads(log)["msg"])
