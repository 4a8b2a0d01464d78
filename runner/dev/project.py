"""An author's project folder as a command finds it, and the refusal of what cannot be used at all (spec.md §11)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from procvision_sdk import manifest
from procvision_sdk.errors import ErrorCode, ProcVisionError
from procvision_sdk.manifest import Manifest

# Folders of a project that hold no source of the algorithm and may be large.
NOT_SOURCE = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv", "wheels"})


class UsageError(ProcVisionError):
    """What was typed cannot be done: exit code 2."""

    default_code = ErrorCode.INVALID_PARAMS


@dataclass(frozen=True, slots=True)
class Project:
    """A folder whose manifest and assets have been read and found good."""

    folder: Path
    manifest: Manifest

    def __str__(self) -> str:
        return f"{self.manifest.name} {self.manifest.version}"


def folder_of(path: Path) -> Path:
    """The folder of a project; UsageError when there is none."""
    if not path.is_dir():
        raise UsageError(
            f"project: expected a folder, {path} is {'a file' if path.exists() else 'not there'}",
            hint="make one with: procvision init NAME",
            code=ErrorCode.MANIFEST_MISSING,
        )
    if not (path / manifest.FILE_NAME).is_file():
        raise UsageError(
            f"project: there is no {manifest.FILE_NAME} in {path.resolve()}",
            hint="give the folder that holds it, or make a project with: procvision init NAME",
            code=ErrorCode.MANIFEST_MISSING,
        )
    return path.resolve()


def open_project(path: Path) -> Project:
    """The project in a folder; UsageError when there is none, ManifestError when its manifest cannot be used."""
    folder = folder_of(path)
    return Project(folder, manifest.load(folder))


def is_source(path: Path, folder: Path) -> bool:
    """Whether a path under `folder` belongs to what the author writes: not hidden, no environment, no build output."""
    parts = path.relative_to(folder).parts
    return not any(part.startswith(".") or part in NOT_SOURCE for part in parts)
