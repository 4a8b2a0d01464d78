"""The tables of docs/performance.md out of what benchmarks.journey has told: no figure of the page is typed by hand.

    python -m benchmarks.journey ... --json > run.json
    python -m benchmarks.markdown run.json [more.json ...]

A column is a size and a placement, a row a contestant, a table one figure of one kind of round. Beside p50 stands the
interval of its ratio to the bare relay: to `copy_in_relay` for who copies an image in, to `asyncio_relay` for others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Row
from runner.dev.bench_statistics import Interval

Column = tuple[str, str]
Cell = Callable[[Row], str]


def p50(row: Row) -> str:
    measure = "copy_in_relay" if row.name.startswith("copy_in") else "asyncio_relay"
    ratio = row.ratios.get(measure)
    return f"{row.p50_us:.0f}" if ratio is None else f"{row.p50_us:.0f} ({ratio.low:.2f}-{ratio.high:.2f})"


FIGURES: dict[str, Cell] = {
    "p50, us (ratio to the bare relay)": p50,
    "p99, us": lambda row: f"{row.p99_us:.0f}",
    "inspections a second": lambda row: f"{row.per_s:.0f}",
    "CPU of an inspection, us": lambda row: f"{row.service_cpu_us:.0f}",
}


def row_of(told: dict[str, Any]) -> Row:
    """A row as the driver had it."""
    ratios = {measure: Interval(**ratio) for measure, ratio in told.get("ratios", {}).items()}
    return Row(**{**told, "ratios": ratios})


def tables(rows: list[Row]) -> Iterator[str]:
    """Line after line, a heading before each kind of round; what was absent, and why, below its tables."""
    for kind in dict.fromkeys((row.in_flight, row.pace) for row in rows):
        block = [row for row in rows if (row.in_flight, row.pace) == kind]
        columns = list(dict.fromkeys((row.size, row.placement) for row in block))
        yield f"### {kind[0]} in flight, {f'{kind[1]} images a second' if kind[1] else 'back to back'}"
        for title, cell in FIGURES.items():
            yield ""
            yield from _table(title, cell, columns, block)
        yield ""
        for name, reason in dict.fromkeys((row.name, row.absent) for row in block if row.absent):
            yield f"- `{name}` was absent: {reason}"


def _table(title: str, cell: Cell, columns: list[Column], block: list[Row]) -> Iterator[str]:
    found = {(row.name, (row.size, row.placement)): cell(row) for row in block if not row.absent}
    yield _line(title, *(f"{size}, {placement}" for size, placement in columns))
    yield _line("---", *("---:" for _ in columns))
    for name in dict.fromkeys(row.name for row in block if not row.absent):
        yield _line(f"`{name}`", *(found.get((name, column), "") for column in columns))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.markdown", description="Tables for the page.")
    parser.add_argument(
        "documents", nargs="+", type=Path, metavar="FILE", help="what benchmarks.journey --json printed"
    )
    rows = []
    for path in parser.parse_args().documents:
        told = json.loads(path.read_text("utf-8"))
        print(
            f"{told['machine']}; {told['rounds']} rounds: `python -m benchmarks.journey {' '.join(told['command'])}`\n"
        )
        rows += [row_of(one) for one in told["rows"]]
    versions = sorted({f"{row.name.partition(' ')[0]}: {row.version}" for row in rows if row.version})
    print(*tables(rows), sep="\n")
    print("\nVersions:", "; ".join(versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
