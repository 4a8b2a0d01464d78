"""Rows of results as tests need them, and a writer without a loop."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from runner.results.plan import WriterPlan
from runner.results.reading import listing
from runner.results.retention import Limits
from runner.results.room import Room
from runner.results.rows import Accepted, Answered, Listed, Selection
from runner.results.writer import Writer

# So long that the times below, of 1970, are not too old.
LIMITS = Limits(days=1e6, max_bytes=1 << 30)
PAYLOAD = b"p" * 32
# No measure of anything: only the difference between late and never.
LIMIT_S = 60.0


def accepted(number: int, pid: str = "p", received_at_ms: int = 1000) -> Accepted:
    return Accepted(("host", f"r{number}"), pid, PAYLOAD, f"pv1.pv-s.0.{number}", received_at_ms)


def answered(row: Accepted, verdict: str = "OK", finished_at_ms: int = 2000) -> Answered:
    return Answered(row, "OK", verdict, "", answer_to(row.key[1], verdict), finished_at_ms)


def answer_to(request_id: str, verdict: str = "OK") -> bytes:
    return f'{{"request_id": "{request_id}", "verdict": "{verdict}"}}'.encode()


def restarted(request_id: str, pid: str) -> bytes:
    return f'{{"request_id": "{request_id}", "pid": "{pid}", "error_code": "3004"}}'.encode()


def written(path: Path) -> list[Listed]:
    """All rows of a file, the oldest first."""
    return listing(path, Selection(last=100_000))[::-1]


class Outcomes:
    """What waiting ones were told, in order; runs here, as a loop would run it in its thread."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def tell(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def of(self, name: str) -> Callable[[bool], None]:
        return lambda kept: self.told.append((name, kept))

    def wait(self, count: int) -> list[tuple[str, bool]]:
        while len(self.told) < count:
            self._calls.get(timeout=LIMIT_S)()
        return self.told


def plan_of(path: Path, durability: Literal["power", "process"] = "process", locked_s: float = 0.05) -> WriterPlan:
    return WriterPlan(path, "this-life", durability, LIMITS, Room(path.parent, 0, 0), restarted, locked_s)


@contextmanager
def writing(plan: WriterPlan) -> Iterator[tuple[Writer, Outcomes]]:
    """A writer whose first try to open its file is over."""
    outcomes = Outcomes()
    writer = Writer(plan, outcomes.tell)
    writer.start(lambda: outcomes.told.append(("opened", True)))
    try:
        outcomes.wait(1)
        outcomes.told.clear()
        yield writer, outcomes
    finally:
        writer.stop()
