"""Everything that is refused before a byte of a package is unpacked (spec.md §10.22, §10.23).

    headers, listing -> signature -> manifest -> floor, target, interpreter -> requirements against wheels

Reads headers and four small files. What those say about the rest is compared while it is unpacked (extraction.py). A
station takes these steps in one (`admit`), an author's `procvision validate` one by one, to tell what it found.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from procvision_sdk.errors import ErrorCode, PackageError
from procvision_sdk.manifest import FILE_NAME, MAX_MANIFEST_BYTES, Manifest
from runner.packages import archive, extraction, locked
from runner.packages.archive import Entry, broken, unsafe
from runner.packages.listing import LISTING, MAX_LISTING_BYTES, SIGNATURE, ListedFile, Listing, digest, parse_listing
from runner.packages.locked import REQUIREMENTS, SDK, WHEELS
from runner.packages.policy import Policy, check_floor, check_signature
from runner.packages.targets import Machine

_MAX_SIGNATURE_BYTES = 4096
_MAX_REQUIREMENTS_BYTES = 2**20
_AGAIN = "build it again with `procvision package`"


@dataclass(frozen=True, slots=True)
class Contents:
    """An archive that holds what it lists, by name and size, and its small files. `manifest` None: it has none."""

    path: Path
    entries: tuple[Entry, ...]
    listing: Listing
    listing_bytes: bytes
    signature: bytes | None
    manifest: bytes | None
    requirements: bytes


@dataclass(frozen=True, slots=True)
class NamedWheel:
    """A wheel by what its file name says; name and version in their one spelling."""

    file: ListedFile
    name: str
    version: str

    @property
    def filename(self) -> str:
        return self.file.path.removeprefix(WHEELS)

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A package that may be unpacked: nothing of it has run or been written. `digest` identifies it."""

    path: Path
    entries: tuple[Entry, ...]
    listing: Listing
    digest: str
    manifest: Manifest
    wheels: tuple[NamedWheel, ...]
    signed_by: str
    warnings: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Of everything in it, unpacked."""
        return sum(entry.size_bytes for entry in self.entries)

    def __str__(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}"


def admit(path: Path, policy: Policy) -> Admitted:
    """The package in the file; PackageError (2001 to 2004, 2008 to 2011) says why it is refused."""
    found = contents(path)
    signed_by, warning = check_signature(policy, found.listing.name, found.listing_bytes, found.signature)
    manifest = identity(found, policy.machine)
    check_floor(policy, manifest.name, manifest.version)
    needed = wheels(found, manifest, policy.machine)
    warnings = (warning,) if warning else ()
    identifier = digest(found.listing_bytes)
    return Admitted(path, found.entries, found.listing, identifier, manifest, needed, signed_by, warnings)


def contents(path: Path) -> Contents:
    """What lies in the file; PackageError 2001, 2009 or 2010 when it is no archive, or not the one it lists."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for somebody who writes
            raise broken(f"{path}: expected a file, it is something else")
        with path.open("rb") as file:
            return _contents(path, file)
    except OSError as error:
        raise broken(f"{path} cannot be read: {error.strerror}") from None


def _contents(path: Path, file: BinaryIO) -> Contents:
    entries = archive.read(file, archive.PACKAGE)
    by_name = {entry.name: entry for entry in entries}
    listed = _small(file, by_name, LISTING, MAX_LISTING_BYTES)
    if listed is None:
        raise broken(f"{LISTING} is not in the archive: it was not made by `procvision package`")
    listing = parse_listing(listed)
    _compare(by_name, listing)
    signature = _small(file, by_name, SIGNATURE, _MAX_SIGNATURE_BYTES)
    manifest = _small(file, by_name, FILE_NAME, MAX_MANIFEST_BYTES)
    needed = _small(file, by_name, REQUIREMENTS, _MAX_REQUIREMENTS_BYTES)
    if needed is None:
        raise broken(f"{REQUIREMENTS} is not in the archive: it was not made by `procvision package`")
    stated = {one.path: one.sha256 for one in listing.files}
    for name, data in ((FILE_NAME, manifest), (REQUIREMENTS, needed)):
        if data is not None and digest(data) != stated[name]:
            raise _mismatch(f"{name} is not the one that is listed")
    return Contents(path, entries, listing, listed, signature, manifest, needed)


def _small(file: BinaryIO, by_name: dict[str, Entry], name: str, limit_bytes: int) -> bytes | None:
    return extraction.whole(file, by_name[name], limit_bytes) if name in by_name else None


def _compare(by_name: dict[str, Entry], listing: Listing) -> None:
    """The archive holds what is listed: by name and size here, by digest while it is unpacked."""
    listed = {one.path: one for one in listing.files}
    unlisted = sorted(set(by_name) - set(listed) - {LISTING, SIGNATURE})
    if unlisted:
        raise unsafe(f"in the archive and not in {LISTING}: {_some(unlisted)}")
    wrong = [path for path, one in listed.items() if path not in by_name or by_name[path].size_bytes != one.size_bytes]
    if wrong:
        raise _mismatch(f"listed, and not in the archive with that size: {_some(wrong)}")


