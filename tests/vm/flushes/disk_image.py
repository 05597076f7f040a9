"""A disk in a sparse file that goes forward through a log of writes, and copies of it as they could stand after a cut.

Cuts must be asked for in the order of what they keep: the file never goes back. Thread-compatible; owned by the replay.
"""
import os

import cuts

CHUNK_BYTES = 1 << 20


def copy_sparse(source, target):
    """A copy without the holes, over whatever `target` was."""
    with open(source, "rb") as read, open(target, "wb") as write:
        size = os.fstat(read.fileno()).st_size
        write.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(read.fileno(), at, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            end = os.lseek(read.fileno(), at, os.SEEK_HOLE)
            while at < end:
                data = os.pread(read.fileno(), min(CHUNK_BYTES, end - at), at)
                os.pwrite(write.fileno(), data, at)
                at += len(data)


class DiskImage:
    def __init__(self, base, directory, log):
        self.log = log
        self.path = directory + "/disk"
        copy_sparse(base, self.path)
        self.file = open(self.path, "r+b", buffering=0)
        self.size = os.fstat(self.file.fileno()).st_size
        self.applied = 0

    def write(self, fd, entry, sectors=None):
        if entry.length == 0:
            return
        if entry.offset + entry.length > self.size:
            raise ValueError("a write of %d bytes at %d is outside of the disk" % (entry.length, entry.offset))
        data = self.log.data(entry)
        if data is None:
            data = bytes(entry.length)
        if sectors is None:
            os.pwrite(fd, data, entry.offset)
            return
        for number in sectors:
            at = number * cuts.SECTOR_BYTES
            os.pwrite(fd, data[at:at + cuts.SECTOR_BYTES], entry.offset + at)

    def advance(self, until):
        """Applies every entry before `until`."""
        if until < self.applied:
            raise ValueError("entry %d is behind: %d are applied" % (until, self.applied))
        for entry in self.log.entries[self.applied:until]:
            self.write(self.file.fileno(), entry)
        self.applied = until

    def stand_after(self, cut, target):
        """Makes `target` the disk as the cut left it."""
        self.advance(cut.kept)
        copy_sparse(self.path, target)
        with open(target, "r+b", buffering=0) as file:
            for entry, sectors in cuts.choice(cut, self.log.entries):
                self.write(file.fileno(), entry, sectors)

    def close(self):
        self.file.close()
