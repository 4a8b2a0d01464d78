"""A station inside this process for one project: the same slots, workers and checks, no socket (spec.md §11).

    segment -> worker of the project -> what the command does with it -> worker stopped -> segment unlinked

Protects: whatever ends the command - its work, a signal, a fault - the station is stopped in order and leaves nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from procvision_sdk.errors import ErrorCode, ErrorReport
from procvision_sdk.wire.host_messages import Event
from runner.config import SlotsConfig, StationConfig, read_config
from runner.dev.project import Project
from runner.routing import catalog
from runner.routing.catalog import Deployment
from runner.station import Station
from runner.workers.lifecycle import State
from runner.workers.supervisor import Supervisor

EXIT_INTERRUPTED = 130
# One image in use, one that a kept view holds back until its worker is replaced, and two to spare.
SLOT_COUNT = 4
_MIN_SLOT_BYTES = 4096
# The name is one for all: segments carry their process besides, and the next command sweeps what a killed one left.
_STATION = "dev"


@dataclass(frozen=True, slots=True)
class LocalStation:
    """A started station that serves one project."""

    station: Station
    deployment: Deployment

    @property
    def supervisor(self) -> Supervisor:
        return self.station.crews[self.deployment.label].supervisors[0]

    async def boot(self) -> ErrorReport | None:
        """Wait until the algorithm is ready; why not, when its first start fails.

        On a station a start that failed is repeated; an author wants to be told at once.
        """
        settled = asyncio.Event()

        def heard(event: Event) -> bool:
            if event.data["state"] not in (State.STARTING.value, State.ABORTING.value, State.FAILING.value):
                settled.set()
            return True

        end = self.station.events.subscribe(["workers"], heard)
        try:
            if self.supervisor.state is State.STARTING:
                await settled.wait()
        finally:
            end()
        if self.supervisor.state is State.READY:
            return None
        told = self.station.crews[self.deployment.label].boot_failure
        ended = f"the algorithm process ended before it was ready: {self.supervisor.last_exit}"
        return told or ErrorReport(ErrorCode.CANNOT_BOOT, ended, "its log above says more")


@asynccontextmanager
async def local_station(project: Project, slot_bytes: int) -> AsyncIterator[LocalStation]:
    """A station for `project` whose slots hold `slot_bytes`; stopped, with nothing left behind, at the end."""
    station = Station(_config(slot_bytes), catalog.build([project.folder]))
    try:
        await station.start()
        yield LocalStation(station, station.catalog.deployments[0])
    finally:
        await station.stop()


def _config(slot_bytes: int) -> StationConfig:
    config = read_config(None, os.environ)
    slots = SlotsConfig(count=SLOT_COUNT, capacity_bytes=max(_MIN_SLOT_BYTES, slot_bytes))
    # A worker that has to start again is waited for as long as a start may take.
    timeouts = config.timeouts.model_copy(update={"queue_s": config.timeouts.boot_s})
    workers = config.workers.model_copy(update={"standby": 0})
    update = {"station": _STATION, "slots": slots, "timeouts": timeouts, "workers": workers}
    return config.model_copy(update=update)


def run_interruptible(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """The exit code of `work`, run on the main thread's loop; 130 when a signal ended it, after it cleaned up."""
    return asyncio.run(_until_signal(work))


async def _until_signal(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    task = asyncio.create_task(work())
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None:
            continue
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(_interrupt, task))
        else:
            loop.add_signal_handler(number, _interrupt, task)
    try:
        return await task
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED


def _interrupt(task: asyncio.Task[int]) -> None:
    """Cancel once: a second signal would cancel the cleaning up, which has limits of its own."""
    if not task.cancelling():
        task.cancel()
