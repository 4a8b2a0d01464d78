"""`reload`: read the configuration anew, take what can change, and boot what gave up (spec.md §11.24)."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from procvision_sdk.errors import ErrorCode, StationError
from runner import last_good, logs
from runner.home import Home
from runner.logs import runner_log
from runner.routing.router import route
from runner.settings import changed
from runner.station import Station


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Settings by their dotted names, deployments by name."""

    applied: list[str]
    needs_restart: list[str]
    restarted: list[str]


class Reloader:
    """Belongs to one station; a configuration that is wrong changes nothing."""

    def __init__(self, station: Station, home: Home) -> None:
        self._station = station
        self._home = home

    def reload(self, pid: str | None) -> dict[str, Any]:
        """What came of it, for one product or all; ConfigError, 1001 for an unknown product, 3002 while it stops."""
        station = self._station
        if not station.journey.open:
            raise StationError("the station is stopping", hint="start it again", code=ErrorCode.DEGRADED)
        wanted = station.catalog.deployments if pid is None else (route(station.catalog, pid),)
        found = last_good.read(self._home.config, self._home.last_config, os.environ)
        changes = changed(station.config, found.config)
        station.apply(changes.config)
        if any(key.startswith("log.") for key in changes.applied):
            logs.configure(changes.config.log, self._home.logs)
        last_good.keep(self._home.last_config, found.text)
        station.problems.pop("configuration", None)
        restarted = [one.label for one in wanted if station.crews[one.label].begin_again(station.config)]
        told = Reloaded(list(changes.applied), list(changes.needs_restart), restarted)
        runner_log.info("reloaded: %s", asdict(told))
        return asdict(told)
