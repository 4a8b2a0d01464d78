"""StationConfig: what an integrator may set, each with meaning, unit, default and range (spec.md §7, §11).

Read once from station.toml and the environment, then passed as values. A setting `a.b` is overridden by
`PROCVISION_A__B`; an unknown key is refused with the one that was probably meant.
"""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.parameters import did_you_mean

PREFIX = "PROCVISION_"
# Hundreds of times what a station needs; a disk image by the name of the file is not read into memory.
MAX_BYTES = 1_048_576


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, given: object) -> object:
        if isinstance(given, bool):
            raise ValueError("no setting is true or false")
        return given


class SlotsConfig(_Part):
    """The shared memory that images travel in; it is reserved whole at start."""

    count: int = Field(default=8, ge=1, le=4096, description="slots; each worker needs two, each host two")
    capacity_bytes: int = Field(
        default=40_000_000, ge=4096, le=2**31, description="bytes per slot; 4096 x 3000 x 3 pixels are 36.9 million"
    )


class TimeoutsConfig(_Part):
    """Limits in seconds; a manifest may set its own for boot, pre_execute, execute and teardown."""

    boot_s: float = Field(default=120.0, gt=0, description="from spawn to ready, model load included")
    pre_execute_s: float = Field(default=10.0, gt=0, description="from the call to the end of pre_execute")
    execute_s: float = Field(default=30.0, gt=0, description="the same for execute; one call of both has their sum")
    teardown_s: float = Field(default=3.0, gt=0, description="from the shutdown frame to the hard end")
    kill_s: float = Field(default=5.0, gt=0, description="from the hard end to giving a process up that does not end")
    write_s: float = Field(default=2.0, gt=0, description="a worker may leave what was sent to it unread this long")
    drain_s: float = Field(default=5.0, gt=0, description="a stop waits this long for inspections that were accepted")
    queue_s: float = Field(default=5.0, gt=0, description="waiting for a free worker when a request has no deadline")


class WorkersConfig(_Part):
    """How many processes a deployment gets, and how often they may fail."""

    standby: int = Field(default=1, ge=0, le=4, description="warm processes that take over when the serving one ends")
    restarts: int = Field(default=3, ge=0, description="failures in the window before restarts slow down")
    restart_window_s: float = Field(default=60.0, gt=0, description="how long a failure counts")
    memory_mb: int = Field(
        default=2048, ge=64, description="MiB of its own at which a worker is replaced; a manifest may set another"
    )
    max_processes: int = Field(
        default=0, ge=0, description="processes of a system user who runs the station alone; 0: no limit"
    )


class HeartbeatConfig(_Part):
    """Pings judge idle workers only; a busy one is judged by the deadline of its call."""

    interval_s: float = Field(default=5.0, gt=0, description="from one ping to the next")
    grace_s: float = Field(default=2.0, gt=0, description="from a ping to its pong")
    misses: int = Field(default=3, ge=1, description="pings in a row without a pong, then the worker is replaced")


class HostConfig(_Part):
    """How hosts connect, and what they may use up."""

    transport: Literal["auto", "unix", "tcp"] = Field(
        default="auto", description="unix socket where there are any, else loopback TCP with a token"
    )
    group: str = Field(default="", description="a system group whose members may connect and map slots (mode 0660)")

    max_links: int = Field(default=64, ge=1, description="connections at a time")
    max_outstanding: int = Field(default=64, ge=1, description="requests in flight per connection, then 3001")
    max_waiting: int = Field(default=64, ge=1, description="inspections waiting for one deployment, then 3001")
    hello_s: float = Field(default=5.0, gt=0, description="until a new connection must have said hello")
    body_s: float = Field(default=2.0, gt=0, description="from the first byte of a frame to its last")
    max_unread_bytes: int = Field(default=16_777_216, ge=65536, description="answers a host does not read, then closed")


