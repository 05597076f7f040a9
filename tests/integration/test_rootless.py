"""berth-runtime as an ordinary user: what Debian's runc does there, and the same exit codes."""
import json
import os
import pty
import shutil
import subprocess
import unittest

from harness import STOCK, mounts, wait_for
from rootless_case import COUNT, SUBORDINATE, UID, RootlessCase

RUNC = shutil.which("runc")
CGROUPS = "/sys/fs/cgroup"
# What goes well with runc, and what does not, in the order of a life. ps and kill --all fail there without a cgroup.
COMMANDS = """
state none
create c
state c
exec c true
start c
start c
exec c true
exec c nosuch
exec c sh -c exit\t7
exec -u 1:1 c true
pause c
update --memory 10m c
list
kill c 0
kill c KILL
end
exec c true
delete c
delete c
run -d c
delete c
delete -f c
"""


@unittest.skipUnless(RUNC and shutil.which("newuidmap") and shutil.which("setpriv"), "runc or uidmap is not installed")
@unittest.skipIf(STOCK, "no daemon is under test")
class RootlessTest(RootlessCase):
    def setUp(self):
        self.bundle = self.make_bundle("%s/%s" % (self.top, self.id().rsplit(".", 1)[1]))
        self.rt("spec", "--rootless")
        self.config = self.read(self.bundle)
        self.configure(terminal=False)
        self.addCleanup(self.clean)

    def clean(self):
        for runtime in (self.runtime, RUNC):
            for name in self.user(runtime, "list", "-q", check=False).stdout.split():
                self.user(runtime, "delete", "-f", name, check=False)
        self.assertEqual(self.user(self.runtime, "list", "-q").stdout, "")
        self.assertEqual([line for line in mounts() if self.top in line], [])

    def rt(self, *words, **options):
        return self.user(self.runtime, *words, cwd=self.bundle, **options)

    def configure(self, *args, **process):
        if args:
            process["args"] = list(args)
        self.config["process"].update(process)
        self.write(self.bundle, self.config)

    def pid(self, name="c"):
        return json.loads(self.rt("state", name).stdout)["pid"]

    def error(self, *words, **options):
        result = self.rt(*words, check=False, **options)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        return result.stderr

    def map_more(self):
        for kind in ("uid", "gid"):
            self.config["linux"][kind + "Mappings"] = [{"containerID": 0, "hostID": UID, "size": 1},
                                                       {"containerID": 1, "hostID": SUBORDINATE, "size": COUNT}]
        self.write(self.bundle, self.config)

    def test_the_specification_is_runcs(self):
        os.rename(self.bundle + "/config.json", self.bundle + "/ours")
        self.user(RUNC, "spec", "--rootless", cwd=self.bundle)
        theirs = self.read(self.bundle)
        os.rename(self.bundle + "/ours", self.bundle + "/config.json")
        ours = self.read(self.bundle)
        for spec in (ours, theirs):
            spec.pop("ociVersion"), spec.pop("hostname")
            spec["process"].pop("terminal"), spec["process"]["capabilities"].pop("ambient", None)
            # runc's leaves the cgroup namespace out where there is cgroup v1.
            spec["linux"]["namespaces"] = sorted(n["type"] for n in spec["linux"]["namespaces"] if n["type"] != "cgroup")
        self.assertEqual(ours, theirs)
        self.assertIn("exists", self.error("spec", "--rootless"))

    def test_inside_it_is_as_with_runc(self):
        self.configure("sh", "-c", "id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; ls /dev; stat -c %t:%T /dev/null; "
                       "ls -l /dev/ptmx /dev/fd | cut -d/ -f2-; cat /proc/self/cgroup /proc/self/oom_score_adj; grep Cap /proc/self/status; "
                       "mount | grep -v cgroup | sed 's/ on /@/' | cut -d' ' -f1,3 | sort -u; touch /proc/sys/x; echo $?; "
                       "ls /proc/acpi; head -c1 /proc/keys; touch /sys/x; echo $?", oomScoreAdj=300)
        os.symlink("busybox", self.bundle + "/rootfs/bin/cut"), os.symlink("busybox", self.bundle + "/rootfs/bin/sort")
        os.symlink("busybox", self.bundle + "/rootfs/bin/grep"), os.symlink("busybox", self.bundle + "/rootfs/bin/sed")
        outputs = []
        for runtime in (RUNC, self.runtime):
            # A link that runc does not make, and a name that a tmpfs of ours does not have.
            lines = self.user(runtime, "run", "c", cwd=self.bundle).stdout.replace("none@", "tmpfs@").splitlines()
            outputs.append([line for line in lines if line != "core"])
        self.assertEqual(outputs[0][:4], ["uid=0 gid=0", "         0      %d          1" % UID, "         0      %d          1" % UID, "deny"])
        self.assertIn("300", outputs[0])
        self.assertEqual(outputs[1][:4], outputs[0][:4])
        # The order of the cgroup hierarchies' lines is the kernel's own.
        self.assertEqual(sorted(outputs[1]), sorted(outputs[0]))

    def test_the_exit_codes_are_runcs(self):
        self.configure("sleep", "1000")
        answers = {}
        for runtime in (RUNC, self.runtime):
            codes = []
            for line in COMMANDS.strip().splitlines():
                if line == "end":
                    wait_for(lambda: '"stopped"' in self.user(runtime, "state", "c").stdout, 30, "the end")
                    continue
                words = [word.replace("\t", " ") for word in line.split(" ")]
                # What lives on must not hold our pipes.
                command = self.command(runtime, *words, cwd=self.bundle)
                code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, timeout=60).returncode
                codes.append((line, code))
            answers[runtime] = codes
        self.assertEqual(answers[self.runtime], answers[RUNC])

    def start(self, *options, name="c", **where):
        command = self.command(self.runtime, *options, "run", "-d", name, cwd=self.bundle, **where)
        # What lives on must not hold a pipe of ours.
        with open(self.top + "/stderr", "w+") as stderr:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, timeout=60).returncode
            stderr.seek(0)
            self.assertEqual(code, 0, stderr.read())
        return self.pid(name)

    def test_state_is_in_the_users_runtime_directory(self):
        self.configure("sleep", "1000")
        self.start()
        info = os.stat(self.top + "/xdg/berth-runtime")
        self.assertEqual((info.st_uid, info.st_mode & 0o7777), (UID, 0o1711))
        self.assertTrue(os.path.exists(self.top + "/xdg/berth-runtime/c/state.json"))
        self.assertIn("berthuser", self.rt("list").stdout)
        # Another place holds others.
        other = self.folder(self.top + "/other")
        self.assertEqual(self.rt("list", "-q", xdg=other).stdout, "")
        self.assertEqual(self.rt("--root", other, "list", "-q").stdout, "")

    def test_processes_without_a_cgroup(self):
        self.configure("sh", "-c", "sleep 1000 & exec sleep 1001")
        pid = self.start()
        pids = json.loads(self.rt("ps", "-f", "json", "c").stdout)
        self.assertIn(pid, pids)
        self.assertEqual(len(pids), 2)
        self.assertIn("sleep", self.rt("ps", "c", "-o", "pid,comm").stdout)
        for words in (("pause", "c"), ("update", "--memory", "10m", "c"), ("events", "--stats", "c")):
            self.assertIn("no cgroup", self.error(*words))
        self.rt("kill", "--all", "c", "KILL")
        wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in pids), 30, "the end of both")
        self.rt("delete", "c")

    def test_limits_take_a_cgroup(self):
        self.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}}
        self.configure("true")
        self.assertIn("$.linux.resources asks for limits, but this user may not make a cgroup", self.error("run", "c"))
        self.config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
        self.configure("true")
        self.rt("run", "c")
        for rootless, works in (("true", True), ("auto", True), ("false", False)):
            result = self.rt("--rootless", rootless, "run", "c", check=False)
            self.assertEqual(result.returncode == 0, works, result.stderr)
        self.assertIn("--rootless", self.error("--rootless", "maybe", "run", "c"))
        # A place that the specification names is not given up.
        self.config["linux"]["cgroupsPath"] = "/berth-rootless-nowhere/c"
        self.configure("true")
        self.assertIn("Permission denied", self.error("run", "c"))

    def test_a_delegated_cgroup_is_used(self):
        name = "berth-rootless-%d" % os.getpid()
        pure = os.path.exists(CGROUPS + "/cgroup.controllers")
        tops = [CGROUPS] if pure else sorted(CGROUPS + "/" + n for n in os.listdir(CGROUPS) if not os.path.islink(CGROUPS + "/" + n))
        groups = ["%s/%s" % (top, name) for top in tops]
        self.addCleanup(self.remove_groups, groups)
        for group in groups:
            for directory in (group, group + "/session"):
                os.makedirs(directory, exist_ok=True)
                for file in ("cpuset.cpus", "cpuset.mems"):
                    if "/cpuset/" in group:
                        with open("%s/../%s" % (directory, file)) as above, open("%s/%s" % (directory, file), "w") as own:
                            own.write(above.read())
                for path in [directory] + [directory + "/" + n for n in ("cgroup.procs", "tasks", "cgroup.subtree_control", "cgroup.threads")]:
                    if os.path.exists(path):
                        os.chown(path, UID, UID)
        where = {"cgroup": [group + "/session" for group in groups]}
        self.config["linux"].update(cgroupsPath="/%s/c" % name, resources={"memory": {"limit": 64 << 20}, "pids": {"limit": 50}})
        self.configure("sleep", "1000")
        pid = self.start(**where)
        with open("/proc/%d/cgroup" % pid) as file:
            self.assertEqual({line.split(":")[2] for line in file.read().splitlines()}, {"/%s/c" % name})
        limit = "%s/%s/c/memory.max" % (CGROUPS, name) if pure else "%s/memory/%s/c/memory.limit_in_bytes" % (CGROUPS, name)
        with open(limit) as file:
            self.assertEqual(int(file.read()), 64 << 20)
        self.rt("exec", "c", "true", **where)
        inside = self.rt("exec", "c", "cat", "/proc/self/cgroup", **where).stdout
        self.assertEqual({line.split(":")[2] for line in inside.splitlines()}, {"/"})
        self.rt("pause", "c")
        self.assertEqual(json.loads(self.rt("state", "c").stdout)["status"], "paused")
        self.rt("resume", "c")
        self.rt("update", "--memory", "32m", "c")
        with open(limit) as file:
            self.assertEqual(int(file.read()), 32 << 20)
        self.assertIn('"limit":%d' % (32 << 20), self.rt("events", "--stats", "c").stdout)
        self.rt("delete", "-f", "c")
        for group in groups:
            self.assertFalse(os.path.exists(group + "/c"), group)

    @staticmethod
    def remove_groups(groups):
        for group in groups:
            for directory in (group + "/c", group + "/session", group):
                try:
                    wait_for(lambda: not os.path.exists(directory) or not os.rmdir(directory), 1)
                except (OSError, AssertionError):
                    pass

    def test_more_ids_by_newuidmap(self):
        self.map_more()
        os.chmod(self.bundle + "/rootfs/tmp", 0o777)
        self.configure("sh", "-c", "touch /tmp/mine; exec sleep 1000", user={"uid": 1000, "gid": 1000, "additionalGids": [7, 8]})
        self.config["root"]["readonly"] = False
        self.configure()
        pid = self.start()
        info = wait_for(lambda: os.path.exists(self.bundle + "/rootfs/tmp/mine") and os.stat(self.bundle + "/rootfs/tmp/mine"), 30, "the file")
        self.assertEqual((info.st_uid, info.st_gid), (SUBORDINATE + 999, SUBORDINATE + 999))
        with open("/proc/%d/setgroups" % pid) as file:
            self.assertEqual(file.read(), "allow\n")
        self.assertEqual(self.rt("exec", "c", "id").stdout, "uid=1000 gid=1000 groups=7,8\n")
        self.assertEqual(self.rt("exec", "-u", "0:0", "c", "id").stdout.strip(), "uid=0 gid=0")
        self.assertEqual(self.rt("exec", "-u", "5:6", "-g", "9", "c", "id").stdout, "uid=5 gid=6 groups=9\n")
        self.assertIn("no $.linux.uidMappings holds it", self.error("exec", "-u", "70000", "c", "id"))
        self.rt("kill", "c", "KILL")
        wait_for(lambda: json.loads(self.rt("state", "c").stdout)["status"] == "stopped", 30, "the end")
        self.rt("delete", "c")
        shutil.rmtree(self.bundle + "/rootfs/tmp")

    def test_mappings_that_cannot_be_made(self):
        self.configure("true")
        self.map_more()
        bin_without = self.folder(self.top + "/nothing")
        message = self.error("run", "c", path=bin_without + ":relative")
        for words in ("newuidmap", "package uidmap", "$.linux.uidMappings"):
            self.assertIn(words, message)
        self.config["linux"]["uidMappings"][1]["hostID"] = 5
        self.configure()
        message = self.error("run", "c")
        for words in ("newuidmap refuses the mappings", "not allowed", "/etc/subuid"):
            self.assertIn(words, message)
        self.map_more()
        self.config["linux"]["gidMappings"][1]["hostID"] = 5
        self.configure()
        self.assertIn("/etc/subgid", self.error("run", "c"))

    def test_what_takes_root_is_refused_by_its_path(self):
        self.configure("true")
        namespaces = self.config["linux"]["namespaces"]
        uids, gids = (self.config["linux"].pop(kind + "Mappings") for kind in ("uid", "gid"))
        self.config["linux"]["namespaces"] = [n for n in namespaces if n["type"] != "user"]
        self.configure()
        self.assertIn("rootless containers require user namespaces", self.error("run", "c"))
        self.config["linux"].update(namespaces=namespaces, gidMappings=gids)
        self.configure()
        self.assertIn("$.linux.uidMappings", self.error("run", "c"))
        self.config["linux"]["uidMappings"] = uids
        pts = next(m for m in self.config["mounts"] if m["destination"] == "/dev/pts")
        pts["options"].append("gid=5")
        self.configure()
        self.assertIn('].options: "gid=5": no $.linux.gidMappings holds it', self.error("run", "c"))
        pts["options"].pop()
        self.configure(user={"uid": 0, "gid": 0, "additionalGids": [7]})
        self.assertIn("additionalGids", self.error("run", "c"))
        self.configure(user={"uid": 1000, "gid": 0})
        self.assertIn("no $.linux.uidMappings holds it", self.error("run", "c"))

    def test_terminals(self):
        self.configure("sleep", "1000")
        self.start()
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen(self.command(self.runtime, "exec", "-t", "c", "tty"), stdin=theirs, stdout=theirs,
                                       stderr=theirs)
            self.assertEqual(process.wait(60), 0)
            self.assertEqual(os.read(ours, 100).decode().strip(), "/dev/pts/0")
        finally:
            os.close(ours), os.close(theirs)

    def test_hooks_seccomp_and_clocks(self):
        hook = self.top + "/hook"
        with open(hook, "w") as file:
            file.write("#!/bin/sh\ncat >/dev/null; echo $1 $(id -u) >>%s/hooks\n" % self.bundle)
        os.chmod(hook, 0o755)
        kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
        self.config["hooks"] = {kind: [{"path": hook, "args": ["hook", kind], "env": ["PATH=/bin:/usr/bin"]}] for kind in kinds}
        self.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                           "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
        self.config["linux"]["namespaces"].append({"type": "time"})
        self.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}}
        self.configure("sh", "-c", "mkdir /tmp/x; cat /proc/uptime", noNewPrivileges=False)
        result = self.rt("run", "c")
        self.assertIn("Operation not supported", result.stderr)
        self.assertGreater(float(result.stdout.split()[0]), 1000000)
        with open(self.bundle + "/hooks") as file:
            told = [line.split() for line in file.read().splitlines()]
        self.assertEqual([kind for kind, _ in told], list(kinds))
        # createContainer runs in the container's user namespace, the others outside of it.
        self.assertEqual({(kind, uid) for kind, uid in told}, {(kind, "0" if kind == "createContainer" else str(UID)) for kind in kinds})

    def test_a_second_container_joins_the_first(self):
        self.configure("sleep", "1000")
        pid = self.start()
        self.config["linux"]["namespaces"] = [{"type": "mount"}] + [
            {"type": kind, "path": "/proc/%d/ns/%s" % (pid, kind)} for kind in ("user", "pid", "ipc", "uts")]
        for kind in ("uidMappings", "gidMappings"):
            self.config["linux"].pop(kind)
        self.config["hostname"] = ""
        self.configure("sh", "-c", "readlink /proc/1/ns/user; readlink /proc/self/ns/user; kill -0 1 && cat /proc/1/comm; id", oomScoreAdj=400)
        lines = self.rt("run", "second").stdout.splitlines()
        self.assertEqual(lines[0], lines[1])
        self.assertEqual(lines[2:], ["sleep", "uid=0 gid=0"])

    def test_nothing_of_the_host_is_in_reach(self):
        secret = self.top + "/secret"
        with open(secret, "w") as file:
            file.write("root's")
        os.chmod(secret, 0o600)
        self.config["mounts"].append({"destination": "/secret", "type": "bind", "source": secret, "options": ["bind", "rw"]})
        self.configure("sh", "-c", "cat /secret; chown 1 /secret; ls -n /proc/self/fd | grep -c -e secret -e rootless; mount -t tmpfs x /tmp; "
                       "echo w > /proc/sys/kernel/hostname; echo done")
        os.symlink("busybox", self.bundle + "/rootfs/bin/grep")
        open(self.bundle + "/rootfs/secret", "w").close()
        result = self.rt("run", "c")
        self.assertEqual(result.stdout, "0\ndone\n")
        self.assertIn("cat: can't open '/secret': Permission denied", result.stderr)
        self.assertIn("permission denied", result.stderr.lower().split("mount:")[1])


if __name__ == "__main__":
    unittest.main()
