"""What counts as a change."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from runner.dev.watch import changed, images_under, snapshot


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("algorithm/main.py", "manifest.json", ".git/HEAD", "__pycache__/main.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", "utf-8")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.png").write_bytes(b"a")
    return folder


@pytest.mark.parametrize(
    "name", ["project/algorithm/main.py", "project/algorithm/new.py", "parts/a.png", "parts/new.png"]
)
def test_a_new_or_changed_file_is_noticed(project: Path, name: str) -> None:
    parts = project.parent / "parts"
    before = snapshot(project, images_under(parts))
    path = project.parent / name
    path.write_bytes(b"something else")
    assert asyncio.run(changed(project, parts, before)) == path


def test_a_file_that_is_gone_is_noticed(project: Path) -> None:
    parts = project.parent / "parts"
    before = snapshot(project, images_under(parts))
    (project / "manifest.json").unlink()
    assert asyncio.run(changed(project, parts, before)) == project / "manifest.json"


@pytest.mark.parametrize("name", [".git/HEAD", "__pycache__/main.pyc", "build/x.py"])
def test_what_is_not_source_is_not_watched(project: Path, name: str) -> None:
    before = snapshot(project, [])
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("something else", "utf-8")
    assert snapshot(project, []) == before


def test_a_file_of_the_same_size_and_another_time_has_changed(project: Path) -> None:
    before = snapshot(project, [])
    os.utime(project / "manifest.json", ns=(1, 1))
    assert snapshot(project, []) != before
