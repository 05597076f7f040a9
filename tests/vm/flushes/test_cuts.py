"""cuts.py: what is chosen, and that a choice is what a disk might do."""
import unittest

import cuts
import write_log


def entry(length, flags=0):
    return write_log.Entry(0, length, flags, 0)


class CutsTest(unittest.TestCase):
    def test_all_flushes_from_the_first_that_counts(self):
        chosen = cuts.choose([2, 5, 9], 12, count=0, variants=0, seed=1, first=3)
        self.assertEqual([(cut.kept, cut.end, cut.seed) for cut in chosen], [(6, 6, None), (10, 10, None)])

    def test_some_flushes_with_variants_until_the_next_one(self):
        chosen = cuts.choose([2, 5, 9, 20], 30, count=2, variants=3, seed=4)
        self.assertEqual(len(chosen), 8)
        self.assertEqual(sum(cut.seed is None for cut in chosen), 2)
        ends = {3: 5, 6: 9, 10: 20, 21: 30}
        for cut in chosen:
            self.assertTrue(cut.end <= ends[cut.kept])
        self.assertEqual([cut.kept for cut in chosen], sorted(cut.kept for cut in chosen))

    def test_two_flushes_in_a_row_leave_nothing_to_vary(self):
        self.assertEqual(len(cuts.choose([4, 5], 6, count=0, variants=2, seed=1)), 2)

    def test_the_seed_says_it_all(self):
        entries = [entry(4096) for _ in range(50)]
        cut = cuts.Cut(0, 50, 77)
        self.assertEqual(cuts.choice(cut, entries), cuts.choice(cuts.Cut(0, 50, 77), entries))
        others = [cuts.choice(cuts.Cut(0, 50, seed), entries) for seed in range(5)]
        self.assertTrue(any(other != others[0] for other in others))

    def test_choices_are_of_the_window_and_may_be_torn(self):
        entries = [entry(4096) for _ in range(60)]
        torn = whole = 0
        for seed in range(40):
            for chosen, sectors in cuts.choice(cuts.Cut(10, 50, seed), entries):
                self.assertIn(entries.index(chosen), range(10, 50))
                if sectors is None:
                    whole += 1
                else:
                    torn += 1
                    self.assertTrue(sectors <= set(range(8)))
        self.assertTrue(torn and whole)

    def test_what_went_past_the_cache_is_there(self):
        entries = [entry(4096), entry(4096, write_log.FUA), entry(4096), entry(4096, write_log.FUA)]
        for seed in range(40):
            kept = [chosen for chosen, _ in cuts.choice(cuts.Cut(0, 4, seed), entries)]
            self.assertIn(entries[1], kept)
        # The last one may be under way.
        self.assertTrue(any(entries[3] not in [chosen for chosen, _ in cuts.choice(cuts.Cut(0, 4, seed), entries)] for seed in range(40)))

    def test_nothing_beyond_the_flush_without_a_seed(self):
        self.assertEqual(cuts.choice(cuts.Cut(0, 4), [entry(512)] * 4), [])

    def test_a_lying_disk_has_nothing_of_what_was_told(self):
        lost = cuts.lying([1, 3, 5, 7, 9], [(0, 2), (4, 6), (8, 10)], count=5, seed=1)
        self.assertEqual([(cut.kept, cut.end, cut.seed) for cut in lost], [(0, 3, None), (4, 7, None), (8, 11, None)])
        self.assertEqual(len(cuts.lying([1], [(0, 2), (4, 6)], count=1, seed=1)), 1)


if __name__ == "__main__":
    unittest.main()
