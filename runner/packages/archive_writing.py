"""A package's archive, written so that the same files give the same bytes (spec.md §10.3).

Entries in order of names, regular files of mode 0644 from 1980, wheels stored, the rest deflated. The archive appears
under its name only when it is whole: until then it lies beside it in a folder that the next run removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import psutil

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages.listing import LISTING, SIGNATURE, ListedFile
from runner.packages.locked import WHEELS

# A file that is there already, or the bytes themselves.
Content = Path | bytes

_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3
_CHUNK_BYTES = 1024 * 1024


def listed(contents: Mapping[str, Content]) -> tuple[ListedFile, ...]:
    """Size and hash of everything that goes in, in order of the paths."""
    return tuple(_listed(name, contents[name]) for name in sorted(contents))


def _listed(name: str, content: Content) -> ListedFile:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(content):
        digest.update(chunk)
        size += len(chunk)
    return ListedFile(path=name, sha256=digest.hexdigest(), size_bytes=size)


def write_archive(path: Path, contents: Mapping[str, Content], files: Sequence[ListedFile]) -> None:
    """The archive at `path`, on the disk when this returns; PackageError 2009 when a file is not what was listed.

    `files` are those of the listing; the listing itself and the signature stand in `contents` only.
    """
    expected = {one.path: one for one in files}
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in sorted(contents):
                written = _write(archive, name, contents[name])
                if name not in (LISTING, SIGNATURE) and written != expected[name]:
                    raise PackageError(
                        f"{name} changed while it was packed", hint="run it again", code=ErrorCode.HASH_MISMATCH
                    )
        file.flush()
        os.fsync(file.fileno())


def _write(archive: zipfile.ZipFile, name: str, content: Content) -> ListedFile:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system = _UNIX
    entry.external_attr = _MODE
    entry.compress_type = zipfile.ZIP_STORED if name.startswith(WHEELS) else zipfile.ZIP_DEFLATED
    # Known beforehand, so that only what needs it is written in the form for more than 4 GiB.
    entry.file_size = content.stat().st_size if isinstance(content, Path) else len(content)
    digest, size = hashlib.sha256(), 0
    with archive.open(entry, "w") as into:
        for chunk in _chunks(content):
            into.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return ListedFile(path=name, sha256=digest.hexdigest(), size_bytes=size)


def _chunks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        yield from _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


@contextmanager
def workplace(output: Path) -> Iterator[Path]:
    """An empty folder beside `output`, gone afterwards; those of runs that were killed go first.

    Beside it, since only there a finished file can take its name in one step.
    """
    prefix, suffix = f".{output.name}.", ".partial"
    for left in output.parent.glob(f"{prefix}*{suffix}"):
        owner = re.fullmatch(r"\d+", left.name.removeprefix(prefix).removesuffix(suffix))
        if owner is not None and not psutil.pid_exists(int(owner[0])):
            shutil.rmtree(left)
    folder = output.with_name(f"{prefix}{os.getpid()}{suffix}")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
