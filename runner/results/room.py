"""Room on the disk of the store, and what gives way first when it gets short (spec.md §11.16, docs/decisions/0019).

    low     no more poison inputs are kept, and no backup is made
    scarce  poison inputs go, the oldest first
    full    the ballast goes; when that is not enough, nothing new is inspected

The ballast is a file of no use but its size: room that is at hand when a write finds none. It comes back when the disk
would be no worse than `low` with it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from runner.logs import runner_log
from runner.results import disk, poison
from runner.results.disk import Disk

BALLAST = "ballast"
_ENOUGH = ("good", "low")
_BLOCK = bytes(1024 * 1024)


class Room:
    """Of the store in `folder`. `look` and `release` are the writer's, `mend` is for another thread."""

    def __init__(self, folder: Path, min_free_bytes: int, ballast_bytes: int) -> None:
        self._folder = folder
        self._ballast = folder / BALLAST
        self._min_free_bytes, self._ballast_bytes = min_free_bytes, ballast_bytes

    def look(self) -> Disk:
        """How full the disk is, after the ballast has gone where it had to; OSError when the system does not say."""
        found = disk.look(self._folder, self._min_free_bytes)
        if found.level == "full" and self.release():
            found = disk.look(self._folder, self._min_free_bytes)
        return found

    def release(self) -> bool:
        """Whether there was ballast, and its room is free now."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        runner_log.warning("the ballast of %s was released: the disk is full", self._folder)
        return True

    def ballast_bytes(self) -> int:
        try:
            return self._ballast.stat().st_size
        except OSError:
            return 0

    def mend(self) -> int:
        """Remove one poison input where room is scarce, make the ballast anew where it is back; how many went."""
        try:
            if disk.look(self._folder, self._min_free_bytes).level not in _ENOUGH:
                return self._remove_one()
            self._refill()
        except OSError as error:
            runner_log.warning("room in %s cannot be made: %s", self._folder, error)
        return 0

    def _remove_one(self) -> int:
        gone = poison.forget_oldest(self._folder / poison.FOLDER)
        if gone is not None:
            runner_log.warning("the disk is short of room: the poison input %s was removed", gone.name)
        return int(gone is not None)

    def _refill(self) -> None:
        wanted = self._ballast_bytes
        if self.ballast_bytes() == wanted or not self._folder.is_dir():
            return
        self._ballast.unlink(missing_ok=True)
        if wanted and disk.look(self._folder, self._min_free_bytes, wanted).level in _ENOUGH:
            self._fill(wanted)

    def _fill(self, size: int) -> None:
        with open(self._ballast, "wb") as file:
            try:
                _reserve(file.fileno(), size)
            except OSError:
                with suppress(OSError):
                    self._ballast.unlink()
                raise


def _reserve(descriptor: int, size: int) -> None:
    """Give the open file `size` bytes that are really on the disk; OSError when they are not to be had."""
    if sys.platform != "win32":
        os.posix_fallocate(descriptor, 0, size)
        return
    for _ in range(size // len(_BLOCK)):
        os.write(descriptor, _BLOCK)
