"""Creates and unlinks the station's segment, and sweeps what a killed runner left (spec.md §3).

A name carries station, boot, process id and start time of its runner: `pv-<station>-<boot>-<pid>-<start>`. Only a
name of this station whose runner is certainly gone is taken away, never anything else's.
"""

from __future__ import annotations

import mmap
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from procvision_sdk import segment as shared
from procvision_sdk.arena import Arena, ArenaLayout
from runner.config import ConfigError, SlotsConfig

_NAME = re.compile(r"pv-(?P<station>[A-Za-z0-9_-]+)-(?P<boot>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)")
_FOLDER = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Segment:
    """The arena and the mapping under it. `destroy` is the last thing a station does."""

    arena: Arena
    mapping: mmap.mmap

    @property
    def name(self) -> str:
        return self.arena.name

    def destroy(self) -> None:
        """Take the name away. The mapping goes with the last view of it."""
        shared.unlink(self.name)


def boot_id() -> str:
    """Eight hex digits that another boot of this machine does not have."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")[:8]
    return f"{int(psutil.boot_time()) & 0xFFFFFFFF:08x}"


def start_of(os_pid: int) -> int:
    """Start time of a process in hundredths of a second: with the process id an identity that is not used twice.

    On Linux in clock ticks since boot: a time of day would move when somebody sets the clock. psutil.NoSuchProcess.
    """
    if sys.platform != "linux":
        return round(float(psutil.Process(os_pid).create_time()) * 100)
    try:
        told = Path(f"/proc/{os_pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(os_pid) from None
    # The name of the program stands in brackets and may hold any character; 22nd field of the line.
    return int(told.rpartition(")")[2].split()[19])


def own_name(station: str) -> str:
    """The name of this process's segment."""
    me = psutil.Process()
    return f"pv-{station}-{boot_id()}-{me.pid}-{start_of(me.pid)}"


def create(station: str, config: SlotsConfig, group: str = "") -> Segment:
    """A formatted segment, its memory reserved; StationError (3007) with the figures when there is no room.

    Mode 0600, or 0660 for the members of `group`; ConfigError when that group cannot be given it.
    """
    layout = ArenaLayout(config.count, config.capacity_bytes)
    name = own_name(station)
    mapping = shared.create(name, layout.size, 0o660 if group else 0o600)
    if group and sys.platform != "win32":
        try:
            shutil.chown(_FOLDER / name, group=group)
        except (LookupError, PermissionError) as error:
            shared.unlink(name)
            raise ConfigError(f"host.group: {group!r}: {error}", hint="name a group this user is in") from None
    return Segment(Arena.format(name, memoryview(mapping), layout), mapping)


def sweep(station: str) -> list[str]:
    """Unlink the segments of this station whose runner is gone; their names."""
    if not _FOLDER.is_dir():
        return []
    stale = [path.name for path in _FOLDER.glob(f"pv-{station}-*") if _is_stale(path.name, station)]
    return [name for name in stale if _unlinked(name)]


def stale_names() -> list[str]:
    """The segments of whatever station whose runner is gone; nothing is taken away."""
    matches = (_NAME.fullmatch(path.name) for path in _FOLDER.glob("pv-*")) if _FOLDER.is_dir() else ()
    return sorted(found[0] for found in matches if found is not None and _is_stale(found[0], found["station"]))


def is_alive(os_pid: int, start: int) -> bool:
    """Whether the process that had this id and this start time still runs."""
    try:
        return start_of(os_pid) == start
    except psutil.NoSuchProcess:
        return False


def _unlinked(name: str) -> bool:
    try:
        return shared.unlink(name)
    except PermissionError:  # another user's: it is for that user to take away
        return False


def _is_stale(name: str, station: str) -> bool:
    found = _NAME.fullmatch(name)
    if found is None or found["station"] != station:
        return False
    if found["boot"] != boot_id():
        return True
    return not is_alive(int(found["pid"]), int(found["start"]))
