"""A beginner's tutorial of Docker, word for word with `berth` in place of `docker`; once as it is, once with berthd killed and
restarted between every two steps; and the command line at a terminal."""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from docker_case import DockerTest
from harness import BIN, STOCK, wait_for


@unittest.skipIf(STOCK, "asks for berth")
class TutorialTest(DockerTest):
    def test_first_containers(self):
        self.assertIn("Hello from Berth!", self.berth("run", "hello-world"))
        self.assertEqual(self.berth("run", "busybox", "echo", "hi there"), "hi there\n")
        self.assertIn("bin", self.berth("run", "busybox", "ls").split())
        self.assertEqual(len(self.berth("ps").strip().split("\n")), 1)
        everything = self.berth("ps", "--all")
        self.assertIn("hello-world", everything)
        self.assertIn("Exited (0)", everything)
        self.assertIn('"echo hi there"', self.berth("ps", "--all", "--no-trunc"))
        self.assertEqual(everything.split("\n")[0].split(),
                         ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"])

    def test_create_and_start(self):
        identity = self.berth("create", "hello-world").strip()
        self.assertRegex(identity, "^[0-9a-f]{64}$")
        self.assertEqual(self.berth("start", "-a", identity), "Hello from Berth!\n")
        self.assertEqual(self.berth("start", identity[:12]).strip(), identity[:12])
        wait_for(lambda: self.berth("logs", identity) == "Hello from Berth!\n" * 2)
        self.assertRegex(self.berth("ps", "-a", "--format", "{{.Names}}").strip(), "^[a-z]+_[a-z]+")

    def test_stop_and_kill(self):
        deaf = self.berth("create", "busybox", "sleep", "1000").strip()
        self.berth("start", deaf)
        began = time.monotonic()
        self.berth("stop", deaf)
        self.assertGreater(time.monotonic() - began, 9.5)
        self.assertEqual(self.berth("inspect", "-f", "{{.State.ExitCode}}", deaf), "137\n")
        polite = self.berth("run", "-d", "busybox", "sh", "-c",
                            "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done").strip()
        wait_for(lambda: "ready" in self.berth("logs", polite))
        began = time.monotonic()
        self.berth("stop", polite)
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(self.berth("logs", polite), "ready\nbye\n")
        self.assertEqual(self.berth("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", polite), "exited 3\n")
        victim = self.berth("run", "-d", "busybox", "sleep", "1000").strip()
        self.berth("kill", victim)
        self.assertIn("Exited (137)", self.berth("ps", "-a", "--filter", "id=" + victim))
        self.berth("start", victim)
        self.assertEqual(self.berth("ps", "-q", "--no-trunc").strip(), victim)

    @unittest.skipUnless(shutil.which("redis-server"), "redis is not installed")
    def test_redis(self):
        self.berth("run", "-d", "--name", "store", "redis")
        wait_for(lambda: "Ready to accept connections" in self.berth("logs", "store"))
        self.between()
        terminal = self.terminal("exec", "-it", "store", "redis-cli")
        terminal.expect("127.0.0.1:6379>")
        self.assertTrue(terminal.is_raw())
        terminal.type("set myvalue 5\r")
        terminal.expect("OK")
        terminal.expect("127.0.0.1:6379>")
        terminal.type("get myvalue\r")
        terminal.expect('"5"')
        terminal.expect("127.0.0.1:6379>")  # before its prompt it throws away what was typed
        terminal.type("exit\r")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_restored())
        self.assertEqual(self.berth("exec", "store", "redis-cli", "get", "myvalue"), "5\n")

    def test_a_shell_and_two_containers_that_do_not_see_each_other(self):
        self.between()
        terminal = self.terminal("run", "-it", "--name", "first", "busybox", "sh")
        terminal.expect("# ")
        terminal.type("touch only-here; ls only-*\r")
        terminal.expect("ls only-*\r\n")
        terminal.expect("only-here\r\n")
        terminal.type("exit\r")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn("only-here", self.berth("run", "--rm", "busybox", "ls"))
        # A stopped container keeps its files and its command.
        again = self.terminal("start", "-ai", "first")
        again.type("echo only-*\r")
        again.expect("only-here\r\n")
        again.type("exit\r")
        self.assertEqual(again.wait(), 0)

    def test_inspect_rm_and_prune(self):
        self.berth("run", "-d", "--name", "web", "-e", "COLOUR=red", "--label", "app=web", "busybox", "sleep", "1000")
        document = json.loads(self.berth("inspect", "web"))[0]
        self.assertEqual(document["Name"], "/web")
        self.assertTrue(document["State"]["Running"])
        self.assertIn("COLOUR=red", document["Config"]["Env"])
        self.assertEqual(self.berth("inspect", "--format", '{{index .Config.Labels "app"}}', "web"), "web\n")
        self.fails(1, "rm", "web", words=("web",))
        self.berth("rm", "-f", "web")
        self.fails(1, "inspect", "web", words=("No such object: web",))
        self.berth("run", "--name", "done", "busybox", "true")
        self.assertIn("Total reclaimed space", self.berth("container", "prune", "-f"))
        self.assertEqual(self.berth("ps", "-aq"), "")

    def test_system_prune(self):
        self.berth("run", "--name", "again", "busybox", "true")
        self.assertIn("Are you sure", self.berth("system", "prune", input="n\n"))
        self.assertNotEqual(self.berth("ps", "-aq"), "")
        self.berth("run", "--name", "more", "busybox", "true")
        self.assertIn("Deleted Containers", self.berth("system", "prune", input="y\n"))
        self.assertEqual(self.berth("ps", "-aq"), "")

    def test_images_and_environment(self):
        self.assertIn("busybox", self.berth("image", "ls"))
        out = self.berth("run", "--rm", "-e", "GREETING=hello", "alpine", "env")
        self.assertIn("GREETING=hello\n", out)
        self.assertIn("PATH=", out)


