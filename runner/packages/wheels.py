"""Wheels looked into before they are installed: each is what its name says, none reaches beyond its own (spec.md §10).

What a wheel may not do: run at every start of the interpreter (.pth, sitecustomize), stand in for the tools of the
environment (python, pip, activate), write outside site-packages and scripts, or share a path with another wheel.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import BinaryIO

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from procvision_sdk.errors import PackageError
from runner.packages import archive, entry_names, extraction
from runner.packages.archive import Entry, unsafe

_MAX_METADATA_BYTES = 4 * 2**20
# At the root of site-packages these run whenever an interpreter starts.
_CUSTOMIZING = re.compile(r"(sitecustomize|usercustomize)(\..*)?", re.IGNORECASE)
_TOOL = re.compile(r"(python|pip|activate|uv)[\w.-]*|deactivate.*", re.IGNORECASE)
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ENTRY_POINT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*( *\[[\w, -]*\])?")
_UNHASHED = frozenset({"RECORD", "RECORD.jws", "RECORD.p7s"})
SDK_PACKAGE = "procvision_sdk"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that was found good: where each of its files goes, and the SHA-256 (hex) of those in site-packages."""

    filename: str
    name: str
    version: Version
    places: tuple[str, ...]
    digests: dict[str, str]


def inspect_all(paths: Iterable[Path]) -> tuple[Wheel, ...]:
    """Each wheel, and all of them together; PackageError 2010 names wheel and file."""
    found = tuple(inspect(path) for path in paths)
    owners: dict[str, str] = {}
    for wheel in found:
        for place in wheel.places:
            owner = owners.setdefault(entry_names.fold(place), wheel.filename)
            if owner != wheel.filename:
                raise unsafe(f"{place} is in two wheels: {owner} and {wheel.filename}")
            if place.partition("/")[0] == SDK_PACKAGE and wheel.name != "procvision-sdk":
                raise unsafe(f"{wheel.filename} brings {place}, which is the SDK's")
    return found


def inspect(path: Path) -> Wheel:
    """One wheel; PackageError 2010 when it is not what file name, METADATA and RECORD say, or reaches too far."""
    try:
        with path.open("rb") as file:
            return _inspect(file, path.name)
    except (csv.Error, ValueError) as error:
        raise unsafe(f"{path.name} cannot be read: {error}") from None
    except PackageError as error:
        text = error.message if error.message.startswith(path.name) else f"{path.name}: {error.message}"
        raise PackageError(text, hint="package it again with a wheel from a trusted index", code=error.code) from None


def _inspect(file: BinaryIO, filename: str) -> Wheel:
    name, version, _, tags = parse_wheel_filename(filename)
    entries = {entry.name: entry for entry in archive.read(file, archive.WHEEL)}
    folders = {entry.partition("/")[0] for entry in entries if entry.partition("/")[0].endswith(".dist-info")}
    own = next(iter(folders)) if len(folders) == 1 else ""
    if not own or not _is_of(own.removesuffix(".dist-info").partition("-")[::2], name, version):
        raise unsafe(f"expected one .dist-info of {name} {version}, got {sorted(folders)!r:.200}")
    _check_metadata(_text(file, entries, f"{own}/METADATA"), name, version)
    said = HeaderParser().parsestr(_text(file, entries, f"{own}/WHEEL")).get_all("Tag", [])
    if {tag for text in said for tag in parse_tag(text)} != set(tags):
        raise unsafe(f"its WHEEL has the tags {said!r:.200}")
    digests = _check_record(file, entries, own)
    scripts = _scripts(_text(file, entries, f"{own}/entry_points.txt") if f"{own}/entry_points.txt" in entries else "")
    placed = {entry: _place(entry, own) for entry in entries}
    places = (*placed.values(), *scripts)
    _check_places(places)
    inside = {placed[entry]: digest for entry, digest in digests.items() if not placed[entry].startswith("../")}
    return Wheel(filename, canonicalize_name(name), version, places, inside)


