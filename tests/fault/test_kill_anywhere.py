"""Kills at random system calls, two thousand or in the long form ten thousand: no leak, no lost exit, no wrong status."""
import os
import subprocess
import unittest

from fault import LONG
from harness import BIN

HERE = os.path.dirname(os.path.abspath(__file__))


class KillAnywhereTest(unittest.TestCase):
    def test_kills_at_random_system_calls(self):
        if not os.path.exists(BIN + "/kill_anywhere_worker"):
            self.skipTest("no kill_anywhere_worker in BERTH_BIN: tools/test builds it")
        result = subprocess.run([HERE + "/kill_anywhere", "--kills", "10000" if LONG else "2000"], capture_output=True, text=True,
                                timeout=7200)
        print(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
