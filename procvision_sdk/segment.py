"""Named shared memory as plain mappings, never tracked by multiprocessing (spec.md §3).

The resource tracker of an unrelated process unlinks what it attached when that process ends, on Python before 3.13;
so names are opened with shm_open directly. On Windows a section lives while a handle is open: `create` returns the
mapping, and whoever made it keeps it.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys

from procvision_sdk.errors import ErrorCode, SharedMemoryError, StationError

HEADER_BYTES = 64


def create(name: str, size: int, mode: int = 0o600) -> mmap.mmap:
    """A new zeroed segment of `size` bytes, its memory reserved; StationError when there is no room for it.

    Without the reservation a full /dev/shm is a bus error at the first write; with it, a message at start.
    """
    if sys.platform == "win32":
        return mmap.mmap(-1, size, tagname=name)
    import _posixshmem

    descriptor = _posixshmem.shm_open(f"/{name}", os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=mode)
    try:
        os.fchmod(descriptor, mode)
        _reserve(descriptor, size)
        return mmap.mmap(descriptor, size)
    except OSError as error:
        _posixshmem.shm_unlink(f"/{name}")
        if error.errno in (errno.ENOSPC, errno.ENOMEM):
            raise StationError(
                f"shared memory: {size} bytes are needed, {_free_bytes()} are free",
                hint="fewer or smaller slots, or a larger /dev/shm (mount -o remount,size=...)",
                code=ErrorCode.DISK,
            ) from None
        raise
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    if sys.platform == "win32":
        return
    os.ftruncate(descriptor, size)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(descriptor, 0, size)


def _free_bytes() -> int:
    if sys.platform == "win32":
        return 0
    return os.statvfs("/dev/shm").f_bavail * os.statvfs("/dev/shm").f_frsize if os.path.isdir("/dev/shm") else 0  # noqa: PTH112


def attach(name: str, size: int | None = None) -> memoryview:
    """A read-only view of an existing segment, whole unless `size` says less; SharedMemoryError when there is none.

    Nobody can make an array over it writable: the pages themselves are mapped without the right to write.
    """
    return memoryview(_map(name, size, mmap.ACCESS_READ)).toreadonly()


def attach_writable(name: str, size: int | None = None) -> mmap.mmap:
    """A read-write mapping for a host that fills slots under a lease."""
    return _map(name, size, mmap.ACCESS_WRITE)


def _map(name: str, size: int | None, access: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size or HEADER_BYTES, tagname=name, access=access)
    import _posixshmem

    flags = os.O_RDONLY if access == mmap.ACCESS_READ else os.O_RDWR
    try:
        descriptor = _posixshmem.shm_open(f"/{name}", flags, mode=0)
    except (OSError, ValueError) as error:
        raise SharedMemoryError(f"no shared memory is named {name[:80]!r} ({error})") from None
    try:
        available = os.fstat(descriptor).st_size
        if available < (size or 1):
            raise SharedMemoryError(
                f"shared memory {name[:80]!r} holds {available} bytes, expected {size or 1} or more"
            )
        return mmap.mmap(descriptor, size or available, access=access)
    finally:
        os.close(descriptor)


def unlink(name: str) -> bool:
    """Take the name away; True when there was one. Existing mappings stay valid."""
    if sys.platform == "win32":
        return False
    import _posixshmem

    try:
        _posixshmem.shm_unlink(f"/{name}")
    except FileNotFoundError:
        return False
    return True
