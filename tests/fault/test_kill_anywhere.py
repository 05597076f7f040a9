"""Two hundred kills at random system calls (2,000 in the long form): no leak, no lost exit, no wrong status."""
import os
import subprocess
import unittest

from fault import amount
from harness import BIN

HERE = os.path.dirname(os.path.abspath(__file__))


class KillAnywhereTest(unittest.TestCase):
    def test_kills_at_random_system_calls(self):
        if not os.path.exists(BIN + "/kill_anywhere_worker"):
            self.skipTest("no kill_anywhere_worker in BERTH_BIN: tools/test builds it")
        result = subprocess.run([HERE + "/kill_anywhere", "--kills", str(amount(200, 2000))], capture_output=True, text=True,
                                timeout=amount(900, 7200))
        print(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
