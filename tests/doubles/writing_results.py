"""A process that writes results and says which are kept: `python -m tests.doubles.writing_results FILE LIFE COUNT`.

One line per answer, `kept <id>` or `lost <id>`, after it was told so; one in three rows stays open.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runner.results import care as care_module
from runner.results import writer as module
from runner.results.care import Care
from tests.doubles.result_rows import accepted, answered, plan_of, writing

OPEN_EVERY = 3


def main(path: Path, life: int, count: int) -> None:
    # Upkeep comes between the writes too, and the log is moved beside them.
    module._TICK_S = care_module._TICK_S = 0.001
    care_module._LOG_BYTES = care_module._LONG_LOG_PAGES = 0
    plan = plan_of(path, "power", locked_s=5.0)
    with writing(plan) as (writer, outcomes):
        care = Care(plan, writer)
        care.start()
        for number in range(life * 100_000, life * 100_000 + count):
            row = accepted(number)
            writer.put(row)
            if number % OPEN_EVERY == 0:
                continue
            writer.put(answered(row), outcomes.of(f"r{number}"))
            name, kept = outcomes.wait(len(outcomes.told) + 1)[-1]
            print("kept" if kept else "lost", name, flush=True)
        care.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
