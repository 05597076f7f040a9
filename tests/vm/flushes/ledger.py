"""What a client had been told by a certain write: the guest's ledger, found among the logged writes themselves.

The ledger is an area behind the filesystem, one record per block of 4096 bytes, written past all caches (O_DIRECT), so that a record has its place among the
writes and flushes: what was told before the cut is what records before the cut say, whether the disk kept them or not. A record is a line:

    SECONDS begin KIND NAME              its state is about to change: either is right
    SECONDS done KIND NAME present WORD  it is there, and WORD says what it is
    SECONDS done KIND NAME absent -
    SECONDS tick - -                     nothing, but so late was it

SECONDS is the guest's uptime. Kinds in DELAYED are promised to be on the disk a second after they were told; until then either state is right.
Immutable once read.
"""
RECORD_BYTES = 4096
DELAYED = {"container": 1.0, "active": 1.0}
# The promise is kept by a thread of a guest that is emulated on a busy machine.
MARGIN_SECONDS = 4.0


class Record:
    def __init__(self, index, line):
        words = line.split()
        if len(words) < 4:
            raise ValueError("no record of the ledger: %r" % line)
        self.index = index
        self.seconds = float(words[0])
        self.verb, self.kind, self.name = words[1:4]
        self.state = words[4] if len(words) > 4 else ""
        self.word = words[5] if len(words) > 5 else ""
        if self.verb not in ("begin", "done", "tick") or (self.verb == "done" and self.state not in ("present", "absent")):
            raise ValueError("no record of the ledger: %r" % line)


def read(log, start):
    """The records among the writes at `start` bytes and behind it."""
    records = []
    for index, entry in enumerate(log.entries):
        if entry.length and entry.offset >= start and not entry.is_discard:
            data = log.data(entry)
            for at in range(0, len(data), RECORD_BYTES):
                text = data[at:at + RECORD_BYTES].rstrip(b"\0 \n").decode()
                if text:
                    records.append(Record(index, text))
    return records


def promises(records, end):
    """{(kind, name): record} of what holds at a cut before entry `end`, and the set of (kind, name) in doubt there."""
    told = [record for record in records if record.index < end]
    holds, doubt = {}, set()
    now = told[-1].seconds if told else 0.0
    for record in told:
        key = (record.kind, record.name)
        if record.verb == "begin":
            holds.pop(key, None)
            doubt.add(key)
        elif record.verb == "done":
            delay = DELAYED.get(record.kind)
            if delay is None or now - record.seconds >= delay + MARGIN_SECONDS:
                holds[key] = record
                doubt.discard(key)
            else:
                holds.pop(key, None)
                doubt.add(key)
    return holds, doubt


def told_at_once(records):
    """(begin, done) entries of what was promised to be on the disk when it was told."""
    begun, told = {}, []
    for record in records:
        key = (record.kind, record.name)
        if record.verb == "begin":
            begun[key] = record.index
        elif record.verb == "done" and record.kind not in DELAYED:
            told.append((begun[key], record.index))
    return told
