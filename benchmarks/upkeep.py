"""How long an answer waits for its commit while the store is kept in bounds: pruned at its limit, its log moved.

    python -m benchmarks.upkeep [--seconds 20] [--rows-per-s 500] [--max-mb 64] [--rounds 2] [--backup] [--json]

The writer of results and its care alone, on a file that is full already, with `durability` process and power one after
the other in rounds. Each row is an answer as a host gets it, and somebody waits for it; the next is asked at its time,
whether or not the one before is kept. With --backup one backup after the other is made meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal

from benchmarks.chaos_faults import distribution
from runner.clock import monotonic_s, wall_ms
from runner.results import backup
from runner.results.care import Care
from runner.results.plan import WriterPlan
from runner.results.retention import Limits
from runner.results.room import Room
from runner.results.rows import Accepted, Answered
from runner.results.writer import Writer

MODES: tuple[Literal["process", "power"], ...] = ("process", "power")
PERCENTS = (50, 99, 99.9)
# An answer of two steps with a few rectangles.
ANSWER_BYTES = 1400
# What filling left to do, upkeep does first.
_SETTLE_S = 3.0
_MIB = 1024 * 1024


def row_of(number: int) -> Answered:
    accepted = Accepted(("host", f"request-{number}"), "PRODUCT", bytes(32), f"pv1.pv-s.0.{number}", wall_ms())
    return Answered(accepted, "OK", "NG", "", bytes(ANSWER_BYTES), wall_ms())


class Store:
    """A writer and its care on a file of their own."""

    def __init__(self, folder: Path, durability: Literal["process", "power"], max_mb: int) -> None:
        self.path = folder / durability / "results.sqlite"
        limits, room = Limits(90.0, max_mb * _MIB), Room(self.path.parent, 0, 0)
        self._plan = WriterPlan(self.path, "life", durability, limits, room, lambda *_: b"")
        self.number = 0

    def __enter__(self) -> Store:
        opened = Event()
        self.writer = Writer(self._plan, lambda call: call())
        self.writer.start(opened.set)
        opened.wait()
        self._care = Care(self._plan, self.writer)
        self._care.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._care.stop()
        self.writer.stop()

    def put(self, told: Callable[[bool], None] | None = None) -> None:
        self.number += 1
        self.writer.put(row_of(self.number), told)

    def fill(self, max_mb: int) -> None:
        """Until it holds as much as it may."""
        while self.writer.condition.bytes < max_mb * _MIB:
            for _ in range(2000):
                self.put()
            self._written()
        time.sleep(_SETTLE_S)

    def _written(self) -> None:
        """Return when all that was asked is kept."""
        done = Event()
        self.put(lambda _: done.set())
        done.wait()

    def log_bytes(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size


@contextmanager
def backing_up(store: Store) -> Iterator[list[float]]:
    """One backup after the other, as `store.backup_s` makes them; how many seconds each took."""
    took_s: list[float] = []
    stopping = Event()

    def work() -> None:
        began_s = monotonic_s()
        while backup.make(store.path, stopping):
            took_s.append(monotonic_s() - began_s)
            began_s = monotonic_s()

    thread = Thread(target=work)
    thread.start()
    try:
        yield took_s
    finally:
        stopping.set()
        thread.join()


def waits_ms(store: Store, seconds: float, rows_per_s: float) -> list[float]:
    """How long each row waited, from when it was asked to when it was told kept; SystemExit when one was not."""
    found: list[float] = []
    lost = 0

    def asked() -> Callable[[bool], None]:
        at_s = monotonic_s()

        def told(kept: bool) -> None:
            # Told by the writer's thread, which nobody hears when it ends.
            nonlocal lost
            lost += not kept
            found.append((monotonic_s() - at_s) * 1000)

        return told

    began_s = monotonic_s()
    count = int(seconds * rows_per_s)
    for number in range(count):
        time.sleep(max(0.0, began_s + number / rows_per_s - monotonic_s()))
        store.put(asked())
    while len(found) < count:
        time.sleep(0.01)
    if lost:
        raise SystemExit(f"{lost} rows were not kept: {store.writer.condition}")
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    ends: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="upkeep-") as name:
        stores = {mode: Store(Path(name), mode, options.max_mb) for mode in MODES}
        for _ in range(options.rounds):
            for mode, store in stores.items():
                with store:
                    store.fill(options.max_mb)
                    with backing_up(store) if options.backup else nullcontext([]) as took_s:
                        found[mode] += waits_ms(store, options.seconds, options.rows_per_s)
                    told = store.writer.condition
                    ends[mode] = {"rows": told.rows, "bytes": told.bytes, "pruned": told.pruned}
                    ends[mode] |= {"log_bytes": store.log_bytes(), "backups_s": [round(one, 2) for one in took_s]}
    rows = {mode: {"wait_ms": distribution(waits, PERCENTS), **ends[mode]} for mode, waits in found.items()}
    return {"rows_per_s": options.rows_per_s, "max_mb": options.max_mb, **rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upkeep", description="What upkeep costs a commit.")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each round")
    parser.add_argument("--rows-per-s", type=float, default=500.0)
    parser.add_argument("--max-mb", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backup", action="store_true", help="make backups meanwhile")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    told = measure(options)
    if options.json:
        print(json.dumps(told))
        return 0
    print(f"{options.rows_per_s:g} rows/s of {ANSWER_BYTES} bytes, store at its limit of {options.max_mb} MiB")
    for mode in MODES:
        print(f"{mode:8} {told[mode]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
