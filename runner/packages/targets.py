"""Target: the kind of machine a package is made for, and which wheels work there (spec.md §10.6).

    linux-x86_64   linux-aarch64   win-amd64   win-arm64   macos-arm64   macos-x86_64

A target has a CPython version and an oldest platform: `manylinux_2_28` stands for every Linux with glibc 2.28 or newer.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms, sys_tags

from procvision_sdk.errors import ErrorCode, PackageError

# What current wheels of numpy and OpenCV are built for; every Linux distribution since 2019 has it.
_OLDEST: Final = {
    "linux-x86_64": "manylinux_2_28_x86_64",
    "linux-aarch64": "manylinux_2_28_aarch64",
    "win-amd64": "win_amd64",
    "win-arm64": "win_arm64",
    "macos-arm64": "macosx_14_0_arm64",
    "macos-x86_64": "macosx_14_0_x86_64",
}
NAMES: Final = tuple(_OLDEST)
_WHEEL_PLATFORM: Final = re.compile(r"(manylinux|macosx)_(\d+)_(\d+)_(\w+)|win_(amd64|arm64)")
_PYTHON: Final = re.compile(r"3\.(\d{1,3})")
# Names from before wheels said which glibc they need.
_OLD_NAMES: Final = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
# The glibc 2.N that uv knows by name.
_RESOLVERS_GLIBC: Final = (17, 28, *range(31, 41))
_OLDEST_GLIBC: Final = {"x86_64": 5, "aarch64": 17}


@dataclass(frozen=True)
class Target:
    """A kind of machine: `platform` is the oldest wheel platform it runs, `python` the CPython, such as "3.11"."""

    name: str
    platform: str
    python: str

    @property
    def abi(self) -> str:
        return f"cp{self.python.replace('.', '')}"

    @cached_property
    def platforms(self) -> tuple[str, ...]:
        """Wheel platforms that work there, the best first; what pip takes as --platform."""
        return tuple(_platforms(self.platform))

    @property
    def resolver_platform(self) -> str:
        """What uv calls it."""
        if self.platform.startswith("manylinux"):
            _, major, minor, machine = self.platform.split("_", 3)
            known = max((one for one in _RESOLVERS_GLIBC if one <= int(minor)), default=_RESOLVERS_GLIBC[0])
            return f"{machine}-manylinux_{major}_{known}"
        system = "apple-darwin" if self.platform.startswith("macosx") else "pc-windows-msvc"
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(self.name.partition("-")[2], "x86_64")
        return f"{machine}-{system}"

    @property
    def resolver_environment(self) -> dict[str, str]:
        """Variables for uv: the oldest macOS is not part of its name for the platform."""
        if not self.platform.startswith("macosx"):
            return {}
        _, major, minor, _ = self.platform.split("_", 3)
        return {"MACOSX_DEPLOYMENT_TARGET": f"{major}.{minor}"}

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """All wheel tags that work there."""
        version = (3, int(self.python.partition(".")[2]))
        binary = cpython_tags(version, [self.abi], self.platforms)
        return frozenset([*binary, *compatible_tags(version, self.abi, self.platforms)])


@dataclass(frozen=True, slots=True)
class Machine:
    """What wheels and a manifest have to fit. `exact`: its Python's whole version, "" where only 3.N is known."""

    target: str
    python: str
    exact: str
    tags: frozenset[Tag]

    def runs(self, requires_python: str) -> bool:
        """Whether a manifest's range is met; where only 3.N is known, whether the range has a 3.N.x."""
        candidates = (self.exact,) if self.exact else (f"{self.python}.0", f"{self.python}.99")
        return any(SpecifierSet(requires_python).contains(one, prereleases=True) for one in candidates)


def this_machine() -> Machine:
    """What this machine and this interpreter take; PackageError 2003 where nothing can be packed for it."""
    target = here()
    return Machine(target.name, target.python, platform.python_version(), frozenset(sys_tags()))


def any_machine(name: str, python: str) -> Machine:
    """Of that kind, as new as wheels can name: what fits some machine of it fits this. PackageError 2003."""
    target = named(name, python)
    highest = {"linux": "manylinux_2_99", "macos": "macosx_99_0"}.get(name.partition("-")[0])
    if highest is not None:
        target = replace(target, platform=f"{highest}_{name.partition('-')[2]}")
    return Machine(name, python, "", target.tags)


def named(name: str, python: str) -> Target:
    """The target of a name. PackageError 2003 for names that nobody has and for Pythons that are not 3.N."""
    if name not in _OLDEST:
        raise PackageError(
            f"target: expected one of {', '.join(NAMES)}, got {name!r:.80}", code=ErrorCode.INCOMPATIBLE_PYTHON
        )
    return of_platform(_OLDEST[name], python)


def of_platform(wheel_platform: str, python: str) -> Target:
    """The target that a wheel platform such as `win_amd64` or `manylinux_2_28_x86_64` belongs to; PackageError 2003."""
    found = _WHEEL_PLATFORM.fullmatch(_with_glibc(wheel_platform))
    name = ""
    if found is not None:
        system, _, _, machine, windows = found.groups()
        name = f"win-{windows}" if windows else f"{'linux' if system == 'manylinux' else 'macos'}-{machine}"
    if name not in _OLDEST:
        expected = f"expected one such as {', '.join(_OLDEST.values())}"
        raise PackageError(
            f"wheel platform: {expected}; got {wheel_platform!r:.80}", code=ErrorCode.INCOMPATIBLE_PYTHON
        )
    if not _PYTHON.fullmatch(python):
        raise PackageError(
            f"target: expected a Python such as 3.11, got {python!r:.40}", code=ErrorCode.INCOMPATIBLE_PYTHON
        )
    return Target(name, _with_glibc(wheel_platform), python)


def here() -> Target:
    """The target that this machine and this interpreter are; PackageError 2003 where nothing can be packed for it."""
    system = {"win32": "win", "darwin": "macos"}.get(sys.platform, sys.platform)
    return named(f"{system}-{platform.machine().lower()}", f"{sys.version_info.major}.{sys.version_info.minor}")


def _with_glibc(wheel_platform: str) -> str:
    for (major, minor), old in _OLD_NAMES.items():
        if wheel_platform.startswith(f"{old}_"):
            return wheel_platform.replace(old, f"manylinux_{major}_{minor}", 1)
    return wheel_platform


def _platforms(oldest: str) -> Iterator[str]:
    found = _WHEEL_PLATFORM.fullmatch(oldest)
    assert found is not None  # a Target is made from a platform that matched
    system, major, minor, machine, _ = found.groups()
    if system == "macosx":
        yield from mac_platforms((int(major), int(minor)), machine)
    elif system == "manylinux":
        for lower in range(int(minor), _OLDEST_GLIBC[machine] - 1, -1):
            yield f"manylinux_2_{lower}_{machine}"
            if (2, lower) in _OLD_NAMES:
                yield f"{_OLD_NAMES[2, lower]}_{machine}"
        yield f"linux_{machine}"
    else:
        yield oldest
