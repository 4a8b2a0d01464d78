"""A disk of a few MiB that a test may fill to the last byte; without the right to mount one the test is skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_BYTES = 16 * 1024 * 1024


class SmallDisk:
    """`fill` writes a file of its own into it, `empty` takes that away."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self, leave_percent: float) -> None:
        """All but so much of the whole disk; 0: until the system says that it is full."""
        leave = int(DISK_BYTES * leave_percent / 100)
        with self._filler.open("ab", buffering=0) as file:
            while (free := shutil.disk_usage(self._filler.parent).free) > leave:
                file.write(bytes(min(65_536, free - leave)))

    def empty(self) -> None:
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """It lies at `folder`, which is made."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command: no disk can be filled")
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
