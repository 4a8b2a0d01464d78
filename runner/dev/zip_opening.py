"""A package's archive as an author reads it back: what it lists, and that it holds just that (spec.md §10.3, §10.7)."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages import entry_names
from runner.packages.archive_writing import sha256_of
from runner.packages.listing import LISTING, MAX_LISTING_BYTES, SIGNATURE, ListedFile, Listing, parse_listing

_MAX_SIGNATURE_BYTES = 4096
_CHUNK_BYTES = 1024 * 1024
_AGAIN = "build it again with procvision package"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A package in a folder, each file as its listing says. `signature` None: not signed."""

    folder: Path
    listing: Listing
    listing_bytes: bytes
    signature: bytes | None


def unpack(path: Path, folder: Path) -> Unpacked:
    """The package in the file, in an empty folder.

    PackageError 2001 when it is none, 2009 when it holds something else than it lists, 2010 for names that could leave
    the folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack(archive, folder)
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise _refused(f"{path.name} is no archive that can be read: {error}", ErrorCode.INVALID_ZIP) from None


def _unpack(archive: zipfile.ZipFile, folder: Path) -> Unpacked:
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise _refused("a name stands twice in the archive", ErrorCode.UNSAFE_ARCHIVE)
    faults = (f"{name!a:.200}: {fault}" for name in entries if (fault := entry_names.fault(name)))
    if unsafe := next(faults, "") or entry_names.collision(entries):
        raise _refused(unsafe, ErrorCode.UNSAFE_ARCHIVE)
    if LISTING not in entries:
        raise _refused(f"there is no {LISTING}: procvision package did not make it", ErrorCode.INVALID_ZIP)
    raw = _read(archive, LISTING, MAX_LISTING_BYTES)
    listing = parse_listing(raw)
    _compare_names(listing, entries)
    for one in listing.files:
        _extract(archive, one, folder / one.path)
    signature = _read(archive, SIGNATURE, _MAX_SIGNATURE_BYTES) if SIGNATURE in entries else None
    return Unpacked(folder, listing, raw, signature)


def _extract(archive: zipfile.ZipFile, listed: ListedFile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = listed.size_bytes
    with archive.open(listed.path) as source, path.open("xb") as file:
        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            file.write(chunk)
            left -= len(chunk)
    if sha256_of(path) != listed.sha256:
        raise _refused(f"{listed.path} is not the file that {LISTING} names by its hash", ErrorCode.HASH_MISMATCH)


def _compare_names(listing: Listing, entries: dict[str, zipfile.ZipInfo]) -> None:
    listed = {one.path: one.size_bytes for one in listing.files}
    held = {name: entry.file_size for name, entry in entries.items() if name not in (LISTING, SIGNATURE)}
    different = sorted(name for name in listed.keys() | held.keys() if listed.get(name) != held.get(name))
    if different:
        more = f" and {len(different) - 1} more" if len(different) > 1 else ""
        kind = "is not listed" if different[0] not in listed else "is listed, and not there with that size"
        raise _refused(f"{different[0]!a:.200} {kind}{more}", ErrorCode.HASH_MISMATCH)


def _read(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    with archive.open(name) as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise _refused(f"{name}: expected at most {limit_bytes} bytes", ErrorCode.INVALID_ZIP)
    return content


def _refused(what: str, code: ErrorCode) -> PackageError:
    return PackageError(what, hint=_AGAIN, code=code)
