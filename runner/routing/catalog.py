"""From project folders and active packages to an immutable Catalog of Deployments (spec.md §9, §10).

A project folder under development runs with its own `.venv` or the runner's interpreter and serves all its products; an
installed package runs with its own environment and serves the products that it is active for.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
class ActivePackage:
    """One installed version, and the products that it serves."""

    folder: Path
    interpreter: Path
    pids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One algorithm, its folder and the interpreter that runs it. `label` is a project's name, and NAME@VERSION for an
    installed package: two versions of one serve side by side, and no two deployments of a catalog have the same.
    """

    name: str
    version: str
    folder: Path
    interpreter: Path
    launch: Launch
    manifest: Manifest
    label: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a station serves. A request sees one catalog from admission to result."""

    deployments: tuple[Deployment, ...]
    products: Mapping[str, Deployment]


def build(projects: Iterable[Path], active: Sequence[ActivePackage] = ()) -> Catalog:
    """The catalog; PackageError (2006) when two claim one product or name, ManifestError when one cannot be read."""
    found = [_deployment(folder.resolve()) for folder in projects]
    products: dict[str, Deployment] = {}
    for deployment in found:
        _claim(products, deployment, deployment.manifest.supported_pids)
    for package in active:
        found.append(deployment_of(package))
        _refuse_name_of_project(found, found[-1])
        _claim(products, found[-1], package.pids)
    for name, count in Counter(one.label for one in found).items():
        if count > 1:
            raise _conflict(f"two packages are named {name}", "serve one of them")
    return Catalog(tuple(found), products)


def deployment_of(package: ActivePackage) -> Deployment:
    """An installed version as it is served; ManifestError when its manifest cannot be read."""
    loaded = manifest.load(package.folder)
    label = f"{loaded.name}@{loaded.version}"
    return Deployment(loaded.name, loaded.version, package.folder, package.interpreter, Launch.ISOLATED, loaded, label)


def moved(catalog: Catalog, pid: str, to: Deployment | None) -> Catalog:
    """The catalog in which a package, or nothing, serves a product; PackageError (2006) when a project has product
    or name. Everything else stays; a package without products is not in it.
    """
    before = catalog.products.get(pid)
    if before is not None and before.launch is Launch.MODULE:
        raise _conflict(f"product {pid} is claimed by the project {before}", "leave the project out of the station")
    others = [one for one in catalog.deployments if to is None or one.label != to.label]
    products = {key: one for key, one in catalog.products.items() if key != pid}
    if to is not None:
        _refuse_name_of_project(others, to)
        products[pid] = to
    serving = {one.label for one in products.values()}
    kept = [one for one in others if one.launch is Launch.MODULE or one.label in serving]
    return Catalog((*kept, *((to,) if to is not None else ())), products)


def _refuse_name_of_project(found: Iterable[Deployment], package: Deployment) -> None:
    if any(one.name == package.name and one.launch is Launch.MODULE for one in found):
        raise _conflict(f"{package.name} is a project and an active package", "deactivate it, or leave the project out")


def _claim(products: dict[str, Deployment], deployment: Deployment, pids: Iterable[str]) -> None:
    for pid in pids:
        if pid in products:
            told = f"product {pid} is claimed by {products[pid]} and {deployment}"
            raise _conflict(told, "take it out of one manifest's supported_pids, or deactivate the package")
        products[pid] = deployment


def _conflict(text: str, hint: str) -> PackageError:
    return PackageError(text, hint=hint, code=ErrorCode.ACTIVATION_CONFLICT)


def _deployment(folder: Path) -> Deployment:
    loaded = manifest.load(folder)
    interpreter = _interpreter_in(folder / ".venv") or Path(sys.executable)
    return Deployment(loaded.name, loaded.version, folder, interpreter, Launch.MODULE, loaded, loaded.name)


def _interpreter_in(environment: Path) -> Path | None:
    for name in ("bin/python", "Scripts/python.exe"):
        if (environment / name).exists():
            return environment / name
    return None
