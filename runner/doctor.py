"""`doctor` of both commands: the machine, and for a station its folder, configuration and runner (spec.md §11.22)."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from procvision_sdk.arena import ArenaLayout
from procvision_sdk.errors import ErrorCode, PackageError, ProcVisionError
from runner import examination
from runner.config import ConfigError, StationConfig, read_config
from runner.dev.checks import Check, Outcome, document
from runner.home import Home, StationLock
from runner.host.client import Client
from runner.installed import active_packages
from runner.routing import catalog

# A runner that lives answers in milliseconds; one that is stopped or blocked never does.
ANSWER_S = 5.0


def of_author() -> list[Check]:
    """The machine as `procvision run` and `validate` need it."""
    config = StationConfig()
    return [*_machine(config, 0), examination.disk(Path(tempfile.gettempdir())), examination.clock(())]


def of_station(home: Home, environment: Mapping[str, str]) -> list[Check]:
    """The machine and the station in `home`, whether it runs or not."""
    config, told = _configuration(home, environment)
    runner, seen = _runner(home)
    return [
        *_machine(config, seen.held_bytes),
        examination.disk(home.folder),
        examination.clock((home.folder, home.logs, home.store)),
        examination.writable("station folder", home.folder),
        told,
        _products(seen.products or _catalogued(home, config)),
        runner,
    ]


def _machine(config: StationConfig, held_bytes: int) -> Iterator[Check]:
    needed = ArenaLayout(config.slots.count, config.slots.capacity_bytes).size
    yield examination.python()
    yield examination.libraries()
    yield examination.shared_memory(needed, held_bytes)
    yield examination.memory(needed - held_bytes + config.workers.memory_mb * 2**20)
    yield examination.limits()
    yield examination.writable("temp folder", Path(tempfile.gettempdir()))
    yield examination.leftovers()


def _configuration(home: Home, environment: Mapping[str, str]) -> tuple[StationConfig, Check]:
    try:
        config = read_config(home.config, environment)
    except ConfigError as error:
        return StationConfig(), Check.failed("configuration", error)
    said = f"station {config.station!r}" + ("" if home.config.exists() else ", all defaults: no station.toml")
    return config, Check.passed("configuration", said, str(home.config))


def _catalogued(home: Home, config: StationConfig) -> Mapping[str, str] | ProcVisionError:
    """Product and deployment as the next start would serve them."""
    try:
        active = active_packages(home)
        found = catalog.build(config.projects, active.whole).products
    except ProcVisionError as error:
        return error
    told = [f"{pid} is not served: {why}" for pid, why in active.refused.items()]
    if told:
        return PackageError("; ".join(told), code=ErrorCode.HASH_MISMATCH)
    return {pid: str(one) for pid, one in found.items()}


def _products(found: Mapping[str, str] | ProcVisionError) -> Check:
    if isinstance(found, ProcVisionError):
        return Check.failed("products", found)
    if not found:
        hint = "install and activate a package, or name project folders in station.toml or with serve --project"
        return Check("products", Outcome.WARN, "none: nothing can be inspected", hint=hint)
    return Check.passed("products", ", ".join(f"{pid} by {name}" for pid, name in sorted(found.items())))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a runner that answers told: the shared memory it holds, its products and their deployments."""

    held_bytes: int = 0
    products: Mapping[str, str] = field(default_factory=dict)


def _runner(home: Home) -> tuple[Check, _Seen]:
    """Whether a runner holds the station and answers, and what it told."""
    holder, address = StationLock(home).holder(), home.run / "address"
    if not holder and not address.exists():
        return Check.passed("runner", "none runs"), _Seen()
    if not holder:
        said = "none runs; a killed one left its address"
        return Check("runner", Outcome.WARN, said, str(address), "the next start replaces it"), _Seen()
    try:
        with _impatient(), Client.at(home.folder) as client:
            status = client.status()
            seen = _Seen(int(client.welcome["arena"]["size_bytes"]), status["products"])
    except ProcVisionError as error:
        said = f"process {holder} holds the station and does not answer: {error.message}"
        hint = f"look at its log, then end process {holder}"
        return Check("runner", Outcome.FAIL, said, str(home.folder), hint), _Seen()
    result = Outcome.PASS if status["health"] == "READY" else Outcome.WARN
    said = f"process {holder} is {status['health']}"
    return Check("runner", result, said, hint="see procvision-runner status"), seen


@contextmanager
def _impatient() -> Iterator[None]:
    """Sockets that are made inside give up after ANSWER_S."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(ANSWER_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def show(checks: list[Check], form: str) -> int:
    """Print them as a table, or as one document with the form "json"; 1 when one failed, else 0."""
    told = document(checks)
    if form == "json":
        print(json.dumps(told, indent=2))
    else:
        from runner.dev.validate import show as show_table

        show_table(checks, told["summary"])
    return int(any(one.result is Outcome.FAIL for one in checks))
