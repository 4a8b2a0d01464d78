"""Does not end when it is asked to, and left a child that does not either."""

import subprocess
import sys
import time

from tests.algorithms.daemon.plain import Plain


class Algorithm(Plain):
    def setup(self) -> None:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])

    def teardown(self) -> None:
        time.sleep(3600)
