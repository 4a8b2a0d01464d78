"""What an algorithm says it needs, as the resolver takes it (spec.md §10.10).

requirements.txt                      as it is
requirements.txt and --auto-freeze    versions it leaves open become those installed for the project
no file and --auto-freeze             what the source imports, in the versions installed for the project
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from procvision_sdk.errors import ErrorCode, PackageError
from runner.dev.project import UsageError
from runner.dev.source_checks import imported_names, read_modules
from runner.packages.locked import REQUIREMENTS, SDK

# The whole of ProcVision: the runner does not exist where algorithms run.
_NOT_FOR_ALGORITHMS = "procvision"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`file` in pip's format or None, `names` beside it, and `installed` versions that nothing may differ from."""

    file: Path | None
    names: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()


def as_written(project: Path, file: Path | None) -> Wanted:
    """The requirements of the project, or of the file that was given; UsageError when there is none."""
    path = file or project / REQUIREMENTS
    if not path.is_file():
        raise UsageError(
            f"requirements: {path} is not there",
            hint="list what the algorithm imports, one name==version per line; an empty file if nothing; or use -a",
            code=ErrorCode.WHEELS_MISSING,
        )
    return Wanted(path.resolve())


def frozen(project: Path, file: Path | None) -> Wanted:
    """The same, held to what is installed for the project: in its .venv, else for this interpreter."""
    distributions = list(metadata.distributions(path=[str(one) for one in _site_packages(project)]))
    if not distributions:
        distributions = list(metadata.distributions())
    versions: dict[str, str] = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions}
    for own in (SDK, _NOT_FOR_ALGORITHMS):
        versions.pop(canonicalize_name(own), None)
    installed = tuple(f"{name}=={version}" for name, version in sorted(versions.items()))
    if file is not None or (project / REQUIREMENTS).is_file():
        return Wanted(as_written(project, file).file, (), installed)
    modules, _ = read_modules(project)
    imported = {name for module in modules for name in imported_names(module)}
    names = {name for one in distributions for name in _provides(one, imported) if name in versions}
    return Wanted(None, tuple(f"{name}=={versions[name]}" for name in sorted(names)), installed)


def _site_packages(project: Path) -> Iterator[Path]:
    yield from project.glob(".venv/lib/python3.*/site-packages")
    yield from project.glob(".venv/Lib/site-packages")


def _provides(distribution: metadata.Distribution, imported: set[str]) -> Iterator[str]:
    """Its name, when a module that is imported lies in it."""
    tops = {
        file.parts[0].removesuffix(".py")
        for file in distribution.files or ()
        if len(file.parts) > 1 or file.suffix == ".py"
    }
    if tops & imported:
        yield canonicalize_name(distribution.metadata["Name"])


def requirements_in(wanted: Wanted) -> list[Requirement]:
    """The requirements one by one. PackageError 2004 for the runner, which no algorithm's environment has."""
    lines = wanted.file.read_text("utf-8-sig").splitlines() if wanted.file is not None else []
    found = []
    for line in [*lines, *wanted.names]:
        text = line.split(" #")[0].split(" --")[0].strip().rstrip("\\").strip()
        if not text or text.startswith(("#", "-")):
            continue
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            continue  # a path or a URL: the resolver has its own words for those
    if any(canonicalize_name(one.name) == _NOT_FOR_ALGORITHMS for one in found):
        raise PackageError(
            f"requirements: {_NOT_FOR_ALGORITHMS} is the runner, which does not exist where algorithms run",
            hint=f"take it out: {SDK} is put in by itself",
            code=ErrorCode.WHEELS_MISSING,
        )
    return found
