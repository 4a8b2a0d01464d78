"""Which folders a station serves, how each is started, and what cannot stand side by side (spec.md §9, §10)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from procvision_sdk.errors import ErrorCode, ManifestError, PackageError
from runner.routing import catalog
from runner.routing.catalog import ActivePackage, Launch


def package(folder: Path, name: str, *pids: str, version: str = "1.2.0") -> Path:
    """A folder with a manifest of this name and these products."""
    folder.mkdir(parents=True)
    manifest = {
        "name": name,
        "version": version,
        "entry_point": f"{name}.main:Algorithm",
        "supported_pids": list(pids),
        "description": "for a test",
        "steps": [{"index": 1, "name": "inspect", "params": []}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def interpreter(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def active(folder: Path, *pids: str) -> ActivePackage:
    return ActivePackage(folder, folder / "venv/bin/python", pids)


def test_projects_come_first_then_active_packages_with_the_products_they_are_active_for(tmp_path: Path) -> None:
    project = package(tmp_path / "project", "zebra", "z1", "z2")
    bear, ant = package(tmp_path / "b", "bear", "b1", "b2"), package(tmp_path / "a", "ant", "a1")
    found = catalog.build([project], [active(ant, "a1"), active(bear, "b2")])
    assert [str(one) for one in found.deployments] == ["zebra@1.2.0", "ant@1.2.0", "bear@1.2.0"]
    served = {pid: one.name for pid, one in found.products.items()}
    assert served == {"z1": "zebra", "z2": "zebra", "a1": "ant", "b2": "bear"}
    assert [one.launch for one in found.deployments] == [Launch.MODULE, Launch.ISOLATED, Launch.ISOLATED]
    assert [one.folder for one in found.deployments] == [project.resolve(), ant, bear]
    assert found.deployments[2].interpreter == bear / "venv/bin/python"


def test_a_station_may_serve_nothing() -> None:
    found = catalog.build([])
    assert (found.deployments, dict(found.products)) == ((), {})


def test_two_versions_of_one_package_serve_side_by_side_under_labels_of_their_own(tmp_path: Path) -> None:
    old, new = package(tmp_path / "1", "ant", "a1", "a2"), package(tmp_path / "2", "ant", "a1", "a2", version="1.3.0")
    found = catalog.build([], [active(old, "a1"), active(new, "a2")])
    assert [one.label for one in found.deployments] == ["ant@1.2.0", "ant@1.3.0"]
    assert {pid: one.version for pid, one in found.products.items()} == {"a1": "1.2.0", "a2": "1.3.0"}


@pytest.mark.parametrize("place", ["bin/python", "Scripts/python.exe"])
def test_a_project_runs_with_its_own_interpreter(tmp_path: Path, place: str) -> None:
    project = package(tmp_path / "project", "one", "p")
    expected = interpreter(project / ".venv" / place)
    assert catalog.build([project]).deployments[0].interpreter == expected


def test_a_project_without_one_runs_with_the_runners_interpreter(tmp_path: Path) -> None:
    project = package(tmp_path / "project", "one", "p")
    interpreter(project / "venv" / "bin/python")
    assert catalog.build([project]).deployments[0].interpreter == Path(sys.executable)


def test_two_packages_that_claim_one_product_are_refused_and_both_are_named(tmp_path: Path) -> None:
    first, second = package(tmp_path / "1", "one", "p", "shared"), package(tmp_path / "2", "two", "shared")
    for projects, packages in (([first, second], []), ([first], [active(second, "shared")])):
        with pytest.raises(PackageError, match=r"product shared is claimed by one@1\.2\.0 and two@1\.2\.0") as refused:
            catalog.build(projects, packages)
        assert refused.value.code == ErrorCode.ACTIVATION_CONFLICT


@pytest.mark.parametrize("installed", [False, True])
def test_a_project_of_a_name_that_is_taken_is_refused(tmp_path: Path, installed: bool) -> None:
    project, other = package(tmp_path / "1", "one", "p"), package(tmp_path / "2", "one", "q")
    with pytest.raises(PackageError, match=r"named one|one is a project and an active package") as refused:
        catalog.build([project], [active(other, "q")]) if installed else catalog.build([project, other])
    assert refused.value.code == ErrorCode.ACTIVATION_CONFLICT


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json") as refused:
        catalog.build([tmp_path])
    assert refused.value.code == ErrorCode.MANIFEST_MISSING
