"""Processes that nobody would end otherwise: what a worker left behind, and the workers of a killed runner.

    a child left its worker's group (setsid, double fork)   it becomes this runner's child: the next sweep ends it
    the runner was killed                                    run/children names its workers by process id and start time

In the daemon only: an embedded runner ends the groups that it started and nothing else (spec.md §7.9).
Nothing is ever reaped by waitpid(-1): that would steal the exits of the workers.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from runner.logs import runner_log
from runner.slots.segment import boot_id, start_of

SWEEP_EVERY_S = 60.0
# A worker that ended leaves a line that waits: its standby answers first. 1.7 ms of the loop, in 11 (2026-11-28).
SETTLE_S = 0.05
# An orphan is killed at once, and reaped when the system has taken it down.
_REAP_TRIES = 50
_REAP_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Known:
    """The processes of workers now; `spawning`: one is on its way and has no id yet."""

    os_pids: frozenset[int]
    spawning: bool


def become_subreaper() -> None:
    """From now on processes whose parent died below this one become its children (Linux)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def end_survivors(record: Path) -> list[int]:
    """End the workers that a killed runner recorded and that still run; their process ids.

    A process is only the recorded one when boot, process id and start time agree.
    """
    ended = []
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(record.read_text(encoding="utf-8"))
        for os_pid, start in told["children"] if told["boot"] == boot_id() else ():
            with suppress(psutil.Error, OSError):
                if start_of(os_pid) == start:
                    _kill(os_pid)
                    ended.append(os_pid)
    record.unlink(missing_ok=True)
    return ended


def _kill(os_pid: int) -> None:
    if sys.platform == "win32":
        psutil.Process(os_pid).kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(os_pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(os_pid, signal.SIGKILL)


class OrphanSweep:
    """Ends children of this process that are no workers, and keeps the record of those that are."""

    def __init__(self, record: Path, known: Callable[[], Known]) -> None:
        self._record = record
        self._known = known
        self._wanted = asyncio.Event()
        self.ended = 0

    def ask(self) -> bool:
        """A worker came or went: look soon. True, as events want it."""
        self._wanted.set()
        return True

    async def run(self) -> None:
        """Sweep whenever asked, and once a minute; ends when it is cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY_S):
                    await self._wanted.wait()
            await asyncio.sleep(SETTLE_S)
            self._wanted.clear()
            if self._known().spawning:  # its process has no name yet: it must not be taken for an orphan
                self._wanted.set()
                continue
            self.write_record()
            await self.sweep()

    def write_record(self) -> None:
        """The workers of now, for the runner that comes after a kill."""
        children = []
        for os_pid in sorted(self._known().os_pids):
            with suppress(psutil.Error):
                children.append([os_pid, start_of(os_pid)])
        fresh = self._record.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"boot": boot_id(), "children": children}), encoding="utf-8")
            fresh.replace(self._record)
        except OSError as error:
            runner_log.warning("the record of workers could not be written: %s", error)

    async def finish(self) -> None:
        """A last sweep; nothing is left to record."""
        await self.sweep()
        self._record.unlink(missing_ok=True)

    async def sweep(self) -> None:
        """End what is not a worker; only the children of this process are looked at."""
        if sys.platform == "win32":
            return
        known = self._known()
        if known.spawning:
            return
        for os_pid in _children():
            if os_pid not in known.os_pids:
                runner_log.warning("process %d outlived its worker and is ended", os_pid)
                _kill(os_pid)
                self.ended += await _reap(os_pid)


def _children() -> list[int]:
    """The processes below this one, zombies too.

    Where the kernel tells it (CONFIG_PROC_CHILDREN), by reading one line a thread: to ask every process of the machine
    for its parent takes milliseconds of the loop, just when a standby takes over.
    """
    told: list[int] = []
    try:
        with os.scandir("/proc/self/task") as threads:
            for thread in threads:
                with suppress(ProcessLookupError), open(f"{thread.path}/children", encoding="ascii") as children:
                    told += map(int, children.read().split())
    except FileNotFoundError:
        return [child.pid for child in psutil.Process().children()]
    return told


async def _reap(os_pid: int) -> bool:
    if sys.platform == "win32":
        return False
    for _ in range(_REAP_TRIES):
        try:
            if os.waitpid(os_pid, os.WNOHANG)[0] == os_pid:  # noqa: ASYNC222 - WNOHANG never waits
                return True
        except ChildProcessError:
            return True  # the watcher of a worker that just ended was quicker
        await asyncio.sleep(_REAP_PAUSE_S)
    return False
