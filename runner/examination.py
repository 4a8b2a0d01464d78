"""What `doctor` looks at on any machine: each function answers with one Check and mends nothing (spec.md §11.22)."""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from runner.clock import wall_ms
from runner.dev.checks import Check, Outcome
from runner.slots import segment

OLDEST_PYTHON = (3, 11)
# Modules and the distributions they come from.
LIBRARIES = {
    "numpy": "numpy",
    "pydantic": "pydantic",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "psutil": "psutil",
    "typer": "typer",
    "rich": "rich",
    "jinja2": "jinja2",
    "platformdirs": "platformdirs",
}
# Below the first share of a disk nothing is inspected, below the second it is time to act (spec.md §7).
DISK_STOP, DISK_LOW = 0.01, 0.05
MIN_DESCRIPTORS = 1024
MIN_PROCESSES = 256
# No clock that was ever set is behind the time this was written.
_WRITTEN_AT = datetime(2025, 1, 1, tzinfo=UTC)
_CLOCK_TOLERANCE_S = 60.0
_SHARED_MEMORY = Path("/dev/shm")
_ADAPTER = ("procvision_sdk.adapter", "adapter/boot.py", "adapter\\boot.py")


def python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    said = f"Python {found} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return _fail("python", said, "use Python 3.11 or newer")
    return Check.passed("python", said)


def libraries(modules: Iterable[str] = tuple(LIBRARIES)) -> Check:
    """Imported, not only looked for: a library that is there may still lack one of the system's."""
    found, broken = [], []
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            broken.append(f"{module}: {error}")
            continue
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{LIBRARIES[module]} {metadata.version(LIBRARIES[module])}")
    if broken:
        return _fail("libraries", "; ".join(broken), 'pip install "procvision[runner]" into this environment')
    return Check.passed("libraries", ", ".join(found))


def shared_memory(needed_bytes: int, held_bytes: int = 0, folder: Path = _SHARED_MEMORY) -> Check:
    """Whether the slots fit; `held_bytes` are taken by a runner that serves already."""
    name = "shared memory"
    if sys.platform != "linux":
        return Check.skipped(name, "only Linux says how much there is")
    if not folder.is_dir():
        return _fail(name, f"{folder} is not there", "mount a tmpfs at /dev/shm; a container needs --shm-size")
    usage = shutil.disk_usage(folder)
    said = f"{_mib(usage.free)} of {_mib(usage.total)} free, {_mib(needed_bytes)} needed"
    free = usage.free + held_bytes
    mend = "mount -o remount,size=... /dev/shm, or fewer or smaller slots (slots.count, slots.capacity_bytes)"
    if free < needed_bytes:
        return _fail(name, said, mend)
    return _warn(name, said, mend) if free < 2 * needed_bytes and not held_bytes else Check.passed(name, said)


def memory(needed_bytes: int) -> Check:
    free = psutil.virtual_memory().available
    said = f"{_mib(free)} available, {_mib(needed_bytes)} for the slots and one worker at its limit"
    mend = "add memory, or lower slots.count or workers.memory_mb"
    return Check.passed("memory", said) if free >= needed_bytes else _warn("memory", said, mend)


def disk(folder: Path) -> Check:
    existing = _existing(folder)
    usage = shutil.disk_usage(existing)
    said = f"{_mib(usage.free)} of {_mib(usage.total)} free at {existing}"
    mend = "free space, or keep less (store.retention_days, store.max_mb, log.files)"
    if usage.free < DISK_STOP * usage.total:
        return _fail("disk", said, mend)
    return _warn("disk", said, mend) if usage.free < DISK_LOW * usage.total else Check.passed("disk", said)


def writable(name: str, folder: Path) -> Check:
    """Tried, because permissions alone do not say it: a file system may be read-only."""
    folder = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check.passed(name, f"{folder} can be written to")
    except OSError as error:
        told = f"{folder}: {error.strerror or error}"
        return _fail(name, told, "let the runner's user write there, or choose another folder")


def clock(folders: Iterable[Path]) -> Check:
    """Intervals do not depend on the clock; records, retention and logs do."""
    now = datetime.fromtimestamp(wall_ms() / 1000, UTC)
    said = f"{now.isoformat(' ', 'seconds')}"
    mend = "set the clock, and keep it set (NTP)"
    if now < _WRITTEN_AT:
        return _fail("clock", f"{said} is in the past", mend)
    ahead_s = max((_newest_s(folder) - now.timestamp() for folder in folders), default=0.0)
    if ahead_s > _CLOCK_TOLERANCE_S:
        return _warn("clock", f"{said}, and files of the station are {ahead_s:.0f} s newer: it was set back", mend)
    return Check.passed("clock", said)


def _existing(folder: Path) -> Path:
    """The folder, or the one it would be made in."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _newest_s(folder: Path) -> float:
    if not folder.is_dir():
        return 0.0
    return max((path.stat().st_mtime for path in folder.iterdir() if path.is_file()), default=0.0)


def limits() -> Check:
    """What the system lets one process, and one user, have."""
    if sys.platform == "win32":
        return Check.skipped("limits", "this platform has none")
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    unlimited = resource.RLIM_INFINITY
    wanted = (
        ("descriptors (ulimit -n)", descriptors, MIN_DESCRIPTORS),
        ("processes (ulimit -u)", processes, MIN_PROCESSES),
    )
    low = [f"{least} {what}" for what, found, least in wanted if found != unlimited and found < least]
    told = ["unlimited" if one == unlimited else str(one) for one in (descriptors, processes)]
    said = f"{told[0]} descriptors, {told[1]} processes"
    return _warn("limits", said, f"raise to at least {' and '.join(low)}") if low else Check.passed("limits", said)


def leftovers() -> Check:
    """What killed runners left on this machine: segments, scratch folders, workers without a runner."""
    found = [*_segments(), *_scratch_folders(), *_orphans()]
    if not found:
        return Check.passed("leftovers", "none")
    mend = "the next start of that station removes its own; else remove them by hand"
    return _warn("leftovers", "; ".join(found), mend)


def _segments() -> Iterator[str]:
    yield from (f"segment /dev/shm/{name}" for name in segment.stale_names())


def _scratch_folders() -> Iterator[str]:
    for folder in Path(tempfile.gettempdir()).glob("procvision-*-*-*"):
        os_pid, start = folder.name.split("-")[1:3]
        if os_pid.isdecimal() and start.isdecimal() and not segment.is_alive(int(os_pid), int(start)):
            yield f"folder {folder}"


def _orphans() -> Iterator[str]:
    """Adapters that were told who starts them, and whose parent that is not any more."""
    for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
        words = process.info["cmdline"] or []
        if "--parent-pid" not in words or not any(mark in word for mark in _ADAPTER for word in words):
            continue
        if words[words.index("--parent-pid") + 1 :][:1] != [str(process.info["ppid"])]:
            yield f"process {process.info['pid']} (an algorithm without a runner)"


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def _fail(name: str, message: str, hint: str) -> Check:
    return Check(name, Outcome.FAIL, message, hint=hint)


def _warn(name: str, message: str, hint: str) -> Check:
    return Check(name, Outcome.WARN, message, hint=hint)
