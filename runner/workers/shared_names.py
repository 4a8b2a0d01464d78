"""Names in shared memory that an algorithm made and left behind (spec.md §7.25).

A name goes when it was not there before its worker was, the worker was seen with it open, the worker is gone, and no
living process has it open or mapped. What a worker opens and closes between two looks is not seen. Windows forgets a
section with its last handle; nothing is done there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.workers.worker import WorkerId

FOLDER = Path("/dev/shm")
_PREFIX = f"{FOLDER}{os.sep}"
_PROCESSES = Path("/proc")


@dataclass(slots=True)
class _Seen:
    """`before`: the names that were there before this worker; `own`: those it made."""

    before: frozenset[str]
    own: set[str] = field(default_factory=set)


class SharedNames:
    """Looks at all workers of a station, again and again."""

    def __init__(self) -> None:
        self.removed = 0
        self._there = names()
        self._seen: dict[WorkerId, _Seen] = {}

    def look(self, workers: Mapping[WorkerId, int]) -> list[str]:
        """Note what these processes have open, and remove what those that are gone left; its names."""
        before, self._there = self._there, names()
        for worker, os_pid in workers.items():
            seen = self._seen.setdefault(worker, _Seen(before))
            seen.own |= opened_by(os_pid) - seen.before
        removed = []
        for worker in self._seen.keys() - workers.keys():
            left = self._seen[worker].own & self._there
            unused = left - in_use() if left else left
            removed += [name for name in sorted(unused) if _remove(name)]
            self._seen[worker].own = set(left - unused)
            if left == unused:
                del self._seen[worker]
        self.removed += len(removed)
        return removed


def names() -> frozenset[str]:
    """The names there are now; none where the platform has no such folder."""
    try:
        with os.scandir(FOLDER) as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()


def opened_by(os_pid: int) -> set[str]:
    """The names a process has open; none when it is gone."""
    return set(_named(_links(f"{_PROCESSES}/{os_pid}/fd")))


def in_use() -> set[str]:
    """The names that any process has open or mapped, as far as this one may look."""
    found: set[str] = set()
    for folder in _PROCESSES.glob("[0-9]*"):
        found |= opened_by(int(folder.name))
        with suppress(OSError):
            lines = (folder / "maps").read_text("utf-8", "replace").splitlines()
            found.update(_named(line[line.find(_PREFIX) :] for line in lines if _PREFIX in line))
    return found


def _links(folder: str) -> Iterator[str]:
    """Where the links of a folder point.

    Not by pathlib: it interns each name, and what four looks a second intern makes Python build its table of interned
    names anew, 2 MB at a time.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                yield os.readlink(entry.path)  # noqa: PTH115


def _named(paths: Iterable[str]) -> Iterator[str]:
    return (path.removeprefix(_PREFIX) for path in paths if path.startswith(_PREFIX) and not path.endswith("(deleted)"))


def _remove(name: str) -> bool:
    try:
        (FOLDER / name).unlink()
    except OSError:
        return False
    return True
