"""`procvision package`: a project as one file per kind of machine, which a station installs without a network (§10).

checks without running it -> what goes in -> dependencies as on the target -> listing, signature -> the whole archive
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from packaging.specifiers import SpecifierSet

from procvision_sdk import __version__
from procvision_sdk.errors import ErrorCode, PackageError
from procvision_sdk.json_value import JsonValue
from procvision_sdk.manifest import FILE_NAME
from runner.dev import package_checks, source_checks
from runner.dev.checks import Outcome
from runner.dev.keygen import read_private_key
from runner.dev.package_files import SBOM, ProjectFiles, project_files
from runner.dev.package_sbom import sbom
from runner.dev.package_target import TargetOptions, choose
from runner.dev.package_wanted import Wanted, as_written, frozen
from runner.dev.package_wheels import Dependencies, Index, Resolver
from runner.dev.project import Project, UsageError, open_project
from runner.dev.zip_opening import has_wheels
from runner.packages import admission, locked, signing, wheels
from runner.packages.archive_writing import Content, listed, workplace, write_archive
from runner.packages.listing import LISTING, SIGNATURE, Listing, digest
from runner.packages.locked import REQUIREMENTS, SDK, WHEELS
from runner.packages.targets import Target, any_machine

SUFFIX = "-offline.zip"


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """What was typed. `wheels` False: without them, as `--skip-download` asks."""

    project: Path
    targets: TargetOptions
    index: Index
    requirements: Path | None = None
    freeze: bool = False
    wheels: bool = True
    output: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """A package that was written, and what of the project did not go in."""

    path: Path
    listing: Listing
    left_out: tuple[str, ...]
    signed_by: str

    def document(self) -> dict[str, JsonValue]:
        """One entry of `package --json`."""
        return {
            "path": str(self.path),
            "name": self.listing.name,
            "version": self.listing.version,
            "target": self.listing.target,
            "python": self.listing.python,
            "digest": digest(self.listing.to_bytes()),
            "size_bytes": self.path.stat().st_size,
            "files": len(self.listing.files),
            "wheels": [one.path.removeprefix(WHEELS) for one in self.listing.files if one.path.startswith(WHEELS)],
            "signed_by": self.signed_by,
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True)
class _Making:
    """What all packages of one run share."""

    project: Project
    files: ProjectFiles
    wanted: Wanted
    key: bytes | None


def package(asked: PackagePlan) -> Iterator[Packed]:
    """Each package as it is finished. PackageError or UsageError when there is none; then nothing is left behind."""
    project = open_project(asked.project)
    _refuse_what_validate_would(project)
    targets = choose(asked.targets, project.folder)
    for target in targets:
        _check_python(project, target)
    find = frozen if asked.freeze else as_written
    key = read_private_key(asked.key) if asked.key is not None else None
    making = _Making(project, project_files(project), find(project.folder, asked.requirements), key)
    outputs = _outputs(asked, project, targets)
    for target, output in zip(targets, outputs, strict=True):
        with _signals_interrupt(), workplace(output) as folder:
            resolver = Resolver(target, asked.index, folder)
            needed = resolver.fetch(making.wanted) if asked.wheels else resolver.resolve(making.wanted)
            wheels.inspect_all(needed.wheels)
            listing = _write(making, target, needed, folder / output.name)
            _refuse_what_a_station_would(folder / output.name, target)
            (folder / output.name).replace(output)
        signed_by = signing.key_id(signing.public_of(key)) if key is not None else ""
        yield Packed(output, listing, making.files.left_out, signed_by)


def show(made: Iterator[Packed], form: Literal["text", "json"]) -> None:
    """Each package as it is finished; as JSON, all of them in one document."""
    if form == "json":
        print(json.dumps({"packages": [one.document() for one in made]}, indent=2))
        return
    for one in made:
        listing = one.listing
        count = sum(1 for file in listing.files if file.path.startswith(WHEELS))
        print(f"{one.path}")
        print(f"  {listing.name} {listing.version} for {listing.target}, Python {listing.python}")
        print(f"  {one.path.stat().st_size / 1e6:.1f} MB, {len(listing.files)} files, {count} wheels")
        print(f"  digest {digest(listing.to_bytes())}")
        print(f"  {f'signed with key {one.signed_by}' if one.signed_by else 'not signed'}")
        if one.left_out:
            print(f"  left out: {', '.join(one.left_out)}")
        if not count:
            print("  no wheels: no station can install it")


def _refuse_what_validate_would(project: Project) -> None:
    """What can be known without running it; manifest and assets were read with the project."""
    modules, parsed = source_checks.read_modules(project.folder)
    checks = [
        parsed,
        package_checks.check_entry_point(project.folder, project.manifest),
        source_checks.check_imports(project.folder, modules),
        source_checks.check_shared_memory(modules),
    ]
    for one in checks:
        if one.result is Outcome.FAIL:
            message = f"{one.place}: {one.message}" if one.place else one.message
            raise PackageError(message, hint=one.hint or "see procvision validate", code=ErrorCode.MANIFEST_MISSING)


def _check_python(project: Project, target: Target) -> None:
    wanted, sdk = project.manifest.requires_python, project.manifest.sdk
    if wanted is not None and not any_machine(target.name, target.python).runs(wanted):
        raise _incompatible("requires_python", wanted, target.python, "choose another --python-version")
    if sdk is not None and not SpecifierSet(sdk).contains(__version__, prereleases=True):
        raise _incompatible("sdk", sdk, __version__, f"install a ProcVision whose {SDK} the manifest allows")


def _incompatible(key: str, wanted: str, got: str, hint: str) -> PackageError:
    told = f"{FILE_NAME}: {key} is {wanted!r}, the package would be for {got}"
    return PackageError(told, hint=hint, code=ErrorCode.INCOMPATIBLE_PYTHON)


def _refuse_what_a_station_would(path: Path, target: Target) -> None:
    """Whatever is wrong with the whole is told here, where it can be mended: its size, its names, its wheels."""
    found = admission.contents(path)
    machine = any_machine(target.name, target.python)
    manifest = admission.identity(found, machine)
    if has_wheels(found.listing):
        admission.wheels(found, manifest, machine)


def _outputs(asked: PackagePlan, project: Project, targets: Sequence[Target]) -> list[Path]:
    """Where each goes: the working folder, the folder that was given, or, for one alone, the file that was given."""
    output = asked.output
    folder = output if output is not None and output.is_dir() else None
    if output is not None and folder is None:
        if len(targets) > 1:
            raise UsageError(f"--output: expected a folder for {len(targets)} targets, got {output}")
        if not output.parent.is_dir():
            raise UsageError(f"--output: {output.parent} is no folder", hint="make it first")
        return [output.absolute()]
    stem = f"{project.manifest.name}-v{project.manifest.version}"
    names = [f"{stem}-{one.name}{SUFFIX}" if asked.targets.names else f"{stem}{SUFFIX}" for one in targets]
    return [(folder or Path.cwd()).absolute() / name for name in names]


def _write(making: _Making, target: Target, needed: Dependencies, path: Path) -> Listing:
    contents: dict[str, Content] = {name: making.project.folder / name for name in making.files.packed}
    contents |= {f"{WHEELS}{wheel.name}": wheel for wheel in needed.wheels}
    contents[REQUIREMENTS] = locked.to_bytes(needed.locked)
    contents[SBOM] = sbom(making.project.manifest, needed.locked, needed.wheels)
    listing = Listing(
        name=making.project.manifest.name,
        version=making.project.manifest.version,
        target=target.name,
        python=target.python,
        created_with=f"procvision {__version__}",
        files=listed(contents),
    )
    contents[LISTING] = listing.to_bytes()
    if making.key is not None:
        contents[SIGNATURE] = signing.sign(listing.to_bytes(), making.key)
    write_archive(path, contents, listing.files)
    return listing


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, so that nothing half-written stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
