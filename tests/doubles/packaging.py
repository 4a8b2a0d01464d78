"""An author who packages without an index: a project, a folder of wheels, and what came of it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from runner.dev.package import PackagePlan, Packed, package
from runner.dev.package_target import TargetOptions
from runner.dev.package_wheels import Index
from tests.doubles.author import make_project
from tests.doubles.wheels import make_index

LINUX = TargetOptions(("linux-x86_64",), python="3.11")


def make_packable(folder: Path, requirements: str = "numpy==2.0.0\n", **manifest: Any) -> Path:
    """A project, and beside it `index/` with what the SDK needs."""
    project = make_project(folder, "cli_plain", **manifest)
    (project / "requirements.txt").write_text(requirements, "utf-8")
    make_index(folder / "index")
    return project


def pack(project: Path, targets: TargetOptions = LINUX, **plan: Any) -> Packed:
    """The one package that is made, out of `index/` beside the project; it lies beside the project too."""
    index = plan.pop("index", Index((project.parent / "index",), only_folders=True))
    (packed,) = package(PackagePlan(project, targets, index, **{"output": project.parent, **plan}))
    return packed


def names_in(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def read_in(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def document_in(path: Path, name: str) -> Any:
    return json.loads(read_in(path, name))
