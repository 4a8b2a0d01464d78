"""Ways that pixels and messages must not take, and names that say nothing, are absent from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "context", "misc"}
# An image is never a file, a pickle or text on its way; a report for people may inline one.
FORBIDDEN = {"pickle", "marshal", "shelve", "base64", "binascii", "dill", "cloudpickle"}


def on_the_way(root: Path) -> list[Path]:
    """Every source file an image or a message passes: the SDK, the runner without author's commands and packages."""
    sources = [*sorted((root / "procvision_sdk").rglob("*.py")), *sorted((root / "runner").rglob("*.py"))]
    return [path for path in sources if not {"dev", "packages"} & set(path.relative_to(root).parts)]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.partition(".")[0])
    return found


def offenders(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)} imports {name}" for path in on_the_way(root) for name in imported(path) & FORBIDDEN
    ]


def image_file_writers(root: Path) -> list[str]:
    """Calls that write an image file: `.save(` of Pillow, `imwrite` of OpenCV, `tofile` and `save` of numpy."""
    found = []
    for path in on_the_way(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"imwrite", "tofile", "save", "savez", "memmap"}:
                found.append(f"{path.relative_to(root)}:{node.lineno} {node.attr}")
    return found


def test_nothing_on_the_way_pickles_or_encodes_as_text() -> None:
    assert offenders(ROOT) == []


def test_no_image_file_is_written_on_the_way() -> None:
    assert image_file_writers(ROOT) == []


@pytest.mark.parametrize("package", ["procvision_sdk", "runner", "algorithm_example", "tests"])
def test_no_file_has_a_name_that_says_nothing(package: str) -> None:
    assert [path for path in (ROOT / package).rglob("*.py") if path.stem in EMPTY_NAMES] == []


def test_the_checks_see_a_planted_violation(tmp_path: Path) -> None:
    (tmp_path / "procvision_sdk").mkdir()
    (tmp_path / "procvision_sdk" / "bad.py").write_text("import pickle\nimage.save('x.png')\n", encoding="utf-8")
    assert offenders(tmp_path) == ["procvision_sdk/bad.py imports pickle"]
    assert image_file_writers(tmp_path) == ["procvision_sdk/bad.py:2 save"]
