"""Changes of a folder that a power cut cannot take back: names, too, have to reach the disk (docs/decisions/0019)."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """The names in `folder` are on the disk; OSError. Windows writes them through by itself."""
    if sys.platform != "win32":
        _sync(folder)


def sync_file(path: Path) -> None:
    """The bytes of the file are on the disk; OSError."""
    _sync(path)


def _sync(path: Path) -> None:
    # Windows syncs only what may be written, POSIX opens no folder for writing.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
