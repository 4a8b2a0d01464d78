"""`procvision run` as a process: documents, exit codes, signals, and that nothing is left (spec.md §11.3 to §11.5)."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.doubles.author import finish, left_by, make_picture, make_project, procvision, start

# Only where the limit is what ends it: elsewhere a busy machine would meet it.
HASTY = {"cli_hangs": {"execute_s": 0.4}, "cli_hangs_in_setup": {"boot_s": 1.0}}
HOOK_KEYS = {"status", "message", "error_code", "error_name", "hint", "data", "diagnostics", "latency_ms"}

ENDS: list[tuple[str, list[str], int, str]] = [
    ("cli_plain", [], 0, ""),
    ("cli_plain", ["--params", '{"threshold": 7}'], 0, ""),
    ("cli_plain", ["--step", "1", "--fail-on-ng"], 0, ""),
    ("cli_plain", ["--pid", "B99"], 2, "1001"),
    ("cli_plain", ["--step", "2"], 2, "1006"),
    ("cli_plain", ["--params", '{"threshold": 700}'], 2, "1006"),
    ("cli_plain", ["--params", '{"treshold": 7}'], 2, "1006"),
    ("cli_refuses", [], 5, "5001"),
    ("cli_raises", [], 5, "1009"),
    ("cli_crashes", [], 5, "1013"),
    ("cli_dies_at_import", [], 5, "1014"),
    ("cli_hangs_in_setup", [], 5, "1014"),
    ("cli_hangs", [], 6, "1005"),
]


@pytest.mark.parametrize(("algorithm", "options", "code", "error_code"), ENDS)
def test_every_end_has_its_exit_code_and_leaves_nothing(
    tmp_path: Path, algorithm: str, options: list[str], code: int, error_code: str
) -> None:
    project = make_project(tmp_path, algorithm, timeouts=HASTY.get(algorithm, {}))
    image = make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", image, "--json", *options)
    document = ended.document()
    assert (ended.code, document["error_code"], ended.left) == (code, error_code, ())
    assert document["status"] == ("ERROR" if error_code else "OK")
    assert document["pre_execute"].keys() == HOOK_KEYS
    assert document["steps"][-1]["pre_execute"] == document["pre_execute"]
    assert document["steps"][-1]["execute"] == document["execute"]
    assert error_code in ((document["execute"] or document["pre_execute"])["error_code"], "")


def test_execute_is_not_called_after_a_pre_execute_that_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_refuses")
    image = make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", image, "--json")
    assert ended.document()["execute"] is None
    assert not (project / "executed").exists()


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--fail-on-ng"], 1)])
def test_an_ng_is_a_finished_inspection_unless_it_is_to_fail(tmp_path: Path, options: list[str], code: int) -> None:
    project = make_project(tmp_path, "cli_plain")
    image = make_picture(tmp_path / "part.png", 250)
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", image, *options)
    assert ended.code == code
    assert "NG" in ended.out
    assert "bright 1,2 3x4" in ended.out


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"--image": "nowhere.png"}, "nowhere.png is not there"),
    ({"--image": "empty"}, "there is no image in"),
    ({"--image": "project/manifest.json"}, "is no image that can be read"),
    ({"project": "nowhere"}, "expected a folder, nowhere is not there"),
    ({"project": "empty"}, "there is no manifest.json"),
    ({"--params": "{threshold: 1}"}, "expected JSON"),
    ({"--params": "[1]"}, "expected a JSON object"),
    ({"--report": "nowhere/report.html"}, "there is no folder nowhere"),
]


@pytest.mark.parametrize(("changed", "reason"), REFUSED)
def test_what_cannot_be_done_is_refused_with_its_reason(tmp_path: Path, changed: dict[str, str], reason: str) -> None:
    make_project(tmp_path, "cli_plain")
    make_picture(tmp_path / "part.png")
    (tmp_path / "empty").mkdir()
    asked = {"--pid": "A01", "--image": "part.png", **changed}
    project = asked.pop("project", "project")
    ended = procvision(tmp_path, "run", project, "--json", *(word for pair in asked.items() for word in pair))
    assert (ended.code, ended.out, ended.left) == (2, "", ())
    assert reason in ended.err
    assert "Traceback" not in ended.err


def test_a_manifest_that_cannot_be_used_is_a_refused_package(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain", replicas=2)
    image = make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", image)
    assert ended.code == 4
    assert "replicas: not supported yet" in ended.err


def test_a_folder_is_inspected_by_name_and_summed_up(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    parts = tmp_path / "parts"
    parts.mkdir()
    make_picture(parts / "a.png", 250)
    make_picture(parts / "b.bmp", 20)
    make_picture(parts / "c.tif", 30)
    turned = make_picture(parts / "d.jpg", 40)
    _turn(turned)
    (parts / "e.png").write_bytes(b"no image")
    (parts / "notes.txt").write_text("no image either", "utf-8")
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", parts, "--json")
    document = ended.document()
    told = [(Path(one["file"]).name, one["result_status"], one["error_code"]) for one in document["images"]]
    assert told == [
        ("a.png", "NG", ""),
        ("b.bmp", "OK", ""),
        ("c.tif", "OK", ""),
        ("d.jpg", "OK", ""),
        ("e.png", None, "1002"),
    ]
    shapes = [one["execute"]["data"]["shape"] for one in document["images"][:4]]
    assert shapes == [[6, 8, 3], [6, 8, 3], [6, 8, 3], [8, 6, 3]]
    assert document["summary"] == {
        "images": 5,
        "ok": 3,
        "ng": 1,
        "errors": 1,
        "error_codes": {"1002": 1},
        "not_inspected": 0,
    }
    assert (ended.code, ended.left) == (5, ())


def _turn(path: Path) -> None:
    """Say in EXIF that the camera was held upright."""
    from PIL import Image

    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.copy().save(path, exif=exif)


def test_parameters_reach_the_step_that_declares_them(tmp_path: Path) -> None:
    one = {"key": "one", "type": "int", "default": 1}
    two = {"key": "two", "type": "int", "default": 2}
    steps = [{"index": 1, "name": "first", "params": [one]}, {"index": 2, "name": "second", "params": [two]}]
    project = make_project(tmp_path, "cli_plain", steps=steps)
    image = make_picture(tmp_path / "part.png")
    words = ("run", project, "--pid", "A01", "--image", image, "--json", "--params", '{"two": 22}')
    document = procvision(tmp_path, *words).document()
    assert [step["execute"]["data"]["params"] for step in document["steps"]] == [{"one": 1}, {"two": 22}]
    alone = procvision(tmp_path, *words, "--step", "2").document()
    assert [step["step_index"] for step in alone["steps"]] == [2]


def test_a_process_lost_again_and_again_ends_the_run(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_crashes")
    parts = tmp_path / "parts"
    parts.mkdir()
    for number in range(5):
        make_picture(parts / f"{number}.png")
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", parts, "--json")
    assert ended.document()["summary"] | {"error_codes": None} == {
        "images": 3,
        "ok": 0,
        "ng": 0,
        "errors": 3,
        "error_codes": None,
        "not_inspected": 2,
    }
    assert (ended.code, ended.left) == (5, ())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_whatever_the_algorithm_does(tmp_path: Path, number: signal.Signals) -> None:
    project = make_project(tmp_path, "cli_hangs", timeouts={"teardown_s": 0.3})
    image = make_picture(tmp_path / "part.png")
    command = start(tmp_path, "run", project, "--pid", "A01", "--image", image)
    _read_until(command.stderr, "began")
    command.send_signal(number)
    ended = finish(tmp_path, command)
    assert (ended.code, ended.left) == (130, ())
    assert "Traceback" not in ended.err


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_hangs")
    image = make_picture(tmp_path / "part.png")
    killed = start(tmp_path, "run", project, "--pid", "A01", "--image", image)
    _read_until(killed.stderr, "began")
    workers = psutil.Process(killed.pid).children()
    killed.kill()
    killed.communicate()
    psutil.wait_procs(workers)
    assert [name for name in left_by(tmp_path, killed.pid) if name.startswith("pv-dev-")]
    (tmp_path / "other").mkdir()
    other = make_project(tmp_path / "other", "cli_plain")
    procvision(tmp_path, "run", other, "--pid", "A01", "--image", image)
    assert not [name for name in left_by(tmp_path, killed.pid) if name.startswith("pv-dev-")]


def test_watch_runs_again_when_a_file_changes_until_it_is_interrupted(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    image = make_picture(tmp_path / "part.png")
    command = start(tmp_path, "run", project, "--pid", "A01", "--image", image, "--watch")
    _read_until(command.stderr, "watching")
    make_picture(image, 250, (16, 12))
    _read_until(command.stderr, "part.png changed")
    _read_until(command.stderr, "watching")
    (project / "manifest.json").write_text("{", "utf-8")
    _read_until(command.stderr, "expected JSON")
    _read_until(command.stderr, "watching")
    command.send_signal(signal.SIGINT)
    ended = finish(tmp_path, command)
    assert (ended.code, ended.left) == (130, ())
    assert [word for word in ended.out.split() if word in ("OK", "NG")] == ["OK", "NG"]


def test_watch_and_json_do_not_go_together(tmp_path: Path) -> None:
    ended = procvision(tmp_path, "run", "p", "--pid", "A01", "--image", "i", "--watch", "--json")
    assert ended.code == 2
    assert "--watch and --json" in ended.err


def test_hostile_texts_stay_texts_in_terminal_document_and_report(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_tells_tales")
    image = make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "run", project, "--pid", "A01", "--image", image, "--report", "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert ended.code == 0
    assert "\x1b" not in ended.out + page
    assert "[bold]" in ended.out.replace("\n", "")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page


def _read_until(pipe: Any, wanted: str) -> None:
    """Read lines until one holds `wanted`; the test's own limit ends a wait in vain."""
    for line in pipe:
        if wanted in line:
            return
    raise AssertionError(f"it ended before it said {wanted!r}")
