"""A process that takes a store through all it does to its files, and says what is kept: `... FILE [power|process]`.

open - answers - ballast - backup - answers - damage: set aside, restored - answers - close

Each step is one line on stdout, after it was done: `kept <id>`, `lost <id>`, `backing up`, `backed up`, `damaged`,
`new file`. Each thread makes the same calls each time, but for which of them moves a page of the log: upkeep runs after
each answer and at no other time.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from runner.results import care as care_module
from runner.results import writer as module
from runner.results.care import Care
from runner.results.reading import Reader
from runner.results.retention import Limits
from runner.results.room import Room
from runner.results.writer import Writer
from tests.doubles.result_rows import Outcomes, accepted, answered, plan_of, writing

Durability = Literal["power", "process"]
BALLAST_BYTES = 65_536
# After a failure the next answer finds the store failing, its upkeep mends it, and the one after that is kept.
_ANSWERS = 4


def main(path: Path, durability: Durability) -> None:
    module._TICK_S = 3600.0
    care_module._LOG_BYTES = care_module._LONG_LOG_PAGES = 0
    plan = replace(
        plan_of(path, durability, locked_s=5.0),
        room=Room(path.parent, 0, BALLAST_BYTES),
        limits=Limits(days=1e6, max_bytes=1 << 30),
        backup_s=3600.0,
    )
    with writing(plan) as (writer, outcomes):
        care = Care(plan, writer)
        steps = _Steps(writer, outcomes, care)
        steps.record(_ANSWERS)
        plan.room.mend()
        say("backing up")
        care._back_up()
        if care.at_ms is not None:
            say("backed up")
        steps.record(_ANSWERS)
        # As the station's loop does: its reader holds the old file, with its log, while that is set aside.
        reader = None
        with suppress(sqlite3.Error):
            reader = Reader(path)
            reader.find(("host", "r1"))
        say("damaged")
        writer.distrust(writer.generation, "a page is not what it was")
        while not writer.condition.files:
            steps.record(1)
        say("new file")
        steps.record(1)
        if reader is not None:
            reader.close()
        steps.record(_ANSWERS)
        if not steps.kept:
            # What failed was the last of them: also then it recovers.
            steps.record(_ANSWERS)


def say(line: str) -> None:
    print(line, flush=True)


class _Steps:
    def __init__(self, writer: Writer, outcomes: Outcomes, care: Care) -> None:
        self._writer, self._outcomes, self._care = writer, outcomes, care
        self._number = 0
        self.kept = False

    def record(self, count: int) -> None:
        """Each answer is awaited, and so is the upkeep after it; then its log is moved, the end of it by the writer."""
        for _ in range(count):
            self._number += 1
            row = accepted(self._number)
            self._writer._look_at_s = 0.0
            self._writer.put(answered(row), self._outcomes.of(f"r{self._number}"))
            name, self.kept = self._outcomes.wait(len(self._outcomes.told) + 1)[-1]
            say(f"{'kept' if self.kept else 'lost'} {name}")
            self._care._move_log()


if __name__ == "__main__":
    main(Path(sys.argv[1]), "process" if sys.argv[2:] == ["process"] else "power")
