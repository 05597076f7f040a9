"""The log of a disk's writes as qemu's block filter blklogwrites leaves it (the format of Linux's dm-log-writes), read.

All numbers are little-endian. The first sector is the super block: magic, version, number of entries (64 bits each), sector size (32).
Each entry has a sector for its head (sector, number of sectors, flags, length of data; 64 bits each) and then, unless it discards, its
sectors. Only as many entries count as the super block says: it is written with each flush. A write has its place in the log from when it was submitted, a
flush from when it was asked for; whoever waits for its writes before it flushes, as ext4 does, finds them before the flush.
Immutable once read; the data stays in the file.
"""
import os
import struct

MAGIC = 0x6A736677736872
VERSION = 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SUPER = struct.Struct("<QQQI")
HEAD = struct.Struct("<QQQQ")
MAX_SECTOR_BYTES = 65536


class BadLog(Exception):
    """The file is no such log; says where and what was expected."""


class Entry:
    """One request: `offset` and `length` in bytes on the disk, `data_at` in the log."""
    __slots__ = ("offset", "length", "flags", "data_at")

    def __init__(self, offset, length, flags, data_at):
        self.offset, self.length, self.flags, self.data_at = offset, length, flags, data_at

    @property
    def is_flush(self):
        return bool(self.flags & FLUSH)

    @property
    def is_durable(self):
        return bool(self.flags & FUA)

    @property
    def is_discard(self):
        return bool(self.flags & DISCARD)


class WriteLog:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(self.fd).st_size
        head = os.pread(self.fd, SUPER.size, 0)
        if len(head) < SUPER.size:
            raise BadLog("%s: %d bytes are no super block" % (path, len(head)))
        magic, version, count, self.sector_bytes = SUPER.unpack(head)
        if magic != MAGIC or version != VERSION:
            raise BadLog("%s: magic %#x, version %d: no log of writes (expected %#x, %d)" % (path, magic, version, MAGIC, VERSION))
        if not HEAD.size <= self.sector_bytes <= MAX_SECTOR_BYTES or self.sector_bytes & (self.sector_bytes - 1):
            raise BadLog("%s: sectors of %d bytes" % (path, self.sector_bytes))
        self.entries = []
        at = self.sector_bytes
        for number in range(count):
            head = os.pread(self.fd, HEAD.size, at)
            if len(head) < HEAD.size:
                raise BadLog("%s: entry %d of %d would begin behind the end, at byte %d" % (path, number, count, at))
            sector, sectors, flags, _ = HEAD.unpack(head)
            at += self.sector_bytes
            length = sectors * self.sector_bytes
            data = 0 if flags & (DISCARD | MARK) else length
            if at + data > size:
                raise BadLog("%s: entry %d: its %d bytes go beyond the end of the log" % (path, number, data))
            self.entries.append(Entry(sector * self.sector_bytes, 0 if flags & MARK else length, flags, at))
            at += data

    def data(self, entry):
        """What was written; None for a discard."""
        if entry.is_discard:
            return None
        return os.pread(self.fd, entry.length, entry.data_at)

    def flushes(self):
        """The indexes of the flushes."""
        return [index for index, entry in enumerate(self.entries) if entry.is_flush]

    def close(self):
        os.close(self.fd)
