#!/usr/bin/env python3
"""Cuts the power at flushes of a recorded session, and opens the store on what each cut leaves.

    BERTH_BIN=PREFIX/bin tests/vm/flushes/run.py DIRECTORY [--cuts N|all] [--variants N] [--seed N] [--lying N]

DIRECTORY is what tests/vm/run --only flushes --record DIRECTORY made: `base` (the disk before), `log` (the writes), the images' archives,
`expected.json`, `ledger_block`.
Ends with: N cuts at flushes, N variants, N blobs and N layers verified; corrupt: N.
Two checks of the check follow: a blob's bytes are zeroed, and a disk that says flushed when it is not (--lying cuts): both must be found.
"""
import argparse
import ctypes
import glob
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from queue import Empty

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "integration")]
import cuts  # noqa: E402
import disk_image  # noqa: E402
import harness  # noqa: E402
import ledger  # noqa: E402
import registries  # noqa: E402
import store_check  # noqa: E402
import write_log  # noqa: E402

CLONE_NEWNS = 0x20000


class Replay:
    """One worker's view of a recorded session, in a directory of its own below `scratch`, which is in memory."""

    def __init__(self, directory, scratch, programs, registry):
        os.mkdir(scratch)
        self.directory, self.scratch = directory, scratch
        self.log = write_log.WriteLog(directory + "/log")
        self.records = read_ledger(directory, self.log)
        with open(directory + "/expected.json") as file:
            self.check = store_check.StoreCheck(programs, scratch, json.load(file), registry)

    def go(self, plan, damage=None):
        """Yields (cut, report or None, complaint or None)."""
        image = disk_image.DiskImage(self.directory + "/base", self.scratch, self.log)
        target = self.scratch + "/cut"
        try:
            for cut in plan:
                image.stand_after(cut, target)
                holds, doubt = ledger.promises(self.records, cut.end)
                try:
                    yield cut, self.check.check(target, holds, doubt, damage), None
                except store_check.Broken as broken:
                    yield cut, None, str(broken)
        finally:
            image.close()


def read_ledger(directory, log):
    with open(directory + "/ledger_block") as file:
        return ledger.read(log, int(file.read()) * ledger.RECORD_BYTES)


def zero_a_blob(mount_point):
    blobs = sorted(glob.glob(mount_point + "/root/content/blobs/sha256/*"), key=os.path.getsize)
    os.chmod(blobs[-1], 0o644)
    with open(blobs[-1], "r+b") as file:
        file.write(bytes(os.path.getsize(blobs[-1])))


def in_workers(options, scratch, registry, plan, damage=None):
    """What Replay.go yields for the plan, split among processes; a worker that fails fails the whole."""
    share = -(-len(plan) // options.jobs) if plan else 1
    parts = [plan[at:at + share] for at in range(0, len(plan), share)]
    queue = multiprocessing.Queue()

    def work(number, part):
        # All have the disk at the same place.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        session = Replay(options.directory, "%s/worker%d-%d" % (scratch, os.getpid(), number), os.environ["BERTH_BIN"], registry)
        for cut, report, complaint in session.go(part, damage):
            queue.put((cut, report, complaint))

    workers = [multiprocessing.Process(target=work, args=(number, part)) for number, part in enumerate(parts)]
    for worker in workers:
        worker.start()
    results = []
    while len(results) < len(plan):
        try:
            results.append(queue.get(timeout=1))
        except Empty:
            if any(worker.exitcode not in (None, 0) for worker in workers):
                break
            continue
        if results[-1][2] and not damage:
            print("%s: %s" % (results[-1][0], results[-1][2]), flush=True)
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("a worker of the replay ended with %d" % worker.exitcode)
    return results


def fill_registry(directory, scratch):
    """A registry that has the images, so that pulls can be repeated after a cut."""
    registry = registries.Registry(scratch + "/registry").start()
    daemon = harness.Daemon(name="flushes")
    try:
        daemon.start()
        for archive in glob.glob(directory + "/*.tar"):
            name = os.path.basename(archive)[:-4]
            daemon.berth("image", "load", "-q", "-i", archive)
            daemon.berth("push", "-q", "--plain-http", name, "%s/%s:again" % (registry.host, name))
    finally:
        daemon.stop()
    return registry


def replay(options, scratch, registry):
    log = write_log.WriteLog(options.directory + "/log")
    flushes, count, records = log.flushes(), len(log.entries), read_ledger(options.directory, log)
    print("recorded: %d writes and flushes, %d flushes, %d records of the ledger; seed %d" % (count, len(flushes), len(records), options.seed), flush=True)
    if not records or not flushes:
        print("nothing was recorded")
        return 1
    # Before the first record nothing is promised, and the store is not there yet.
    plan = cuts.choose(flushes, count, options.cuts, options.variants, options.seed, records[0].index)
    began = time.monotonic()
    results = in_workers(options, scratch, registry.host, plan)
    total = store_check.Report()
    for _, report, _ in results:
        for name in vars(total) if report else ():
            setattr(total, name, getattr(total, name) + getattr(report, name))
    corrupt = sum(1 for result in results if result[2])
    at_flushes = sum(1 for cut, _, _ in results if cut.seed is None)
    print("%d facts that had been told hold, %d files of layers are what they were, %d directories of nobody set aside; %.1f s" % (
        total.facts, total.files, total.set_aside, time.monotonic() - began), flush=True)
    missed = []
    for what, plan, damage in (
            ("a blob of zeros", [cuts.Cut(flushes[-1] + 1, flushes[-1] + 1)], zero_a_blob),
            ("a disk that lies", cuts.lying(flushes, ledger.told_at_once(records), options.lying, options.seed), lambda mount_point: None)):
        found = [complaint for _, _, complaint in in_workers(options, scratch, registry.host, plan, damage) if complaint]
        print("%s: %d of %d found%s" % (what, len(found), len(plan), ", as: %s" % found[0].split("\n")[0] if found else ""), flush=True)
        if plan and not found:
            missed.append(what)
    print("%d cuts at flushes, %d variants, %d blobs and %d layers verified; corrupt: %d" % (
        at_flushes, len(results) - at_flushes, total.blobs, total.layers, corrupt))
    for what in missed:
        print("the check did not find %s" % what)
    return 1 if corrupt or missed or not at_flushes or not total.layers else 0


def count_of(text):
    return 0 if text == "all" else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--cuts", type=count_of, default=5, help="how many flushes, or all")
    parser.add_argument("--variants", type=int, default=1, help="after each, of what may stand until the next")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lying", type=int, default=3, help="cuts of a disk that says flushed when it is not, of which one must be found")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="cuts that are looked at side by side")
    options = parser.parse_args()
    if not os.environ.get("BERTH_FLUSHES_UNSHARED"):
        os.environ["BERTH_FLUSHES_UNSHARED"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable] + sys.argv)
    scratch = tempfile.mkdtemp(prefix="berth-flushes-")
    registry = None
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "flushes", scratch], check=True)
        registry = fill_registry(options.directory, scratch)
        return replay(options, scratch, registry)
    finally:
        if registry:
            registry.stop()
        subprocess.run(["umount", "-l", scratch], check=True)
        shutil.rmtree(scratch)
        for group in glob.glob("/sys/fs/cgroup/*/" + store_check.NAMESPACE) + ["/sys/fs/cgroup/" + store_check.NAMESPACE]:
            try:
                os.rmdir(group)
            except OSError:
                pass


if __name__ == "__main__":
    sys.exit(main())
