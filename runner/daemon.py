"""Composition root: build, start, serve until a signal, stop in order.

lock -> configuration, or the one that served last -> catalog -> store (open rows answered)
-> station (sweep, segment, workers) -> socket
stop: refuse, drain, stop workers, unlink the segment, close the links, close the store, release the lock
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner import last_good, logs, orphans
from runner.activation import product_problem
from runner.background import begin
from runner.config import StationConfig
from runner.desk import HostDesk
from runner.home import Home, StationLock
from runner.host.listener import Listener
from runner.installed import active_packages, tidy
from runner.last_good import Found
from runner.logs import runner_log
from runner.notify import Notifier
from runner.package_service import PackageService
from runner.reload import Reloader
from runner.results.store import ResultStore, StorePlan
from runner.routing import catalog
from runner.station import Station

# Three pipes and a handle each. A start takes the pipes' other ends and two more for a moment, and files want some too.
_WORKER_DESCRIPTORS = 4
_SPARE_DESCRIPTORS = 16


@dataclass(frozen=True, slots=True)
class ServePlan:
    """What `serve` was asked for: a station folder, and project folders beside those of its configuration."""

    home: Home
    projects: tuple[Path, ...] = ()


def serve(plan: ServePlan, announce: Callable[[str], None]) -> int:
    """Serve until a signal; the exit code. `announce` gets the address once hosts can connect."""
    plan.home.create()
    lock = StationLock(plan.home)
    lock.take()
    try:
        found = last_good.read_at_start(plan.home.config, plan.home.last_config, os.environ)
        logs.configure(found.config.log, plan.home.logs)
        tidy(plan.home)
        _hear_of_ends_on_the_loop()
        asyncio.run(_serve(plan, found, announce))
    finally:
        logs.close()
        lock.release()
    return 0


def _hear_of_ends_on_the_loop() -> None:
    """The end of a worker is an event of the loop like any other (0037); from Python 3.12 on asyncio does it by itself.

    Before, a thread waits for each process, and has to wait for the interpreter once more when the loop is busy.
    """
    if sys.platform == "linux" and sys.version_info < (3, 12):
        with suppress(OSError, AttributeError):  # a kernel or a Python that is too old for it: the threads do it
            os.close(os.pidfd_open(os.getpid()))
            asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


async def _serve(plan: ServePlan, read: Found, announce: Callable[[str], None]) -> None:
    config = read.config
    stop_asked = asyncio.Event()
    _on_signals(stop_asked)
    init_system = Notifier(os.environ)
    beside = [begin(init_system.feed())]
    station = _station(plan, read)
    store = _store(config, plan.home)
    packages = PackageService(station, plan.home)
    desk = HostDesk(station, Reloader(station, plan.home).reload, packages, store)
    listener = Listener(desk, config.host, plan.home.run, lambda: _descriptors_wanted(station))
    sweep = _take_over(plan.home.run / "children", packages)
    station.events.subscribe(["workers"], lambda _event: sweep.ask())
    beside.append(begin(sweep.run()))
    if store is not None:
        await store.open()
    try:
        await station.start()
        address = await listener.open()
        desk.token = listener.token
        last_good.keep(plan.home.last_config, read.text)
        _spare_what_stays()
        announce(address)
        packages.watch()
        told = f"serving {len(station.catalog.products)} products at {address}"
        runner_log.info("station %s: %s", config.station, told)
        init_system.tell(f"READY=1\nSTATUS={told}")
        await stop_asked.wait()
        init_system.tell("STOPPING=1")
        runner_log.info("station %s stops", config.station)
    finally:
        await packages.close()
        await station.stop()
        await desk.finish()
        for task in beside:
            task.cancel()
        await sweep.finish()
        listener.close()
        if store is not None:
            await store.close()


def _spare_what_stays() -> None:
    """What is here now stays, and the collector looks at it no more.

    It goes through all its old objects once those that are new since the last time are a quarter of them. Counted among
    the old ones, a whole runner makes that a pause of its loop, and hundreds of ended workers wait for it.
    """
    gc.collect()
    gc.freeze()


def _take_over(record: Path, packages: PackageService) -> orphans.OrphanSweep:
    """End what a killed runner left; from now on orphans of the workers are this process's."""
    for os_pid in orphans.end_survivors(record):
        runner_log.warning("process %d of a killed runner was ended", os_pid)
    orphans.become_subreaper()
    return orphans.OrphanSweep(record, packages.known_processes)


def _descriptors_wanted(station: Station) -> int:
    """How many the workers that do not run now would take, and the start of one of them."""
    down = sum(one.os_pid < 0 for crew in station.crews.values() for one in crew.supervisors)
    return down * _WORKER_DESCRIPTORS + _SPARE_DESCRIPTORS


def _station(plan: ServePlan, read: Found) -> Station:
    """With what it may serve, and the problems that are known before it starts."""
    active = active_packages(plan.home)
    found = catalog.build((*read.config.projects, *plan.projects), active.whole)
    station = Station(read.config, found, plan.home.poison)
    if read.problem:
        runner_log.error("%s", read.problem)
        station.problems["configuration"] = read.problem
    station.problems |= {product_problem(pid): why for pid, why in active.refused.items()}
    return station


def _store(config: StationConfig, home: Home) -> ResultStore | None:
    """Where results are recorded; None when the station records none."""
    durability = config.store.durability
    if durability == "none":
        return None
    return ResultStore(StorePlan(home.store, config.store, config.request_id_ttl_s), durability)


def _on_signals(stop_asked: asyncio.Event) -> None:
    """SIGTERM, SIGINT and SIGHUP ask for the orderly stop; the handlers do nothing else."""
    names: Iterable[str] = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
    loop = asyncio.get_running_loop()
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop_asked.set))
        else:
            loop.add_signal_handler(number, stop_asked.set)
