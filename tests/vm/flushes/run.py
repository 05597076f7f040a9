#!/usr/bin/env python3
"""Cuts the power at flushes of a recorded session, and opens the store on what each cut leaves.

    BERTH_BIN=PREFIX/bin tests/vm/flushes/run.py DIRECTORY [--cuts N|all] [--variants N] [--seed N] [--lying N]

DIRECTORY is what tests/vm/run --only flushes --record DIRECTORY made: `base` (the disk before), `log` (the writes), `expected.json`, `ledger_block`.
Ends with: N cuts at flushes, N variants, N blobs and N layers verified; corrupt: N.
Two checks of the check follow: a blob's bytes are zeroed, and a disk that says flushed when it is not (--lying cuts): both must be found.
"""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cuts  # noqa: E402
import disk_image  # noqa: E402
import ledger  # noqa: E402
import store_check  # noqa: E402
import write_log  # noqa: E402

LAG = 40


class Replay:
    """One recorded session; `scratch` is in memory and gone with the mount namespace."""

    def __init__(self, directory, scratch, programs):
        self.directory, self.scratch = directory, scratch
        self.log = write_log.WriteLog(directory + "/log")
        with open(directory + "/ledger_block") as file:
            self.records = ledger.read(self.log, int(file.read()) * ledger.RECORD_BYTES)
        with open(directory + "/expected.json") as file:
            self.check = store_check.StoreCheck(programs, scratch, json.load(file))

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
                    yield cut, None, broken
        finally:
            image.close()


def zero_a_blob(mount_point):
    blobs = sorted(glob.glob(mount_point + "/root/content/blobs/sha256/*"), key=os.path.getsize)
    os.chmod(blobs[-1], 0o644)
    with open(blobs[-1], "r+b") as file:
        file.write(bytes(os.path.getsize(blobs[-1])))


def replay(options, scratch):
    session = Replay(options.directory, scratch, os.environ["BERTH_BIN"])
    flushes, count = session.log.flushes(), len(session.log.entries)
    print("recorded: %d writes and flushes, %d flushes, %d records of the ledger; seed %d" % (count, len(flushes), len(session.records), options.seed))
    if not session.records or not flushes:
        print("nothing was recorded")
        return 1
    # Before the first record nothing is promised, and the store is not there yet.
    first = session.records[0].index
    total, corrupt, at_flushes, variants = store_check.Report(), 0, 0, 0
    began = time.monotonic()
    for cut, report, complaint in session.go(cuts.choose(flushes, count, options.cuts, options.variants, options.seed, first)):
        if cut.seed is None:
            at_flushes += 1
        else:
            variants += 1
        if complaint:
            corrupt += 1
            print("%s: %s" % (cut, complaint), flush=True)
            continue
        for name in vars(total):
            setattr(total, name, getattr(total, name) + getattr(report, name))
    print("%d facts that had been told hold, %d files of layers are what they were; %.1f s" % (total.facts, total.files, time.monotonic() - began))
    missed = []
    for what, plan, damage in (
            ("a blob of zeros", [cuts.Cut(flushes[-1] + 1, flushes[-1] + 1)], zero_a_blob),
            ("a disk that lies", cuts.lying(flushes, options.lying, LAG, options.seed), None)):
        found = [complaint for _, _, complaint in session.go(plan, damage) if complaint]
        print("%s: %d of %d found%s" % (what, len(found), len(plan), ", as: %s" % str(found[0]).split("\n")[0] if found else ""), flush=True)
        if plan and not found:
            missed.append(what)
    print("%d cuts at flushes, %d variants, %d blobs and %d layers verified; corrupt: %d" % (at_flushes, variants, total.blobs, total.layers, corrupt))
    for what in missed:
        print("the check did not find %s" % what)
    return 1 if corrupt or missed or not at_flushes or not total.layers else 0


def count_of(text):
    return 0 if text == "all" else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--cuts", type=count_of, default=8, help="how many flushes, or all")
    parser.add_argument("--variants", type=int, default=1, help="after each, of what may stand until the next")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lying", type=int, default=4, help="cuts of a disk that lies, of which one must be found")
    options = parser.parse_args()
    if not os.environ.get("BERTH_FLUSHES_UNSHARED"):
        os.environ["BERTH_FLUSHES_UNSHARED"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable] + sys.argv)
    scratch = tempfile.mkdtemp(prefix="berth-flushes-")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "flushes", scratch], check=True)
        return replay(options, scratch)
    finally:
        subprocess.run(["umount", "-l", scratch], check=True)
        shutil.rmtree(scratch)
        for group in glob.glob("/sys/fs/cgroup/*/" + store_check.NAMESPACE) + ["/sys/fs/cgroup/" + store_check.NAMESPACE]:
            try:
                os.rmdir(group)
            except OSError:
                pass


if __name__ == "__main__":
    sys.exit(main())
