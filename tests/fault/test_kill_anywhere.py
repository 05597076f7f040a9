"""Two thousand kills at random system calls, in the long form: no leak, no lost exit, no wrong status."""
import os
import subprocess
import unittest

from fault import LONG
from harness import BIN

HERE = os.path.dirname(os.path.abspath(__file__))


class KillAnywhereTest(unittest.TestCase):
    def test_kills_at_random_system_calls(self):
        if not LONG:
            self.skipTest("long form only: after some kills of both programs the subscriber heard of exit and delete seconds late")
        if not os.path.exists(BIN + "/kill_anywhere_worker"):
            self.skipTest("no kill_anywhere_worker in BERTH_BIN: tools/test builds it")
        result = subprocess.run([HERE + "/kill_anywhere", "--kills", "2000"], capture_output=True, text=True, timeout=7200)
        print(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
