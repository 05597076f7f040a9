"""write_log.py: logs made by hand, right ones and broken ones."""
import os
import tempfile
import unittest

import write_log


def log_bytes(entries, sector_bytes=512, magic=write_log.MAGIC, version=write_log.VERSION, count=None):
    """`entries`: (sector, flags, data or a number of sectors)."""
    out = [write_log.SUPER.pack(magic, version, len(entries) if count is None else count, sector_bytes).ljust(sector_bytes, b"\0")]
    for sector, flags, data in entries:
        sectors = data if isinstance(data, int) else len(data) // sector_bytes
        out.append(write_log.HEAD.pack(sector, sectors, flags, 0).ljust(sector_bytes, b"\0"))
        out.append(b"" if isinstance(data, int) else data)
    return b"".join(out)


class LogFile(unittest.TestCase):
    """Base: a log in a file of the test's own."""

    def open(self, content):
        file = tempfile.NamedTemporaryFile(prefix="berth-log-", delete=False)
        self.addCleanup(os.unlink, file.name)
        with file:
            file.write(content)
        log = write_log.WriteLog(file.name)
        self.addCleanup(log.close)
        return log


class WriteLogTest(LogFile):
    def test_entries_with_and_without_data(self):
        log = self.open(log_bytes([(8, 0, b"a" * 1024), (0, write_log.FLUSH, 0), (4, write_log.DISCARD, 6), (2, write_log.FUA, b"b" * 512)]))
        self.assertEqual([(e.offset, e.length) for e in log.entries], [(4096, 1024), (0, 0), (2048, 3072), (1024, 512)])
        self.assertEqual(log.data(log.entries[0]), b"a" * 1024)
        self.assertIsNone(log.data(log.entries[2]))
        self.assertEqual(log.data(log.entries[3]), b"b" * 512)
        self.assertEqual(log.flushes(), [1])
        self.assertTrue(log.entries[3].is_durable)

    def test_large_sectors(self):
        log = self.open(log_bytes([(1, 0, b"c" * 4096)], sector_bytes=4096))
        self.assertEqual((log.entries[0].offset, log.data(log.entries[0])), (4096, b"c" * 4096))

    def test_what_the_super_block_does_not_count_is_not_there(self):
        self.assertEqual(len(self.open(log_bytes([(0, 0, b"x" * 512)] * 3, count=2)).entries), 2)

    def test_what_is_no_log_is_refused(self):
        for content, word in ((b"", "super block"), (log_bytes([], magic=7), "magic"), (log_bytes([], version=2), "version 2"),
                              (log_bytes([], sector_bytes=512)[:24] + b"\x03\0\0\0" + bytes(512), "sectors of 3"),
                              (log_bytes([(0, 0, b"x" * 512)], count=9), "behind the end"),
                              (log_bytes([(0, 0, b"x" * 512)])[:-1], "beyond the end")):
            with self.assertRaisesRegex(write_log.BadLog, word):
                self.open(content)


if __name__ == "__main__":
    unittest.main()
