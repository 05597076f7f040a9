"""Every option of `berth run` and `berth create`: its effect as the container itself sees it, and what is refused with which words.

A row of the tables is a command line and what must come of it. What does not disturb one another shares a container.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from docker_case import DockerTest
from harness import BerthTest, Daemon, STOCK, wait_for
import images

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def group(v1, v2):
    """A shell word that prints a limit from inside: each controller of cgroup v1 has a directory, the container's own."""
    return "cat /sys/fs/cgroup/" + (v2 if V2 else v1)


@unittest.skipIf(STOCK, "asks for berth")
class OptionsTest(DockerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.daemon.dir + "/files"
        os.makedirs(cls.folder + "/deep")
        for name, text in (("env", "# a comment\nFROM_FILE=1\nINHERITED\n"), ("labels", "of.file=x\n"), ("f", "host\n"),
                           ("deep/g", "below\n"),
                           ("seccomp", json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                               {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 88}]}))):
            with open(cls.folder + "/" + name, "w") as file:
                file.write(text)
        path = cls.daemon.dir + "/labelled.tar"
        layer = images.Layer().dir("content").add("content/from-image", b"image\n", 0o640, uid=7).dir("content/sub")
        layer.add("content/sub/inner", b"inner\n")
        images.docker_archive(path, "docker.io/library/labelled:latest", [images.busybox_layer(), layer.bytes()], {
            "Entrypoint": ["/bin/echo", "entry"], "Cmd": ["default"], "Env": images.BUSYBOX_CONFIG["Env"] + ["OF_IMAGE=yes"],
            "Labels": {"of.image": "1"}, "Volumes": {"/declared": {}}, "StopSignal": "SIGUSR1", "WorkingDir": "/content",
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 10 ** 9}})
        cls.daemon.berth("image", "load", "-i", path)

    def sh(self, options, script, image="busybox"):
        """What `script` prints in a new container that is removed at its end."""
        command = ["run", "--rm"] + list(options) + [image, "sh", "-c", script + "; true"]
        return self.daemon.berth(*command, env={"INHERITED": "mine"}).stdout

    def see(self, *rows):
        """Each row: options, a script, a pattern of its whole output, line ends at the end left away."""
        for options, script, pattern in rows:
            with self.subTest(" ".join(options)):
                self.assertRegex(self.sh(options, script).rstrip("\n"), "^(?s:%s)$" % pattern)

    def inspect(self, name, template):
        return self.daemon.berth("inspect", "-f", template, name).stdout.strip()

    def detached(self, *arguments):
        return self.daemon.berth("run", "-d", *arguments, env={"INHERITED": "mine"}).stdout.strip()

    def test_the_program(self):
        f = self.folder
        self.see(
            (("-e", "A=b c", "--env", "INHERITED", "-e", "UNSET_HERE"), "echo $A-$INHERITED-${UNSET_HERE-none}", "b c-mine-none"),
            (("--env-file", f + "/env", "-e", "FROM_FILE=2"), "echo $FROM_FILE$INHERITED; env | grep -c comment", "2mine\n0"),
            (("-w", "/made/deep"), "pwd; ls -d /made", "/made/deep\n/made"),
            (("-u", "app"), "id -u; id -g; echo $HOME; id -G", "1000\n1000\n/home\n1000 2000"),
            (("-u", "7:8"), "id -u; id -g; grep CapEff /proc/self/status", "7\n8\nCapEff:\t0{16}"),
            (("-u", "app:extra"), "id -u; id -g", "1000\n2000"),
            (("--group-add", "extra", "--group-add", "77"), "id -G", "0 .*2000 77|0 2000 77|0 77 2000"),
            (("-h", "box", "--domainname", "lan"), "hostname; cat /etc/hostname; cat /proc/sys/kernel/domainname; grep box /etc/hosts; "
             "echo $HOSTNAME", "box\nbox\nlan\n127.0.0.1\\s+box.*\nbox"),
            ((), "echo $HOME; echo $PATH; echo ${TERM-no}; hostname | wc -c", "/root\n/usr/local/sbin:.*\nno\n13"),
            (("--add-host", "far:1.2.3.4", "--add-host", "six:[::7]"), "cat /etc/hosts", ".*1.2.3.4\tfar\n::7\tsix"),
            (("--dns", "9.9.9.9", "--dns-search", "lan", "--dns-option", "ndots:3"), "cat /etc/resolv.conf",
             ".*nameserver 9.9.9.9\nsearch lan\noptions ndots:3"),
        )
        self.assertEqual(self.daemon.berth("run", "--rm", "--entrypoint", "/bin/echo", "busybox", "-n", "a b").stdout, "a b")
        self.assertEqual(self.daemon.berth("run", "--rm", "labelled").stdout, "entry default\n")
        self.assertEqual(self.daemon.berth("run", "--rm", "labelled", "mine").stdout, "entry mine\n")
        self.assertEqual(self.daemon.berth("run", "--rm", "--entrypoint", "", "labelled", "pwd").stdout, "/content\n")
        self.assertEqual(self.daemon.berth("run", "--rm", "--entrypoint", "env", "labelled").stdout.count("OF_IMAGE=yes"), 1)

    def test_terminal_and_streams(self):
        self.assertEqual(self.daemon.berth("run", "--rm", "-i", "busybox", "cat", input="typed").stdout, "typed")
        self.assertEqual(self.daemon.berth("run", "--rm", "busybox", "cat", input="typed").stdout, "")
        self.assertEqual(self.daemon.berth("run", "--rm", "busybox", "sh", "-c", "test -t 1 || echo pipe").stdout, "pipe\n")
        # Detached with a terminal: its own, of no client.
        self.detached("--name", "tty", "-t", "busybox", "sh", "-c", "tty; test -t 0 && echo terminal; echo $TERM")
        wait_for(lambda: self.daemon.berth("logs", "tty", text=False).stdout == b"/dev/pts/0\r\nterminal\r\nxterm\r\n")
        result = self.daemon.berth("run", "--rm", "-a", "stderr", "busybox", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((result.stdout, result.stderr), ("", "err\n"))
        terminal = self.terminal("run", "-it", "--name", "keys", "--detach-keys", "ctrl-x,q", "busybox", "sh")
        terminal.expect("# ")
        terminal.type("\x18q")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_restored())
        self.assertEqual(self.inspect("keys", "{{.State.Running}}"), "true")

    def test_names_labels_and_the_id_file(self):
        path = self.folder + "/id"
        identity = self.detached("--name", "named", "--cidfile", path, "-l", "a=b", "--label", "bare", "--label-file",
                                 self.folder + "/labels", "--annotation", "note=1", "--entrypoint", "sleep", "labelled", "1000")
        with open(path) as file:
            self.assertEqual(file.read(), identity)
        self.assertEqual(json.loads(self.inspect("named", "{{json .Config.Labels}}")),
                         {"a": "b", "bare": "", "of.file": "x", "of.image": "1"})
        self.assertEqual(self.inspect(identity[:12], "{{.Name}}"), "/named")
        with open("%s/io.containerd.runtime.v2.task/%s/%s/config.json" % (
                self.daemon.state, self.daemon.namespace, identity)) as file:
            self.assertEqual(json.load(file)["annotations"]["note"], "1")
        self.daemon.berth("run", "--rm", "--name", "away", "busybox", "true")
        self.assertEqual(self.daemon.berth("ps", "-aq", "--filter", "name=away").stdout, "")

    def test_mounts(self):
        f = self.folder
        self.see(
            (("-v", f + ":/b"), "cat /b/f /b/deep/g; echo new > /b/written", "host\nbelow"),
            (("-v", f + ":/b:ro"), "cat /b/written; touch /b/x 2>&1", "new\n.*Read-only.*"),
            (("--mount", "type=bind,src=%s,dst=/b,readonly" % f), "touch /b/x 2>&1", ".*Read-only.*"),
            (("--mount", "type=bind,src=%s/f,dst=/one" % f), "cat /one", "host"),
            (("-v", f + "/made:/b"), "ls -d /b", "/b"),
            (("-v", "/anonymous"), "grep -c ' /anonymous ' /proc/mounts", "1"),
            (("--tmpfs", "/t:size=1m,mode=700"), "grep ' /t ' /proc/mounts; stat -c %a /t",
             "tmpfs /t tmpfs rw,nosuid,nodev,noexec.*size=1024k.*\n700"),
            (("--tmpfs", "/t:exec"), "grep -c noexec /proc/mounts; grep ' /t ' /proc/mounts | grep -c noexec", "[0-9]+\n0"),
            (("--mount", "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=1770"), "grep ' /t ' /proc/mounts; stat -c %a /t",
             ".*size=2048k.*\n1770"),
            (("--read-only", "--tmpfs", "/run"), "touch /x 2>&1; touch /run/y && echo fine", ".*Read-only.*\nfine"),
            (("--shm-size", "3m"), "grep ' /dev/shm ' /proc/mounts", ".*size=3072k.*"),
            ((), "grep ' /dev/shm ' /proc/mounts", ".*size=65536k.*"),
        )
        self.assertTrue(os.path.isdir(f + "/made"))

    def test_volumes(self):
        f = self.folder
        self.addCleanup(lambda: self.daemon.berth("volume", "rm", "-f", "kept", "bare", "subs", check=False))
        # What the image has at the place goes into a new volume, with owner and mode; an old one stays as it is.
        ls = ("sh", "-c", "stat -c '%n %u %a' /v/*; echo mine > /v/mine")
        run = lambda *words: self.daemon.berth("run", "--rm", "--entrypoint", "", *words).stdout
        self.assertEqual(run("-v", "kept:/v", "--mount", "type=volume,src=bare,dst=/content,volume-nocopy", "labelled",
                             "ls", "/content"), "")
        self.assertEqual(run("-v", "kept:/content", "labelled", "sh", "-c", "stat -c '%n %u %a' /content/*"),
                         "/content/from-image 7 640\n/content/sub 0 755\n")
        self.assertEqual(run("-v", "kept:/v", "busybox", *ls), "/v/from-image 7 640\n/v/sub 0 755\n")
        self.assertEqual(run("-v", "kept:/content:ro", "labelled", "sh", "-c", "cat /content/mine; touch /content/x 2>&1 || true"),
                         "mine\ntouch: /content/x: Read-only file system\n")
        self.assertEqual(run("-v", "bare:/content:nocopy", "labelled", "ls", "/content"), "")
        self.assertEqual(run("--mount", "type=volume,src=kept,dst=/s,volume-subpath=sub", "busybox", "cat", "/s/inner"), "inner\n")
        # --volumes-from, and the volume that the image declares.
        source = self.detached("-v", "kept:/v", "-v", f + ":/b", "--entrypoint", "", "labelled", "sleep", "1000")
        self.assertEqual(run("--volumes-from", source, "busybox", "sh", "-c", "cat /v/mine /b/f; ls -d /declared"),
                         "mine\nhost\n/declared\n")
        self.assertIn("Read-only", run("--volumes-from", source + ":ro", "busybox", "sh", "-c", "touch /v/x 2>&1 || true"))
        self.assertEqual(self.inspect(source, "{{range .Mounts}}{{if eq .Destination \"/declared\"}}{{.Type}}{{end}}{{end}}"), "volume")

    def test_volumes_with_options(self):
        """The driver's options: what is mounted at the volume's place while a container uses it."""
        f = self.folder
        berth = self.daemon.berth
        names = ["memory", "bound", "broken"]
        self.addCleanup(lambda: berth("volume", "rm", "-f", *names, check=False))
        berth("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=7,noexec", "memory")
        berth("volume", "create", "--opt", "type=none", "--opt", "o=bind,ro", "--opt", "device=" + f, "bound")
        berth("volume", "create", "-o", "type=ext4", "-o", "device=/dev/no-such", "broken")
        point = berth("volume", "inspect", "-f", "{{.Mountpoint}}", "memory").stdout.strip()
        self.assertEqual(berth("volume", "inspect", "-f", "{{.Options.o}} {{.Options.type}}", "memory").stdout, "size=1m,uid=7,noexec tmpfs\n")
        self.assertFalse(os.path.ismount(point))
        self.detached("--name", "first", "-v", "memory:/v", "busybox", "sleep", "1000")
        out = berth("exec", "first", "sh", "-c", "grep ' /v ' /proc/mounts; stat -c %u /v; echo shared > /v/f").stdout
        self.assertRegex(out, r"(?s)^tmpfs /v tmpfs rw,noexec.*size=1024k.*\n7\n$")
        # One filesystem for all, also for those that come when the daemon is another.
        self.see((("-v", "memory:/v"), "cat /v/f", "shared"))
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        self.see((("-v", "memory:/w"), "cat /w/f", "shared"))
        self.assertTrue(os.path.ismount(point))
        berth("stop", "-t", "0", "first")
        # Whoever waits for the end hears of it before what the container held is given back.
        wait_for(lambda: not os.path.ismount(point), 30, "the volume to be unmounted")
        self.fails(1, "cp", f + "/f", "first:/v", words=("volume memory at /v is mounted only while its container runs",))
        berth("start", "first")
        self.assertEqual(berth("exec", "first", "ls", "/v").stdout, "")
        self.fails(1, "volume", "rm", "memory", words=("volume is in use",))
        berth("rm", "-f", "first")
        self.assertFalse(os.path.ismount(point))
        self.see((("-v", "bound:/v"), "cat /v/f; touch /v/x 2>&1", "host\n.*Read-only.*"))
        berth("volume", "rm", "bound")
        self.assertTrue(os.path.exists(f + "/f"))
        self.see((("--mount", "type=volume,dst=/v,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=64k"),
                  "grep ' /v ' /proc/mounts", ".*size=64k.*"))
        self.fails(125, "run", "--rm", "-v", "broken:/v", "busybox", "true", words=("failed to mount local volume: mount /dev/no-such",))
        self.fails(125, "create", "--mount", "type=volume,src=memory,dst=/v,volume-subpath=x", "busybox", words=("volume-subpath",))
        for options, words in ((("-o", "colour=red"), 'invalid option: "colour"'), (("-o", "type=tmpfs"), 'missing required option: "device"'),
                               (("-o", "size=1g"), "no quota support"), (("-o", "type"), "missing required option"), (("-d", "nfs"), "nfs"),
                               (("-o", "type=none", "-o", "device=here", "-o", "o=bind"), "absolute path")):
            self.fails(1, "volume", "create", *options, "refused", words=(words,))
        self.assertNotIn("refused", berth("volume", "ls", "-q").stdout)

    def test_mounts_below_mounts(self):
        # In a mount namespace of its own would be kinder to the host; but the daemon's is what counts.
        f = self.folder
        inner = f + "/inner"
        os.makedirs(inner, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "berth-test", inner], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", inner], check=True)
        touch = "touch /b/inner/x 2>&1 && echo written"
        self.see(
            (("-v", f + ":/b"), touch, "written"),
            (("-v", f + ":/b:rro,rprivate"), touch, ".*Read-only.*"),
            (("-v", f + ":/b:ro"), touch, ".*Read-only.*"),
            (("--mount", "type=bind,src=%s,dst=/b,readonly,bind-recursive=writable" % f), touch, "written"),
            (("--mount", "type=bind,src=%s,dst=/b,bind-nonrecursive" % f), "grep -c ' /b/inner ' /proc/mounts", "0"),
            (("--mount", "type=bind,src=%s,dst=/b,bind-propagation=rslave" % inner), "grep ' /b ' /proc/self/mountinfo", ".*"),
        )
        subprocess.run(["mount", "--make-shared", inner], check=True)
        self.see(
            (("--mount", "type=bind,src=%s,dst=/b,bind-propagation=rslave" % inner), "grep ' /b ' /proc/self/mountinfo",
             ".* master:.*"),
            (("-v", inner + ":/b:shared"), "grep ' /b ' /proc/self/mountinfo", ".* shared:.*"),
            (("-v", inner + ":/b"), "grep ' /b ' /proc/self/mountinfo | grep -cE 'shared:|master:'", "0"),
        )

    def test_limits(self):
        self.see(
            (("-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "256",
              "--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "55", "--blkio-weight", "300"),
             "; ".join([group("memory/memory.limit_in_bytes", "memory.max"),
                        group("memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
                        group("memory/memory.soft_limit_in_bytes", "memory.low"),
                        group("cpu/cpu.cfs_quota_us", "cpu.max"), group("cpu/cpu.shares", "cpu.weight"),
                        group("cpuset/cpuset.cpus", "cpuset.cpus"), group("pids/pids.max", "pids.max"), "nproc",
                        group("blkio/blkio.bfq.weight", "io.bfq.weight")]),
             "%d\n%d\n%d\n%s\n%s\n0\n55\n1\n.*300" % (
                 64 << 20, (32 if V2 else 96) << 20, 32 << 20, "50000 100000" if V2 else "50000", "10" if V2 else "256")),
            (("-m", "64m", "--memory-swap", "-1", "--cpu-quota", "30000", "--cpu-period", "60000", "--pids-limit", "-1"),
             "; ".join([group("memory/memory.memsw.limit_in_bytes", "memory.swap.max"), group("cpu/cpu.cfs_quota_us", "cpu.max"),
                        group("pids/pids.max", "pids.max")]),
             "max\n30000 60000\nmax" if V2 else "9223372036854771712\n30000\nmax"),
            (("-m", "64m"), group("memory/memory.memsw.limit_in_bytes", "memory.swap.max"), str((64 if V2 else 128) << 20)),
            (("--ulimit", "nofile=123:456", "--ulimit", "core=0", "--ulimit", "stack=-1"),
             "ulimit -n; ulimit -Hn; ulimit -c; ulimit -s", "123\n456\n0\nunlimited"),
            (("--sysctl", "kernel.msgmax=4321", "--sysctl", "net.ipv4.ip_forward=1"),
             "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward", "4321\n1"),
            (("--oom-score-adj", "321"), "cat /proc/self/oom_score_adj", "321"),
            (("--cgroup-parent", self.daemon.namespace + "/below"), "cat /proc/self/cgroup",
             ".*:pids:/%s/below/[0-9a-f]{64}\n.*" % self.daemon.namespace if not V2 else ".*"),
        )
        for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/*"):
            subprocess.run("rmdir %s/%s/below 2>/dev/null" % (base, self.daemon.namespace), shell=True, check=False)

    def test_an_update_is_seen_inside(self):
        self.detached("--name", "up", "-m", "64m", "busybox", "sleep", "1000")
        self.daemon.berth("update", "-m", "80m", "--memory-swap", "-1", "--cpus", "0.25", "--pids-limit", "77", "-c", "128", "up")
        out = self.daemon.berth("exec", "up", "sh", "-c", "; ".join(
            [group("memory/memory.limit_in_bytes", "memory.max"), group("cpu/cpu.cfs_quota_us", "cpu.max"),
             group("pids/pids.max", "pids.max")])).stdout
        self.assertRegex(out, "^%d\n25000.*\n77\n$" % (80 << 20))
        self.assertEqual(self.inspect("up", "{{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}}"), "250000000 128")

    def test_devices(self):
        opened = "( exec 3%s%s ) 2>/dev/null && echo %s"
        node = "mknod /dev/m c 10 237; "
        self.see(
            (("--device", "/dev/loop-control:/dev/other:rw"), "stat -c %t:%T /dev/other; ls /dev/loop-control 2>&1",
             "a:ed\n.*No such.*"),
            (("--device", "/dev/loop-control:r"), opened % ("<", "/dev/loop-control", "read") + "; " +
             opened % (">", "/dev/loop-control", "written"), "read"),
            ((), node + opened % ("<", "/dev/m", "read"), ""),
            (("--device-cgroup-rule", "c 10:237 rm"), node + opened % ("<", "/dev/m", "read") + "; " + opened % (">", "/dev/m", "written"),
             "read"),
            ((), "ls /dev", ".*fd\nfull\n.*null\n.*ptmx\npts\nrandom\nshm\n.*tty\nurandom\nzero"),
        )

    def test_security(self):
        bounding = "sed -n 's/CapBnd:.0*//p' /proc/self/status"
        with open("/proc/self/status") as file:
            every = re.search("CapBnd:.0*(.*)", file.read()).group(1)
        self.see(
            ((), bounding + "; sed -n 's/^Seccomp:.//p; s/NoNewPrivs:.//p' /proc/self/status; cat /proc/self/attr/current 2>/dev/null",
             "a80425fb\n0\n2.*"),
            (("--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "cap_net_raw"), bounding, "2001"),
            (("--cap-add", "SYS_TIME"), bounding, "aa0425fb"),
            (("--cap-drop", "MKNOD"), bounding + "; mknod /tmp/x c 1 3 2>&1", "a00425fb\n.*not permitted"),
            (("--cap-add", "ALL"), bounding, every),
            (("--privileged",), bounding + "; sed -n 's/^Seccomp:.//p' /proc/self/status; ls /dev/kmsg; "
             "touch /proc/sys/kernel/domainname && echo writable; grep -c ' /proc/sys ' /proc/mounts",
             every + "\n0\n/dev/kmsg\nwritable\n0"),
            ((), "grep -c ' /proc/sys ' /proc/mounts; cat /proc/kcore | wc -c; ls /sys/firmware | wc -l", "1\n0\n0"),
            (("--security-opt", "systempaths=unconfined"), "grep -c ' /proc/sys ' /proc/mounts", "0"),
            (("--security-opt", "no-new-privileges"), "sed -n 's/NoNewPrivs:.//p' /proc/self/status", "1"),
            (("--security-opt", "no-new-privileges:false"), "sed -n 's/NoNewPrivs:.//p' /proc/self/status", "0"),
            (("--security-opt", "seccomp=unconfined"), "sed -n 's/^Seccomp:.//p' /proc/self/status", "0"),
            (("--security-opt", "seccomp=" + self.folder + "/seccomp"),
             "sed -n 's/^Seccomp:.//p' /proc/self/status; mkdir /x 2>&1", "2\n.*Socket operation on non-socket"),
            (("--security-opt", "apparmor=unconfined", "--security-opt", "label=disable"), "echo runs", "runs"),
        )
        # The default filter: what Docker's forbids is not permitted, what it allows works.
        self.see(((), "unshare -m true 2>&1; mount -t tmpfs x /tmp 2>&1; chroot / echo root", ".*not permitted.*denied.*root|"
                  ".*not permitted.*not permitted.*root|.*not permitted.*root"))

    def test_namespaces(self):
        own = lambda kind: re.escape(os.readlink("/proc/self/ns/" + kind))
        ns = "readlink /proc/self/ns/%s"
        self.see(
            (("--network", "host"), ns % "net" + "; hostname", "%s\n%s" % (own("net"), re.escape(os.uname().nodename))),
            (("--network", "none"), "ls /sys/class/net; cat /sys/class/net/lo/operstate", "lo\n.*"),
            ((), "cat /proc/net/dev | grep -c :; ip addr show lo | grep -c 127.0.0.1", "1\n1"),
            (("--ipc", "host"), ns % "ipc", own("ipc")),
            (("--ipc", "none"), "grep -c ' /dev/shm ' /proc/mounts", "0"),
            (("--ipc", "private"), ns % "ipc", "(?!%s).*" % own("ipc")),
            (("--pid", "host"), ns % "pid" + "; test -d /proc/2 && echo kernel", own("pid") + "\n.*"),
            (("--uts", "host"), ns % "uts" + "; hostname", "%s\n%s" % (own("uts"), re.escape(os.uname().nodename))),
            (("--userns", "host"), ns % "user", own("user")),
            (("--cgroupns", "private"), "cat /proc/self/cgroup | cut -d: -f3 | sort -u", "/"),
            (("--cgroupns", "host"), "grep -c %s /proc/self/cgroup" % self.daemon.namespace, "[1-9].*"),
            ((), "echo $$; for n in mnt net ipc pid uts; do readlink /proc/self/ns/$n; done",
             "1\n" + "\n".join("(?!%s)[^\n]*" % own(kind) for kind in ("mnt", "net", "ipc", "pid", "uts"))),
        )
        self.detached("--name", "owner", "--ipc", "shareable", "busybox", "sh", "-c", "echo shared > /dev/shm/f; exec sleep 1000")
        wait_for(lambda: self.daemon.berth("exec", "owner", "cat", "/dev/shm/f", check=False).stdout == "shared\n")
        pid = self.inspect("owner", "{{.State.Pid}}")
        of = lambda kind: re.escape(os.readlink("/proc/%s/ns/%s" % (pid, kind)))
        self.see(
            (("--network", "container:owner"), ns % "net" + "; cat /etc/hosts | tail -1", of("net") + "\n127.0.0.1\t.*"),
            (("--ipc", "container:owner"), ns % "ipc" + "; cat /dev/shm/f", of("ipc") + "\nshared"),
            (("--pid", "container:owner"), ns % "pid" + "; cat /proc/1/comm", of("pid") + "\nsleep"),
        )

    def test_init(self):
        """Process 1 reaps what is orphaned, passes signals on, and ends as the program ends."""
        orphans = "for i in 1 2 3; do ( sleep 0.01 & ); done; sleep 0.5; "
        zombies = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
        self.see((("--init",), "cat /proc/1/comm; echo $$; " + orphans + zombies, "docker-init\n[2-9][0-9]*\n0"),
                 (("--init", "--read-only"), "cat /proc/1/comm; touch /sbin/docker-init 2>&1", "docker-init\n.*Read-only.*"),
                 (("--init", "--pid", "host"), "echo $PPID | grep -vx 1 | wc -l", "1"))
        self.fails(7, "run", "--rm", "--init", "busybox", "sh", "-c", "exit 7")
        self.fails(137, "run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$")
        self.fails(127, "run", "--rm", "--init", "busybox", "no-such-program", words=("no-such-program",))
        self.fails(126, "run", "--rm", "--init", "busybox", "/etc/passwd", words=("/etc/passwd",))
        self.detached("--name", "reaped", "--init", "busybox", "sh", "-c",
                      "trap 'echo hup' HUP; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
        wait_for(lambda: "ready" in self.daemon.berth("logs", "reaped").stdout)
        self.daemon.berth("kill", "-s", "HUP", "reaped")
        wait_for(lambda: "hup" in self.daemon.berth("logs", "reaped").stdout)
        self.daemon.berth("stop", "reaped")
        self.assertEqual(self.daemon.berth("logs", "reaped").stdout, "ready\nhup\nterm\n")
        self.assertEqual(self.inspect("reaped", "{{.State.ExitCode}} {{.HostConfig.Init}} {{.Path}}"), "5 true sh")
        terminal = self.terminal("run", "--rm", "-it", "--init", "--name", "typed", "busybox", "sh")
        terminal.expect("# ")
        terminal.type("sleep 1234\r")
        wait_for(lambda: "sleep 1234" in self.daemon.berth("top", "typed").stdout)
        terminal.type("\x03")
        terminal.type("echo $((40 + 2)); exit 3\r")
        terminal.expect("42")
        self.assertEqual(terminal.wait(), 3)

    def test_signals_and_time_to_stop(self):
        trap = "trap 'echo %s; exit 3' %s; echo ready; while :; do sleep 0.05; done"
        rows = (("own", ("--stop-signal", "SIGQUIT"), "QUIT", "busybox"), ("image", ("--entrypoint", ""), "USR1", "labelled"),
                ("usual", (), "TERM", "busybox"), ("number", ("--stop-signal", "10"), "USR1", "busybox"))
        for name, options, word, image in rows:
            self.detached("--name", name, *options, image, "sh", "-c", trap % (word, word))
        self.detached("--name", "deaf", "--stop-timeout", "1", "busybox", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
        for name, _, word, _ in rows:
            wait_for(lambda: "ready" in self.daemon.berth("logs", name).stdout)
            self.daemon.berth("stop", name)
            self.assertEqual(self.daemon.berth("logs", name).stdout, "ready\n%s\n" % word)
        wait_for(lambda: "ready" in self.daemon.berth("logs", "deaf").stdout)
        self.daemon.berth("stop", "deaf", timeout=9)
        self.assertEqual(self.inspect("deaf", "{{.State.ExitCode}} {{.Config.StopTimeout}}"), "137 1")

    def test_restart_policies(self):
        count = lambda name: int(self.inspect(name, "{{.RestartCount}}"))
        policies = (("no", 0), ("on-failure:2", 2), ("on-failure", None), ("always", None), ("unless-stopped", None))
        for policy, _ in policies:
            self.detached("--name", policy.replace(":", "-"), "--restart", policy, "busybox", "sh", "-c", "echo run; exit 4")
        for policy, times in policies:
            name = policy.replace(":", "-")
            if times is None:
                wait_for(lambda: count(name) >= 2, what=policy)
                self.daemon.berth("stop", name)
            else:
                wait_for(lambda: self.inspect(name, "{{.State.Status}}") == "exited", what=policy)
                self.assertEqual((count(name), self.daemon.berth("logs", name).stdout), (times, "run\n" * (times + 1)))
            self.assertEqual(self.inspect(name, "{{.State.Status}}"), "exited")
        self.detached("--name", "fine", "--restart", "on-failure", "busybox", "true")
        wait_for(lambda: self.inspect("fine", "{{.State.Status}} {{.RestartCount}}") == "exited 0")

    def test_health(self):
        health = lambda name: self.inspect(name, "{{.State.Health.Status}}")
        self.detached("--name", "good", "--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-timeout", "2s",
                      "--health-start-period", "60s", "--health-start-interval", "100ms", "--health-retries", "2",
                      "busybox", "sleep", "1000")
        self.detached("--name", "bad", "--health-cmd", "echo broken; exit 1", "--health-interval", "100ms", "--health-retries",
                      "2", "busybox", "sleep", "1000")
        self.detached("--name", "slow", "--health-cmd", "sleep 100", "--health-interval", "100ms", "--health-timeout", "100ms",
                      "--health-retries", "1", "busybox", "sleep", "1000")
        self.detached("--name", "imaged", "--entrypoint", "sleep", "labelled", "1000")
        self.detached("--name", "without", "--no-healthcheck", "--entrypoint", "sleep", "labelled", "1000")
        # Failures while it starts do not count; a success ends the start.
        self.assertEqual(health("good"), "starting")
        wait_for(lambda: health("bad") == "unhealthy" and health("slow") == "unhealthy")
        self.assertEqual(health("good"), "starting")
        self.daemon.berth("exec", "good", "touch", "/ok")
        wait_for(lambda: health("good") == "healthy" and health("imaged") == "healthy")
        self.daemon.berth("exec", "good", "rm", "/ok")
        wait_for(lambda: health("good") == "unhealthy")
        log = json.loads(self.inspect("bad", "{{json .State.Health.Log}}"))
        self.assertEqual((log[-1]["ExitCode"], log[-1]["Output"]), (1, "broken\n"))
        self.assertGreaterEqual(int(self.inspect("bad", "{{.State.Health.FailingStreak}}")), 2)
        self.assertEqual(self.inspect("without", "{{if .State.Health}}yes{{else}}no{{end}}"), "no")
        self.assertEqual(self.daemon.berth("ps", "-q", "--filter", "health=healthy").stdout.count("\n"), 1)
        self.assertIn("(unhealthy)", self.daemon.berth("ps", "--filter", "name=bad").stdout)

    def test_logs(self):
        self.daemon.berth("run", "--name", "silent", "--log-driver", "none", "busybox", "echo", "unlogged")
        self.assertIn("log", self.fails(1, "logs", "silent").stderr)
        line = "x" * 99
        self.daemon.berth("run", "--name", "turned", "--log-opt", "max-size=8k", "--log-opt", "max-file=2", "busybox", "sh", "-c",
                          "i=0; while [ $i -lt 300 ]; do echo $i %s; i=$((i+1)); done" % line)
        path = self.inspect("turned", "{{.LogPath}}")
        wait_for(lambda: os.path.exists(path + ".1"))
        self.assertFalse(os.path.exists(path + ".2"))
        self.assertLessEqual(max(os.path.getsize(p) for p in (path, path + ".1")), 8192)
        lines = self.daemon.berth("logs", "turned").stdout.splitlines()
        self.assertEqual(lines[-1], "299 " + line)
        self.assertLess(len(lines), 300)
        self.daemon.berth("run", "--name", "usual", "busybox", "true")
        self.assertEqual(self.inspect("usual", "{{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config \"max-size\"}} "
                                      "{{index .HostConfig.LogConfig.Config \"max-file\"}}"), "json-file 10m 3")

    def test_image_and_runtime(self):
        self.assertEqual(self.sh(("--platform", "linux/amd64"), "echo fine"), "fine\n")
        for runtime in ("io.containerd.runc.v2", "runc"):
            self.assertEqual(self.sh(("--runtime", runtime), "echo fine"), "fine\n")
        self.assertEqual(self.sh(("--pull", "never", "-q"), "echo fine"), "fine\n")
        self.assertEqual(self.sh(("--pull", "missing"), "echo fine"), "fine\n")


@unittest.skipIf(STOCK, "asks for berth")
@unittest.skipUnless(shutil.which("mkfs.xfs"), "xfsprogs is not installed")
class StorageLimitTest(BerthTest):
    """`--storage-opt size` on a root directory that can: XFS with project quotas, in a file."""
    busybox = False

    @classmethod
    def setUpClass(cls):
        # The filesystem is mounted below a directory of ours before berthd makes its root there.
        cls.place = tempfile.mkdtemp(prefix="berth-xfs-")
        cls.addClassCleanup(shutil.rmtree, cls.place)
        subprocess.run(["truncate", "-s", "400M", cls.place + "/image"], check=True)
        subprocess.run(["mkfs.xfs", "-q", cls.place + "/image"], check=True)
        os.mkdir(cls.place + "/root")
        mounted = subprocess.run(["mount", "-o", "loop,pquota", cls.place + "/image", cls.place + "/root"], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise unittest.SkipTest("this kernel mounts no XFS with project quotas: " + mounted.stderr.strip().split("\n")[0])
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.place + "/root"], check=True)
        cls.daemon = Daemon(name="storagelimit")
        cls.daemon.root = cls.place + "/root/berth"
        cls.addClassCleanup(cls.daemon.stop)
        cls.daemon.start()
        images.busybox(cls.daemon.dir + "/busybox.tar")
        cls.daemon.berth("image", "load", "-i", cls.daemon.dir + "/busybox.tar")

    def test_the_size_holds(self):
        berth = self.daemon.berth
        write = "dd if=/dev/zero of=/big bs=1M count=%d 2>&1; ls -s /big | cut -d' ' -f1"
        out = berth("run", "--name", "small", "--storage-opt", "size=20m", "busybox", "sh", "-c", write % 60).stdout
        self.assertRegex(out, "(No space left|quota exceeded)")
        self.assertLessEqual(int(out.split()[-1]), 20480)
        self.assertEqual(berth("inspect", "-f", "{{.HostConfig.StorageOpt.size}}", "small").stdout, "20m\n")
        # Others are not limited, and each has a limit of its own.
        self.assertNotIn("No space", berth("run", "--rm", "busybox", "sh", "-c", write % 30).stdout)
        self.assertRegex(berth("run", "--rm", "--storage-opt", "size=10m", "busybox", "sh", "-c", write % 15 + "; df -m / | tail -1").stdout,
                         r"(?s)(No space left|quota exceeded).* 10 +\d+ ")
        report = lambda: [line for line in subprocess.run(["xfs_quota", "-x", "-c", "report -pnN", self.place + "/root"], capture_output=True,
                                                          text=True, check=True).stdout.split("\n") if " 20480 " in line]
        self.assertEqual(len(report()), 1)
        berth("rm", "small")
        self.assertEqual(report(), [])


@unittest.skipIf(STOCK, "asks for berth")
class RefusalsTest(DockerTest):
    """What is refused, with its words; always 125, and nothing is left."""

    ROWS = (
        (("-m", "much"), '"much" is no value for --memory'),
        (("-m", "1k"), "Minimum memory limit allowed is 6MB"),
        (("--memory-swap", "64m"), "You should always set the Memory limit when using Memoryswap limit"),
        (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger than memory limit"),
        (("-m", "64m", "--memory-reservation", "80m"), "Minimum memory limit can not be less than memory reservation limit"),
        (("--cpus", "-1"), "--cpus"),
        (("--cpus", "9999"), "CPUs available"),
        (("--cpus", "1", "--cpu-quota", "5"), "--cpus contradicts --cpu-quota"),
        (("--cpu-shares", "x"), "--cpu-shares"),
        (("--cpuset-cpus", "4000"), "Requested CPUs are not available"),
        (("--cpuset-cpus", "abc"), "cpuset"),
        (("--pids-limit", "x"), "--pids-limit"),
        (("--blkio-weight", "5"), "--blkio-weight is from 10 to 1000"),
        (("--ulimit", "nofile=2:1"), "soft limit"),
        (("--ulimit", "colour=2"), '"colour" is no limit'),
        (("--sysctl", "nothing"), "--sysctl"),
        (("--sysctl", "vm.swappiness=1"), "vm.swappiness"),
        (("--shm-size", "x"), "--shm-size"),
        (("-v", "/a:b"), "absolute path"),
        (("-v", "/a:/b:loud"), 'unknown option "loud"'),
        (("-v", "a b:/x"), "is no name for a volume"),
        (("-v", "/tmp:/"), "must not be /"),
        (("-v", "/tmp:/x", "-v", "/tmp:/x"), "Duplicate mount point: /x"),
        (("--mount", "type=bind,target=/x"), "a bind wants a source"),
        (("--mount", "type=bind,src=/no/such/path,target=/x"), "bind source path does not exist: /no/such/path"),
        (("--mount", "type=npipe,target=/x"), "the type is bind, volume or tmpfs"),
        (("--mount", "type=tmpfs,src=x,target=/x"), "a tmpfs has no source"),
        (("--mount", "type=volume,src=v,target=/x,bind-propagation=shared"), "does not go with this type"),
        (("--mount", "type=volume,target=/x,volume-driver=nfs"), "nfs"),
        (("--tmpfs", "x"), "absolute path"),
        (("--volumes-from", "nobody"), "No such container: nobody"),
        (("-w", "relative"), "relative"),
        (("-u", "nobody-here"), "unable to find user nobody-here"),
        (("--group-add", "nobody-here"), "Unable to find group nobody-here"),
        (("-e", "=x"), '"=x" is no value for --env'),
        (("--env-file", "/nonexistent"), "--env-file"),
        (("--label-file", "/nonexistent"), "--label-file"),
        (("-l", "=x"), "--label"),
        (("--add-host", "x"), "--add-host"),
        (("--add-host", "x:y"), '"y" is no IP address'),
        (("--add-host", "x:host-gateway"), "needs a network with a gateway"),
        (("--dns", "word"), "--dns"),
        (("--network", "bridge"), "network bridge not found"),
        (("--network", "far"), "network far not found"),
        (("--network", "container:nobody"), "No such container: nobody"),
        (("--network", "container:nobody", "-h", "x"), "conflicting options: hostname and the network mode"),
        (("--network", "container:nobody", "--dns", "1.1.1.1"), "conflicting options: dns and the network mode"),
        (("-p", "80:80"), "this release cannot publish ports"),
        (("-P",), "this release cannot publish ports"),
        (("-p", "http"), "--publish"),
        (("--ipc", "some"), '"some" is no value for --ipc'),
        (("--ipc", "container:nobody"), "No such container: nobody"),
        (("--pid", "private"), "--pid"),
        (("--uts", "private"), "--uts"),
        (("--uts", "host", "-h", "x"), "conflicting options: hostname and the UTS mode"),
        (("--userns", "keep-id"), "--userns"),
        (("--cgroupns", "x"), "--cgroupns"),
        (("--cap-add", "FLY"), '"FLY"'),
        (("--cap-drop", "FLY"), '"FLY"'),
        (("--device", "null"), "--device"),
        (("--device", "/dev/no-such"), "error gathering device information while adding custom device"),
        (("--device", "/dev/null:/dev/x:q"), "r, w and m"),
        (("--device-cgroup-rule", "z 1:1 r"), "invalid device cgroup rule format"),
        (("--security-opt", "magic"), "--security-opt"),
        (("--security-opt", "seccomp=/no/such"), "/no/such"),
        (("--security-opt", "seccomp=/etc/passwd"), "seccomp profile"),
        (("--security-opt", "label=type:svirt_t"), "SELinux"),
        (("--security-opt", "no-new-privileges=perhaps"), "no-new-privileges"),
        (("--stop-signal", "WHAT"), "--stop-signal"),
        (("--stop-timeout", "-2"), "--stop-timeout is -1 or more"),
        (("--restart", "sometimes"), "--restart"),
        (("--restart", "always:3"), "only on-failure takes a number of attempts"),
        (("--rm", "--restart", "always"), "--rm contradicts --restart"),
        (("--health-interval", "5"), "--health-interval"),
        (("--health-interval", "1us"), "Interval"),
        (("--health-retries", "-1"), "--health-retries must not be negative"),
        (("--no-healthcheck", "--health-cmd", "true"), "--no-healthcheck contradicts the --health options"),
        (("--log-driver", "syslog"), "no log driver named 'syslog' is registered"),
        (("--log-opt", "max-size=x"), "max-size"),
        (("--log-opt", "max-file=0"), "max-file cannot be less than 1"),
        (("--log-opt", "colour=red"), "unknown log opt 'colour'"),
        (("--log-driver", "none", "--log-opt", "max-size=1m"), "none"),
        (("--pull", "often"), "--pull"),
        (("--platform", "a/b/c/d/e"), "a/b/c/d/e"),
        (("--pull", "never", "--platform", "plan9/mips"), "plan9/mips"),
        (("--cidfile", "/etc/passwd"), "--cidfile"),
        (("--name", "a b"), "Invalid container name"),
        (("--name", "x"), "Invalid container name"),
        (("-a", "stdmiddle"), "stdmiddle"),
        (("-d", "-a", "stdout"), "--attach contradicts --detach"),
        (("--detach-keys", "what"), "what"),
        (("--storage-opt", "colour=red"), "Unknown option colour"),
        (("--storage-opt", "size=many"), "invalid size: 'many'"),
        (("--storage-opt", "size=1g"), "supported only for overlay over xfs with 'pquota' mount option"),
        (("-h", "x" * 65), "hostname"),
        (("--oom-score-adj", "2000"), "--oom-score-adj is from -1000 to 1000"),
        (("--memory-swappiness", "200"), "--memory-swappiness"),
        (("--no-such-option",), "--no-such-option"),
        (("--rm=perhaps",), "--rm"),
    )

    def test_refusals(self):
        for options, words in self.ROWS:
            for verb in ("run", "create"):
                if verb == "create" and options[0] in ("-d", "-a", "--detach-keys"):
                    continue
                with self.subTest("%s %s" % (verb, " ".join(options))):
                    result = self.daemon.berth(verb, *options, "busybox", "true", check=False)
                    self.assertEqual(result.returncode, 125, result.stdout + result.stderr)
                    self.assertIn(words, result.stderr)
                    self.assertEqual(result.stdout, "")
        self.assertEqual(self.daemon.berth("ps", "-aq").stdout, "")
        self.assertEqual(self.daemon.berth("volume", "ls", "-q").stdout, "")

    def test_what_the_start_refuses(self):
        for options, words in ((("--security-opt", "apparmor=no-such-profile"), "AppArmor"), (("--runtime", "no-such"), "no-such")):
            self.fails(125, "run", "--rm", *options, "busybox", "true", words=(words,))
        self.assertEqual(self.daemon.berth("ps", "-aq").stdout, "")

    def test_a_missing_image(self):
        for options in ((), ("--pull", "never")):
            self.fails(125, "run", *options, "localhost:1/nothing", "true", words=("localhost:1/nothing",))
        self.fails(125, "run", "UPPER", words=("UPPER",))
        self.fails(125, "run", words=("IMAGE",))


if __name__ == "__main__":
    unittest.main()
