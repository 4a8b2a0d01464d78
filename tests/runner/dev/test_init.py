"""`procvision init`: the project it writes works as written (spec.md §11.2)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.dev.init import InitPlan, init
from runner.dev.project import UsageError
from tests.doubles.author import ROOT, procvision


def test_a_new_project_passes_its_tests_runs_and_validates(tmp_path: Path) -> None:
    made = procvision(tmp_path, "init", "my-detector", "--pids", "A01,B.02", "-v", "1.2.3", "-e", "finds 'spots' {x}")
    assert made.code == 0, made.err
    project = tmp_path / "my-detector"
    manifest = json.loads((project / "manifest.json").read_text("utf-8"))
    assert (manifest["name"], manifest["version"]) == ("my-detector", "1.2.3")
    assert manifest["supported_pids"] == ["A01", "B.02"]
    assert manifest["entry_point"] == "my_detector.main:MyDetector"

    tested = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        cwd=project,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in tested.stdout

    ran = procvision(tmp_path, "run", project, "--pid", "B.02", "--image", project / "samples", "--json")
    verdicts = {Path(one["file"]).name: one["result_status"] for one in ran.document()["images"]}
    assert (ran.code, verdicts, ran.left) == (0, {"ng.png": "NG", "ok.png": "OK"}, ())

    validated = procvision(tmp_path, "validate", project, "--json")
    results = {one["name"]: one["result"] for one in validated.document()["checks"]}
    assert results.pop("leaks") == "SKIP"
    assert (validated.code, set(results.values()), validated.left) == (0, {"PASS"}, ())


def test_nothing_is_overwritten_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    project = tmp_path / "spots"
    (project / "tests").mkdir(parents=True)
    (project / "tests" / "test_main.py").write_text("mine", "utf-8")
    refused = procvision(tmp_path, "init", "spots", "-d", project)
    assert refused.code == 2
    assert "tests/test_main.py is there already" in refused.err
    assert [path.name for path in project.rglob("*") if path.is_file()] == ["test_main.py"]
    assert (project / "tests" / "test_main.py").read_text("utf-8") == "mine"


def test_a_folder_that_holds_other_files_is_filled(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", "utf-8")
    written = init(InitPlan("spots", tmp_path, ("A",), "1.0", ""))
    assert {path.relative_to(tmp_path).as_posix() for path in written} == {
        ".procvision_env.json",
        "manifest.json",
        "requirements.txt",
        "samples/ng.png",
        "samples/ok.png",
        "spots/__init__.py",
        "spots/main.py",
        "tests/conftest.py",
        "tests/test_main.py",
    }
    target = json.loads((tmp_path / ".procvision_env.json").read_text("utf-8"))
    assert target.keys() == {"python_version", "implementation", "abi", "wheels_platform"}


REFUSED = [
    ("Spots", ("A",), "1.0", "name: "),
    ("../spots", ("A",), "1.0", "name: "),
    ("json", ("A",), "1.0", "would hide"),
    ("class", ("A",), "1.0", "would hide"),
    ("numpy", ("A",), "1.0", "would hide"),
    ("spots", (), "1.0", "supported_pids"),
    ("spots", ("A", "A"), "1.0", "stands twice"),
    ("spots", ("a/b",), "1.0", "supported_pids"),
    ("spots", ("A",), "one two", "version"),
]


@pytest.mark.parametrize(("name", "pids", "version", "reason"), REFUSED)
def test_names_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, pids: tuple[str, ...], version: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        init(InitPlan(name, tmp_path, pids, version, ""))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "package", "class_name"),
    [
        ("spots", "spots", "Spots"),
        ("my-spots_2", "my_spots_2", "MySpots2"),
        ("3d-scan", "algorithm_3d_scan", "Algorithm3dScan"),
    ],
)
def test_package_and_class_are_named_after_the_project(name: str, package: str, class_name: str) -> None:
    asked = InitPlan(name, Path(), ("A",), "1.0", "")
    assert (asked.package, asked.class_name) == (package, class_name)
