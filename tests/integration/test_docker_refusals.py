"""Each refusal of Docker's verbs and of the engine behind them: the words, the exit code, and that nothing comes of it.

Those of the options of run and create are in test_docker_options, those of cp in test_docker_cp.
"""
import gzip
import json
import unittest

from docker_case import DockerTest
from harness import STOCK
import images
from test_engine_life import CALL, EngineTest as EngineBase


@unittest.skipIf(STOCK, "asks for berth")
class VerbRefusalsTest(DockerTest):
    def test_what_a_container_is_not_in_the_state_for(self):
        berth = self.daemon.berth
        berth("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
        berth("run", "-d", "--name", "paused", "busybox", "sleep", "1000")
        berth("pause", "paused")
        berth("run", "--name", "ended", "busybox", "true")
        for words, told in ((("attach", "paused"), "You cannot attach to a paused container, unpause it first"),
                            (("attach", "ended"), "You cannot attach to a stopped container, start it first"),
                            (("exec", "paused", "true"), "is paused, unpause the container before exec"),
                            (("exec", "ended", "true"), "is not running"),
                            (("start", "paused"), "cannot start a paused container, try unpause instead"),
                            (("pause", "paused"), "already paused"),
                            (("pause", "ended"), "is not running"),
                            (("unpause", "runs"), "is not paused"),
                            (("kill", "ended"), "is not running"),
                            (("rm", "paused"), "paused and must be unpaused first"),
                            (("rm", "runs"), "running: stop the container before removing or force remove"),
                            (("top", "ended"), "is not running"),
                            (("start", "-a", "runs", "ended"), "only one container can be started and attached to at once"),
                            (("rename", "runs", "runs"), "Renaming a container with the same name as its current name"),
                            (("rename", "runs", "ended"), "is already in use"),
                            (("rename", "runs", "a b"), "Invalid container name"),
                            (("stop", "-s", "NOTHING", "runs"), "NOTHING"),
                            (("kill", "-s", "NOTHING", "runs"), "NOTHING"),
                            (("run", "--rm", "--network", "container:ended", "busybox", "true"), "does not run"),
                            (("port", "runs", "80"), "no public port '80/tcp' published for runs")):
            with self.subTest(" ".join(words)):
                self.fails(125 if words[0] == "run" else 1, *words, words=(told,))
        self.assertEqual(berth("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout, "ended exited\npaused paused\nruns running\n")

    def test_what_update_refuses(self):
        self.daemon.berth("run", "-d", "--name", "up", "-m", "64m", "busybox", "sleep", "1000")
        self.daemon.berth("run", "-d", "--rm", "--name", "goes", "busybox", "sleep", "1000")
        before = json.loads(self.daemon.berth("inspect", "-f", "{{json .HostConfig}}", "up").stdout)
        for words, told in ((("-m", "1k"), "Minimum memory limit allowed is 6MB"), (("-m", "much"), "--memory"),
                            (("--cpus", "9999"), "CPUs available"), (("--cpus", "x"), "--cpus"), (("--cpuset-cpus", "4000"), "not available"),
                            (("--pids-limit", "x"), "--pids-limit"), (("--blkio-weight", "5"), "from 10 to 1000"),
                            (("--memory-reservation", "80m"), "memory reservation"), (("--restart", "sometimes"), "sometimes"),
                            (("--restart", "always:2"), "only on-failure takes a number of attempts"), ((), "")):
            with self.subTest(" ".join(words)):
                result = self.daemon.berth("update", *words, "up", check=False)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(told, result.stderr)
        self.assertEqual(json.loads(self.daemon.berth("inspect", "-f", "{{json .HostConfig}}", "up").stdout), before)
        self.fails(1, "update", "--restart", "always", "goes", words=("AutoRemove",))

    def test_what_lists_and_logs_refuse(self):
        self.daemon.berth("run", "--name", "said", "busybox", "echo", "x")
        for words, told in ((("logs", "--tail", "few", "said"), "few"), (("logs", "--since", "once", "said"), "once"),
                            (("logs", "--until", "once", "said"), "once"), (("events", "--since", "once"), "once"),
                            (("events", "--until", "once"), "once"), (("ps", "--filter", "before=nobody"), "No such container: nobody"),
                            (("ps", "--filter", "exited=x"), "exited"), (("ps", "--filter", "health=fine"), "fine"),
                            (("ps", "--format", "{{.ID"), "--format"), (("ps", "--format", "{{nothing .ID}}"), "nothing"),
                            (("inspect", "--type", "thing", "said"), "is no value for --type"),
                            (("inspect", "-f", "{{.Nope}}", "said"), "Nope"), (("stats", "--no-stream", "said", "nobody"), "nobody"),
                            (("images", "--filter", "until=once"), "once"), (("images", "--filter", "word"), "KEY=VALUE"),
                            (("image", "inspect", "nothing"), "nothing"), (("volume", "inspect", "nothing"), "no such volume"),
                            (("volume", "rm", "nothing"), "no such volume"), (("volume", "create", "a b"), "Invalid volume name"),
                            (("diff", "nobody"), "No such container: nobody"), (("port", "nobody"), "No such container: nobody"),
                            (("update", "-m", "64m", "nobody"), "No such container: nobody"), (("rename", "nobody", "other"), "nobody"),
                            (("container", "prune", "-f", "--filter", "until=once"), 'until "once"'),
                            (("container", "prune", "-f", "--filter", "colour=red"), "invalid filter 'colour'"),
                            (("image", "prune", "-f", "--filter", "until=once"), 'until "once"'),
                            (("volume", "prune", "-f", "--filter", "until=1h"), "invalid filter 'until'"),
                            (("system", "prune", "-f", "--volumes", "--filter", "until=1h"), "--filter until contradicts --volumes")):
            with self.subTest(" ".join(words)):
                self.fails(1, *words, words=(told,))

    def test_wrong_usage(self):
        for words in (("stop",), ("rename", "one"), ("exec", "one"), ("cp", "one"), ("ps", "one"), ("ps", "-n", "x"), ("stop", "-t", "x", "one"),
                      ("restart", "-t", "1s", "one"), ("kill", "--nothing", "one"), ("stats", "--nothing"), ("volume",), ("volume", "nothing"),
                      ("system", "nothing"), ("container", "nothing"), ("logs", "one", "two")):
            with self.subTest(" ".join(words)):
                result = self.daemon.berth(*words, check=False)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn("berth", result.stderr + result.stdout)
                self.assertIn("--help", result.stderr + result.stdout)

    def test_what_cp_refuses(self):
        self.daemon.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        for words, told in ((("a", "b"), "one of the two must be CONTAINER:PATH"),
                            (("box:/a", "box:/b"), "copying between containers is not supported"),
                            (("/no/such", "box:/"), "/no/such"), (("/etc/passwd/", "box:/"), "is not a directory")):
            self.fails(1, "cp", *words, words=(told,))
        send = lambda data, path: self.daemon.berth("cp", "-", "box:" + path, input=data, text=False, check=False)
        result = send(b"x", "/etc/passwd")
        self.assertIn(b"an archive goes into a directory", result.stderr)
        result = send(gzip.compress(b"y" * 100000)[:60], "/root")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), "cannot be unpacked|cut short|no tar archive")
        terminal = self.terminal("cp", "box:/etc", "-")
        self.assertEqual(terminal.wait(), 1)
        self.assertIn(b"an archive is not written to a terminal", terminal.seen)

    def test_a_prefix_of_two(self):
        ids = [self.daemon.berth("create", "busybox", "true").stdout.strip() for _ in range(17)]
        first = next(i[0] for i in ids if sum(i[0] == j[0] for j in ids) > 1)
        self.fails(1, "inspect", "--type", "container", first, words=("multiple IDs found with provided prefix",))
        self.fails(1, "rm", first, words=("multiple IDs found with provided prefix",))

    def test_an_image_that_says_no_program(self):
        path = self.daemon.dir + "/bare.tar"
        images.docker_archive(path, "docker.io/library/bare:latest", [images.busybox_layer()], {})
        self.daemon.berth("image", "load", "-i", path)
        self.fails(125, "run", "--rm", "bare", words=("no command specified",))
        self.assertEqual(self.daemon.berth("run", "--rm", "bare", "/bin/echo", "x").stdout, "x\n")


@unittest.skipIf(STOCK, "asks for berth")
@unittest.skipIf(CALL is None, "engine_call is not built")
class CallRefusalsTest(EngineBase):
    """What the command line never asks for: other clients may."""

    def test_what_create_refuses(self):
        volume = {"type": "TYPE_VOLUME", "source": "vol", "target": "/v"}
        for config, host, told in (
                ({"environment": ["=x"]}, {}, "invalid environment variable: =x"),
                ({"labels": {"": "x"}}, {}, "a label needs a key"),
                ({"working_directory": "here"}, {}, "needs to be an absolute path"),
                ({"hostname": "x" * 64}, {}, "invalid hostname"),
                ({"healthcheck": {"test": ["CMD", "true"], "retries": -1}}, {}, "Retries in Healthcheck cannot be negative"),
                ({"healthcheck": {"test": ["OTHER", "true"]}}, {}, "Unknown healthcheck type: OTHER"),
                ({}, {"ipc_mode": "container:"}, "a container's name or id must follow"),
                ({}, {"pid_mode": "some"}, "is not known"),
                ({}, {"uts_mode": "some"}, "invalid UTS mode"),
                ({}, {"cgroupns_mode": "some"}, "invalid cgroup mode"),
                ({}, {"userns_mode": "some"}, "invalid USER mode"),
                ({}, {"restart_policy": {"name": "no", "maximum_retry_count": 1}}, "can only be used with 'on-failure'"),
                ({}, {"restart_policy": {"name": "always", "maximum_retry_count": 1}}, "can only be used with 'on-failure'"),
                ({}, {"restart_policy": {"name": "on-failure", "maximum_retry_count": -1}}, "cannot be negative"),
                ({}, {"mounts": [dict(volume, target="v")]}, "mount path must be absolute"),
                ({}, {"mounts": [dict(volume, target="/")]}, "destination can't be '/'"),
                ({}, {"mounts": [dict(volume, subpath="../x")]}, 'the subpath must be relative and without ".."'),
                ({}, {"mounts": [dict(volume, type="TYPE_BIND", source="x")]}, "invalid mount path: 'x' mount path must be absolute"),
                ({}, {"mounts": [dict(volume, type="TYPE_TMPFS", source="x")]}, "field Source must not be specified"),
                ({}, {"mounts": [dict(volume, volume_driver="nfs")]}, "error looking up volume plugin nfs"),
                ({}, {"mounts": [dict(volume, type="TYPE_UNSPECIFIED")]}, "mount type unknown"),
                ({}, {"mounts": [dict(volume, volume_options={"colour": "red"})]}, 'invalid option: "colour"'),
                ({}, {"ulimits": [{"name": "nofile", "soft": 2, "hard": 1}]}, "must be less than or equal to hard limit"),
                ({}, {"log": {"options": {"mode": "other"}}}, "logging mode not supported: other"),
                ({}, {"storage_options": {"colour": "red"}}, "Unknown option colour"),
                ({}, {"security_options": ["seccomp=[]"]}, "expected a JSON object with a defaultAction"),
                ({}, {"security_options": ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":1}']}, "syscalls is no array"),
                ({}, {"resources": {"blkio_weight_devices": [{"path": "/dev/null", "weight": 100}]}}, "is no block device"),
                ({}, {"devices": [{"host_path": "/dev/null", "permissions": "q"}]}, "invalid device mode: q")):
            with self.subTest(told):
                self.refused(told, "CreateContainer", config=dict({"image": "busybox", "command": ["true"]}, **config), host_config=host)
        self.assertEqual(self.containers(), [])
        self.assertEqual(self.call("ListVolumes").get("volumes", []), [])

    def test_what_execs_and_attachments_refuse(self):
        container = self.create("sleep", "1000", config={"open_stdin": False})
        self.refused("is not running", "Attach", open={"container": container, "resumes": True})
        self.call("StartContainer", container=container)
        self.refused("No exec command specified", "CreateExec", container=container)
        self.refused("No such exec instance: none", "StartExec", exec_id="none")
        self.refused("No such exec instance: none", "InspectExec", exec_id="none")
        self.refused("No such exec instance: none", "Attach", open={"exec_id": "none"})
        exec_id = self.call("CreateExec", container=container, command=["sleep", "1000"])["exec_id"]
        self.call("StartExec", exec_id=exec_id)
        self.refused("is already running", "StartExec", exec_id=exec_id)
        self.refused("the first message must say what to attach to", "Attach", stdin="eA==")
        self.refused("the process's stdin is not open to attach", "Attach", open={"container": container, "stdin": True})
        self.refused("has at most 64 bytes", "Attach", open={"container": container, "input_session": "x" * 65})
        self.call("PauseContainer", container=container)
        self.refused("cannot attach to a paused container, unpause it first", "Attach", open={"container": container})
        self.refused("no container is named", "InspectContainer", container="")
        self.refused("the first request must open", "CopyIn", data="eA==")


if __name__ == "__main__":
    unittest.main()
