"""Locked requirements: the one form of requirements.txt in a package, read by us alone (spec.md §10.13, §10.23).

name==version --hash=sha256:<64 hexadecimal digits> [--hash=...]

A line of any other form is hostile until shown otherwise: an installer would understand it as something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from procvision_sdk.errors import ErrorCode, PackageError

REQUIREMENTS: Final = "requirements.txt"
WHEELS: Final = "wheels/"
SDK: Final = "procvision-sdk"
_LINE: Final = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([A-Za-z0-9.!+_]+)((?: --hash=sha256:[0-9a-f]{64})+)")


@dataclass(frozen=True, slots=True, order=True)
class Locked:
    """One distribution, one version, and the SHA-256 (hexadecimal) of each wheel it may be; names as in PEP 503."""

    name: str
    version: str
    sha256: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def to_bytes(locked: Iterable[Locked]) -> bytes:
    """requirements.txt: a line each, in order of names."""
    lines = (f"{one}{''.join(f' --hash=sha256:{digest}' for digest in sorted(one.sha256))}\n" for one in sorted(locked))
    return "".join(lines).encode()


def of_wheel(path: Path, sha256: str) -> Locked:
    """The requirement that exactly this wheel meets; PackageError 2004 when its name is no wheel's."""
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise PackageError(f"{path.name}: {error}", code=ErrorCode.WHEELS_MISSING) from None
    return Locked(str(name), str(version), (sha256,))


def parse(data: bytes) -> tuple[Locked, ...]:
    """What requirements.txt of a package says; PackageError 2010 names the first line that is of another form."""
    found: dict[str, Locked] = {}
    lines = data.decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines if lines[-1] else lines[:-1], start=1):
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise _refused(number, f"expected name==version --hash=sha256:... and nothing else; got {line!a:.120}")
        found[parts[1]] = Locked(parts[1], parts[2], tuple(re.findall(r"[0-9a-f]{64}", parts[3])))
    if to_bytes(found.values()) != data:
        raise _refused(len(found), "expected each name once, names and hashes in order, a line feed after each")
    return tuple(found.values())


def _refused(number: int, what: str) -> PackageError:
    hint = "build the package again with procvision package"
    return PackageError(f"{REQUIREMENTS} line {number}: {what}", hint=hint, code=ErrorCode.UNSAFE_ARCHIVE)
