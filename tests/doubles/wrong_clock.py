"""A runner on a machine whose clock is set while it runs: `python -m tests.doubles.wrong_clock FILE serve ...`.

The file holds how many seconds its wall clock is off; the monotonic clock is the machine's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(file: Path) -> None:
    true_time = time.time

    def told() -> float:
        return true_time() + float(file.read_text("ascii") or "0")

    time.time = told
    from runner.cli import main as run

    run()


if __name__ == "__main__":
    offset = Path(sys.argv.pop(1))
    main(offset)
