"""requirements.txt of a package, read by us: no installer ever sees the file (spec.md §10)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runner.packages.archive import unsafe

_LINE = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([A-Za-z0-9.!+_-]+)((?: --hash=sha256:[0-9a-f]{64})+)"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One distribution, one version, and the SHA-256 (hex) that its wheel may have."""

    name: str
    version: Version
    sha256: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def parse(data: bytes) -> tuple[Requirement, ...]:
    """The requirements; PackageError 2010 for a line that is more than `name==version --hash=sha256:...`."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise unsafe("requirements.txt: expected UTF-8") from None
    found: dict[str, Requirement] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        one = _requirement(line, f"requirements.txt line {number}")
        if one.name in found:
            raise unsafe(f"requirements.txt line {number}: {one.name} stands twice")
        found[one.name] = one
    return tuple(found.values())


def _requirement(line: str, where: str) -> Requirement:
    parts = _LINE.fullmatch(line)
    told = f"{where}: expected `name==version --hash=sha256:...` and nothing else, got {line!a:.120}"
    if parts is None:
        raise unsafe(told)
    try:
        version = Version(parts[2])
    except InvalidVersion:
        raise unsafe(told) from None
    return Requirement(canonicalize_name(parts[1]), version, frozenset(re.findall(r"[0-9a-f]{64}", parts[3])))