def identity(found: Contents, machine: Machine) -> Manifest:
    """The manifest, once it is that of the listing and for this machine; PackageError 2002 or 2003."""
    listing = found.listing
    if found.manifest is None:
        raise PackageError(f"{FILE_NAME} is not in the archive", hint=_AGAIN, code=ErrorCode.MANIFEST_MISSING)
    manifest = Manifest.parse(found.manifest, FILE_NAME)
    if (manifest.name, manifest.version) != (listing.name, listing.version):
        told = f"{manifest.name} {manifest.version}, {LISTING} says {listing.name} {listing.version}"
        raise PackageError(f"{FILE_NAME} says {told}", hint=_AGAIN, code=ErrorCode.MANIFEST_MISSING)
    names = {entry.name for entry in found.entries}
    for pid, assets in manifest.required_assets.items():
        for kind, asset in assets.items():
            if asset not in names and not any(name.startswith(f"{asset}/") for name in names):
                told = f"{FILE_NAME}: required_assets.{pid}.{kind}: {asset!r} is not in the archive"
                raise PackageError(told, hint=_AGAIN, code=ErrorCode.MANIFEST_MISSING)
    if (listing.target, listing.python) != (machine.target, machine.python):
        raise _incompatible(
            f"it was built for {listing.target} and Python {listing.python}; "
            f"this machine is {machine.target} with Python {machine.python}"
        )
    if manifest.requires_python is not None and not machine.runs(manifest.requires_python):
        raise _incompatible(
            f"requires_python is {manifest.requires_python}; it would run with Python {machine.exact or machine.python}"
        )
    return manifest


def wheels(found: Contents, manifest: Manifest, machine: Machine) -> tuple[NamedWheel, ...]:
    """The wheel of each requirement, in that order; every file in wheels/ is one of them. PackageError."""
    needed = locked.parse(found.requirements)
    there = _named_wheels(found.listing, machine.tags)
    if not there:
        raise _no_wheels("it holds no wheels: it was packaged with --skip-download, to be looked at only")
    absent = [str(one) for one in needed if one.name not in there or there[one.name].version != one.version]
    absent += [] if any(one.name == SDK for one in needed) else [SDK]
    if absent:
        raise _no_wheels(f"no wheel for {_some(absent)}")
    extra = sorted(set(there) - {one.name for one in needed})
    if extra:
        raise unsafe(f"wheels that {REQUIREMENTS} does not name: {_some(extra)}")
    for wanted in needed:
        if there[wanted.name].file.sha256 not in wanted.sha256:
            raise _mismatch(f"{there[wanted.name].filename} is not the wheel that {REQUIREMENTS} names by its hash")
    sdk = there[SDK].version
    if manifest.sdk is not None and not SpecifierSet(manifest.sdk).contains(sdk, prereleases=True):
        raise _incompatible(f"the manifest wants {SDK} {manifest.sdk}, the package holds {sdk}")
    return tuple(there[one.name] for one in needed)


def _named_wheels(listing: Listing, tags: frozenset[Tag]) -> dict[str, NamedWheel]:
    found: dict[str, NamedWheel] = {}
    for file in listing.files:
        if file.path.startswith(WHEELS):
            one = named(file, tags)
            if one.name in found:
                raise unsafe(f"two wheels are of {one.name}: {found[one.name].filename} and {one.filename}")
            found[one.name] = one
    return found


def named(file: ListedFile, tags: frozenset[Tag]) -> NamedWheel:
    """A file in wheels/ by its name; PackageError 2010 when that is no wheel's, 2004 when no tag of it is taken."""
    path = PurePosixPath(file.path)
    if path.suffix != ".whl" or len(path.parts) != 2:
        raise unsafe(f"{file.path}: only wheels lie in {WHEELS}")
    try:
        name, version, _, offered = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise unsafe(f"{file.path}: {error}") from None
    if offered.isdisjoint(tags):
        raise _no_wheels(f"{path.name} does not fit the interpreter that it is for")
    return NamedWheel(file, canonicalize_name(name), str(version))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(name[:100] for name in names[:10]) + more


def _mismatch(text: str) -> PackageError:
    return PackageError(text, hint="get the package again from whoever built it", code=ErrorCode.HASH_MISMATCH)


def _incompatible(text: str) -> PackageError:
    return PackageError(text, hint="build it with --target for this station", code=ErrorCode.INCOMPATIBLE_PYTHON)


def _no_wheels(text: str) -> PackageError:
    return PackageError(text, hint="package it again for this station, with every wheel", code=ErrorCode.WHEELS_MISSING)
