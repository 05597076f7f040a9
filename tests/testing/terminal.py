"""A program at a pseudo-terminal, driven as a user would: type, wait for words, resize, look at the mode."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time


class Terminal:
    def __init__(self, argv, env=None, rows=24, columns=80):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=dict(os.environ, **(env or {})),
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        # On the slave's side as well as the master's it is one terminal: the foreground group gets SIGWINCH.
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def read(self, timeout_s):
        if select.select([self.master], [], [], timeout_s)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                pass

    def expect(self, word, timeout_s=20):
        """Reads until `word` appears; what came before it and it are forgotten, and returned."""
        word = word.encode() if isinstance(word, str) else word
        deadline = time.monotonic() + timeout_s
        while word not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError("%r did not come; the terminal shows %r" % (word, self.seen[-2000:]))
            self.read(0.1)
        end = self.seen.index(word) + len(word)
        past, self.seen = self.seen[:end], self.seen[end:]
        return past

    def wait(self, timeout_s=20):
        """The exit code; what the program writes meanwhile is kept."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError("the program goes on; the terminal shows %r" % self.seen[-2000:])
            self.read(0.05)
        self.read(0)
        return self.process.returncode

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
