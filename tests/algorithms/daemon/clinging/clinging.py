"""Leaves a child behind, and does not end when it is asked to unless a test lets go of it."""

import subprocess
import sys
import time

from tests.algorithms.daemon.plain import FOLDER, Plain


class Algorithm(Plain):
    def setup(self) -> None:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])

    def teardown(self) -> None:
        if not (FOLDER / "let-go").exists():
            time.sleep(3600)
