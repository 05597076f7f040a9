"""Which moments of a log to cut the power at, and what of the writes since the last flush a disk may have kept there.

A cut says: everything before entry `kept` is on the disk (`kept` is one past a flush, or 0); of the entries from there to `end` a `choice` of
the seed's is, or none where the seed is None. Entries that asked for durability of their own (FUA) and were followed by others are always on
it. Disks write whole sectors only, so the entries that were in flight may be torn between sectors, in any order. Immutable; pure.
"""
import random

SECTOR_BYTES = 512


class Cut:
    def __init__(self, kept, end, seed=None):
        self.kept, self.end, self.seed = kept, end, seed

    def __str__(self):
        if self.seed is None:
            return "after entry %d" % self.kept
        return "after entry %d, of the writes to entry %d what seed %d keeps" % (self.kept, self.end, self.seed)


def choose(flushes, entry_count, count, variants, seed, first=0):
    """Cuts at `count` of the flushes (0: at all) from entry `first` on, each followed by `variants` of what may stand until the next."""
    candidates = [position for position, flush in enumerate(flushes) if flush >= first]
    source = random.Random(seed)
    if count and count < len(candidates):
        candidates = sorted(source.sample(candidates, count))
    cuts = []
    for position in candidates:
        kept = flushes[position] + 1
        cuts.append(Cut(kept, kept))
        following = flushes[position + 1] if position + 1 < len(flushes) else entry_count
        # Without a write in between there is nothing to choose from.
        for _ in range(variants if following > kept else 0):
            cuts.append(Cut(kept, source.randint(kept + 1, following), source.randrange(1 << 30)))
    return cuts


def lying(flushes, told, count, seed):
    """Cuts of a disk that says flushed when it is not. `told`: (begin, end) entries of what was told to be done; nothing since its beginning is there."""
    source = random.Random(seed)
    chosen = source.sample(told, min(count, len(told)))
    return sorted((Cut(max([flush + 1 for flush in flushes if flush < begin], default=0), end + 1) for begin, end in chosen), key=lambda cut: cut.kept)


def choice(cut, entries):
    """(entry, sectors) that the disk kept of cut.kept..cut.end, in order; `sectors` is None for all of it, else a set of their numbers in it."""
    if cut.seed is None:
        return []
    source = random.Random(cut.seed)
    # Some disks keep nearly all of it and some nearly nothing.
    share = source.random()
    kept = []
    for index in range(cut.kept, cut.end):
        entry = entries[index]
        if entry.length == 0:
            continue
        if entry.is_durable and index + 1 < cut.end:
            kept.append((entry, None))
            continue
        if source.random() > share:
            continue
        sectors = entry.length // SECTOR_BYTES
        if sectors < 2 or entry.is_discard or source.random() < 0.7:
            kept.append((entry, None))
        elif source.random() < 0.5:
            kept.append((entry, set(range(source.randrange(1, sectors)))))
        else:
            kept.append((entry, {number for number in range(sectors) if source.random() < 0.5}))
    return kept
