"""ledger.py: what is promised at a cut, what is in doubt."""
import unittest

import ledger
from test_write_log import LogFile, log_bytes


def records(*lines):
    return [ledger.Record(index * 10, line) for index, line in enumerate(lines)]


class LedgerTest(LogFile):
    def test_records_are_found_behind_the_filesystem_only(self):
        line = b"1.5 done image a:1 present sha256:1".ljust(ledger.RECORD_BYTES)
        log = self.open(log_bytes([(0, 0, b"x" * 4096), (2048, 0, line), (0, 1, 0)]))
        found = ledger.read(log, 2048 * 512)
        self.assertEqual([(r.index, r.kind, r.name, r.state, r.word) for r in found], [(1, "image", "a:1", "present", "sha256:1")])

    def test_told_and_begun(self):
        told = records("1 begin image a", "2 done image a present x", "3 begin image a", "4 done image a absent -")
        for end, present, doubtful in ((0, None, False), (1, None, True), (11, "present", False), (21, None, True), (31, "absent", False)):
            holds, doubt = ledger.promises(told, end)
            self.assertEqual((holds[("image", "a")].state if holds else None, ("image", "a") in doubt), (present, doubtful))

    def test_what_may_take_a_second(self):
        told = records("1 begin container c", "2 done container c present -", "3 tick - -", "9 tick - -")
        self.assertEqual(ledger.promises(told, 21)[0], {})
        self.assertIn(("container", "c"), ledger.promises(told, 21)[1])
        holds, doubt = ledger.promises(told, 31)
        self.assertIn(("container", "c"), holds)
        self.assertEqual(doubt, set())

    def test_what_is_told_at_once(self):
        told = records("1 begin image a", "2 begin container c", "3 done container c present -", "4 done image a present x", "5 tick - -")
        self.assertEqual(ledger.told_at_once(told), [(0, 30)])

    def test_what_is_no_record_is_refused(self):
        for line in ("1 done image", "1 made image a", "1 done image a perhaps -", "now begin image a"):
            with self.assertRaises(ValueError):
                ledger.Record(0, line)


if __name__ == "__main__":
    unittest.main()
