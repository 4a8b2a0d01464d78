"""The bytes of an archive's entries, counted and compared while they are unpacked (spec.md §10)."""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages.archive import DEFLATED, Entry, broken, unsafe

_CHUNK_BYTES = 1 << 18


def content(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """The entry in pieces; PackageError 2010 when it becomes more or less than it says, 2001 when it cannot be read."""
    file.seek(entry.start)
    left, made, crc = entry.packed_bytes, 0, 0
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
    while left:
        packed = file.read(min(_CHUNK_BYTES, left))
        if not packed:
            raise broken(f"{entry.name} is cut off")
        left -= len(packed)
        for piece in _unpacked(unpack, packed, entry.name):
            made += len(piece)
            crc = zlib.crc32(piece, crc)
            if made > entry.size_bytes:
                raise unsafe(f"{entry.name} unpacks to more than the {entry.size_bytes} bytes it says")
            yield piece
    if made != entry.size_bytes or (unpack is not None and (not unpack.eof or unpack.unused_data)):
        raise unsafe(f"{entry.name} unpacks to {made} bytes and says {entry.size_bytes}, or does not end where it says")
    if crc != entry.crc:
        raise broken(f"{entry.name} is damaged: its checksum is wrong")


def _unpacked(unpack: zlib._Decompress | None, packed: bytes, name: str) -> Iterator[bytes]:
    if unpack is None:
        yield packed
        return
    while packed:
        try:
            piece = unpack.decompress(packed, _CHUNK_BYTES)
        except zlib.error as error:
            raise broken(f"{name} is damaged: {error}") from None
        if piece:
            yield piece
        packed = unpack.unconsumed_tail
        if not piece and unpack.eof:
            return


def whole(file: BinaryIO, entry: Entry, limit_bytes: int) -> bytes:
    """A small entry in memory; PackageError 2001 when it is larger than it may be."""
    if entry.size_bytes > limit_bytes:
        raise broken(f"{entry.name}: expected at most {limit_bytes} bytes, got {entry.size_bytes}")
    return b"".join(content(file, entry))


def sha256(file: BinaryIO, entry: Entry) -> str:
    """The digest of an entry, in hex."""
    made = hashlib.sha256()
    for piece in content(file, entry):
        made.update(piece)
    return made.hexdigest()


def extract(file: BinaryIO, entries: Iterable[Entry], digests: dict[str, str], folder: Path) -> None:
    """Write the entries below `folder`, which is fresh and ours. `digests`: the SHA-256 that each name must have.

    PackageError 2009 when a file has another; what was written until then is the caller's to remove.
    """
    for entry in entries:
        target = folder / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        made = hashlib.sha256()
        with os.fdopen(os.open(target, _flags(), 0o644), "wb") as out:
            for piece in content(file, entry):
                made.update(piece)
                out.write(piece)
        if digests.get(entry.name, made.hexdigest()) != made.hexdigest():
            raise PackageError(
                f"{entry.name}: expected SHA-256 {digests[entry.name]}, got {made.hexdigest()}",
                hint="get the package again from whoever built it",
                code=ErrorCode.HASH_MISMATCH,
            )


def _flags() -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    if sys.platform == "win32":
        return flags | os.O_BINARY
    return flags | os.O_NOFOLLOW | os.O_CLOEXEC
