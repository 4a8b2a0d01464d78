"""The adapter's command line, read with the standard library alone (spec.md §4, Launch)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; without `parent_os_pid` the process outlives whoever started it."""

    entry: str | None = None
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    color_space_default: Literal["RGB", "BGR"] = "RGB"
    parent_os_pid: int | None = None
    memory_mb: int | None = None
    max_processes: int | None = None


def parse_options(arguments: Sequence[str]) -> Options:
    """The options; a wrong one ends the process with exit 2 and one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m procvision_sdk.adapter",
        description="Serve one algorithm on stdin and stdout (frames of spec.md §4); logs go to stderr.",
        allow_abbrev=False,
    )
    parser.add_argument("--entry", metavar="MODULE:CLASS", help="the algorithm class; before every other place")
    parser.add_argument("--log-level", choices=["debug", "info", "warn", "error"], default="info")
    for name in ("--heartbeat-interval-ms", "--heartbeat-grace-ms"):
        parser.add_argument(name, type=float, metavar="N", help="accepted: pings are answered whenever they come")
    parser.add_argument("--color-space-default", choices=["RGB", "BGR"], default="RGB")
    parser.add_argument("--parent-pid", type=int, metavar="N", help="end when this process does")
    parser.add_argument("--memory-mb", type=_positive, metavar="N", help="private memory in MiB, then MemoryError")
    parser.add_argument("--max-processes", type=_positive, metavar="N", help="processes of this system user")
    found = parser.parse_args(arguments)
    bounds = found.memory_mb, found.max_processes
    return Options(found.entry, found.log_level, found.color_space_default, found.parent_pid, *bounds)


def _positive(text: str) -> int:
    """A whole number of 1 or more; argparse tells the ValueError in its own words."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