class LogConfig(_Part):
    """What is written to logs/ of the station folder, and how much of it is kept."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="what is kept, and above")
    max_bytes: int = Field(default=10_485_760, ge=65536, description="size of one log file before it is rotated")
    files: int = Field(default=5, ge=1, description="rotated files that are kept")


class StoreConfig(_Part):
    """What is recorded of inspections, and how much of it is kept."""

    durability: Literal["power", "process", "none"] = Field(
        default="power", description="what an answered inspection survives: a power cut, a killed runner, or neither"
    )
    retention_days: float = Field(default=90.0, gt=0, description="answered inspections are kept this long")
    max_mb: int = Field(default=1024, ge=1, description="MiB of results; beyond it the oldest go")
    locked_s: float = Field(default=5.0, gt=0, description="a write waits this long for another process's lock")
    backup_s: float = Field(default=3600.0, ge=0, description="from one backup of the results to the next; 0: none")
    ballast_mb: int = Field(default=64, ge=0, description="MiB of the disk that are given up first when it is full")
    min_free_mb: int = Field(
        default=0, ge=0, description="MiB free on the disk below which nothing is inspected; below 1 % it never is"
    )


class PackagesConfig(_Part):
    """Which packages are let in."""

    signatures: Literal["auto", "require", "warn", "off"] = Field(
        default="auto", description="a package without a trusted signature; auto warns until the first key is trusted"
    )
    scan_s: float = Field(
        default=60.0, ge=0, description="from one look at the files of what serves to the next; 0: none"
    )
    incoming_s: float = Field(default=2.0, gt=0, description="from one look into incoming/ to the next")


class StationConfig(_Part):
    """One station. Everything has a default: an empty station.toml is a valid one."""

    station: str = Field(
        default="station", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,23}$", description="its name, part of its segment's"
    )
    answer_margin_ms: float = Field(default=50.0, ge=0, description="the runner gives up this long before a deadline")
    session_idle_s: float = Field(default=600.0, gt=0, description="an untouched session ends after this")
    request_id_ttl_s: float = Field(default=86400.0, gt=0, description="a resent request finds its answer this long")
    projects: tuple[Path, ...] = Field(default=(), description="project folders under development to serve")
    environment: dict[str, str] = Field(default_factory=dict, description="variables every algorithm process gets")
    slots: SlotsConfig = SlotsConfig()
    timeouts: TimeoutsConfig = TimeoutsConfig()
    workers: WorkersConfig = WorkersConfig()
    heartbeat: HeartbeatConfig = HeartbeatConfig()
    host: HostConfig = HostConfig()
    log: LogConfig = LogConfig()
    store: StoreConfig = StoreConfig()
    packages: PackagesConfig = PackagesConfig()


_MEND = "mend the file; an empty one means the defaults"


class ConfigError(StationError):
    """The configuration cannot be used; the message names file or variable, key, expectation and what came."""

    default_code = ErrorCode.SCHEMA


def read_config(path: Path | None, environment: Mapping[str, str]) -> StationConfig:
    """The configuration of a station; a missing file means defaults, an unreadable one is a ConfigError."""
    return parse(None if path is None else text_of(path), path, environment)


def text_of(path: Path) -> str | None:
    """What the file holds, None when there is none; ConfigError when it is no readable text of MAX_BYTES or less."""
    try:
        kind = path.stat()
        if not stat.S_ISREG(kind.st_mode):
            raise ConfigError(f"{path}: expected a file, it is something else", hint=_MEND)
        if kind.st_size > MAX_BYTES:
            raise ConfigError(f"{path}: expected {MAX_BYTES} bytes or less, it has {kind.st_size}", hint=_MEND)
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}", hint=_MEND) from None


def parse(text: str | None, path: Path | None, environment: Mapping[str, str]) -> StationConfig:
    """The configuration in the text of the file `path`; None: there is no file."""
    document: dict[str, Any] = {}
    try:
        document = tomllib.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}", hint=_MEND) from None
    in_file = frozenset(document)
    variables: dict[tuple[str, ...], str] = {}
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and name != f"{PREFIX}HOME":
            keys = _keys(name.removeprefix(PREFIX))
            variables[tuple(keys)] = name
            _override(document, keys, value)
    try:
        return StationConfig.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = tuple(map(str, problem["loc"]))
        of_variables = (name for keys, name in variables.items() if keys[: len(place)] == place)
        source = variables.get(place) or (str(path) if place[0] in in_file else next(of_variables, "the environment"))
        raise ConfigError(_told(problem, source)) from None


def _keys(name: str) -> list[str]:
    """`SLOTS__COUNT` is slots.count; below `environment` stands the name of a variable, which is taken as it is."""
    table, between, variable = name.partition("__")
    if table.lower() == "environment" and between:
        return ["environment", variable]
    return name.lower().split("__")


def _override(document: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        below = document.setdefault(key, {})
        document = below if isinstance(below, dict) else {}
    document[keys[-1]] = value


def _told(problem: ErrorDetails, source: str) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{source}: {where}: {problem['msg']}, got {problem.get('input')!r:.80}"
    model: Any = StationConfig
    for part in problem["loc"][:-1]:
        model = model.model_fields[str(part)].annotation
    near = did_you_mean(str(problem["loc"][-1]), model.model_fields)
    return f"{source}: there is no setting {where!r}; {near or 'known are ' + ', '.join(model.model_fields)}"
