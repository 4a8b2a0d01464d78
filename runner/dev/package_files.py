"""Which files of a project go into its package, and which never do (spec.md §10.9)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from procvision_sdk.errors import ErrorCode, PackageError
from runner.dev.project import Project
from runner.packages import entry_names
from runner.packages.listing import LISTING, SIGNATURE
from runner.packages.locked import REQUIREMENTS

SBOM = "sbom.cdx.json"
# Whatever their place: made by tools, and made again by them. Hidden files and folders are left out as well.
_NEVER = frozenset({"__pycache__", "node_modules", "Thumbs.db", "desktop.ini"})
_NEVER_ENDING = (".pyc", ".pyo", ".egg-info", ".swp", "~", "-offline.zip")
# At the root of a project only: an asset folder deeper down may have such a name.
_NEVER_AT_ROOT = frozenset({"build", "dist", "env", "tests", "venv", "wheels", "conftest.py", "htmlcov"})
_VIRTUALENV = "pyvenv.cfg"
# package makes these itself.
_MADE = frozenset({LISTING, SIGNATURE, SBOM})


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """`packed`: paths relative to the project, with forward slashes, in order; `left_out`: what was not looked into."""

    packed: tuple[str, ...]
    left_out: tuple[str, ...]


def project_files(project: Project) -> ProjectFiles:
    """What goes in. PackageError 2010 for links and names that not every platform can hold, 2002 for lost assets."""
    packed: list[str] = []
    left_out: list[str] = []
    for path, goes_in in _walk(project.folder, project.folder):
        (packed if goes_in else left_out).append(path.relative_to(project.folder).as_posix())
    packed.sort()
    for name in packed:
        _check_name(name)
    if collision := entry_names.collision(packed):
        raise _unsafe(collision, "rename one of them")
    _check_assets(project, packed)
    return ProjectFiles(tuple(name for name in packed if name != REQUIREMENTS), tuple(sorted(left_out)))


def _walk(folder: Path, root: Path) -> Iterator[tuple[Path, bool]]:
    """Every file with True, and everything left out, not looked into, with False."""
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = Path(entry.path)
        if _is_left_out(path, root):
            yield path, False
        elif entry.is_symlink():
            name = path.relative_to(root).as_posix()
            raise _unsafe(f"{name} is a link to {path.readlink()}", "put the file itself there, or take the link out")
        elif entry.is_dir():
            yield from _walk(path, root)
        elif entry.is_file():
            yield path, True
        else:
            raise _unsafe(f"{path.relative_to(root).as_posix()} is neither a file nor a folder", "take it out")


def _is_left_out(path: Path, root: Path) -> bool:
    name = path.name
    if name.startswith(".") or name in _NEVER or name.endswith(_NEVER_ENDING):
        return True
    return (path.parent == root and name in _NEVER_AT_ROOT) or (path / _VIRTUALENV).is_file()


def _check_name(name: str) -> None:
    if name in _MADE:
        raise _unsafe(f"{name}: packages have a file of this name of their own", "give it another name")
    if fault := entry_names.fault(name):
        raise _unsafe(f"{name!a:.200}: {fault}", "rename it: a package means the same on every platform")


def _check_assets(project: Project, packed: list[str]) -> None:
    for pid, assets in project.manifest.required_assets.items():
        for kind, asset in assets.items():
            if not any(name == asset or name.startswith(f"{asset}/") for name in packed):
                raise PackageError(
                    f"required_assets.{pid}.{kind}: {asset!r} would be left out of the package",
                    hint="hidden and generated folders never go in: keep assets in assets/",
                    code=ErrorCode.MANIFEST_MISSING,
                )


def _unsafe(what: str, hint: str) -> PackageError:
    return PackageError(what, hint=hint, code=ErrorCode.UNSAFE_ARCHIVE)
