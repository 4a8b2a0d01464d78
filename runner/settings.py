"""Each setting of a station: its value, where that came from, and what it means (spec.md §11.21)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from runner.config import PREFIX, StationConfig, read_config

# What takes effect without a restart: the first three and `timeouts` for what begins from then on, `environment`,
# `timeouts.boot_s` and `timeouts.teardown_s` for the processes that start from then on (spec.md §11.24).
LIVE = ("answer_margin_ms", "session_idle_s", "environment", "timeouts", "log")
LIVE_OF_WORKERS = ("restarts", "restart_window_s")


@dataclass(frozen=True, slots=True)
class Setting:
    """`source` is `default`, the path of the file, or the name of the variable."""

    key: str
    value: Any
    source: str
    meaning: str


def effective(path: Path, environment: Mapping[str, str]) -> list[Setting]:
    """Every setting as a start would find it now, in StationConfig's order; ConfigError when it would not start."""
    config = read_config(path, environment)
    document = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
    variables = {_key(name): name for name in environment if name.startswith(PREFIX)}
    found = []
    for key, value, meaning in _leaves(config, ""):
        in_file = str(path) if _is_in(document, key.split(".")) else "default"
        found.append(Setting(key, value, variables.get(key, in_file), meaning))
    return found


@dataclass(frozen=True, slots=True)
class Changes:
    """`config` is the running one with what takes effect now; the two lists are the dotted names of what differs."""

    config: StationConfig
    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


def changed(running: StationConfig, fresh: StationConfig) -> Changes:
    """What a running station takes from a fresh configuration, and what waits for its next start."""
    before, now = ({key: value for key, value, _ in _leaves(one, "")} for one in (running, fresh))
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key) and key != "environment"]
    live = (*LIVE, *(f"workers.{name}" for name in LIVE_OF_WORKERS))
    applied = tuple(key for key in keys if any(key == one or key.startswith(f"{one}.") for one in live))
    workers = running.workers.model_copy(update={name: getattr(fresh.workers, name) for name in LIVE_OF_WORKERS})
    taken = {name: getattr(fresh, name) for name in LIVE}
    config = running.model_copy(update={**taken, "workers": workers})
    return Changes(config, applied, tuple(key for key in keys if key not in applied))


def _leaves(part: BaseModel, prefix: str) -> Iterator[tuple[str, Any, str]]:
    """(dotted key, JSON value, description) of each field; a table of free names has one per name."""
    values = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        below, key = getattr(part, name), f"{prefix}{name}"
        if isinstance(below, BaseModel):
            yield from _leaves(below, f"{key}.")
        elif isinstance(below, dict) and below:
            yield from ((f"{key}.{one}", value, field.description or "") for one, value in values[name].items())
        else:
            yield key, values[name], field.description or ""


def _key(variable: str) -> str:
    """PROCVISION_SLOTS__COUNT is slots.count; below `environment` a name keeps its case."""
    table, _, name = variable.removeprefix(PREFIX).partition("__")
    if table.lower() == "environment":
        return f"environment.{name}"
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _is_in(document: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True
