"""Files between a container and this machine, running and stopped, and archives and links that try to get out."""
import io
import os
import tarfile

from test_docker_tutorial import DockerTest as Base


def archive(*members):
    """A tar of (name, data) files, (name, None) directories and (name, ("link", target)) links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, tuple):
                info.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}[what[0]]
                info.linkname = what[1]
            else:
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return out.getvalue()


class CopyTest(Base):
    def setUp(self):
        super().setUp()
        self.folder = "%s/%s" % (self.daemon.dir, self.name("cp"))
        os.makedirs(self.folder + "/tree/sub")
        for name, text in (("tree/a", "alpha"), ("tree/sub/b", "beta")):
            with open("%s/%s" % (self.folder, name), "w") as file:
                file.write(text)
        os.symlink("a", self.folder + "/tree/link")
        os.chmod(self.folder + "/tree/a", 0o640)
        self.outside = self.folder + "/outside"
        os.makedirs(self.outside)

    def read(self, name):
        with open("%s/%s" % (self.folder, name)) as file:
            return file.read()

    def send(self, container, path, data, *options, code=0):
        result = self.daemon.berth("cp", *options, "-", "%s:%s" % (container, path), input=data, text=False, check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr.decode()

    def both_ways(self, box):
        self.berth("cp", self.folder + "/tree", box + ":/home")
        self.berth("cp", self.folder + "/tree/.", box + ":/root")
        self.berth("cp", self.folder + "/tree/a", box + ":/root/renamed")
        self.berth("cp", box + ":/home/tree", self.folder + "/back")
        self.assertEqual(self.read("back/sub/b"), "beta")
        self.assertEqual(os.readlink(self.folder + "/back/link"), "a")
        self.assertEqual(os.stat(self.folder + "/back/a").st_mode & 0o777, 0o640)
        self.berth("cp", box + ":/root/renamed", self.folder)
        self.assertEqual(self.read("renamed"), "alpha")
        data = self.daemon.berth("cp", box + ":/home/tree", "-", text=False).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            self.assertEqual(tar.getnames(), ["tree", "tree/a", "tree/link", "tree/sub", "tree/sub/b"])
            self.assertEqual({(m.uid, m.gid) for m in tar}, {(0, 0)})
        self.send(box, "/var", data)
        data = self.daemon.berth("cp", box + ":/var/tree/sub/b", "-", text=False).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            self.assertEqual(tar.extractfile("b").read(), b"beta")

    def test_running(self):
        self.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        self.both_ways("box")
        self.assertEqual(self.berth("exec", "box", "cat", "/home/tree/sub/b", "/root/a", "/var/tree/link"), "betaalphaalpha")

    def test_stopped(self):
        self.berth("create", "--name", "box", "busybox", "cat", "/home/tree/sub/b", "/root/a", "/var/tree/link")
        self.both_ways("box")
        self.assertEqual(self.berth("start", "-a", "box"), "betaalphaalpha")

    def test_a_volume_of_a_stopped_container(self):
        self.berth("volume", "create", "copied")
        self.addCleanup(self.daemon.berth, "volume", "rm", "copied", check=False)
        self.berth("create", "--name", "box", "-v", "copied:/data", "busybox", "cat", "/data/a")
        self.berth("cp", self.folder + "/tree/a", "box:/data")
        self.assertEqual(self.berth("start", "-a", "box"), "alpha")
        self.berth("cp", "box:/data/a", self.folder + "/from-volume")
        self.assertEqual(self.read("from-volume"), "alpha")

    def test_owners(self):
        self.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        os.chown(self.folder + "/tree/a", 123, 456)
        self.berth("cp", self.folder + "/tree/a", "box:/root/mine")
        self.berth("cp", "-a", self.folder + "/tree/a", "box:/root/kept")
        self.assertEqual(self.berth("exec", "box", "stat", "-c", "%u:%g", "/root/mine", "/root/kept"), "0:0\n123:456\n")

    def escapes(self, box):
        up = "../" * 20
        for name in ("../up", "a/../../up", up + self.outside[1:] + "/up"):
            self.assertIn("..", self.send(box, "/root", archive((name, b"x")), code=1))
        # Links to what only the host has lead nowhere, those of the archive and those of the container alike.
        for target in (self.outside, up + self.outside[1:]):
            self.send(box, "/root", archive(("out", ("link", target)), ("out/file", b"x")), code=1)
            self.assertRegex(self.fails(1, "cp", box + ":/root/out/.", self.folder + "/none").stderr,
                             "Could not find|is not a directory")
            self.assertFalse(os.path.exists(self.folder + "/none"))
        self.send(box, "/root", archive(("hard", ("hard", "../../" + self.outside + "/x"))), code=1)
        self.assertIn("device", self.send(box, "/root", archive(("null", ("device", ""))), code=1))
        # A link to a file of that name is the container's file.
        self.send(box, "/root", archive(("host", ("link", up + "etc/hostname"))))
        self.send(box, "/etc", archive(("hostile", b"inner")))
        self.send(box, "/root", archive(("in", ("link", up + "etc/hostile"))))
        self.berth("cp", "-L", box + ":/root/in", self.folder + "/in")
        self.assertEqual(self.read("in"), "inner")
        self.assertEqual(os.listdir(self.outside), [])
        self.assertFalse(os.path.exists("/etc/hostile"))

    def test_no_escape_running(self):
        self.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        self.escapes("box")

    def test_no_escape_stopped(self):
        self.berth("create", "--name", "box", "busybox", "true")
        self.escapes("box")

    def test_errors(self):
        self.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        self.fails(1, "cp", "box:/nothing", self.folder, words=["Could not find the file /nothing in container box"])
        self.fails(1, "cp", "box:/etc/passwd/x", self.folder, words=["is not a directory"])
        self.fails(1, "cp", self.folder + "/tree/a", "box:/nothing/a", words=["Could not find the file /nothing"])
        self.fails(1, "cp", self.folder + "/tree", "box:/etc/passwd", words=["cannot copy a directory"])
        self.fails(1, "cp", "nobody:/etc", self.folder, words=["No such container: nobody"])
        self.assertIn("no tar archive", self.send("box", "/root", b"x" * 1024, code=1))
        self.assertIn("cut short", self.send("box", "/root", archive(("f", b"x" * 4096))[:1500], code=1))
        for verb, name in (("create", "sealed"), ("run", "sealed-running")):
            self.berth(verb, *(["-d"] if verb == "run" else []), "--name", name, "--read-only", "busybox", "sleep", "1000")
            self.fails(1, "cp", self.folder + "/tree/a", name + ":/root", words=["read-only"])


del Base
