"""The Docker-style service, call by call: names, life, exit codes, streams, options seen from inside, and a daemon that dies."""
import base64
import json
import os
import signal
import subprocess
import threading
import unittest

from harness import BIN, BerthTest, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
CALL = next((p for p in (BIN + "/engine_call", HERE + "/../../bazel-bin/tests/testing/engine_call") if os.path.exists(p)), None)


class EngineError(Exception):
    pass


@unittest.skipIf(CALL is None, "engine_call is not built (bazel build //tests/testing:engine_call)")
class EngineTest(BerthTest):
    def setUp(self):
        super().setUp()
        # Before the daemon's own clean-up: the engine's rows go with their records.
        self.addCleanup(self.remove_all)

    def remove_all(self):
        for container in self.containers():
            self.call("RemoveContainer", container=container["id"], force=True, remove_volumes=True)

    def popen(self, method):
        return subprocess.Popen([CALL, self.daemon.sock, self.daemon.namespace, method], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stream(self, method, **request):
        process = self.popen(method)
        out, err = process.communicate(json.dumps(request) + "\n", timeout=60)
        if process.returncode != 0:
            raise EngineError(err.strip())
        return [json.loads(line) for line in out.splitlines()]

    def call(self, method, **request):
        return self.stream(method, **request)[0]

    def refused(self, words, method, **request):
        with self.assertRaises(EngineError) as caught:
            self.call(method, **request)
        self.assertIn(words, str(caught.exception))
        return str(caught.exception)

    def containers(self, **request):
        return [c for batch in self.stream("ListContainers", **dict({"all": True}, **request)) for c in batch["containers"]]

    def create(self, *command, name=None, config=None, **host):
        config = dict({"image": "busybox", "command": list(command)}, **(config or {}))
        request = {"config": config, "host_config": host}
        if name:
            request["name"] = name
        return self.call("CreateContainer", **request)["id"]

    def inspect(self, container):
        return json.loads(self.call("InspectContainer", container=container)["json"])

    def state(self, container):
        return self.inspect(container)["State"]

    def wait(self, container, **request):
        return self.call("WaitContainer", container=container, **request).get("exit_code", 0)

    def output(self, container, stream=None):
        entries = [e for b in self.stream("Logs", container=container) for e in b["entries"]]
        return "".join(base64.b64decode(e["data"]).decode() for e in entries if stream in (None, e["stream"]))

    def run_to_end(self, *command, config=None, **host):
        """What a container prints, and its exit code."""
        container = self.create(*command, config=config, **host)
        self.call("StartContainer", container=container)
        code = self.wait(container)
        wait_for(lambda: self.state(container)["Status"] == "exited", what="the exit")
        log = [e for b in self.stream("Logs", container=container, follow=True) for e in b["entries"]]
        text = "".join(base64.b64decode(e["data"]).decode() for e in log)
        self.call("RemoveContainer", container=container, remove_volumes=True)
        return text, code

    def shell(self, script, config=None, **host):
        return self.run_to_end("sh", "-c", script, config=config, **host)[0].strip()


class TestLife(EngineTest):
    def test_a_container_from_create_to_remove(self):
        container = self.create("sh", "-c", "echo out; echo err >&2; exit 3", name="life")
        self.assertRegex(container, "^[0-9a-f]{64}$")
        self.assertEqual(self.state("life")["Status"], "created")
        self.call("StartContainer", container="life")
        self.assertEqual(self.wait(container[:12]), 3)
        self.assertEqual(self.output("life", "STREAM_STDOUT"), "out\n")
        self.assertEqual(self.output("life", "STREAM_STDERR"), "err\n")
        listed = self.containers()
        self.assertEqual([c["names"] for c in listed], [["life"]])
        self.assertIn("Exited (3)", listed[0]["status"])
        self.assertEqual(self.containers(all=False), [])
        self.assertIn(container, self.out("containers", "ls", "-q"))
        self.call("RemoveContainer", container=container)
        self.refused("No such container: life", "InspectContainer", container="life")

    def test_a_stopped_container_starts_again_with_its_own_files(self):
        container = self.create("sh", "-c", "cat /kept 2>/dev/null; echo again > /kept")
        for expected in ("", "again\n"):
            self.call("StartContainer", container=container)
            self.wait(container)
            wait_for(lambda: self.output(container) == expected, what=repr(expected))

    def test_names(self):
        first = self.create("true", name="taken")
        self.refused('The container name "/taken" is already in use by container "%s"' % first, "CreateContainer",
                     name="taken", config={"image": "busybox"})
        self.refused("Invalid container name", "CreateContainer", name="a b", config={"image": "busybox"})
        random = self.create("true")
        self.assertRegex(self.inspect(random)["Name"], "^/[a-z]+_[a-z]+[0-9]*$")
        self.call("RenameContainer", container="taken", new_name="other")
        self.assertEqual(self.inspect("other")["Id"], first)
        self.refused("No such container: taken", "StartContainer", container="taken")

    def test_programs_that_cannot_start(self):
        for program, code in (("nope", 127), ("/etc", 126)):
            container = self.create(program)
            self.assertIn("berth-exit-code: %d" % code, self.refused(program, "StartContainer", container=container))
            state = self.state(container)
            self.assertEqual((state["Status"], state["ExitCode"]), ("created", code))
            self.assertIn(program, state["Error"])

    def test_stop_takes_the_signal_then_force(self):
        ignores = self.create("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
        handles = self.create("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")
        for container in (ignores, handles):
            self.call("StartContainer", container=container)
            wait_for(lambda: "ready" in self.output(container), what="the trap")
        self.call("StopContainer", container=handles)
        self.assertEqual(self.state(handles)["ExitCode"], 7)
        self.call("StopContainer", container=ignores, timeout_seconds=1)
        self.assertEqual(self.state(ignores)["ExitCode"], 137)
        self.assertTrue(self.call("StopContainer", container=ignores)["already_stopped"])

    def test_kill_returns_after_the_exit_is_recorded(self):
        container = self.create("sleep", "1000")
        self.call("StartContainer", container=container)
        self.refused("container is running: stop the container before removing or force remove", "RemoveContainer",
                     container=container)
        self.call("KillContainer", container=container)
        state = self.state(container)
        self.assertEqual((state["Status"], state["ExitCode"], state["Pid"]), ("exited", 137, 0))
        self.refused("is not running", "KillContainer", container=container)

    def test_pause(self):
        container = self.create("sleep", "1000")
        self.call("StartContainer", container=container)
        self.call("PauseContainer", container=container)
        self.assertEqual(self.state(container)["Status"], "paused")
        self.refused("already paused", "PauseContainer", container=container)
        self.call("UnpauseContainer", container=container)
        self.assertEqual(self.state(container)["Status"], "running")
        self.call("PauseContainer", container=container)
        self.call("RemoveContainer", container=container, force=True)

    def test_auto_remove_takes_the_anonymous_volume(self):
        container = self.create("sh", "-c", "echo x > /data/x", config={"anonymous_volumes": ["/data"]}, auto_remove=True)
        volume = self.inspect(container)["Mounts"][0]["Name"]
        self.call("StartContainer", container=container)
        wait_for(lambda: self.containers() == [], what="the removal")
        self.refused("no such volume", "InspectVolume", name=volume)

    def test_attach_before_start_misses_nothing(self):
        container = self.create("sh", "-c", "head -n 1; echo done >&2; exit 4", config={"open_stdin": True, "stdin_once": True})
        process = self.popen("Attach")
        process.stdin.write(json.dumps({"open": {"container": container, "stdin": True, "stdout": True, "stderr": True}}) + "\n")
        process.stdin.flush()
        self.assertIn("attached", json.loads(process.stdout.readline()))
        self.call("StartContainer", container=container)
        process.stdin.write(json.dumps({"stdin": base64.b64encode(b"hello\n").decode()}) + "\n")
        process.stdin.close()
        messages = [json.loads(line) for line in process.stdout]
        process.wait(20)
        process.stderr.close()
        process.stdout.close()
        text = {m["output"]["stream"]: base64.b64decode(m["output"]["data"]) for m in messages if "output" in m}
        self.assertEqual(text, {"STREAM_STDOUT": b"hello\n", "STREAM_STDERR": b"done\n"})
        self.assertEqual(messages[-1], {"exited": {"exit_code": 4}})

    def test_exec(self):
        container = self.create("sleep", "1000")
        self.refused("is not running", "CreateExec", container=container, command=["true"])
        self.call("StartContainer", container=container)
        exec_id = self.call("CreateExec", container=container, command=["sh", "-c", "id -u; exit 9"], user="1234",
                            attach_stdout=True)["exec_id"]
        process = self.popen("Attach")
        process.stdin.write(json.dumps({"open": {"exec_id": exec_id, "stdout": True, "stderr": True}}) + "\n")
        process.stdin.flush()
        self.assertIn("attached", json.loads(process.stdout.readline()))
        self.call("StartExec", exec_id=exec_id)
        messages = [json.loads(line) for line in process.stdout]
        process.wait(20)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        self.assertEqual(base64.b64decode(messages[0]["output"]["data"]), b"1234\n")
        self.assertEqual(messages[-1], {"exited": {"exit_code": 9}})
        self.assertEqual(self.call("InspectExec", exec_id=exec_id)["exit_code"], 9)
        self.assertIn("berth-exit-code: 127", self.refused("nope", "StartExec", exec_id=self.call(
            "CreateExec", container=container, command=["nope"])["exec_id"]))

    def test_logs_follow_until_the_end(self):
        container = self.create("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
        self.call("StartContainer", container=container)
        entries = [e for b in self.stream("Logs", container=container, follow=True) for e in b["entries"]]
        self.assertEqual([base64.b64decode(e["data"]) for e in entries], [b"1\n", b"2\n", b"3\n"])
        last = [e for b in self.stream("Logs", container=container, tail=1) for e in b["entries"]]
        self.assertEqual([base64.b64decode(e["data"]) for e in last], [b"3\n"])

    def test_views(self):
        container = self.create("sh", "-c", "echo x > /new; sleep 1000", name="seen")
        self.call("StartContainer", container="seen")
        wait_for(lambda: {"kind": "KIND_ADDED", "path": "/new"} in self.call("DiffContainer", container="seen").get("changes", []),
                 what="the new file")
        top = self.call("Top", container="seen")
        self.assertIn("PID", top["titles"])
        self.assertIn("sleep 1000", " ".join(p["fields"][-1] for p in top["processes"]))
        stats = self.call("Stats", containers=["seen"], once=True)["containers"][0]
        self.assertGreater(int(stats["memory_usage_bytes"]), 0)
        self.assertGreaterEqual(int(stats["pids"]), 1)
        self.assertEqual(json.loads(self.call("Info")["json"])["ContainersRunning"], 1)
        self.assertEqual(self.call("DiskUsage")["containers"]["total"], "1")
        self.assertEqual([c["id"] for c in self.containers(filters={"name": {"values": ["seen"]}})], [container])
        self.assertEqual(self.containers(filters={"status": {"values": ["exited"]}}), [])
        self.refused("invalid filter 'colour'", "ListContainers", filters={"colour": {"values": ["red"]}})

    def test_events_are_kept(self):
        container = self.create("true", name="told")
        self.call("StartContainer", container=container)
        self.wait(container)
        wait_for(lambda: self.state(container)["Status"] == "exited", what="the exit")
        events = self.stream_for("Events", 1, since="2000-01-01T00:00:00Z", filters={"container": {"values": ["told"]}})
        self.assertEqual([e["action"] for e in events], ["create", "start", "die"])
        self.assertEqual(events[-1]["attributes"]["exitCode"], "0")

    def stream_for(self, method, seconds, **request):
        """The messages of the first seconds of a stream that does not end."""
        process = self.popen(method)
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.close()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        messages = [json.loads(line) for line in process.stdout]
        process.wait(20)
        process.stdout.close()
        process.stderr.close()
        return messages

    def test_volumes(self):
        self.call("CreateVolume", name="kept", labels={"a": "b"})
        mounts = [{"type": "TYPE_VOLUME", "source": "kept", "target": "/etc"}]
        self.assertIn("root", self.shell("cat /etc/passwd; echo y > /etc/y", mounts=mounts))
        self.assertEqual(self.shell("cat /v/y", mounts=[{"type": "TYPE_VOLUME", "source": "kept", "target": "/v"}]), "y")
        used = self.create("true", mounts=[{"type": "TYPE_VOLUME", "source": "kept", "target": "/v"}])
        self.refused("volume is in use", "RemoveVolume", name="kept")
        self.call("RemoveContainer", container=used)
        self.assertNotIn("names", self.call("PruneVolumes"))
        self.assertEqual(self.call("PruneVolumes", all=True)["names"], ["kept"])


class TestOptions(EngineTest):
    """Each option's effect, read from inside the container."""

    def test_identity(self):
        self.assertEqual(self.shell("hostname", config={"hostname": "box"}), "box")
        self.assertEqual(self.shell("id -u; id -g", config={"user": "7:8"}), "7\n8")
        self.assertEqual(self.shell("id -G", group_add=["77"]).split()[-1], "77")
        self.assertEqual(self.shell("pwd", config={"working_directory": "/tmp"}), "/tmp")
        self.assertEqual(self.shell("echo $A-$HOME", config={"environment": ["A=b"]}), "b-/root")
        self.assertEqual(self.run_to_end("a b", config={"entrypoint": ["echo", "-n"]})[0], "a b")
        self.assertIn("1.2.3.4\tfar", self.shell("cat /etc/hosts", extra_hosts=["far:1.2.3.4"]))
        self.assertIn("nameserver 9.9.9.9", self.shell("cat /etc/resolv.conf", dns=["9.9.9.9"]))

    def test_confinement(self):
        bounding = lambda **host: int(self.shell("grep CapBnd /proc/self/status", **host).split()[1], 16)
        self.assertEqual(bounding(), 0x00000000a80425fb)
        self.assertEqual(bounding(cap_drop=["ALL"], cap_add=["CHOWN"]), 1)
        self.assertGreater(bounding(privileged=True), 0xa80425fb)
        seccomp = lambda **host: self.shell("grep '^Seccomp:' /proc/self/status", **host).split()[1]
        self.assertEqual(seccomp(), "2")
        self.assertEqual(seccomp(security_options=["seccomp=unconfined"]), "0")
        self.assertEqual(self.shell("grep NoNewPrivs /proc/self/status", security_options=["no-new-privileges"]).split()[1], "1")
        self.assertIn("Read-only", self.shell("touch /x 2>&1", read_only_root=True))

    def test_mounts(self):
        directory = self.daemon.dir + "/bound"
        os.makedirs(directory, exist_ok=True)
        with open(directory + "/f", "w") as file:
            file.write("host")
        bind = {"type": "TYPE_BIND", "source": directory, "target": "/b"}
        self.assertEqual(self.shell("cat /b/f", mounts=[bind]), "host")
        self.assertIn("Read-only", self.shell("touch /b/g 2>&1", mounts=[dict(bind, read_only=True)]))
        self.assertIn("tmpfs", self.shell("grep ' /t ' /proc/mounts", mounts=[
            {"type": "TYPE_TMPFS", "target": "/t", "tmpfs_size_bytes": 1 << 20}]))
        self.assertIn("size=2048k", self.shell("grep ' /dev/shm ' /proc/mounts", shm_size_bytes=2 << 20))

    def test_limits(self):
        self.assertEqual(self.shell("ulimit -n", ulimits=[{"name": "nofile", "soft": 123, "hard": 456}]), "123")
        self.assertEqual(self.shell("cat /proc/sys/kernel/msgmax", sysctls={"kernel.msgmax": "4321"}), "4321")
        container = self.create("sleep", "1000", resources={"memory_bytes": 64 << 20, "pids_limit": 55})
        self.call("StartContainer", container=container)
        stats = self.call("Stats", containers=[container], once=True)["containers"][0]
        self.assertEqual((int(stats["memory_limit_bytes"]), int(stats["pids_limit"])), (64 << 20, 55))
        self.call("UpdateContainer", container=container, resources={"memory_bytes": 128 << 20})
        stats = self.call("Stats", containers=[container], once=True)["containers"][0]
        self.assertEqual(int(stats["memory_limit_bytes"]), 128 << 20)

    def test_namespaces(self):
        self.assertEqual(self.shell("cat /proc/net/dev | grep -c :"), "1")
        own = os.readlink("/proc/self/ns/net")
        self.assertEqual(self.shell("readlink /proc/self/ns/net", network_mode="host"), own)
        self.assertEqual(self.shell("readlink /proc/self/ns/ipc", ipc_mode="host"), os.readlink("/proc/self/ns/ipc"))
        self.assertEqual(self.shell("readlink /proc/self/ns/pid", pid_mode="host"), os.readlink("/proc/self/ns/pid"))
        other = self.create("sleep", "1000", name="host-of-net")
        self.call("StartContainer", container=other)
        pid = self.state(other)["Pid"]
        self.assertEqual(self.shell("readlink /proc/self/ns/net", network_mode="container:host-of-net"),
                         os.readlink("/proc/%d/ns/net" % pid))

    def test_refusals(self):
        def refused(words, config=None, **host):
            self.refused(words, "CreateContainer", config=dict({"image": "busybox", "command": ["true"]}, **(config or {})),
                         host_config=host)
        refused("network far not found", network_mode="far")
        refused("this release cannot publish ports", publish_all_ports=True)
        refused("can't create 'AutoRemove' container with restart policy", auto_remove=True, restart_policy={"name": "always"})
        refused("unknown policy 'often'", restart_policy={"name": "often"})
        refused("Minimum memory limit allowed is 6MB", resources={"memory_bytes": 1000})
        refused("no log driver named 'syslog' is registered", log={"driver": "syslog"})
        refused("max-file cannot be less than 1", log={"options": {"max-file": "0"}})
        refused("Duplicate mount point: /x", mounts=[{"type": "TYPE_TMPFS", "target": "/x"}] * 2)
        refused("bind source path does not exist", mounts=[{"type": "TYPE_BIND", "source": "/no/such", "target": "/x"}])
        refused('"FLY" is no capability', cap_add=["FLY"])
        refused("invalid --security-opt", security_options=["colour=red"])
        refused("unable to find user nobody-here", config={"user": "nobody-here"})
        refused("Invalid signal: SIGNO", config={"stop_signal": "SIGNO"})
        refused("pquota", storage_options={"size": "1G"})
        self.refused("No such image: nosuch", "CreateContainer", config={"image": "nosuch"})
        self.assertEqual(self.containers(), [])


class TestDaemonDeath(EngineTest):
    def restart(self):
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()

    def test_a_life_with_a_daemon_killed_between_any_two_steps(self):
        container = self.create("sh", "-c", "echo hi; sleep 1000", name="survivor")
        self.restart()
        self.call("StartContainer", container="survivor")
        wait_for(lambda: self.output(container) == "hi\n", what="the output")
        pid = self.state(container)["Pid"]
        self.restart()
        self.assertEqual((self.state(container)["Status"], self.state(container)["Pid"]), ("running", pid))
        self.call("StopContainer", container=container, timeout_seconds=0)
        self.restart()
        self.assertEqual((self.state(container)["Status"], self.state(container)["ExitCode"]), ("exited", 137))
        self.call("StartContainer", container=container)
        self.restart()
        self.call("RemoveContainer", container=container, force=True)
        self.restart()
        self.assertEqual(self.containers(), [])

    def test_an_exit_while_the_daemon_is_away_is_recorded(self):
        kept = self.create("sh", "-c", "sleep 1; exit 5")
        removed = self.create("sleep", "1", auto_remove=True)
        for container in (kept, removed):
            self.call("StartContainer", container=container)
        pids = [self.state(c)["Pid"] for c in (kept, removed)]
        self.daemon.signal(signal.SIGKILL)
        wait_for(lambda: not any(os.path.exists("/proc/%d/root/bin" % pid) for pid in pids), what="the ends")
        self.daemon.start()
        wait_for(lambda: [c["id"] for c in self.containers()] == [kept], what="--rm")
        wait_for(lambda: self.state(kept)["ExitCode"] == 5, what="the exit")

    def test_a_policy_restarts_and_a_manual_stop_is_remembered(self):
        container = self.create("sh", "-c", "sleep 0.3; exit 1", restart_policy={"name": "always"})
        self.call("StartContainer", container=container)
        wait_for(lambda: self.inspect(container)["RestartCount"] >= 2, what="two restarts")
        self.call("StopContainer", container=container, timeout_seconds=1)
        self.assertEqual(self.state(container)["Status"], "exited")
        self.restart()
        self.assertEqual(self.state(container)["Status"], "exited")


if __name__ == "__main__":
    unittest.main()
