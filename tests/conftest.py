"""Every test proves that it leaves nothing behind: no process, thread, descriptor or shared memory."""

from __future__ import annotations

import gc
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_SHARED_MEMORY = Path("/dev/shm")
_DESCRIPTORS = Path("/proc/self/fd")
_RUNNERS_SEGMENT = re.compile(r"pv-.+-[0-9a-f]{8}-(?P<os_pid>\d+)-\d+")


@dataclass(frozen=True, slots=True)
class World:
    """What a test could leave behind, by name."""

    processes: frozenset[int]
    threads: frozenset[str]
    descriptors: frozenset[str]
    segments: frozenset[str]

    @classmethod
    def now(cls) -> World:
        return cls(
            processes=frozenset(child.pid for child in psutil.Process().children(recursive=True)),
            threads=frozenset(thread.name for thread in threading.enumerate()),
            descriptors=frozenset(_open_descriptors()),
            segments=frozenset(
                path.name
                for path in _SHARED_MEMORY.iterdir()
                if path.name.startswith(("pv", ".pv")) and not _is_anothers(path.name.removeprefix("."))
            ),
        )

    def leftovers(self, before: World) -> list[str]:
        """One line for each kind of thing that is here and was not before."""
        found = []
        for kind in ("processes", "threads", "descriptors", "segments"):
            new = sorted(map(str, getattr(self, kind) - getattr(before, kind)))
            if new and not (kind == "segments" and _others_are_testing()):
                found.append(f"{kind}: {', '.join(new)}")
        return found


def _open_descriptors() -> Iterator[str]:
    """Number and target of each, the one that lists them left out."""
    if not _DESCRIPTORS.is_dir():
        return
    for descriptor in list(_DESCRIPTORS.iterdir()):
        try:
            yield f"{descriptor.name} -> {descriptor.readlink()}"
        except FileNotFoundError:
            continue


def _is_anothers(segment: str) -> bool:
    """Whether a living runner that no test started owns it: its process id is in the name."""
    found = _RUNNERS_SEGMENT.fullmatch(segment)
    if found is None or not psutil.pid_exists(int(found["os_pid"])):
        return False
    try:
        owner = psutil.Process(int(found["os_pid"]))
        return os.getpid() not in (owner.pid, *(parent.pid for parent in owner.parents()))
    except psutil.NoSuchProcess:
        return False


def _others_are_testing() -> bool:
    """Whether another run of tests, or another process of this run, is here: segments cannot be told apart then."""
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        return True
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or ()
        if process.info["pid"] not in own and any("pytest" in Path(word).name for word in command[:3]):
            return True
    return False


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Compares the world before and after each test; fails it when something is new."""
    before = World.now()
    yield
    if World.now().leftovers(before):
        gc.collect()
    found = World.now().leftovers(before)
    assert not found, f"the test left behind: {'; '.join(found)}"
