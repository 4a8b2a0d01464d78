"""docs/journey.md names files: each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def missing_files(root: Path) -> list[str]:
    """The paths in backticks on the journey page that are not in the project."""
    page = (root / "docs" / "journey.md").read_text("utf-8")
    named = sorted(set(re.findall(r"`([\w/]+\.py|runner/\w+)`", page)))
    assert named, "the journey page names no file"
    return [name for name in named if not (root / name).exists()]


def test_every_file_on_the_journey_page_exists() -> None:
    assert missing_files(ROOT) == []


def test_a_file_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "journey.md").write_text("From `runner/here.py` to `runner/gone.py`.", "utf-8")
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner" / "here.py").write_text("", "utf-8")
    assert missing_files(tmp_path) == ["runner/gone.py"]