def _is_of(said_of: tuple[str, str], name: str, version: Version) -> bool:
    said, number = said_of
    try:
        return canonicalize_name(said) == canonicalize_name(name) and Version(number) == version
    except InvalidVersion:
        return False


def _text(file: BinaryIO, entries: dict[str, Entry], name: str) -> str:
    if name not in entries:
        raise unsafe(f"it has no {name}")
    return extraction.whole(file, entries[name], _MAX_METADATA_BYTES).decode("utf-8", "replace")


def _check_metadata(metadata: str, name: str, version: Version) -> None:
    headers = HeaderParser().parsestr(metadata, headersonly=True)
    said = (str(headers.get("Name", "")), str(headers.get("Version", "")))
    if not _is_of(said, name, version) or len(headers.get_all("Name", [])) != 1:
        raise unsafe(f"its METADATA says {said!a:.100}")


def _check_record(file: BinaryIO, entries: dict[str, Entry], own: str) -> dict[str, str]:
    """SHA-256 (hex) of each file; every one is in RECORD with the hash it has, and nothing else is."""
    rows = list(csv.reader(io.StringIO(_text(file, entries, f"{own}/RECORD"))))
    if any(len(row) != 3 for row in rows) or len({row[0] for row in rows}) != len(rows):
        raise unsafe("its RECORD has a row without three columns, or names a file twice")
    stated = {row[0]: row[1] for row in rows}
    exempt = {f"{own}/{name}" for name in _UNHASHED}
    different = sorted(set(stated).symmetric_difference(entries) - exempt)
    if different:
        raise unsafe(f"its RECORD and its content differ in {different[0]!a:.200} (and {len(different) - 1} more)")
    digests = {}
    for name in sorted(set(entries) - exempt):
        digests[name] = extraction.sha256(file, entries[name])
        coded = base64.urlsafe_b64encode(bytes.fromhex(digests[name])).decode().rstrip("=")
        if stated[name] != f"sha256={coded}":
            raise unsafe(f"{name!a:.200} is not what RECORD says")
    return digests


def _place(entry: str, own: str) -> str:
    """Where a file goes: relative to site-packages, scripts as ../bin/NAME."""
    top, _, rest = entry.partition("/")
    if not top.endswith(".data"):
        return entry
    kind, _, rest = rest.partition("/")
    if top.removesuffix(".data") != own.removesuffix(".dist-info"):
        raise unsafe(f"{entry!a:.200} lies in the data of another distribution")
    match kind:
        case "purelib" | "platlib":
            return rest
        case "headers":
            return f"../include/{rest}"
        case "scripts":
            _check_script(rest)
            return f"../bin/{rest}"
    raise unsafe(f"{entry!a:.200} would be written outside of site-packages")


def _scripts(entry_points: str) -> Iterator[str]:
    """The scripts that an installer makes from entry_points.txt."""
    section = ""
    for line in map(str.strip, entry_points.splitlines()):
        if line.startswith("["):
            section = line.strip("[] \t").lower()
        elif line and not line.startswith(("#", ";")) and section in ("console_scripts", "gui_scripts"):
            name, _, target = (part.strip() for part in line.partition("="))
            _check_script(name)
            if not _ENTRY_POINT.fullmatch(target):
                raise unsafe(f"the script {name} names no module:function: {target!a:.100}")
            yield f"../bin/{name}"


def _check_script(name: str) -> None:
    if not _SCRIPT_NAME.fullmatch(name) or _TOOL.fullmatch(name):
        raise unsafe(f"the script {name!a:.100} would stand in for a tool of the environment, or is no plain name")


def _check_places(places: tuple[str, ...]) -> None:
    for place in places:
        top, _, rest = place.partition("/")
        if (not rest and top.lower().endswith(".pth")) or _CUSTOMIZING.fullmatch(top):
            raise unsafe(f"{place} would run at every start of the interpreter")
    if reason := entry_names.collision(places):
        raise unsafe(reason)
