"""disk_image.py: the disk goes forward, and copies of it hold what the cut says."""
import os
import tempfile
import unittest

import cuts
import disk_image
import write_log
from test_write_log import LogFile, log_bytes


class DiskImageTest(LogFile):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="berth-disk-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.base = self.directory + "/base"
        with open(self.base, "wb") as file:
            file.write(b"-" * 4096)
            file.truncate(1 << 20)

    def image(self, entries):
        image = disk_image.DiskImage(self.base, self.directory, self.open(log_bytes(entries)))
        self.addCleanup(image.close)
        return image

    def stand_after(self, image, cut):
        target = self.directory + "/target"
        image.stand_after(cut, target)
        with open(target, "rb") as file:
            return file.read()

    def test_what_was_flushed_is_there_and_no_more(self):
        image = self.image([(0, 0, b"a" * 512), (0, write_log.FLUSH, 0), (1, 0, b"b" * 512), (0, write_log.FLUSH, 0)])
        first = self.stand_after(image, cuts.Cut(2, 2))
        self.assertEqual(first[:1024], b"a" * 512 + b"-" * 512)
        self.assertEqual(self.stand_after(image, cuts.Cut(4, 4))[:1024], b"a" * 512 + b"b" * 512)
        self.assertEqual(len(first), 1 << 20)
        self.assertEqual(os.path.getsize(self.base), 1 << 20)
        with open(self.base, "rb") as file:
            self.assertEqual(file.read(512), b"-" * 512)

    def test_variants_do_not_go_into_what_is_kept(self):
        entries = [(0, write_log.FLUSH, 0)] + [(number, 0, b"x" * 512) for number in range(8)]
        image = self.image(entries)
        seen = set()
        for seed in range(30):
            content = self.stand_after(image, cuts.Cut(1, 9, seed))[:4096]
            self.assertTrue(set(content[at:at + 512] for at in range(0, 4096, 512)) <= {b"x" * 512, b"-" * 512})
            seen.add(content)
        self.assertTrue(len(seen) > 5)
        self.assertEqual(self.stand_after(image, cuts.Cut(1, 1))[:4096], b"-" * 4096)

    def test_torn_writes_end_between_sectors(self):
        image = self.image([(0, 0, bytes(range(256)) * 16)])
        torn = 0
        for seed in range(60):
            content = self.stand_after(image, cuts.Cut(0, 1, seed))[:4096]
            sectors = [content[at:at + 512] == b"-" * 512 for at in range(0, 4096, 512)]
            torn += len(set(sectors)) == 2
        self.assertTrue(torn)

    def test_what_was_discarded_reads_as_zeros(self):
        image = self.image([(1, write_log.DISCARD, 2)])
        self.assertEqual(self.stand_after(image, cuts.Cut(1, 1))[:2048], b"-" * 512 + bytes(1024) + b"-" * 512)

    def test_it_never_goes_back(self):
        image = self.image([(0, 0, b"a" * 512), (0, write_log.FLUSH, 0)])
        image.advance(2)
        with self.assertRaises(ValueError):
            image.advance(1)

    def test_a_write_outside_is_refused(self):
        with self.assertRaises(ValueError):
            self.image([(1 << 11, 0, b"a" * 512)]).advance(1)


if __name__ == "__main__":
    unittest.main()
