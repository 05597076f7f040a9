"""What is shown, and how: the fields of Docker's templates, `table`, `json`, `json .`, and every filter of every list."""
import json
import os
import re
import shutil
import subprocess
import unittest

from docker_case import DockerTest
from harness import BIN, STOCK, wait_for
import images


@unittest.skipIf(STOCK, "asks for berth")
class FormatsTest(DockerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        path = cls.daemon.dir + "/other.tar"
        images.docker_archive(path, "registry.example.com/tools/other:1", [images.busybox_layer(), images.Layer().add("x", b"x").bytes()],
                              dict(images.BUSYBOX_CONFIG, Labels={"tier": "front", "bare": ""}))
        cls.daemon.berth("image", "load", "-i", path)
        for name, options in (("one", ("-l", "app=web", "-l", "tier=front", "-v", "data:/d", "--network", "none")),
                              ("two", ("-l", "app=db", "--health-cmd", "true", "--health-interval", "200ms", "--network", "host", "--expose", "80"))):
            cls.daemon.berth("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")
        cls.daemon.berth("run", "--name", "three", "alpine", "sh", "-c", "echo x > /x; exit 3", check=False)
        cls.daemon.berth("create", "--name", "four", "registry.example.com/tools/other:1", "true")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.berth("rm", "-f", "-v", "one", "two", "three", "four", check=False)
        super().tearDownClass()

    def remove_containers(self):
        """They are the class's."""

    def setUp(self):
        self.maxDiff = None

    def show(self, *arguments):
        return self.daemon.berth(*arguments).stdout

    def rows(self, *arguments):
        return set(self.show(*arguments).split())

    def fields(self, command, names, *methods):
        """Each documented field is there, alone and in a table with a heading; `json .` and `json` have all of them."""
        for name in names:
            self.show(*command, "--format", "{{.%s}}" % name)
            heading = self.show(*command, "--format", "table {{.%s}}" % name).split("\n")[0].strip()
            self.assertRegex(heading, "^[A-Z][A-Z0-9 /%]*$", name)
        for form in ("json", "{{json .}}"):
            rows = [json.loads(line) for line in self.show(*command, "--format", form).strip().split("\n")]
            for row in rows:
                self.assertLessEqual(set(names), set(row), form)
        for method in methods:
            self.show(*command, "--format", method)

    def test_fields_of_ps(self):
        self.fields(("ps", "-a"), ("ID", "Image", "Command", "CreatedAt", "RunningFor", "Ports", "State", "Status", "Size", "Names",
                                   "Labels", "Mounts", "Networks", "LocalVolumes"), '{{.Label "app"}}')
        self.assertEqual(self.show("ps", "--filter", "name=one", "--format", '{{.Names}} {{.Label "app"}} {{.Mounts}} {{.Networks}} '
                                   "{{.State}} {{.Image}} {{.LocalVolumes}}"), "one web data none running busybox 1\n")
        self.assertRegex(self.show("ps", "-s", "--filter", "name=one", "--format", "{{.Size}}"), r"^[\d.]+k?B \(virtual [\d.]+MB\)\n$")
        self.assertEqual(self.show("ps", "-aq", "--no-trunc", "--filter", "name=three").strip(),
                         self.show("inspect", "-f", "{{.Id}}", "three").strip())
        self.assertEqual(self.show("ps", "-l", "--format", "{{.Names}}"), "four\n")
        self.assertEqual(self.show("ps", "-n", "2", "--format", "{{.Names}}"), "four\nthree\n")

    def test_filters_of_ps(self):
        of = lambda *filters: self.rows("ps", "-a", "--format", "{{.Names}}", *[w for f in filters for w in ("--filter", f)])
        identity = self.show("inspect", "-f", "{{.Id}}", "one").strip()
        wait_for(lambda: of("health=healthy") == {"two"})
        for filters, names in ((("id=" + identity[:10],), {"one"}), (("name=t",), {"two", "three"}), (("name=^/?two$",), {"two"}),
                               (("label=app",), {"one", "two"}), (("label=app=web",), {"one"}), (("label=app", "label=tier=front"), {"one"}),
                               (("status=running",), {"one", "two"}), (("status=exited",), {"three"}), (("status=created",), {"four"}),
                               (("status=exited", "status=created"), {"three", "four"}), (("exited=3",), {"three"}), (("exited=0",), set()),
                               (("ancestor=busybox",), {"one", "two"}), (("ancestor=alpine:latest",), {"three"}),
                               (("before=two",), {"one"}), (("since=two",), {"three", "four"}), (("volume=data",), {"one"}),
                               (("volume=/d",), {"one"}), (("network=host",), {"two"}), (("health=none",), {"one", "three", "four"}),
                               (("expose=80",), {"two"}), (("publish=80",), set()), (("is-task=true",), set())):
            self.assertEqual(of(*filters), names, filters)
        self.fails(1, "ps", "--filter", "colour=red", words=("invalid filter 'colour'",))
        self.fails(1, "ps", "--filter", "status=gone", words=("gone",))
        self.fails(1, "ps", "--filter", "words", words=("KEY=VALUE",))

    def test_images(self):
        self.fields(("images",), ("ID", "Repository", "Tag", "Digest", "CreatedSince", "CreatedAt", "Size", "SharedSize", "UniqueSize",
                                  "VirtualSize", "Containers"))
        self.assertEqual(self.show("images").split("\n")[0].split(), ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"])
        self.assertIn("DIGEST", self.show("images", "--digests").split("\n")[0])
        of = lambda *words: self.rows("images", "--format", "{{.Repository}}:{{.Tag}}", *words)
        other = "registry.example.com/tools/other:1"
        self.assertIn(other, of())
        for words, names in ((("busybox",), {"busybox:latest"}), (("busy*",), {"busybox:latest"}), (("busybox:2",), set()),
                             (("--filter", "reference=*/tools/*"), {other}), (("--filter", "label=tier"), {other}),
                             (("--filter", "label=tier=front", "--filter", "label=bare"), {other}), (("--filter", "label=tier=back"), set()),
                             (("--filter", "dangling=true"), set()), (("--filter", "before=busybox"), set()),
                             (("--filter", "since=busybox"), set())):
            self.assertEqual(of(*words), names, words)
        identity = self.show("images", "-q", "--no-trunc", "busybox").strip()
        self.assertRegex(identity, "^sha256:[0-9a-f]{64}$")
        self.assertEqual(self.show("images", "-q", "busybox").strip(), identity[7:19])
        self.assertEqual(self.show("image", "ls"), self.show("images"))
        self.fails(1, "images", "--filter", "colour=red", words=("invalid filter 'colour'",))
        self.fails(1, "images", "--filter", "dangling=perhaps", words=("dangling=perhaps",))

    def test_inspect(self):
        document = json.loads(self.show("inspect", "--type", "image", "busybox"))[0]
        # One that has the same content under another name is the same image.
        self.assertEqual(document["RepoTags"], ["alpine:latest", "busybox:latest"])
        self.assertEqual(self.show("image", "inspect", "-f", "{{.Id}} {{.ID}} {{index .RepoTags 1}} {{.Os}}/{{.Architecture}} {{.Config.Cmd}} "
                                   "{{len .RootFS.Layers}} {{.RootFS.Type}}", "busybox"),
                         "%s %s busybox:latest linux/amd64 [sh] 1 layers\n" % (document["Id"], document["Id"]))
        self.assertEqual(self.show("inspect", "-f", '{{.Config.Labels.tier}} {{index .Config.Labels "tier"}}',
                                   "registry.example.com/tools/other:1"), "front front\n")
        self.assertEqual(self.show("inspect", "-f", "{{.Name}} {{.State.Status}} {{.HostConfig.NetworkMode}} {{.Driver}} {{.Platform}} "
                                   "{{(index .Mounts 0).Name}} {{range .Args}}{{.}}{{end}} {{.Config.Image}}", "one"),
                         "/one running none overlayfs linux data 1000 busybox\n")
        self.assertEqual(json.loads(self.show("inspect", "-f", "{{json .State}}", "three"))["ExitCode"], 3)
        both = json.loads(self.show("inspect", "one", "two"))
        self.assertEqual([c["Name"] for c in both], ["/one", "/two"])
        for key in ("Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "Name",
                    "RestartCount", "Driver", "Platform", "MountLabel", "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig",
                    "GraphDriver", "Mounts", "Config", "NetworkSettings"):
            self.assertIn(key, both[0])
        self.assertEqual(self.show("inspect", "-s", "-f", "{{gt .SizeRootFs 0}}", "one"), "true\n")
        self.assertEqual(self.show("inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}}", "data"), "data local local\n")

    def test_stats(self):
        self.fields(("stats", "--no-stream"), ("Container", "Name", "ID", "CPUPerc", "MemUsage", "NetIO", "BlockIO", "MemPerc", "PIDs"))
        self.assertEqual(self.show("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "one"), "one 1\n")
        self.assertEqual(len(self.show("stats", "--no-stream", "-a").strip().split("\n")), 5)
        self.fails(1, "stats", "--no-stream", "nobody", words=("No such container: nobody",))

    def test_events(self):
        ask = lambda *words: self.show("events", "--since", "1h", "--until", "0s", *words)
        self.assertRegex(ask("--filter", "container=three", "--filter", "event=die", "--format",
                             "{{.Type}} {{.Action}} {{.Status}} {{.From}} {{.ID}} {{.Actor.ID}} {{.Scope}} {{.Time}} {{.TimeNano}} "
                             "{{.Actor.Attributes.exitCode}}"), r"^container die die alpine ([0-9a-f]{64}) \1 local \d{10} \d{19} 3\n$")
        for words, actions in ((("--filter", "type=volume"), {"create"}), (("--filter", "volume=data"), {"create"}),
                               (("--filter", "image=alpine", "--filter", "type=container"), {"create", "start", "die"}),
                               (("--filter", "label=app=db", "--filter", "event=start"), {"start"}), (("--filter", "event=oom"), set())):
            self.assertLessEqual(set(ask(*words, "--format", "{{.Action}}").split()), actions | {"mount", "unmount"}, words)
        for line in ask("--format", "json").strip().split("\n"):
            self.assertLessEqual({"Type", "Action", "Actor", "time", "timeNano", "scope"}, set(json.loads(line)))
        self.fails(1, "events", "--until", "0s", "--filter", "colour=red", words=("invalid filter 'colour'",))

    def test_volumes_and_the_rest(self):
        self.fields(("volume", "ls"), ("Name", "Driver", "Scope", "Mountpoint", "Labels", "Links", "Size"), '{{.Label "x"}}')
        of = lambda *words: self.rows("volume", "ls", "-q", *words)
        self.daemon.berth("volume", "create", "--label", "keep=1", "lonely")
        self.addCleanup(self.daemon.berth, "volume", "rm", "lonely")
        for words, names in ((("--filter", "name=lone"), {"lonely"}), (("--filter", "label=keep=1"), {"lonely"}),
                             (("--filter", "dangling=true"), {"lonely"}), (("--filter", "dangling=false"), {"data"}),
                             (("--filter", "driver=local"), {"data", "lonely"}), (("--filter", "driver=nfs"), set())):
            self.assertEqual(of(*words), names, words)
        self.fails(1, "volume", "ls", "--filter", "colour=red", words=("invalid filter 'colour'",))
        self.fails(1, "volume", "ls", "--filter", "dangling=perhaps", words=("dangling=perhaps",))
        self.fields(("system", "df"), ("Type", "TotalCount", "Active", "Size", "Reclaimable"))
        verbose = self.show("system", "df", "-v")
        for words in ("Images space usage:", "Containers space usage:", "Local Volumes space usage:", "lonely", "three"):
            self.assertIn(words, verbose)
        self.assertEqual(self.show("info", "--format", "{{.ContainersRunning}} {{.ContainersStopped}} {{.OSType}} {{.DefaultRuntime}} "
                                   "{{.LoggingDriver}} {{.InitBinary}} {{.Runtimes.berth.path}} {{.Swarm.LocalNodeState}}"),
                         "2 2 linux berth json-file docker-init berth-shim inactive\n")
        self.assertRegex(self.show("version", "--format", "{{.Client.Version}} {{.Client.Os}}/{{.Client.Arch}} {{.Client.APIVersion}} "
                                   "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}}"), r"^[\d.]+ linux/\w+ 1\.\d+ [\d.]+ 1\.\d+ linux\n$")
        json.loads(self.show("version", "--format", "json"))
        json.loads(self.show("info", "--format", "json"))

    def test_looking_at_one(self):
        self.assertEqual(self.show("diff", "three"), "A /x\n")
        self.assertEqual(self.show("port", "one"), "")
        self.fails(1, "port", "one", "80", words=("no public port '80/tcp' published for one",))
        self.assertEqual(self.show("top", "one", "-o", "pid,args").split("\n")[0].split(), ["PID", "COMMAND"])
        self.assertIn("sleep 1000", self.show("top", "one", "aux"))
        self.assertEqual(self.show("top", "one").split("\n")[0].split(), ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
        self.fails(1, "top", "three", words=("is not running",))
        self.fails(1, "top", "one", "--no-such-option", words=("ps",))


@unittest.skipIf(STOCK, "asks for berth")
class PruneTest(DockerTest):
    def names(self):
        return set(self.daemon.berth("ps", "-a", "--format", "{{.Names}}").stdout.split())

    def test_filters_of_prune(self):
        for name, label in (("kept", "keep=1"), ("gone", "x=y")):
            self.daemon.berth("run", "--name", name, "-l", label, "busybox", "true")
        self.daemon.berth("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
        prune = lambda *words: self.daemon.berth(*words, "-f")
        prune("container", "prune", "--filter", "until=1h")
        self.assertEqual(self.names(), {"kept", "gone", "runs"})
        prune("container", "prune", "--filter", "label=nothing")
        self.assertEqual(self.names(), {"kept", "gone", "runs"})
        prune("system", "prune", "--filter", "label!=keep")
        self.assertEqual(self.names(), {"kept", "runs"})
        prune("container", "prune", "--filter", "label=keep=1")
        self.assertEqual(self.names(), {"runs"})
        self.fails(1, "system", "prune", "-f", "--filter", "colour=red", words=("invalid filter 'colour'",))
        self.fails(1, "system", "prune", "-f", "--volumes", "--filter", "until=1h", words=("--volumes",))

    def test_image_prune(self):
        self.daemon.berth("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
        names = lambda: set(self.daemon.berth("images", "--format", "{{.Repository}}").stdout.split())
        before = names()
        self.assertIn("Are you sure", self.daemon.berth("image", "prune", "-a", input="n\n").stdout)
        self.daemon.berth("image", "prune", "-f")  # none is without a name
        self.daemon.berth("image", "prune", "-af", "--filter", "label=nothing")
        self.assertEqual(names(), before)
        self.fails(1, "image", "prune", "-f", "--filter", "colour=red", words=("invalid filter 'colour'",))
        self.assertIn("untagged: hello-world:latest\n", self.daemon.berth("image", "prune", "-a", input="y\n").stdout)
        self.assertEqual(names(), {"alpine", "busybox"})
        for tar in ("hello", "redis"):
            if os.path.exists("%s/%s.tar" % (self.daemon.dir, tar)):
                self.daemon.berth("image", "load", "-i", "%s/%s.tar" % (self.daemon.dir, tar))

    def test_system_prune_with_everything(self):
        self.daemon.berth("volume", "create", "named")
        self.addCleanup(self.daemon.berth, "volume", "rm", "named")
        self.daemon.berth("run", "--name", "done", "-v", "/anonymous", "busybox", "true")
        self.daemon.berth("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
        out = self.daemon.berth("system", "prune", "-af", "--volumes").stdout
        for words in ("Deleted Containers", "Deleted Volumes", "Deleted Images", "untagged: ", "Total reclaimed space"):
            self.assertIn(words, out)
        self.assertEqual(self.daemon.berth("volume", "ls", "-q").stdout, "named\n")
        # Both are names of what the running container uses.
        self.assertEqual(self.daemon.berth("images", "--format", "{{.Repository}}").stdout, "alpine\nbusybox\n")
        for tar in ("hello", "redis"):
            if os.path.exists("%s/%s.tar" % (self.daemon.dir, tar)):
                self.daemon.berth("image", "load", "-i", "%s/%s.tar" % (self.daemon.dir, tar))


@unittest.skipIf(STOCK, "asks for berth")
class HelpTest(unittest.TestCase):
    """No server is needed for it."""

    @classmethod
    def setUpClass(cls):
        cls.helps = list(cls.commands())

    @staticmethod
    def run_berth(*words, **options):
        return subprocess.run([BIN + "/berth"] + list(words), capture_output=True, text=True, **options)

    @classmethod
    def commands(cls, words=()):
        """Every command, with its help: what `--help` lists is followed."""
        text = cls.run_berth(*words, "--help").stdout
        if "COMMAND" not in text.split("\n")[0]:
            yield list(words), text
            return
        heading = None
        for line in text.split("\n"):
            if re.match("[A-Z].*:$", line):
                heading = line
            entry = re.match("  ([a-z][a-z-]*) +[A-Z]", line)
            if entry and "ptions" not in heading and heading != "Examples:":
                yield from cls.commands(tuple(words) + (entry.group(1),))

    def test_every_command_has_a_line_options_and_examples(self):
        found = 0
        for words, text in self.helps:
            found += 1
            with self.subTest(" ".join(words)):
                self.assertTrue(text.startswith("Usage:  berth " + " ".join(words)), text)
                self.assertIn("\nExamples:\n  ", text)
                self.assertNotIn("\x1b", text)
                for line in text.split("\n"):
                    self.assertLessEqual(len(line), 100, line)
        self.assertGreater(found, 90)

    def test_examples_are_understood(self):
        """Each example's command and options are ones that there are: with --help in front of its end it is help, not a mistake."""
        for words, text in self.helps:
            for line in text.split("Examples:\n")[1].split("\n"):
                match = re.match(r"  berth ((?:[a-z]+ )*?)(--?[a-z].*|.*)$", line.split("|")[0].split(">")[0])
                if not match:
                    continue
                for option in re.findall(r"(?<=\s)(--[a-z][a-z-]*)", line.split(" -- ")[0]):
                    if option in text or option in ("--help",):
                        continue
                    # Options behind the image or container are the program's.
                    self.assertIn(words[0], ("run", "exec", "create"), "%s: %s" % (line, option))

    def test_manual_pages_and_completion_come_from_the_same_source(self):
        folder = subprocess.run(["mktemp", "-d"], capture_output=True, text=True).stdout.strip()
        self.addCleanup(shutil.rmtree, folder)
        self.assertEqual(self.run_berth("man", folder).returncode, 0)
        pages = set(os.listdir(folder))
        for words, _ in self.helps:
            self.assertTrue({"berth-%s.1" % "-".join(words)} & pages, words)
        warnings = subprocess.run(["man", "--warnings", "-l", folder + "/berth-run.1"], capture_output=True, text=True,
                                  env=dict(os.environ, MANWIDTH="80", LC_ALL="C"))
        if warnings.returncode == 0:
            self.assertEqual(warnings.stderr, "")
            self.assertIn("--entrypoint", warnings.stdout)

    def test_completion(self):
        complete = lambda *words: {line.split("\t")[0] for line in self.run_berth("__complete", *words).stdout.split("\n") if line}
        self.assertLessEqual({"stop", "start", "stats"}, complete("st"))
        self.assertLessEqual({"--name", "--network"}, complete("run", "--n"))
        self.assertEqual(complete("volume", "pr"), {"prune"})
        self.assertEqual(complete("run", "busybox", "--n"), set())
        for shell in ("bash", "zsh"):
            script = self.run_berth("completion", shell).stdout
            self.assertIn("__complete", script)
            if shutil.which(shell):
                checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
                self.assertEqual((checked.returncode, checked.stderr), (0, ""), shell)
        # What each shell must find in its own, also where it is not installed.
        zsh = self.run_berth("completion", "zsh").stdout
        for words in ("2>/dev/null)\"}; do", "candidates+=(", "\n  done\n", "_describe -V berth candidates", "compdef _berth berth\nfi\n"):
            self.assertIn(words, zsh)
        self.assertNotEqual(self.run_berth("completion", "fish").returncode, 0)

    def test_mistakes_are_answered_with_what_was_meant(self):
        for typed, meant in ((("rnu",), "run"), (("imgae",), 'image" or "images'), (("volume", "creat"), "create"), (("ps", "--fromat", "x"), "--format"),
                             (("run", "--nmae", "x", "y"), "--name"), (("lgos",), "logs")):
            result = self.run_berth(*typed)
            self.assertIn('Did you mean "%s"?' % meant, result.stderr, typed)
            self.assertEqual(result.returncode, 125 if typed[0] in ("rnu", "imgae", "run", "lgos") else result.returncode)
            self.assertNotEqual(result.returncode, 0)
        self.assertNotIn("Did you mean", self.run_berth("xyzzyxyzzy").stderr)


if __name__ == "__main__":
    unittest.main()
