#!/usr/bin/env python3
"""Runs the integration tests (all, or the files named) and ends with one line: N passed, N failed, N skipped.

    BERTH_BIN=PREFIX/bin tests/integration/run.py [test_images test_run.RunTest.test_exit_code ...]
"""
import importlib.util
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.stream.writeln("    %.1f s" % (time.monotonic() - self.began))


def each_test(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from each_test(part)
        else:
            yield part


def skip_listed(suite, path):
    """Skips what the file's TESTS name (part of a test's id -> reason): tests/sanitize/skips.py."""
    spec = importlib.util.spec_from_file_location("listed", path)
    listed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(listed)
    for test in each_test(suite):
        for part, reason in listed.TESTS.items():
            if part in test.id():
                skipped = unittest.skip(reason)(lambda: None)
                setattr(test, test._testMethodName, skipped)


def main():
    # A shell starts what it puts in the background with SIGINT ignored, and so would every program under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, HERE)
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(sys.argv[1:]) if len(sys.argv) > 1 else loader.discover(HERE, "test_*.py")
    if os.environ.get("BERTH_TEST_SKIPS"):
        skip_listed(suite, os.environ["BERTH_TEST_SKIPS"])
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    for test, reason in result.skipped:
        print("skipped: %s: %s" % (test, reason))
    print("%d passed, %d failed, %d skipped" % (result.testsRun - failed - skipped, failed, skipped))
    return 1 if failed or result.testsRun == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
