"""Opens the store on a disk as a cut left it, and says what is not as it was promised.

The filesystem is mounted (which replays its journal: nothing else repairs it), a berthd with a state of its own started on it, and asked: does it verify
all blobs and layers; are images complete, and of the files that their layers were made of; is all there that had been told, and gone what had been told
to be gone; do containers start, with whole files and volumes; does a pull go on where one was cut; does an image run; can all of it be removed, and is
nothing left then. Owned by one worker of the replay, in a mount namespace of its own: the disk stands where it stood in the guest.
"""
import fcntl
import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import time

NAMESPACE = "flushes"
START_SECONDS = 60
# Where the guest had it: records of volumes and mounts hold whole paths.
MOUNT_POINT = "/mnt"


class Broken(Exception):
    """A promise that the store did not keep."""


class Report:
    def __init__(self):
        self.blobs = self.layers = self.files = self.facts = self.set_aside = 0


class StoreCheck:
    """`registry`: HOST:PORT of one that has the images, in the clear."""

    def __init__(self, programs, directory, expected, registry):
        self.programs, self.directory, self.expected, self.registry = programs, directory, expected, registry
        self.mount_point = MOUNT_POINT
        self.state = directory + "/state"
        self.socket = self.state + "/berth.sock"
        self.log_path = directory + "/berthd.log"
        self.daemon = None

    def check(self, image, holds, doubt, damage=None):
        """Report; raises Broken. `damage` is called with the mounted directory before berthd starts (a test of the check itself)."""
        mounted = subprocess.run(["mount", "-t", "ext4", "-o", "loop", image, self.mount_point], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Broken("the filesystem cannot be mounted: %s" % mounted.stderr.strip())
        try:
            if damage:
                damage(self.mount_point)
            report = Report()
            # A cut from before the first start has no store, and nothing was promised of it.
            self.start()
            self.verify(report)
            self.compare_with_promises(holds, doubt, report)
            self.compare_layers(report)
            self.compare_volumes(report)
            self.start_containers()
            self.pull_again()
            self.compare_layers(Report())
            self.use_and_remove()
            self.stop()
            self.look_at_filesystem(report)
            return report
        finally:
            self.stop(force=True)
            subprocess.run(["umount", "-l", self.mount_point], check=True)

    def berth(self, *arguments, must=True, timeout=120):
        result = subprocess.run([self.programs + "/berth"] + list(arguments), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                                env=dict(os.environ, BERTH_ADDRESS=self.socket, BERTH_NAMESPACE=NAMESPACE))
        if must and result.returncode != 0:
            raise Broken("berth %s ends with %d: %s%s%s" % (" ".join(arguments), result.returncode, result.stdout, result.stderr, self.log()))
        return result

    def listing(self, *command):
        return json.loads(self.berth(*command, "--format", "json").stdout or "[]")

    def image_lines(self):
        """"NAME ID" of each image."""
        lines = self.berth("image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout.split("\n")
        return [line for line in lines if line]

    def rows(self, query, *arguments):
        database = sqlite3.connect("file:%s/root/metadata.db?mode=ro" % self.mount_point, uri=True, timeout=30)
        try:
            return database.execute(query, arguments).fetchall()
        finally:
            database.close()

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return "".join("\n    berthd: " + line.rstrip() for line in file.readlines()[-12:])

    def start(self):
        with open(self.log_path, "wb") as log:
            self.daemon = subprocess.Popen([self.programs + "/berthd", "--root", self.mount_point + "/root", "--state", self.state, "--address", self.socket],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while self.berth("version", must=False).returncode != 0:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise Broken("berthd does not open the store%s" % self.log())
            time.sleep(0.02)

    def stop(self, force=False):
        if not self.daemon:
            return
        self.daemon.send_signal(signal.SIGKILL if force else signal.SIGTERM)
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise Broken("berthd does not end%s" % self.log())
        finally:
            self.daemon = None

    def verify(self, report):
        result = self.berth("fsck", "--report-only", "-v", must=False)
        wrong = [line for line in result.stdout.split("\n") if line.startswith(("DAMAGED", "taken out"))]
        if result.returncode != 0 or wrong:
            raise Broken("berth fsck ends with %d: %s %s" % (result.returncode, "; ".join(wrong), result.stderr.strip()))
        report.blobs = result.stdout.count("ok       blob ")
        report.layers = result.stdout.count("ok       layer ")

    def compare_with_promises(self, holds, doubt, report):
        images = dict(line.split(" ", 1) for line in self.image_lines())
        found = {
            "image": images,
            "container": {name: "-" for name in self.berth("ps", "-a", "--format", "{{.Names}}").stdout.split()},
            "blob": {digest: "-" for digest in self.berth("content", "ls", "-q").stdout.split()},
            "snapshot": self.committed_words(),
            "volume": {name: "-" for name in self.berth("volume", "ls", "-q").stdout.split()},
            "lease": {lease: "-" for lease in self.berth("lease", "ls", "-q").stdout.split()},
            "namespace": {row["name"]: "-" for row in self.listing("namespace", "ls")},
        }
        for (kind, name), record in holds.items():
            report.facts += 1
            there = found[kind].get(name)
            if record.state == "present" and there is None:
                raise Broken("%s %s was told to be there and is not" % (kind, name))
            if record.state == "absent" and there is not None:
                raise Broken("%s %s was told to be gone and is there" % (kind, name))
            if record.state == "present" and record.word not in ("-", there):
                raise Broken("%s %s is %s, and was told to be %s" % (kind, name, there, record.word))
        # What nobody was told of, and nobody began, is from nowhere.
        for kind in ("image", "container"):
            for name in found[kind]:
                if (kind, name) not in doubt and holds.get((kind, name)) is None:
                    raise Broken("%s %s is there, and was never begun" % (kind, name))
        for entry in self.listing("image", "check"):
            if entry["status"] != "complete":
                raise Broken("image %s is %s" % (entry["name"], entry["status"]))

    def committed(self):
        """{(driver, name): the directory of its files} of the committed snapshots, from the database itself."""
        rows = self.rows("SELECT s.key, l.driver, l.directory FROM snapshots s JOIN layers l ON l.driver = s.snapshotter AND l.key = s.backend_key "
                         "WHERE l.kind = 3 AND s.ns = ?", NAMESPACE)
        return {(driver, key): "%s/root/snapshots/%s/layers/%s%s" % (self.mount_point, driver, directory, "" if driver == "native" else "/fs")
                for key, driver, directory in rows}

    def committed_words(self):
        words = {}
        for (_, name), directory in self.committed().items():
            if not name.startswith("sha256:"):
                try:
                    with open(directory + "/word", errors="replace") as file:
                        words[name] = file.read().strip() or "empty"
                except OSError as error:
                    words[name] = "without its file: %s" % error
        return words

    def compare_layers(self, report):
        for (_, name), directory in self.committed().items():
            files = self.expected["layers"].get(name)
            if files is None:
                if name.startswith("sha256:"):
                    raise Broken("layer %s is of no image that was brought in" % name)
                continue
            self.compare_files("layer " + name, directory, files, report)

    def compare_files(self, what, directory, files, report):
        for path, digest in files.items():
            try:
                if stat.S_ISREG(os.lstat(directory + "/" + path).st_mode):
                    with open(directory + "/" + path, "rb") as file:
                        data = file.read()
                    found = "%s (%d bytes)" % (hashlib.sha256(data).hexdigest(), len(data))
                else:
                    found = "no file"
            except OSError as error:
                found = str(error)
            if not found.startswith(digest):
                raise Broken("%s: %s is %s and was %s" % (what, path, found, digest))
            report.files += 1

    def compare_volumes(self, report):
        """A volume is empty, and is filled when it is used, or has all that the image has there."""
        for name in self.berth("volume", "ls", "-q").stdout.split():
            directory = self.berth("volume", "inspect", "--format", "{{.Mountpoint}}", name).stdout.strip()
            try:
                if not os.listdir(directory):
                    continue
            except OSError as error:
                raise Broken("volume %s: %s" % (name, error)) from error
            self.compare_files("volume " + name, directory, self.expected["volume"], report)

    def start_containers(self):
        """Every container that is there runs once more, with the files that it is given, and goes."""
        # The other workers' disks hold the same ones, and the host has one control group for an id.
        with open(os.path.dirname(self.directory) + "/lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for container in self.berth("ps", "-aq", "--no-trunc").stdout.split():
                self.berth("start", "-a", container)
                self.berth("logs", container)
                for name in ("hosts", "hostname"):
                    if not os.path.getsize("%s/root/containers/%s/%s/%s" % (self.mount_point, NAMESPACE, container, name)):
                        raise Broken("container %s runs with an empty /etc/%s" % (container, name))
                self.berth("rm", "-f", container)

    def pull_again(self):
        """What a cut left of a download, or of a layer half unpacked, must not be in the way of the next."""
        for name, identity in self.expected["images"].items():
            reference = "%s/%s:again" % (self.registry, name)
            self.berth("pull", "-q", "--plain-http", reference)
            if "%s %s" % (reference, identity) not in self.image_lines():
                raise Broken("%s was pulled again, and is not what it was" % name)

    def use_and_remove(self):
        names = self.berth("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        for volume in self.berth("volume", "ls", "-q").stdout.split():
            self.berth("volume", "rm", volume)
        out = self.berth("run", "--rm", names[0], "echo", "alive").stdout.strip()
        if out != "alive":
            raise Broken("image %s runs, and says %r" % (names[0], out))
        # What the guest keeps by a label or a lease; the others' images keep the layers.
        for snapshot in self.listing("snapshot", "ls"):
            if not snapshot["key"].startswith("sha256:"):
                self.berth("snapshot", "rm", snapshot["key"])
        for blob in self.listing("content", "ls"):
            if "containerd.io/gc.root" in blob["labels"]:
                self.berth("content", "rm", blob["digest"])
        for lease in self.berth("lease", "ls", "-q").stdout.split():
            self.berth("lease", "rm", lease)
        self.berth("rmi", "--sync", *names)
        left = sum((self.berth(*listing).stdout.split() for listing in (
            ("ps", "-aq"), ("image", "ls", "-q"), ("content", "ls", "-q"))), [])
        left += ["%s %s" % row for row in self.rows("SELECT snapshotter, key FROM snapshots WHERE ns = ?", NAMESPACE)]
        if left:
            raise Broken("cannot be removed: %s" % " ".join(left))

    def entries(self, path):
        directory = "%s/root/%s" % (self.mount_point, path)
        return sorted(os.listdir(directory)) if os.path.isdir(directory) else []

    def look_at_filesystem(self, report):
        """What is on the disk when all is removed and berthd has ended."""
        device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.mount_point], capture_output=True, text=True, check=True).stdout.strip()
        with open("/sys/fs/ext4/%s/errors_count" % os.path.basename(device)) as file:
            errors = int(file.read())
        # Then the replay, or the disk, is at fault and not Berth.
        if errors:
            raise Broken("the kernel found %d errors in the filesystem" % errors)
        if self.entries("content/quarantine"):
            raise Broken("blobs were taken out of use: %s" % " ".join(self.entries("content/quarantine")))
        left = self.entries("content/blobs/sha256") + self.entries("volumes/" + NAMESPACE) + self.entries("containers/" + NAMESPACE)
        for driver in ("overlayfs", "native"):
            left += self.entries("snapshots/%s/layers" % driver) + self.entries("snapshots/%s/new" % driver)
            # Directories with files that no row names are kept for a day: docs/formats/snapshots.md.
            report.set_aside += len(self.entries("snapshots/%s/quarantine" % driver))
        if left:
            raise Broken("all is removed, and these are left on the disk: %s" % " ".join(left))
