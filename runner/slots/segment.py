"""Creates and unlinks the station's segment, and sweeps what a killed runner left (spec.md §3).

A second, hidden name, `.pv-...`, keeps the memory reachable: the resource tracker of a host's Python before 3.13 takes
the first one away when that host ends.

A name carries station, boot, process id and start time of its runner: `pv-<station>-<boot>-<pid>-<start>`. Only a
name of this station whose runner is certainly gone is taken away, never anything else's.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

from procvision_sdk import segment as shared
from procvision_sdk.arena import Arena, ArenaLayout
from runner.config import ConfigError, SlotsConfig

_NAME = re.compile(r"pv-(?P<station>[A-Za-z0-9_-]+)-(?P<boot>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)")
_FOLDER = Path("/dev/shm")


class Name(Enum):
    """HELD: the segment is found by its name. RESTORED: it is again. LOST: no new process can find it."""

    HELD = "held"
    RESTORED = "restored"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Segment:
    """The arena and the mapping under it; `file` is device and inode. `destroy` is the last thing a station does."""

    arena: Arena
    mapping: mmap.mmap
    file: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return self.arena.name

    def destroy(self) -> None:
        """Take the names away. The mapping goes with the last view of it."""
        shared.unlink(self.name)
        for hidden in (_keeper(self.name), _fresh(_keeper(self.name))):
            hidden.unlink(missing_ok=True)

    def hold_name(self) -> Name:
        """Put the name back when somebody took it away, or something else into its place (Linux)."""
        if self.file is None:
            return Name.HELD
        path, keeper = _FOLDER / self.name, _keeper(self.name)
        named, kept = _file_of(path) == self.file, _file_of(keeper) == self.file
        if named:
            if not kept:
                _link(path, keeper)
            return Name.HELD
        if kept:
            _link(keeper, path)
        return Name.RESTORED if _file_of(path) == self.file else Name.LOST


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
    if sys.platform == "linux":
        _link(_FOLDER / name, _keeper(name))
    return Segment(Arena.format(name, memoryview(mapping), layout), mapping, _file_of(_FOLDER / name))


def _keeper(name: str) -> Path:
    return _FOLDER / f".{name}"


def _fresh(name: Path) -> Path:
    return name.with_name(f".{name.name.removeprefix('.')}.new")


def _file_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _link(existing: Path, name: Path) -> None:
    """Give the file a second name, in the place of whatever has it; a system that cannot is left as it is."""
    fresh = _fresh(name)
    with suppress(OSError):
        fresh.unlink(missing_ok=True)
        os.link(existing, fresh)
        fresh.replace(name)


def sweep(station: str) -> list[str]:
    """Unlink the segments of this station whose runner is gone; their names."""
    if not _FOLDER.is_dir():
        return []
    found = (path.name for pattern in ("pv", ".pv") for path in _FOLDER.glob(f"{pattern}-{station}-*"))
    names = {name.removeprefix(".").removesuffix(".new") for name in found}
    return [name for name in sorted(names) if _is_stale(name, station) and _unlinked(name)]


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
    """Whether the name or its keeper was there and ours to take away."""
    keeper = _keeper(name)
    kept = keeper.exists()
    try:
        for hidden in (keeper, _fresh(keeper)):
            hidden.unlink(missing_ok=True)
        return shared.unlink(name) or kept
    except PermissionError:  # another user's: it is for that user to take away
        return False


def _is_stale(name: str, station: str) -> bool:
    found = _NAME.fullmatch(name)
    if found is None or found["station"] != station:
        return False
    if found["boot"] != boot_id():
        return True
    return not is_alive(int(found["pid"]), int(found["start"]))
