"""Everything that is refused before a byte of a package is unpacked (spec.md §10).

    headers -> listing -> signature -> manifest -> floor, target, interpreter -> requirements against wheels

Reads headers and four small files. What those say about the rest is compared while it is unpacked (extraction.py).
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from packaging.specifiers import SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from procvision_sdk.errors import ErrorCode, PackageError
from procvision_sdk.manifest import FILE_NAME, MAX_MANIFEST_BYTES, Manifest
from runner.packages import archive, extraction, requirements
from runner.packages.archive import Entry, broken, unsafe
from runner.packages.listing import LISTING, SIGNATURE, ListedFile, Listing, digest, parse_listing
from runner.packages.policy import Policy, check_floor, check_signature
from runner.packages.requirements import Requirement

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels/"
SDK = "procvision-sdk"
# 20 000 files at 130 bytes each. As JSON of the worst kind it takes thirty times its size in memory.
MAX_LISTING_BYTES = 5 * 2**19
_MAX_SIGNATURE_BYTES = 4096
_MAX_REQUIREMENTS_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class NamedWheel:
    """A wheel by what its file name says."""

    file: ListedFile
    name: str
    version: Version

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
    try:
        with path.open("rb") as file:
            return _admit(path, file, policy)
    except OSError as error:
        raise broken(f"{path} cannot be read: {error.strerror}") from None


def _admit(path: Path, file: BinaryIO, policy: Policy) -> Admitted:
    entries = archive.read(file, archive.PACKAGE)
    by_name = {entry.name: entry for entry in entries}
    listed = _required(file, by_name, LISTING, MAX_LISTING_BYTES)
    listing = parse_listing(listed)
    signature = by_name.get(SIGNATURE)
    signed = None if signature is None else extraction.whole(file, signature, _MAX_SIGNATURE_BYTES)
    signed_by, warning = check_signature(policy, listing.name, listed, signed)
    _compare(by_name, listing)
    manifest = _manifest(file, by_name, listing)
    check_floor(policy, manifest.name, manifest.version)
    _check_interpreter(listing, manifest, policy)
    needed = requirements.parse(_required(file, by_name, REQUIREMENTS, _MAX_REQUIREMENTS_BYTES))
    wheels = _wheels(listing, needed, manifest)
    warnings = (warning,) if warning else ()
    return Admitted(path, entries, listing, digest(listed), manifest, wheels, signed_by, warnings)


def _required(file: BinaryIO, by_name: dict[str, Entry], name: str, limit_bytes: int) -> bytes:
    if name not in by_name:
        raise broken(f"{name} is not in the archive: it was not made by `procvision package`")
    return extraction.whole(file, by_name[name], limit_bytes)


def _compare(by_name: dict[str, Entry], listing: Listing) -> None:
    """The archive holds what is listed: by name and size here, by digest while it is unpacked."""
    listed = {one.path: one for one in listing.files}
    unlisted = sorted(set(by_name) - set(listed) - {LISTING, SIGNATURE})
    if unlisted:
        raise unsafe(f"in the archive and not in {LISTING}: {_some(unlisted)}")
    wrong = [path for path, one in listed.items() if path not in by_name or by_name[path].size_bytes != one.size_bytes]
    if wrong:
        raise _mismatch(f"listed, and not in the archive with that size: {_some(wrong)}")


def _manifest(file: BinaryIO, by_name: dict[str, Entry], listing: Listing) -> Manifest:
    if FILE_NAME not in by_name:
        raise PackageError(f"{FILE_NAME} is not in the archive", code=ErrorCode.MANIFEST_MISSING)
    raw = extraction.whole(file, by_name[FILE_NAME], MAX_MANIFEST_BYTES)
    if digest(raw) != next(one.sha256 for one in listing.files if one.path == FILE_NAME):
        raise _mismatch(f"{FILE_NAME} is not the one that is listed")
    manifest = Manifest.parse(raw, FILE_NAME)
    if (manifest.name, manifest.version) != (listing.name, listing.version):
        told = f"{manifest.name} {manifest.version}, {LISTING} says {listing.name} {listing.version}"
        raise PackageError(f"{FILE_NAME} says {told}", hint="build it again", code=ErrorCode.MANIFEST_MISSING)
    for pid, assets in manifest.required_assets.items():
        for kind, asset in assets.items():
            if asset not in by_name and not any(name.startswith(f"{asset}/") for name in by_name):
                told = f"{FILE_NAME}: required_assets.{pid}.{kind}: {asset!r} is not in the archive"
                raise PackageError(told, hint="build it again", code=ErrorCode.MANIFEST_MISSING)
    return manifest


def _check_interpreter(listing: Listing, manifest: Manifest, policy: Policy) -> None:
    if (listing.target, listing.python) != (policy.target, policy.python):
        raise _incompatible(
            f"it was built for {listing.target} and Python {listing.python}; "
            f"this station is {policy.target} with Python {policy.python}"
        )
    full = Version(platform.python_version())
    if manifest.requires_python is not None and full not in SpecifierSet(manifest.requires_python):
        raise _incompatible(f"requires_python is {manifest.requires_python}; this station has Python {full}")


def _wheels(listing: Listing, needed: tuple[Requirement, ...], manifest: Manifest) -> tuple[NamedWheel, ...]:
    """The wheel of each requirement, in that order; every file in wheels/ is one of them."""
    found: dict[str, NamedWheel] = {}
    for file in listing.files:
        if file.path.startswith(WHEELS):
            one = named(file)
            if one.name in found:
                raise unsafe(f"two wheels are of {one.name}: {found[one.name].filename} and {one.filename}")
            found[one.name] = one
    absent = [str(one) for one in needed if one.name not in found or found[one.name].version != one.version]
    absent += [] if any(one.name == SDK for one in needed) else [SDK]
    if absent:
        raise _no_wheels(f"no wheel for {_some(absent)}")
    extra = sorted(set(found) - {one.name for one in needed})
    if extra:
        raise unsafe(f"wheels that {REQUIREMENTS} does not name: {_some(extra)}")
    for wanted in needed:
        if found[wanted.name].file.sha256 not in wanted.sha256:
            raise _mismatch(f"{found[wanted.name].filename} is not the wheel that {REQUIREMENTS} names by its hash")
    sdk = found[SDK].version
    if manifest.sdk is not None and not SpecifierSet(manifest.sdk).contains(sdk, prereleases=True):
        raise _incompatible(f"the manifest wants {SDK} {manifest.sdk}, the package holds {sdk}")
    return tuple(found[one.name] for one in needed)


def named(file: ListedFile) -> NamedWheel:
    """A file in wheels/ by its name; PackageError 2010 when that is no wheel's, 2004 when it does not fit here."""
    path = PurePosixPath(file.path)
    if path.suffix != ".whl" or len(path.parts) != 2:
        raise unsafe(f"{file.path}: only wheels lie in {WHEELS}")
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise unsafe(f"{file.path}: {error}") from None
    if tags.isdisjoint(sys_tags()):
        raise _no_wheels(f"{path.name} does not fit this station's interpreter")
    return NamedWheel(file, canonicalize_name(name), version)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(name[:100] for name in names[:10]) + more


def _mismatch(text: str) -> PackageError:
    return PackageError(text, hint="get the package again from whoever built it", code=ErrorCode.HASH_MISMATCH)


def _incompatible(text: str) -> PackageError:
    return PackageError(text, hint="build it with --target for this station", code=ErrorCode.INCOMPATIBLE_PYTHON)


def _no_wheels(text: str) -> PackageError:
    return PackageError(text, hint="package it again for this station, with every wheel", code=ErrorCode.WHEELS_MISSING)
