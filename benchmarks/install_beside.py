"""What an installation costs the inspections beside it: p50 and p99 with and without one, in turn (fault D21).

    python -m benchmarks.install_beside [ZIP] [--inspection null|board] [--rounds 8] [--every-ms 10]
                                        [--durability power] [--json]

A station serves one host that asks every so often: for an inspection that costs nothing but the journey (`null`), or
for both steps of the example's inspection of a board (`board`). A round is two phases of the same length, in
changing order: quiet, and beside the installation of a package whose wheels are all unpacked anew. What the
installation left to the disk is written out between the phases. Without ZIP the example's package is made first, for
which an index is needed. Goal: p99 at most 10 % above that without an installation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.station import PROJECT, connect, start_daemon
from runner.dev.bench_statistics import Interval, quantile, ratio_interval
from runner.host.client import Client

EXAMPLE = Path(__file__).parents[1] / "algorithm_example"
BOARD = EXAMPLE / "samples" / "PCB-A" / "defects.jpg"
SHAPE = (640, 640, 3)
GOAL = 1.10
# So many calls come before the first phase: everything has been done once then.
WARM_CALLS = 200


@dataclass(slots=True)
class Phases:
    """The samples in microseconds of each phase, and how long the installations took."""

    quiet: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)
    install_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the station is asked for, and how it is known that an answer has seen its image."""

    project: Path
    pid: str
    asked: dict[str, Any]
    image: Callable[[], np.ndarray]
    saw: Callable[[dict[str, Any], int], bool]


INSPECTIONS = {
    "null": Inspection(
        PROJECT,
        "NULL",
        {"step_index": 1},
        lambda: np.zeros(SHAPE, np.uint8),
        lambda data, value: data["patch"] == value,
    ),
    "board": Inspection(
        EXAMPLE,
        "PCB-A",
        {},
        lambda: np.asarray(Image.open(BOARD).convert("RGB")),
        lambda data, _: data["result_status"] == "NG",
    ),
}


class Line:
    """The host: one inspection after the other, `every_s` apart; each answer must have seen its image."""

    def __init__(self, client: Client, every_s: float, inspection: Inspection) -> None:
        self._client = client
        self._every_s = every_s
        self._inspection = inspection
        self._lease = client.lease()
        self._meta = self._lease.put(inspection.image(), camera_id="bench")
        self._value = 0

    def until(self, over: Callable[[], bool]) -> list[float]:
        """Microseconds of each inspection up to then. One that is late does not delay those after it."""
        taken = []
        next_s = time.perf_counter()
        while not over():
            next_s += self._every_s
            time.sleep(max(0.0, next_s - time.perf_counter()))
            taken.append(self._call_us())
        return taken

    def _call_us(self) -> float:
        self._value = (self._value + 1) % 256
        began = time.perf_counter_ns()
        self._lease.buffer()[0] = self._value
        asked = self._inspection
        result = self._client.inspect(asked.pid, self._lease, self._meta, keep=True, **asked.asked)
        taken_us = (time.perf_counter_ns() - began) / 1000
        assert result["status"] == "OK" and asked.saw(result["data"], self._value), result
        return taken_us


def package(folder: Path) -> Path:
    """A package of the example, with NumPy and OpenCV."""
    command = [sys.executable, "-m", "runner.dev.cli", "package", str(EXAMPLE), "-o", str(folder), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Path(json.loads(done.stdout)["packages"][0]["path"])


def install(operator: Client, home: Path, zipped: Path, line: Line) -> tuple[list[float], float]:
    """The samples while it is installed, and the seconds that took; the station is as before afterwards."""
    installed: dict[str, str] = {}

    def ask() -> None:
        installed.update(operator.ask("packages", operation="install", path=str(zipped)))

    thread = threading.Thread(target=ask)
    began = time.perf_counter()
    thread.start()
    taken = line.until(lambda: not thread.is_alive())
    seconds = time.perf_counter() - began
    operator.ask("packages", operation="uninstall", package=installed["package"])
    shutil.rmtree(home / "store" / "uv", ignore_errors=True)
    os.sync()
    return taken, seconds


def measure(zipped: Path, rounds: int, every_s: float, durability: str, inspection: Inspection) -> Phases:
    """So many pairs of phases."""
    found = Phases()
    with ExitStack() as stack:
        settings = {"store.durability": json.dumps(durability), "slots.capacity_bytes": "2000000"}
        home, _ = start_daemon(stack, settings, inspection.project)
        line, operator = Line(connect(stack, home), every_s, inspection), connect(stack, home)
        calls = iter(range(WARM_CALLS))
        line.until(lambda: next(calls, None) is None)
        _, length_s = install(operator, home, zipped, line)
        for number in range(rounds):
            for phase in ("quiet", "beside") if number % 2 else ("beside", "quiet"):
                if phase == "beside":
                    taken, length_s = install(operator, home, zipped, line)
                    found.beside.append(taken)
                    found.install_s.append(length_s)
                else:
                    end_s = time.perf_counter() + length_s
                    found.quiet.append(line.until(lambda end_s=end_s: time.perf_counter() >= end_s))  # type: ignore[misc]
    return found


def told(found: Phases) -> dict[str, object]:
    """The figures: each share of the samples, without and with, and the ratio of the pairs with its interval."""
    figures: dict[str, object] = {"install_s": quantile(found.install_s, 0.5), "inspections": _count(found)}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        quiet, beside = ([quantile(one, share) for one in side] for side in (found.quiet, found.beside))
        ratio: Interval = ratio_interval(quiet, beside)
        figures[name] = {
            "quiet_us": quantile(quiet, 0.5),
            "beside_us": quantile(beside, 0.5),
            "ratio": ratio.median,
            "low": ratio.low,
            "high": ratio.high,
        }
    return figures


def _count(found: Phases) -> int:
    return sum(map(len, (*found.quiet, *found.beside)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("zip", nargs="?", type=Path, help="a package for this machine; else the example is packaged")
    parser.add_argument("--inspection", choices=tuple(INSPECTIONS), default="null")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--every-ms", type=float, default=10.0)
    parser.add_argument("--durability", choices=("power", "process", "none"), default="power")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="procvision-bench-") as folder:
        zipped = options.zip.resolve() if options.zip else package(Path(folder))
        inspection = INSPECTIONS[options.inspection]
        figures = told(measure(zipped, options.rounds, options.every_ms / 1000, options.durability, inspection))
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    if options.json:
        print(
            json.dumps(
                {
                    "machine": machine,
                    "durability": options.durability,
                    "inspection": options.inspection,
                    "figures": figures,
                },
                indent=2,
            )
        )
        return
    print(f"Python {machine['python']}, {machine['system']}, {machine['cores']} cores; load {os.getloadavg()[0]:.1f}")
    asked = f"inspection {options.inspection}, durability {options.durability}"
    print(f"{options.rounds} rounds, {asked}, installation {figures['install_s']:.1f} s")
    for name in ("p50", "p99"):
        row = figures[name]
        assert isinstance(row, dict)
        interval = f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        print(f"{name}  quiet {row['quiet_us']:7.0f} us   beside {row['beside_us']:7.0f} us   ratio {interval}")
    print(f"goal: p99 at most {GOAL:.2f} times")


if __name__ == "__main__":
    main()
