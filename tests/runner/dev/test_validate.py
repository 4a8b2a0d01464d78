"""`procvision validate` as a process: what it finds, its document and exit codes (spec.md §11.6)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.author import Finished, make_picture, make_project, procvision

# Only where the limit is what ends it: elsewhere a busy machine would meet it.
HASTY = {"cli_hangs": {"execute_s": 0.4}, "cli_hangs_in_setup": {"boot_s": 1.0}}

FOUND = [
    ("cli_raises", "hooks", "FAIL", "1009 execute_exception"),
    ("cli_hangs", "hooks", "FAIL", "1005 timeout"),
    ("cli_crashes", "hooks", "FAIL", "1013 worker_crashed"),
    ("cli_refuses", "hooks", "WARN", "5001 algorithm_error: no light"),
    ("cli_prints", "stdout", "WARN", "here we are"),
    ("cli_keeps_the_view", "kept_views", "FAIL", "still held after the call"),
    ("cli_attaches_by_itself", "shared_memory", "FAIL", "multiprocessing.shared_memory is used"),
    ("cli_imports_the_runner", "imports", "FAIL", "the runner is imported"),
    ("cli_differs", "get_info", "FAIL", "the manifest has the parameters ['threshold']"),
    ("cli_dies_at_import", "boot", "FAIL", "exit code 3"),
    ("cli_hangs_in_setup", "boot", "FAIL", "not ready within 1"),
]


@pytest.mark.parametrize(("algorithm", "check", "result", "message"), FOUND)
def test_each_fault_is_found_by_its_check(
    tmp_path: Path, algorithm: str, check: str, result: str, message: str
) -> None:
    project = make_project(tmp_path, algorithm, timeouts=HASTY.get(algorithm, {}))
    ended = procvision(tmp_path, "validate", project, "--json")
    found = _check(ended, check)
    assert found["result"] == result
    assert message in found["message"]
    failed = {one["name"] for one in ended.document()["checks"] if one["result"] == "FAIL"}
    assert failed == ({check} if result == "FAIL" else set())
    assert (ended.code, ended.left) == (1 if failed else 0, ())


def test_places_lead_to_the_line(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_prints")
    found = _check(procvision(tmp_path, "validate", project, "--json"), "stdout")
    assert found["place"] == "algorithm/main.py:10"
    assert found["hint"]


def test_the_document_counts_what_it_lists(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_raises", supported_pids=["A01", "A02"])
    document = procvision(tmp_path, "validate", project, "--json").document()
    results = [one["result"] for one in document["checks"]]
    assert document["summary"] == {
        "status": "FAIL",
        "passed": results.count("PASS"),
        "failed": 2,
        "warnings": results.count("WARN"),
        "skipped": results.count("SKIP"),
    }
    assert all(one.keys() == {"name", "result", "message", "place", "hint", "code"} for one in document["checks"])
    assert [one["place"] for one in document["checks"] if one["name"] == "hooks"] == ["A01, step 1", "A02, step 1"]


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"steps": []}, "manifest", "steps"),
    ({"isolation": {}}, "manifest", "isolation: not supported yet"),
    ({"required_assets": {"A01": {"model": "weights.bin"}}}, "assets", "'weights.bin' is not there"),
    ({"entry_point": "algorithm.other:Algorithm"}, "entry_point", "algorithm/other.py"),
]


@pytest.mark.parametrize(("manifest", "check", "message"), BROKEN)
def test_what_cannot_be_started_is_told_without_starting_it(
    tmp_path: Path, manifest: dict[str, Any], check: str, message: str
) -> None:
    project = make_project(tmp_path, "cli_plain", **manifest)
    ended = procvision(tmp_path, "validate", project, "--json")
    found = _check(ended, check)
    assert found["result"] == "FAIL"
    assert message in found["message"]
    assert _check(ended, "boot")["result"] == "SKIP"
    assert ended.code == 1


def test_a_required_parameter_without_default_is_tried_with_an_allowed_value(tmp_path: Path) -> None:
    params = [{"key": "limit", "type": "int", "required": True, "min": 5}]
    project = make_project(tmp_path, "cli_plain", steps=[{"index": 1, "name": "look", "params": params}])
    ended = procvision(tmp_path, "validate", project)
    assert ended.code == 0, ended.out
    assert "every call must give step 1 limit" in ended.out


def test_full_finds_what_grows(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_leaks_descriptors")
    image = make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "validate", project, "--full", "--json", "--image", image)
    found = _check(ended, "leaks")
    assert found["result"] == "FAIL"
    assert "+1.00 descriptors" in found["message"]
    assert ended.left == ()


def test_full_passes_what_does_not_grow(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    image = make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "validate", project, "--full", "--json", "--image", image)
    assert _check(ended, "leaks")["result"] == "PASS"
    assert ended.code == 0


def test_a_zip_that_package_did_not_make_is_no_package(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "trial.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
    ended = procvision(tmp_path, "validate", "trial.zip", "--json")
    assert (ended.code, _check(ended, "archive")["result"]) == (1, "FAIL")
    assert "package.json is not in the archive" in _check(ended, "archive")["message"]


@pytest.mark.parametrize(("name", "content"), [("parts/a.png", b"no image"), ("parts/notes.txt", b"")])
def test_images_of_which_none_can_be_read_are_a_usage_error(tmp_path: Path, name: str, content: bytes) -> None:
    project = make_project(tmp_path, "cli_plain")
    (tmp_path / "parts").mkdir()
    (tmp_path / name).write_bytes(content)
    ended = procvision(tmp_path, "validate", project, "--image", "parts", "--json")
    assert (ended.code, ended.out, ended.left) == (2, "", ())
    assert "1002 image_load_failed" in ended.err


def test_a_folder_without_a_manifest_is_no_project(tmp_path: Path) -> None:
    ended = procvision(tmp_path, "validate")
    assert ended.code == 2
    assert "there is no manifest.json" in ended.err


def _check(ended: Finished, name: str) -> dict[str, Any]:
    (found,) = [one for one in ended.document()["checks"] if one["name"] == name]
    assert isinstance(found, dict)
    return found
