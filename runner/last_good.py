"""The configuration that served last, kept for a start that finds a wrong one (spec.md §11.25).

station.toml is good                it is used, and kept as soon as hosts could connect with it
it is wrong, or gone                the kept copy is used, and the station is DEGRADED with the reason
it is wrong, and no copy is kept    the runner does not start
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.config import ConfigError, StationConfig, parse, text_of
from runner.logs import runner_log


@dataclass(frozen=True, slots=True)
class Found:
    """`text` is what the file holds, to be kept; None: nothing is. `problem` says why the copy is used instead."""

    config: StationConfig
    text: str | None
    problem: str = ""


def read(path: Path, copy: Path, environment: Mapping[str, str]) -> Found:
    """The configuration of the file, never that of the copy; ConfigError also when a file that served is gone."""
    text = text_of(path)
    if text is None and copy.exists():
        raise ConfigError(f"{path}: it is gone, and the station served with it", hint="write it anew; empty: defaults")
    return Found(parse(text, path, environment), text)


def read_at_start(path: Path, copy: Path, environment: Mapping[str, str]) -> Found:
    """The same, or the copy's when that cannot be used; ConfigError about the file when the copy cannot be either."""
    try:
        return read(path, copy, environment)
    except ConfigError as error:
        wrong = error
    try:
        kept = text_of(copy)
        if kept is None:
            raise wrong
        config = parse(kept, copy, environment)
    except ConfigError:
        raise wrong from None
    return Found(config, None, f"{wrong.message}; the configuration that served last is used ({copy})")


def keep(copy: Path, text: str | None) -> None:
    """Keep what the station serves with; a copy that cannot be written is told and costs nothing else."""
    if text is None:
        return
    fresh = copy.with_suffix(".new")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(copy)
    except OSError as error:
        runner_log.warning("the configuration could not be kept in %s: %s", copy, error)
