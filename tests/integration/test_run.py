"""ctr run and its options, seen from inside the container."""
import json
import os
import pty
import select
import subprocess
import time

from harness import BUSYBOX, BerthTest, wait_for
import images


class RunTest(BerthTest):
    def inside(self, *command, options=(), **keywords):
        return self.out("run", "--rm", *options, BUSYBOX, self.name(), *command, **keywords)

    def test_foreground_output_and_error_streams(self):
        result = self.ctr("run", "--rm", BUSYBOX, self.name(), "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((result.stdout, result.stderr), ("out\n", "err\n"))

    def test_exit_code(self):
        self.assertEqual(self.ctr("run", "--rm", BUSYBOX, self.name(), "sh", "-c", "exit 42", check=False).returncode, 42)

    def test_exit_code_of_a_signal(self):
        # The kernel lets no process kill its own pid namespace's init: the signal comes from outside.
        name = self.name()
        process = subprocess.Popen(self.daemon.ctr_argv("run", "--rm", BUSYBOX, name, "sleep", "1000"),
                                   stdin=subprocess.DEVNULL)
        wait_for(lambda: self.daemon.tasks().get(name, (0, ""))[1] == "RUNNING")
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        self.assertEqual(process.wait(20), 137)

    def test_stdin_reaches_the_container(self):
        result = self.daemon.run(self.daemon.ctr_argv("run", "--rm", BUSYBOX, self.name(), "head", "-n1"), input="a line\n")
        self.assertEqual(result.stdout, "a line\n")

    def test_large_output_is_complete(self):
        out = self.inside("sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        lines = out.strip().split("\n")
        self.assertEqual((len(lines), lines[-1]), (20000, "line 19999"))

    def test_detached(self):
        name = self.run_detached()
        pid, status = self.daemon.tasks()[name]
        self.assertEqual(status, "RUNNING")
        with open("/proc/%d/cmdline" % pid) as file:
            self.assertEqual(file.read().split("\0")[:2], ["sleep", "1000"])

    def test_terminal(self):
        master, slave = pty.openpty()
        process = subprocess.Popen(self.daemon.ctr_argv("run", "--rm", "-t", BUSYBOX, self.name(), "sh", "-c",
                                                        "tty; stty size; read x; echo got $x"),
                                   stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        output = b""
        deadline = time.monotonic() + 20
        sent = False
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    data = os.read(master, 4096)
                except OSError:
                    break
                if not data:
                    break
                output += data
            if b"/dev/pts/0" in output and not sent:
                os.write(master, b"word\n")
                sent = True
            if process.poll() is not None and not select.select([master], [], [], 0.1)[0]:
                break
        self.assertEqual(process.wait(10), 0, output)
        os.close(master)
        self.assertIn(b"/dev/pts/0", output)
        self.assertIn(b"got word", output)

    def test_env_and_cwd_and_hostname(self):
        out = self.inside("sh", "-c", "echo $A; pwd", options=["--env", "A=b", "--cwd", "/tmp"])
        self.assertEqual(out.split(), ["b", "/tmp"])

    def test_bind_mount(self):
        folder = self.daemon.dir + "/share"
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/file", "w") as file:
            file.write("from the host")
        out = self.inside("cat", "/data/file", options=["--mount", "type=bind,src=%s,dst=/data,options=rbind:ro" % folder])
        self.assertEqual(out, "from the host")
        result = self.ctr("run", "--rm", "--mount", "type=bind,src=%s,dst=/data,options=rbind:ro" % folder, BUSYBOX,
                          self.name(), "touch", "/data/x", check=False)
        self.assertIn("Read-only file system", result.stderr)
        self.assertNotEqual(result.returncode, 0)

    def test_namespaces_are_its_own(self):
        out = self.inside("sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'; ip -o link | wc -l; ls /proc/self/ns")
        lines = out.split()
        self.assertEqual(lines[0], "1")
        self.assertLess(int(lines[1]), 6)
        for name in ("mnt", "pid", "net", "ipc", "uts"):
            host = os.readlink("/proc/self/ns/" + name)
            self.assertNotEqual(self.inside("readlink", "/proc/self/ns/" + name).strip(), host, name)

    def test_net_host(self):
        self.assertEqual(self.inside("readlink", "/proc/self/ns/net", options=["--net-host"]).strip(),
                         os.readlink("/proc/self/ns/net"))

    def test_with_ns_joins_another(self):
        name = self.run_detached()
        pid = self.daemon.tasks()[name][0]
        out = self.inside("readlink", "/proc/self/ns/net", options=["--with-ns", "network:/proc/%d/ns/net" % pid])
        self.assertEqual(out.strip(), os.readlink("/proc/%d/ns/net" % pid))

    def test_memory_limit(self):
        name = self.run_detached(options=["--memory-limit", str(64 << 20)])
        pid = self.daemon.tasks()[name][0]
        self.assertEqual(self.cgroup_value(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20))

    def test_cpus(self):
        name = self.run_detached(options=["--cpus", "0.5"])
        pid = self.daemon.tasks()[name][0]
        self.assertEqual(self.cgroup_value(pid, "cpu", "cpu.cfs_quota_us", None), "50000")

    def cgroup_value(self, pid, controller, v1, v2):
        with open("/proc/%d/cgroup" % pid) as file:
            for line in file.read().strip().split("\n"):
                number, controllers, path = line.split(":", 2)
                if controller in controllers.split(","):
                    with open("/sys/fs/cgroup/%s%s/%s" % (controller, path, v1)) as value:
                        return value.read().strip()
                if number == "0" and v2 and not os.path.exists("/sys/fs/cgroup/" + controller):
                    with open("/sys/fs/cgroup%s/%s" % (path, v2)) as value:
                        return value.read().strip()
        self.fail("no cgroup of controller " + controller)

    def test_capabilities(self):
        plain = self.inside("grep", "CapEff", "/proc/self/status").split()[1]
        self.assertEqual(plain, "00000000a80425fb")
        added = self.inside("grep", "CapEff", "/proc/self/status", options=["--cap-add", "CAP_SYS_ADMIN"]).split()[1]
        self.assertEqual(int(added, 16), int(plain, 16) | 1 << 21)
        dropped = self.inside("grep", "CapEff", "/proc/self/status", options=["--cap-drop", "CAP_CHOWN"]).split()[1]
        self.assertEqual(int(dropped, 16), int(plain, 16) & ~1)

    def test_seccomp(self):
        self.assertIn("Seccomp:\t0", self.inside("cat", "/proc/self/status"))
        self.assertIn("Seccomp:\t2", self.inside("cat", "/proc/self/status", options=["--seccomp"]))

    def test_no_new_privileges_is_set_by_default(self):
        self.assertIn("NoNewPrivs:\t1", self.inside("cat", "/proc/self/status"))

    def test_read_only(self):
        result = self.ctr("run", "--rm", "--read-only", BUSYBOX, self.name(), "touch", "/x", check=False)
        self.assertIn("Read-only file system", result.stderr)

    def test_user_of_the_image(self):
        path = images.docker_archive(self.daemon.dir + "/user.tar", "docker.io/test/user:1", [images.busybox_layer()],
                                     dict(images.BUSYBOX_CONFIG, User="app", WorkingDir="/home"))
        self.ctr("images", "import", path)
        out = self.out("run", "--rm", "docker.io/test/user:1", self.name(), "sh", "-c", "id; pwd")
        self.assertIn("uid=1000(app) gid=1000(app)", out)
        self.assertIn("2000(extra)", out)
        self.assertIn("/home", out)

    def test_labels(self):
        name = self.run_detached(options=["--label", "team=x"])
        self.assertEqual(json.loads(self.out("containers", "info", name))["Labels"]["team"], "x")
        self.assertIn("team=x", self.out("containers", "label", name, "tier=2"))

    def test_masked_and_readonly_paths(self):
        out = self.inside("sh", "-c", "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; "
                          "echo x > /proc/sys/kernel/hostname 2>/dev/null || echo refused")
        self.assertEqual(out.split(), ["0", "0", "refused"])

    def test_default_devices(self):
        out = self.inside("sh", "-c", "for d in null zero full random urandom tty; do [ -c /dev/$d ] && echo $d; done; "
                          "readlink /dev/fd; readlink /dev/ptmx; head -c 4 /dev/zero | wc -c; echo x > /dev/null && echo w")
        for word in ("null", "zero", "full", "random", "urandom", "tty", "/proc/self/fd", "4", "w"):
            self.assertIn(word, out.split())

    def test_privileged_sees_devices(self):
        self.assertEqual(self.inside("grep", "CapEff", "/proc/self/status", options=["--privileged"]).split()[1],
                         self.own_capabilities())

    def own_capabilities(self):
        with open("/proc/self/status") as file:
            return [l.split()[1] for l in file if l.startswith("CapEff")][0]

    def test_pid_file(self):
        path = self.daemon.dir + "/pid"
        name = self.run_detached(options=["--pid-file", path])
        with open(path) as file:
            self.assertEqual(int(file.read()), self.daemon.tasks()[name][0])

    def test_log_uri_file(self):
        path = self.daemon.dir + "/out.log"
        name = self.name()
        self.ctr("run", "-d", "--log-uri", "file://" + path, BUSYBOX, name, "echo", "to the file")

        def written():
            if os.path.exists(path):
                with open(path) as file:
                    return "to the file\n" == file.read()
        wait_for(written)

    def test_rootfs_from_a_directory(self):
        folder = self.daemon.dir + "/rootfs"
        if not os.path.exists(folder):
            os.makedirs(folder)
            self.ctr("images", "mount", BUSYBOX, folder)
            target = folder + "-copy"
            subprocess.run(["cp", "-a", folder, target], check=True)
            self.ctr("images", "unmount", "--rm", folder)
        self.assertEqual(self.out("run", "--rm", "--rootfs", folder + "-copy", self.name(), "/bin/echo", "plain"), "plain\n")


class RunErrorsTest(BerthTest):
    def test_missing_program(self):
        result = self.fails("run", "--rm", BUSYBOX, self.name(), "no-such-program")
        self.assertIn("executable file not found in $PATH", result.stderr)
        result = self.fails("run", "--rm", BUSYBOX, self.name(), "/no/such/program")
        self.assertIn("no such file or directory", result.stderr)

    def test_directory_and_unexecutable(self):
        self.assertRegex(self.fails("run", "--rm", BUSYBOX, self.name(), "/etc").stderr,
                         "is a directory|permission denied")
        self.assertIn("permission denied", self.fails("run", "--rm", BUSYBOX, self.name(), "/etc/passwd").stderr)

    def test_duplicate_id(self):
        name = self.run_detached()
        self.fails("run", "-d", BUSYBOX, name, "true", words=["already exists"])
        self.assertEqual(self.daemon.tasks()[name][1], "RUNNING")

    def test_unknown_ids(self):
        self.fails("tasks", "kill", "nothing", words=["not found"])
        self.fails("tasks", "rm", "nothing", words=["not found"])
        self.fails("containers", "info", "nothing", words=["not found"])
        self.fails("containers", "rm", "nothing", words=["not found"])
        self.fails("tasks", "exec", "--exec-id", "e", "nothing", "true", words=["not found"])

    def test_bad_id(self):
        self.fails("run", "-d", BUSYBOX, "bad/id", "true", words=["invalid"])
        self.fails("run", "-d", BUSYBOX, "x" * 77, "true", words=["invalid"])

    def test_unknown_image(self):
        self.fails("run", "--rm", "docker.io/library/none:latest", self.name(), "true", words=["not found"])

    def test_missing_bind_source(self):
        result = self.fails("run", "--rm", "--mount", "type=bind,src=/no/such/dir,dst=/d,options=rbind", BUSYBOX,
                            self.name(), "true")
        self.assertIn("/no/such/dir", result.stderr)
