"""What each worker takes for itself, read every POLL_S beside the calls, never in one (spec.md §7.20).

    limit (memory_mb)    anonymous memory: the worker is replaced after its call, nothing is lost
    HARD_SHARE           of the limit: it is ended, the call is answered 1012
    launch.DATA_SHARE    of the limit: where its own allocations fail (RLIMIT_DATA), so that no single step goes further

The shares stand apart because the first two are memory in use, the third address space. A worker whose setup alone is
above the limit would only be replaced by its like: that is said once, and the hard limit is the one that holds.
Threads, descriptors and temporary files that grow call for a replacement too. What the algorithm's own child processes
take is theirs.
"""

from __future__ import annotations

import os
import sys
from asyncio import sleep
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

import psutil

from runner.logs import runner_log
from runner.workers.lifecycle import State
from runner.workers.shared_names import SharedNames
from runner.workers.worker import WorkerId

POLL_S = 0.25
HARD_SHARE = 1.25
# Beyond what it had after setup; far from what libraries start lazily, and below the 1024 descriptors of a worker.
MAX_NEW_THREADS = 256
MAX_NEW_DESCRIPTORS = 512
MAX_NEW_FILES = 1000

_MIB = 1024 * 1024
_JUDGED = frozenset({State.READY, State.BUSY})


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has to itself; memory that is swapped out counts. `files` are those of its private folder."""

    anonymous_bytes: int
    threads: int = 0
    descriptors: int = 0
    files: int = 0


class Verdict(Enum):
    """What is to be done with a worker."""

    KEEP = "keep"
    RECYCLE = "recycle"
    END = "end"


class Watched(Protocol):
    """What the watch asks of a supervisor."""

    @property
    def identity(self) -> WorkerId: ...
    @property
    def state(self) -> State: ...
    @property
    def os_pid(self) -> int: ...
    @property
    def scratch(self) -> Path: ...
    def recycle_when_idle(self, why: str) -> None: ...
    def end_for_memory(self, why: str) -> None: ...


def read(os_pid: int) -> Usage | None:
    """The usage of a process, None when it is gone; from counters, without a walk over its pages."""
    if os_pid <= 0:
        return None
    return _read_proc(os_pid) if sys.platform == "linux" else _read_elsewhere(os_pid)


def _read_proc(os_pid: int) -> Usage | None:
    folder = f"/proc/{os_pid}"
    try:
        with open(f"{folder}/status", encoding="ascii", errors="replace") as lines:
            fields = dict(line.partition(":")[::2] for line in lines)
        own_kib = sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap"))
        return Usage(own_kib * 1024, int(fields["Threads"]), _entries(f"{folder}/fd"))
    except (OSError, KeyError):  # gone, or a zombie, which has no memory
        return None


def _read_elsewhere(os_pid: int) -> Usage | None:
    try:
        process = psutil.Process(os_pid)
        memory = process.memory_info()
        opened = _opened_by(process)
        return Usage(int(getattr(memory, "private", memory.rss)), process.num_threads(), opened)
    except psutil.Error:
        return None


def _opened_by(process: psutil.Process) -> int:
    if sys.platform == "win32":
        return process.num_handles()
    return process.num_fds()


def files_in(folder: Path) -> int:
    """How many entries a folder has; 0 when it is gone."""
    try:
        return _entries(str(folder))
    except OSError:
        return 0


def _entries(folder: str) -> int:
    """How many entries a folder has; pathlib would intern the name of each, four times a second."""
    with os.scandir(folder) as entries:
        return sum(1 for _ in entries)


def judge(limit_bytes: int, first: Usage, now: Usage) -> tuple[Verdict, str]:
    """What is to be done with a worker that had `first` after its setup and has `now`; and why."""
    told = f"{now.anonymous_bytes // _MIB} MiB of its own, limit {limit_bytes // _MIB} MiB (memory_mb)"
    if now.anonymous_bytes > limit_bytes * HARD_SHARE:
        return Verdict.END, f"memory: {told}, ended at {HARD_SHARE} times that"
    if now.anonymous_bytes > limit_bytes >= first.anonymous_bytes:
        return Verdict.RECYCLE, f"memory: {told}"
    if now.threads - first.threads > MAX_NEW_THREADS:
        return Verdict.RECYCLE, f"threads: {now.threads}, {first.threads} after setup"
    if now.descriptors - first.descriptors > MAX_NEW_DESCRIPTORS:
        return Verdict.RECYCLE, f"descriptors: {now.descriptors}, {first.descriptors} after setup"
    if now.files - first.files > MAX_NEW_FILES:
        return Verdict.RECYCLE, f"temporary files: {now.files}, {first.files} after setup"
    return Verdict.KEEP, ""


class MemoryWatch:
    """Looks at all workers of a station. `limits` are bytes per deployment; runs on the event loop."""

    def __init__(self, limits: Mapping[str, int], workers: Callable[[], Iterable[Watched]]) -> None:
        self.recycled = 0
        self.ended = 0
        self.names = SharedNames()
        self._limits = limits
        self._workers = workers
        self._first: dict[WorkerId, Usage] = {}
        self._judged: set[WorkerId] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await sleep(POLL_S)
            self.look()

    def look(self) -> None:
        """Read every worker that is ready or busy once, and act; and see what shared memory they leave."""
        for name in self.names.look({one.identity: one.os_pid for one in self._workers() if one.os_pid > 0}):
            runner_log.warning("shared memory %s was left behind by a worker and is removed", name)
        present = [worker for worker in self._workers() if worker.state in _JUDGED]
        for worker in present:
            now = read(worker.os_pid)
            if now is not None:
                self._act(worker, replace(now, files=files_in(worker.scratch)))
        living = {worker.identity for worker in present}
        self._judged &= living
        for identity in self._first.keys() - living:
            del self._first[identity]

    def _act(self, worker: Watched, now: Usage) -> None:
        identity, limit = worker.identity, self._limits[worker.identity.deployment]
        if identity not in self._first and now.anonymous_bytes > limit:
            text = "worker %s has %d MiB after its setup, more than its memory_mb of %d: raise it in the manifest"
            runner_log.warning(text, identity, now.anonymous_bytes // _MIB, limit // _MIB)
        verdict, why = judge(limit, self._first.setdefault(identity, now), now)
        if verdict is Verdict.END:
            self.ended += 1
            worker.end_for_memory(why)
        elif verdict is Verdict.RECYCLE and identity not in self._judged:
            self._judged.add(identity)
            self.recycled += 1
            runner_log.warning("worker %s is replaced after its call: %s", identity, why)
            worker.recycle_when_idle(why)
