#!/usr/bin/env python3
"""Kills berthd and its shims in the middle of everything; ends with one line: N passed, N failed, N skipped.

    BERTH_BIN=PREFIX/bin tests/fault/run.py [--long] [test_daemon_death.DaemonDeathTest.test_kill_9 ...]

The short form takes a few minutes on two cores. --long uses the numbers that are promised: 50 containers, 200 cycles of the daemon,
1000 lives by berth-runtime (three times, in parallel workers: tests/fault/run.py --long test_runtime_cycles).
"""
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    if "--long" in sys.argv:
        sys.argv.remove("--long")
        os.environ["BERTH_FAULT_LONG"] = "1"
    sys.path.insert(0, HERE)
    # The integration tests' runner, which has the same file name.
    spec = importlib.util.spec_from_file_location("runner", os.path.join(HERE, "..", "integration", "run.py"))
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    runner.HERE = HERE
    return runner.main()


if __name__ == "__main__":
    sys.exit(main())
