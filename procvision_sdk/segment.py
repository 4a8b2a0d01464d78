"""Named shared memory as plain mappings, never tracked by multiprocessing (spec.md §3).

The resource tracker of an unrelated process unlinks what it attached when that process ends, on Python before 3.13;
so names are opened with shm_open directly. On Windows a section lives while a handle is open: `create` returns the
mapping, and whoever made it keeps it.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from procvision_sdk.errors import ErrorCode, SharedMemoryError, StationError

if TYPE_CHECKING or sys.platform != "win32":
    import _posixshmem  # type: ignore[import-not-found]

HEADER_BYTES = 64
# "" and ".." would open the directory itself, a slash another one.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}", re.ASCII)


def create(name: str, size: int, mode: int = 0o600) -> mmap.mmap:
    """A new zeroed segment of `size` bytes, its memory reserved; StationError when there is no room for it.

    Without the reservation a full /dev/shm is a bus error at the first write; with it, a message at start.
    FileExistsError when the name is taken.
    """
    path = _path(name)
    if size < 1:
        raise ValueError(f"shared memory {name!r}: expected a size of 1 byte or more, got {size}")
    if sys.platform == "win32":
        return mmap.mmap(-1, size, tagname=name)
    descriptor = _posixshmem.shm_open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=mode)
    try:
        os.fchmod(descriptor, mode)
        os.ftruncate(descriptor, size)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    except (OSError, OverflowError) as error:
        _posixshmem.shm_unlink(path)
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise
        raise StationError(
            f"shared memory: {size} bytes are needed, {_free_bytes()} are free",
            hint="fewer or smaller slots, or a larger /dev/shm (mount -o remount,size=...)",
            code=ErrorCode.DISK,
        ) from None
    finally:
        os.close(descriptor)


def _free_bytes() -> int:
    if sys.platform == "win32" or not Path("/dev/shm").is_dir():
        return 0
    free = os.statvfs("/dev/shm")
    return free.f_bavail * free.f_frsize


def attach(name: str, size: int | None = None) -> memoryview:
    """A read-only view of an existing segment, whole unless `size` says less; SharedMemoryError when there is none.

    Nobody can make an array over it writable: the pages themselves are mapped without the right to write.
    """
    return memoryview(_map(name, size, mmap.ACCESS_READ)).toreadonly()


def attach_writable(name: str, size: int | None = None) -> mmap.mmap:
    """A read-write mapping for a host that fills slots under a lease."""
    return _map(name, size, mmap.ACCESS_WRITE)


def _map(name: str, size: int | None, access: int) -> mmap.mmap:
    path = _path(name)
    if sys.platform == "win32":
        return mmap.mmap(-1, size or HEADER_BYTES, tagname=name, access=access)
    flags = os.O_RDONLY if access == mmap.ACCESS_READ else os.O_RDWR
    if sys.platform == "linux":
        flags |= os.O_NONBLOCK  # somebody's named pipe under this name would otherwise be waited for
    try:
        descriptor = _posixshmem.shm_open(path, flags, mode=0)
    except OSError as error:
        raise SharedMemoryError(f"no shared memory is named {name!r} ({error.strerror})") from None
    try:
        available = os.fstat(descriptor).st_size
        if available < (size or 1):
            raise SharedMemoryError(f"shared memory {name!r} holds {available} bytes, expected {size or 1} or more")
        return mmap.mmap(descriptor, size or available, access=access)
    except OSError as error:
        raise SharedMemoryError(f"shared memory {name!r} cannot be mapped ({error.strerror})") from None
    finally:
        os.close(descriptor)


def unlink(name: str) -> bool:
    """Take the name away; True when there was one. Existing mappings stay valid."""
    path = _path(name)
    if sys.platform == "win32":
        return False
    try:
        _posixshmem.shm_unlink(path)
    except FileNotFoundError:
        return False
    return True


def _path(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise SharedMemoryError(
            f"shared memory: expected a name of letters, digits, dot, dash and underscore, got {name[:80]!r}"
        )
    return f"/{name}"
