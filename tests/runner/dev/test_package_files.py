"""What of a project goes into its package (spec.md §10.9)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procvision_sdk.errors import PackageError
from runner.dev.package_files import project_files
from runner.dev.project import open_project
from tests.doubles.author import make_project

LEFT_OUT = [
    (".git/config", ".git"),
    (".venv/bin/python", ".venv"),
    ("venv/lib/x.py", "venv"),
    ("my-python/pyvenv.cfg", "my-python"),
    ("algorithm/deep/pyvenv.cfg", "algorithm/deep"),
    ("algorithm/__pycache__/main.cpython-311.pyc", "algorithm/__pycache__"),
    ("algorithm/old.pyc", "algorithm/old.pyc"),
    (".procvision_env.json", ".procvision_env.json"),
    (".vscode/settings.json", ".vscode"),
    (".idea/x.xml", ".idea"),
    (".mypy_cache/x.json", ".mypy_cache"),
    ("algorithm/.main.py.swp", "algorithm/.main.py.swp"),
    ("algorithm/main.py~", "algorithm/main.py~"),
    ("trial.egg-info/PKG-INFO", "trial.egg-info"),
    ("build/lib/x.py", "build"),
    ("dist/x.whl", "dist"),
    ("wheels/x.whl", "wheels"),
    ("tests/test_main.py", "tests"),
    ("node_modules/x.js", "node_modules"),
    ("trial-v1.0-offline.zip", "trial-v1.0-offline.zip"),
    ("out/other-v2-win-amd64-offline.zip", "out/other-v2-win-amd64-offline.zip"),
    (".trial-v1.0-offline.zip.77.partial/x.zip", ".trial-v1.0-offline.zip.77.partial"),
]


@pytest.mark.parametrize(("file", "told"), LEFT_OUT)
def test_what_never_goes_in_is_told(tmp_path: Path, file: str, told: str) -> None:
    project = make_project(tmp_path, "cli_plain")
    _put(project / file)
    found = project_files(open_project(project))
    assert found.packed == ("algorithm/__init__.py", "algorithm/main.py", "manifest.json")
    assert found.left_out == (told,)


GOES_IN = [
    "assets/build/model.bin",
    "assets/env/x.bin",
    "samples/A01/ok.png",
    "algorithm/data.zip",
    "README.md",
    "assets/é.bin",
]


@pytest.mark.parametrize("file", GOES_IN)
def test_everything_else_goes_in(tmp_path: Path, file: str) -> None:
    project = make_project(tmp_path, "cli_plain")
    _put(project / file)
    found = project_files(open_project(project))
    assert file in found.packed
    assert found.left_out == ()


REFUSED = [
    ("package.json", "2010", "packages have a file of this name"),
    ("signature.json", "2010", "packages have a file of this name"),
    ("sbom.cdx.json", "2010", "packages have a file of this name"),
    ("assets/a:b.bin", "2010", "does not allow"),
    ("assets/aux.bin", "2010", "a device on Windows"),
    ("assets/end.", "2010", "ends with a dot"),
    ("assets/a\nb", "2010", "control character"),
]


@pytest.mark.parametrize(("file", "code", "message"), REFUSED)
def test_names_that_cannot_be_everywhere_are_refused(tmp_path: Path, file: str, code: str, message: str) -> None:
    project = make_project(tmp_path, "cli_plain")
    _put(project / file)
    with pytest.raises(PackageError, match=message) as refused:
        project_files(open_project(project))
    assert refused.value.code == code


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    _put(project / "assets" / "Model.bin")
    _put(project / "assets" / "model.bin")
    with pytest.raises(PackageError, match=r"are one file on some systems"):
        project_files(open_project(project))


@pytest.mark.parametrize("target", ["algorithm/main.py", "/etc/hostname", "algorithm", "nowhere"])
def test_links_are_refused_by_name(tmp_path: Path, target: str) -> None:
    project = make_project(tmp_path, "cli_plain")
    (project / "assets").mkdir()
    (project / "assets" / "linked").symlink_to(target)
    with pytest.raises(PackageError, match=r"assets/linked is a link to") as refused:
        project_files(open_project(project))
    assert refused.value.code == "2010"


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    os.mkfifo(project / "pipe")
    with pytest.raises(PackageError, match="pipe is neither a file nor a folder"):
        project_files(open_project(project))


def test_an_asset_that_would_be_left_out_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain", required_assets={"A01": {"model": "build/model.bin"}})
    _put(project / "build" / "model.bin")
    with pytest.raises(
        PackageError, match=r"required_assets\.A01\.model: 'build/model.bin' would be left out"
    ) as refused:
        project_files(open_project(project))
    assert refused.value.code == "2002"


def _put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