@unittest.skipIf(STOCK, "asks for berth")
class RestartedTutorialTest(TutorialTest):
    """The daemon dies by SIGKILL before every step; nobody notices."""

    def between(self):
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()


@unittest.skipIf(STOCK, "asks for berth")
class TerminalTest(DockerTest):
    def test_window_size_and_its_changes(self):
        terminal = self.terminal("run", "--rm", "-it", "busybox", "sh", rows=33, columns=101)
        terminal.expect("# ")
        self.assertTrue(terminal.is_raw())
        terminal.type("stty size\r")
        terminal.expect("33 101")
        terminal.resize(44, 120)

        def is_resized():
            terminal.type("stty size\r")
            terminal.read(0.5)
            return b"44 120" in terminal.seen
        wait_for(is_resized, 20, "the new size in the container")
        terminal.type("exit 6\r")
        self.assertEqual(terminal.wait(), 6)
        self.assertTrue(terminal.is_restored())

    def test_detach_and_attach_again(self):
        terminal = self.terminal("run", "-it", "--name", "shell", "busybox", "sh")
        terminal.expect("# ")
        terminal.type("\x10\x11")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_restored())
        self.assertIn("shell", self.berth("ps"))
        again = self.terminal("attach", "--detach-keys", "ctrl-a,d", "shell")
        again.type("echo $((20 + 22))\r")
        again.expect("42")
        # Several at once see the same.
        other = self.terminal("attach", "shell")
        wait_for(lambda: other.is_raw())
        again.type("echo $((100 + 11))\r")
        again.expect("111")
        other.expect("111")
        again.type("\x01d")
        self.assertEqual(again.wait(), 0)
        self.assertTrue(again.is_restored())
        other.type("exit 4\r")
        self.assertEqual(other.wait(), 4)
        self.assertTrue(other.is_restored())

    def test_interrupts_reach_the_program(self):
        process = self.in_background("run", "--rm", "busybox", "sh", "-c",
                                     "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 9)
        self.assertEqual(process.stdout.read(), "interrupted\n")

    def test_without_a_proxy_the_client_alone_ends(self):
        process = self.in_background("run", "--name", "on", "--sig-proxy=false", "busybox", "sh", "-c",
                                     "echo ready; sleep 1000")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 143)
        self.assertIn("on", self.berth("ps"))

    def test_the_mode_is_restored_when_the_container_is_killed(self):
        terminal = self.terminal("run", "-it", "--name", "gone", "busybox", "sh")
        terminal.expect("# ")
        self.assertTrue(terminal.is_raw())
        self.daemon.berth("kill", "gone")
        self.assertEqual(terminal.wait(), 137)
        self.assertTrue(terminal.is_restored())

    def test_the_mode_is_restored_when_the_program_is_not_found(self):
        terminal = self.terminal("run", "--rm", "-it", "busybox", "no-such-program")
        self.assertEqual(terminal.wait(), 127)
        self.assertTrue(terminal.is_restored())

    def test_a_terminal_is_wanted(self):
        self.fails(1, "run", "--rm", "-it", "busybox", "sh", words=("not a TTY",))

    def test_a_session_outlives_the_daemon(self):
        terminal = self.terminal("run", "-it", "--name", "stays", "busybox", "sh")
        terminal.expect("# ")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()

        def answers():
            terminal.type("echo $((30 + 3))\r")
            terminal.read(1)
            return b"33" in terminal.seen
        wait_for(answers, 30, "an answer of the shell")
        terminal.type("exit 8\r")
        self.assertEqual(terminal.wait(), 8)
        self.assertTrue(terminal.is_restored())

    def test_input_through_a_pipe(self):
        text = "x" * 200000 + "\n"
        self.assertEqual(self.berth("run", "--rm", "-i", "busybox", "wc", "-c", input=text).strip(), "200001")
        self.berth("run", "-d", "--name", "in", "busybox", "sleep", "1000")
        self.assertEqual(self.berth("exec", "-i", "in", "cat", input="through\n"), "through\n")

    def test_colour_and_stats_are_for_terminals(self):
        terminal = self.terminal("help")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b"\x1b[1m", terminal.seen)
        self.assertNotIn("\x1b", self.berth("help"))
        self.berth("run", "-d", "--name", "busy", "busybox", "sleep", "1000")
        live = self.terminal("stats")
        live.expect("busy")
        live.expect("busy")  # again, over the first one
        live.type("\x03")
        self.assertNotEqual(live.wait(), 0)
        once = self.berth("stats", "--no-stream")
        self.assertNotIn("\x1b", once)
        self.assertEqual(once.split("\n")[0].split()[:4], ["CONTAINER", "ID", "NAME", "CPU"])
        self.assertRegex(once, r"busy +[0-9.]+% +[0-9.]+[KMG]?i?B / ")


