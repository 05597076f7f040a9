"""Events for subscribers that come back: `berth event --since-cursor` across kill -9 of berthd."""
import json
import os
import signal
import subprocess
import unittest

from event_watch import EventWatch
from harness import BIN, STOCK, BerthTest


@unittest.skipIf(STOCK, "containerd has no event log")
class EventLogTest(BerthTest):
    busybox = False

    def follow(self, cursor):
        """A `berth event` from `cursor`; ends with the test."""
        env = dict(os.environ, BERTH_ADDRESS=self.daemon.sock, BERTH_NAMESPACE=self.daemon.namespace)
        process = subprocess.Popen([BIN + "/berth", "event", "--format", "json", "--since-cursor", cursor,
                                    "namespace==" + self.daemon.namespace], env=env, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def read(self, process, count):
        events = [json.loads(process.stdout.readline()) for _ in range(count)]
        process.kill()
        return events

    def make(self, *names):
        for name in names:
            self.ctr("namespaces", "label", self.daemon.namespace, "mark=" + name)

    def marks(self, events):
        return [event["event"].get("labels", {}).get("mark", event["topic"]) for event in events]

    def cursor_now(self):
        mark = "begin-%s" % self.id().split(".")[-1]
        self.make(mark)
        process = self.follow("oldest")
        while True:
            event = json.loads(process.stdout.readline())
            if event["event"].get("labels", {}).get("mark") == mark:
                process.kill()
                return event["cursor"]

    def test_nothing_is_lost_while_away_and_across_kill(self):
        cursor = self.cursor_now()
        self.make("a")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.start()
        self.make("b")
        first = self.read(self.follow(cursor), 2)
        self.assertEqual(self.marks(first), ["a", "b"])
        epoch, sequence = cursor.split("-")
        self.assertEqual([e["cursor"] for e in first],
                         ["%s-%d" % (epoch, int(sequence) + 1), "%s-%d" % (epoch, int(sequence) + 2)])
        # Resumed in the middle, and then live.
        process = self.follow(first[0]["cursor"])
        self.assertEqual(self.marks([json.loads(process.stdout.readline())]), ["b"])
        self.make("c")
        self.assertEqual(self.marks([json.loads(process.stdout.readline())]), ["c"])

    def test_a_clean_restart_keeps_the_epoch(self):
        cursor = self.cursor_now()
        self.daemon.signal(signal.SIGTERM)
        self.daemon.start()
        self.make("after")
        events = self.read(self.follow(cursor), 1)
        self.assertEqual(self.marks(events), ["after"])
        self.assertEqual(events[0]["cursor"].split("-")[0], cursor.split("-")[0])

    def test_another_logs_cursor_is_told_as_a_gap(self):
        self.make("kept")
        event = self.read(self.follow("1-999999999"), 1)[0]  # an epoch long gone
        self.assertEqual(event["topic"], "/berth/events/gap")
        self.assertIn(event["event"]["reason"], ("REASON_POWER_CUT", "REASON_RETENTION", "REASON_UNKNOWN_CURSOR"))

    def test_a_bad_cursor_is_refused(self):
        process = self.follow("yesterday")
        out, err = process.communicate(timeout=20)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("EPOCH-SEQUENCE", err)

    def test_stock_ctr_is_not_disturbed(self):
        with EventWatch(self.daemon) as watch:
            self.make("seen")
            self.assertIn("/namespaces/update", watch.seen())


if __name__ == "__main__":
    unittest.main()
