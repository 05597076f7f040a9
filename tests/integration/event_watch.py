"""`ctr events` beside a test, from before the first event that counts to after the last.

A subscriber hears nothing of what came before it, and its output arrives some time after the call that caused it. So both
ends are marked: a namespace of our own is made until its event is seen, and once more before the lines are handed out.
"""
import subprocess
import threading

from harness import wait_for


class EventWatch:
    def __init__(self, daemon):
        self.daemon = daemon
        self.lines = []
        self.marks = 0
        self.process = subprocess.Popen(daemon.ctr_argv("events"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def _mark(self):
        """Makes an event; the name to look for."""
        self.marks += 1
        name = "mark-%d" % self.marks
        self.daemon.ctr("namespaces", "create", name)
        self.daemon.ctr("namespaces", "rm", name)
        return name

    def _has(self, name):
        return any('"%s"' % name in line for line in list(self.lines))

    def __enter__(self):
        marks = []

        def heard():
            marks.append(self._mark())
            return any(self._has(name) for name in marks)
        try:
            wait_for(heard, 20, "the subscription of ctr events")
        except BaseException:
            self.close()
            raise
        return self

    def seen(self):
        """All lines up to now."""
        name = self._mark()
        wait_for(lambda: self._has(name), 10, "the event of " + name)
        return "".join(self.lines)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def __exit__(self, *_):
        self.close()
