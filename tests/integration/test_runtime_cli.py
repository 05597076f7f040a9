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
ps --format yaml c
ps -f json c
exec --preserve-fds x c true
exec
exec --bogus c true
exec --env A=1 --cwd / --cap CAP_CHOWN --no-new-privs c true
exec -u 0:0 -g 5 c true
kill c 99
kill c -1
update --cpu-share xx c
update --resources /nowhere c
update --cpuset-cpus 0 c
update --blkio-weight 5 c
events --interval x c
run --preserve-fds x c
features extra
spec extra
start c extra
delete --force
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

    def plain(self, side, *words, options=()):
        """One command without a log; what it prints goes to files, since a container keeps its end of a pipe."""
        program, top, _ = side
        with open(top + "/out", "w+") as out, open(top + "/err", "w+") as err:
            code = subprocess.run([program, "--root", top + "/s", *options, *words], stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                  cwd=top + "/b", timeout=60).returncode
            out.seek(0), err.seek(0)
            return code, out.read(), err.read()

    def test_log_options_are_checked(self):
        for options in (("--log-format", "bogus"), ("--log", "/nonexistent/log"), ("--rootless", "true"), ("--rootless", "false"), ("--criu", "x")):
            codes = [self.plain(side, "state", "none", options=options)[0] for side in self.sides]
            self.assertEqual(codes, [1, 1], options)
        self.assertEqual([self.plain(side, "list", options=("--log-format", "bogus"))[0] for side in self.sides], [1, 1])
        # Without a file, JSON comes on standard error.
        for side in self.sides:
            entry = json.loads(self.plain(side, "state", "none", options=("--log-format", "json"))[2])
            self.assertEqual((entry["level"], sorted(entry)), ("error", ["level", "msg", "time"]))

    def test_statistics_have_runcs_members(self):
        def members(value, path=""):
            """Every path of an object, without the numbers of devices and page sizes."""
            found = set()
            for key, inner in value.items() if isinstance(value, dict) else ():
                found |= {path + key} | members(inner, path + key + ".")
            return found

        shapes = []
        for side in self.sides:
            self.assertEqual(self.plain(side, "run", "-d", "c")[0], 0)
            shapes.append(members(json.loads(self.plain(side, "events", "--stats", "c")[1])))
        wanted = {"type", "id"} | {"data." + n for n in (
            "cpu.usage.total", "cpu.usage.kernel", "cpu.usage.user", "cpu.throttling", "memory.usage.limit", "memory.usage.usage",
            "memory.usage.max", "memory.usage.failcnt", "pids.current", "blkio", "hugetlb")}
        for shape in shapes:
            self.assertEqual(wanted - shape, set())

    def test_events_follow_a_container_and_tell_of_memory_kills(self):
        side = self.sides[1]
        _, top, config = side
        os.symlink("busybox", top + "/b/rootfs/bin/tail")
        config["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
        config["process"]["args"] = ["sh", "-c", "sleep 2; tail /dev/zero; sleep 1000"]
        self.write(top, config)
        self.assertEqual(self.plain(side, "run", "-d", "c")[0], 0)
        follower = subprocess.Popen([side[0], "--root", top + "/s", "events", "--interval", "100ms", "c"], stdout=subprocess.PIPE, text=True)
        try:
            seen = set()
            deadline = time.monotonic() + 60
            while seen != {"stats", "oom"} and time.monotonic() < deadline:
                event = json.loads(follower.stdout.readline())
                self.assertEqual(event["id"], "c")
                seen.add(event["type"])
            self.assertEqual(seen, {"stats", "oom"})
            self.assertEqual(self.plain(side, "kill", "c", "KILL")[0], 0)
            follower.communicate(timeout=60)
            self.assertEqual(follower.returncode, 0)
        finally:
            follower.kill(), follower.wait()

    def test_exec_into_a_cgroup_below(self):
        side = self.sides[1]
        _, top, config = side
        self.assertEqual(self.plain(side, "run", "-d", "c")[0], 0)
        path = config["linux"]["cgroupsPath"]
        memory, pids = ("/sys/fs/cgroup/%s%s" % (name, path) for name in ("memory", "pids"))
        if not os.path.isdir(memory):
            self.skipTest("no cgroup v1")
        os.mkdir(memory + "/sub")
        os.symlink("busybox", top + "/b/rootfs/bin/cat")
        code, _, error = self.plain(side, "exec", "-d", "--pid-file", top + "/pid", "--cgroup", "memory:sub", "c", "sleep", "1000")
        self.assertEqual(code, 0, error)
        with open(top + "/pid") as file:
            pid = file.read()
        with open("/proc/%s/cgroup" % pid) as file:
            where = dict(line.split(":")[1:] for line in file.read().splitlines())
        self.assertEqual((where["memory"], where["pids"]), (path + "/sub", path))
        code, _, error = self.plain(side, "exec", "--cgroup", "nosuch:sub", "c", "true")
        self.assertEqual(code, 255)
        self.assertIn("no cgroup v1 hierarchy has the controller nosuch", error)
        self.assertNotEqual(self.plain(side, "exec", "--cgroup", "absent", "c", "true")[0], 0)

    def test_execs_have_the_processs_own_settings(self):
        answers = []
        for side in self.sides:
            _, top, config = side
            os.symlink("busybox", top + "/b/rootfs/bin/cat")
            config["process"].update(oomScoreAdj=321, ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0})
            self.write(top, config)
            self.assertEqual(self.plain(side, "run", "-d", "c")[0], 0)
            answers.append(self.plain(side, "exec", "c", "cat", "/proc/self/oom_score_adj")[1])
        self.assertEqual(answers, ["321\n", "321\n"])

    def test_rdt_schemas_take_a_kernel_with_them(self):
        side = self.sides[1]
        self.assertEqual(self.plain(side, "run", "-d", "c")[0], 0)
        for option in ("--l3-cache-schema", "--mem-bw-schema"):
            code, _, error = self.plain(side, "update", option, "L3:0=f", "c")
            self.assertEqual(code, 1)
            self.assertIn("resctrl" if not os.path.exists("/sys/fs/resctrl/schemata") else "intelRdt", error)

    def test_features_name_what_the_specification_lists(self):
        told = json.loads(self.plain(self.sides[1], "features")[1])
        theirs = json.loads(self.plain(self.sides[0], "features")[1])
        linux = told["linux"]
        self.assertIn("MPOL_BIND", linux["memoryPolicy"]["modes"])
        self.assertTrue(linux["cgroup"]["systemdUser"] and linux["netDevices"]["enabled"] and linux["intelRdt"]["enabled"])
        self.assertEqual(set(theirs["hooks"]) - set(told["hooks"]), set())
        self.assertEqual(set(theirs["mountOptions"]) - set(told["mountOptions"]), set())
        for name in ("namespaces", "capabilities"):
            self.assertEqual(set(theirs["linux"][name]) - set(linux[name]), set())
        for name in ("actions", "operators", "archs"):
            self.assertEqual(set(theirs["linux"]["seccomp"][name]) - set(linux["seccomp"][name]), set())