@unittest.skipIf(STOCK, "asks for berth")
class VerbsTest(DockerTest):
    def test_exit_codes(self):
        self.fails(127, "run", "--rm", "busybox", "no-such-program")
        self.fails(126, "run", "--rm", "busybox", "/etc/passwd")
        self.fails(125, "run", "--no-such-option", "busybox", words=("--no-such-option",))
        self.fails(125, "run", "--pull", "never", "no-such-image", words=("No such image",))
        self.fails(7, "run", "--rm", "busybox", "sh", "-c", "exit 7")
        self.fails(130, "run", "--rm", "busybox", "sh", "-c", "sh -c 'kill -INT $$'")
        self.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        self.fails(3, "exec", "box", "sh", "-c", "exit 3")
        self.fails(127, "exec", "box", "no-such-program")
        self.fails(126, "exec", "box", "/etc/passwd")
        self.assertEqual(self.berth("ps", "-a", "--format", "{{.Names}}"), "box\n")

    def test_refusals_name_option_and_value(self):
        for words in (("-m", "much"), ("--ulimit", "nofile=2:1"), ("-v", "/a:b"), ("--mount", "type=bind,target=/x"),
                      ("--restart", "sometimes"), ("--device", "null"), ("--health-interval", "5"), ("--pull", "often"),
                      ("--ipc", "some"), ("-e", "=x"), ("--env-file", "/nonexistent"), ("--stop-signal", "WHAT"),
                      ("--add-host", "x"), ("--shm-size", "x"), ("--security-opt", "magic"), ("--cpus", "-1"),
                      ("--blkio-weight", "5"), ("--detach-keys", "what"), ("-a", "stdmiddle"), ("-p", "http")):
            self.fails(125, "run", *words, "busybox", "true", words=("berth run: ",))
        self.fails(125, "run", "--rm", "--restart", "always", "busybox", words=("--rm contradicts --restart",))
        self.assertEqual(self.berth("ps", "-aq"), "")

    def test_missing_containers(self):
        for verb in ("start", "stop", "kill", "restart", "pause", "unpause", "wait", "rm", "logs", "attach"):
            self.fails(1, verb, "nobody", words=("No such container: nobody",))
        self.fails(1, "exec", "nobody", "true", words=("No such container: nobody",))
        self.fails(0, "rm", "-f", "nobody")

    def test_names(self):
        self.berth("run", "-d", "--name", "one", "busybox", "sleep", "1000")
        self.fails(125, "run", "-d", "--name", "one", "busybox", "true", words=("one", "in use"))
        self.berth("rename", "one", "two")
        self.assertEqual(self.berth("ps", "--format", "{{.Names}}"), "two\n")
        identity = self.berth("ps", "-q", "--no-trunc").strip()
        self.assertEqual(self.berth("inspect", "-f", "{{.Id}}", identity[:9]), identity + "\n")

    def test_pause_wait_restart_update(self):
        self.berth("run", "-d", "--name", "pp", "-m", "64m", "busybox", "sleep", "1000")
        self.berth("pause", "pp")
        self.assertIn("(Paused)", self.berth("ps"))
        self.berth("unpause", "pp")
        self.berth("update", "--memory", "80m", "--memory-swap", "160m", "pp")
        self.assertEqual(self.berth("inspect", "-f", "{{.HostConfig.Memory}}", "pp"), "%d\n" % (80 << 20))
        before = self.berth("inspect", "-f", "{{.State.Pid}}", "pp")
        self.berth("restart", "-t", "0", "pp")
        self.assertNotEqual(self.berth("inspect", "-f", "{{.State.Pid}}", "pp"), before)
        wait = self.in_background("wait", "pp")
        self.berth("kill", "pp")
        self.assertEqual(wait.stdout.read(), "137\n")

    def test_logs(self):
        self.berth("run", "--name", "talker", "busybox", "sh", "-c", "echo 1; sleep 0.2; echo 2 >&2; sleep 0.2; echo 3", check=False)
        result = self.daemon.berth("logs", "talker")
        self.assertEqual((result.stdout, result.stderr), ("1\n3\n", "2\n"))
        self.assertEqual(self.berth("logs", "--tail", "1", "talker"), "3\n")
        self.assertRegex(self.berth("logs", "-t", "--tail", "1", "talker"), r"^\d{4}-\d\d-\d\dT[0-9:.]+Z 3\n$")
        self.assertEqual(self.berth("logs", "--until", "1h", "talker"), "")
        self.berth("run", "-d", "--name", "slow", "busybox", "sh", "-c", "echo a; sleep 1; echo b")
        self.assertEqual(self.berth("logs", "-f", "slow"), "a\nb\n")
        self.fails(1, "logs", "--tail", "x", "talker", words=("--tail",))

    def test_copy(self):
        folder = self.daemon.dir + "/cp"
        os.makedirs(folder + "/tree/deep")
        for path, text in (("/tree/a", "A"), ("/tree/deep/b", "B")):
            with open(folder + path, "w") as file:
                file.write(text)
        self.berth("run", "-d", "--name", "files", "busybox", "sleep", "1000")
        self.berth("cp", folder + "/tree", "files:/tmp")
        self.assertEqual(self.berth("exec", "files", "cat", "/tmp/tree/a", "/tmp/tree/deep/b"), "AB")
        self.berth("cp", folder + "/tree/.", "files:/root")
        self.assertEqual(self.berth("exec", "files", "cat", "/root/deep/b"), "B")
        self.berth("cp", folder + "/tree/a", "files:/root/renamed")
        self.assertEqual(self.berth("exec", "files", "cat", "/root/renamed"), "A")
        self.berth("cp", "files:/tmp/tree", folder + "/back")
        with open(folder + "/back/deep/b") as file:
            self.assertEqual(file.read(), "B")
        tar = self.daemon.berth("cp", "files:/tmp/tree", "-", text=False).stdout
        names = subprocess.run(["tar", "t"], input=tar, capture_output=True, check=True).stdout.decode()
        self.assertIn("tree/deep/b", names)
        self.daemon.berth("cp", "-", "files:/home", input=tar, text=False)
        self.assertEqual(self.berth("exec", "files", "cat", "/home/tree/a"), "A")
        self.fails(1, "cp", "files:/nothing", folder)
        self.fails(1, "cp", folder + "/nothing", "files:/")
        self.fails(1, "cp", folder + "/tree", "files:/etc/passwd")
        self.fails(1, "cp", "a", "b")
        changes = self.berth("diff", "files")
        self.assertIn("A /root/renamed\n", changes)
        self.assertIn("C /root\n", changes)

    def test_volumes(self):
        self.berth("volume", "create", "--label", "k=v", "data")
        self.addCleanup(self.daemon.berth, "volume", "rm", "-f", "data", check=False)
        self.berth("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f")
        self.assertEqual(self.berth("run", "--rm", "-v", "data:/d:ro", "busybox", "cat", "/d/f"), "kept\n")
        self.assertIn("data", self.berth("volume", "ls", "-q").split())
        point = self.berth("volume", "inspect", "-f", "{{.Mountpoint}}", "data").strip()
        with open(point + "/f") as file:
            self.assertEqual(file.read(), "kept\n")
        self.berth("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
        self.fails(1, "volume", "rm", "data", words=("in use",))
        self.berth("rm", "-f", "user")
        self.berth("volume", "rm", "data")
        self.assertNotIn("data", self.berth("volume", "ls", "-q").split())

    def test_events(self):
        begin = str(time.time())
        self.berth("run", "--rm", "--name", "seen", "busybox", "sh", "-c", "exit 5", check=False)
        out = self.berth("events", "--since", begin, "--until", "0s", "--filter", "container=seen",
                         "--format", "{{.Action}}")
        self.assertEqual([word for word in out.split() if word in ("create", "start", "die", "destroy")],
                         ["create", "start", "die", "destroy"])
        line = json.loads(self.berth("events", "--since", begin, "--until", "0s", "--filter", "event=die",
                                     "--format", "json").split("\n")[0])
        self.assertEqual(line["Actor"]["Attributes"]["exitCode"], "5")

    def test_looking(self):
        self.berth("run", "-d", "--name", "look", "--label", "x=y", "busybox", "sleep", "1000")
        row = json.loads(self.berth("ps", "--format", "json"))
        self.assertEqual((row["Names"], row["State"]), ("look", "running"))
        self.assertEqual(self.berth("ps", "--format", '{{.Label "x"}} {{upper .Names}}'), "y LOOK\n")
        self.assertIn("look", self.berth("container", "ls"))
        self.assertIn("Up ", self.berth("ps", "--filter", "name=look", "--format", "table {{.Names}}\t{{.Status}}"))
        self.fails(1, "ps", "--format", "{{.Nope}}", words=("--format", "Nope", "Names"))
        self.assertRegex(self.berth("version", "--format", "{{.Server.Version}}"), r"\d")

    def test_the_engine_as_a_whole(self):
        self.assertIn("Server Version", self.berth("info"))
        self.assertIn("Containers", self.berth("system", "df"))
        self.assertIn("CONTAINER ID", self.berth("system", "df", "-v"))

    def test_top(self):
        self.berth("run", "-d", "--name", "look", "busybox", "sleep", "1000")
        self.assertIn("sleep 1000", self.berth("top", "look"))
        self.fails(1, "top", "nobody", words=("No such container: nobody",))

    def test_help_suggests_and_completes(self):
        self.fails(125, "rnu", words=("Did you mean \"run\"?",))
        self.fails(125, "run", "--nmae", "x", "busybox", words=("Did you mean \"--name\"?",))
        self.berth("run", "-d", "--name", "complete-me", "busybox", "sleep", "1000")
        self.assertEqual(self.berth("__complete", "stop", "comp").split(), ["complete-me"])
        script = "%s\n_berth_words() { COMP_WORDS=(berth sto); COMP_CWORD=1; _berth; echo \"${COMPREPLY[@]}\"; }\n" % (
            self.berth("completion", "bash"))
        out = subprocess.run(["bash", "-c", script + "_berth_words"], capture_output=True, text=True, check=True,
                             env=dict(os.environ, PATH=BIN + ":" + os.environ["PATH"], **self.env())).stdout
        self.assertEqual(out, "stop\n")
        self.berth("man", self.daemon.dir + "/man")
        with open(self.daemon.dir + "/man/berth-run.1") as file:
            self.assertIn("--entrypoint", file.read().replace("\\-", "-"))

    def test_the_image_option(self):
        path = self.daemon.dir + "/id"
        identity = self.berth("run", "-d", "--cidfile", path, "busybox", "sleep", "1000").strip()
        with open(path) as file:
            self.assertEqual(file.read(), identity)
        self.fails(125, "run", "--cidfile", path, "busybox", "true", words=("--cidfile",))
