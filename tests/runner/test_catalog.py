"""Which folders a station serves, how each is started, and what cannot stand side by side (spec.md §9, §10)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from procvision_sdk.errors import ErrorCode, ManifestError, PackageError
from runner.routing import catalog
from runner.routing.catalog import Launch


def package(folder: Path, name: str, *pids: str) -> Path:
    """A folder with a manifest of this name and these products."""
    folder.mkdir(parents=True)
    manifest = {
        "name": name,
        "version": "1.2.0",
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


def test_projects_come_first_then_the_deploy_folder_in_the_order_of_its_names(tmp_path: Path) -> None:
    project = package(tmp_path / "project", "zebra", "z1", "z2")
    deployed = tmp_path / "deployed"
    package(deployed / "b", "bear", "b1")
    package(deployed / "a", "ant", "a1")
    (deployed / "no-package").mkdir()
    (deployed / "file.txt").touch()
    found = catalog.build([project], deployed)
    assert [str(one) for one in found.deployments] == ["zebra@1.2.0", "ant@1.2.0", "bear@1.2.0"]
    assert {pid: one.name for pid, one in found.products.items()} == {
        "z1": "zebra",
        "z2": "zebra",
        "a1": "ant",
        "b1": "bear",
    }
    assert [one.launch for one in found.deployments] == [Launch.MODULE, Launch.ISOLATED, Launch.ISOLATED]
    assert found.deployments[0].folder == project.resolve()


@pytest.mark.parametrize("deploy_root", [None, "empty", "missing"])
def test_a_station_may_serve_nothing(tmp_path: Path, deploy_root: str | None) -> None:
    (tmp_path / "empty").mkdir()
    found = catalog.build([], tmp_path / deploy_root if deploy_root else None)
    assert (found.deployments, dict(found.products)) == ((), {})


@pytest.mark.parametrize("place", ["bin/python", "Scripts/python.exe"])
def test_a_folder_runs_with_its_own_interpreter(tmp_path: Path, place: str) -> None:
    project = package(tmp_path / "project", "one", "p")
    deployed = package(tmp_path / "deployed" / "two", "two", "q")
    expected = [interpreter(project / ".venv" / place), interpreter(deployed / "venv" / place)]
    found = catalog.build([project], tmp_path / "deployed")
    assert [one.interpreter for one in found.deployments] == expected


def test_a_folder_without_one_runs_with_the_runners_interpreter(tmp_path: Path) -> None:
    project = package(tmp_path / "project", "one", "p")
    deployed = package(tmp_path / "deployed" / "two", "two", "q")
    interpreter(project / "venv" / "bin/python")
    interpreter(deployed / ".venv" / "bin/python")
    found = catalog.build([project], tmp_path / "deployed")
    assert [one.interpreter for one in found.deployments] == [Path(sys.executable)] * 2


def test_two_packages_that_claim_one_product_are_refused_and_both_are_named(tmp_path: Path) -> None:
    first, second = package(tmp_path / "1", "one", "p", "shared"), package(tmp_path / "2", "two", "shared")
    with pytest.raises(PackageError, match=r"product shared is claimed by one@1\.2\.0 and two@1\.2\.0") as refused:
        catalog.build([first, second], None)
    assert refused.value.code == ErrorCode.ACTIVATION_CONFLICT


def test_two_packages_of_one_name_are_refused(tmp_path: Path) -> None:
    project = package(tmp_path / "project", "one", "p")
    package(tmp_path / "deployed" / "one", "one", "q")
    with pytest.raises(PackageError, match="two packages are named one") as refused:
        catalog.build([project], tmp_path / "deployed")
    assert refused.value.code == ErrorCode.ACTIVATION_CONFLICT


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json") as refused:
        catalog.build([tmp_path], None)
    assert refused.value.code == ErrorCode.MANIFEST_MISSING
