"""From project folders and a deploy folder to an immutable Catalog of Deployments (spec.md §9, §10).

A project folder under development runs with its own `.venv` or the runner's interpreter; a package in the deploy
folder (one version each) with its own `venv`, or the runner's interpreter where it has none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from procvision_sdk import manifest
from procvision_sdk.errors import ErrorCode, PackageError
from procvision_sdk.manifest import Manifest


class Launch(Enum):
    """How the adapter is started: `-m procvision_sdk.adapter`, or boot.py with -I -S -B."""

    MODULE = "module"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One algorithm, its folder and the interpreter that runs it."""

    name: str
    version: str
    folder: Path
    interpreter: Path
    launch: Launch
    manifest: Manifest

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a station serves. A request sees one catalog from admission to result."""

    deployments: tuple[Deployment, ...]
    products: Mapping[str, Deployment]


def build(projects: Iterable[Path], deploy_root: Path | None) -> Catalog:
    """The catalog; PackageError (2006) when two packages claim one product, ManifestError when one cannot be read."""
    found = [_deployment(folder.resolve(), Launch.MODULE) for folder in projects]
    if deploy_root is not None and deploy_root.is_dir():
        folders = sorted(path.parent for path in deploy_root.glob("*/manifest.json"))
        found += [_deployment(folder.resolve(), Launch.ISOLATED) for folder in folders]
    products: dict[str, Deployment] = {}
    names: set[str] = set()
    for deployment in found:
        if deployment.name in names:
            raise PackageError(
                f"two packages are named {deployment.name}",
                hint="keep one version of each in the deploy folder",
                code=ErrorCode.ACTIVATION_CONFLICT,
            )
        names.add(deployment.name)
        for pid in deployment.manifest.supported_pids:
            if pid in products:
                raise PackageError(
                    f"product {pid} is claimed by {products[pid]} and {deployment}",
                    hint="take it out of one manifest's supported_pids",
                    code=ErrorCode.ACTIVATION_CONFLICT,
                )
            products[pid] = deployment
    return Catalog(tuple(found), products)


def _deployment(folder: Path, launch: Launch) -> Deployment:
    loaded = manifest.load(folder)
    own = _interpreter_in(folder / (".venv" if launch is Launch.MODULE else "venv"))
    return Deployment(loaded.name, loaded.version, folder, own or Path(sys.executable), launch, loaded)


def _interpreter_in(environment: Path) -> Path | None:
    for name in ("bin/python", "Scripts/python.exe"):
        if (environment / name).exists():
            return environment / name
    return None
