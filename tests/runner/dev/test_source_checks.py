"""What is found in source without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.dev.checks import Outcome
from runner.dev.source_checks import check_imports, check_shared_memory, print_places, read_modules

RUNNER = [
    ("import runner", True),
    ("import runner.clock as c", True),
    ("from runner import clock", True),
    ("def f():\n    from runner.clock import wall_ms", True),
    ("import runners", False),
    ("from . import runner", False),
    ("runner = 1", False),
]
MEMORY = [
    ("from multiprocessing import shared_memory", True),
    ("from multiprocessing.shared_memory import SharedMemory", True),
    ("import multiprocessing.shared_memory as s", True),
    ("import multiprocessing\nmultiprocessing.shared_memory.SharedMemory('x')", True),
    ("import multiprocessing", False),
    ("from procvision_sdk import read_image", False),
]
PRINTS = [
    ("print('x')", True),
    ("def f():\n    print('x')", True),
    ("import sys\nsys.stdout.write('x')", True),
    ("import sys\nprint('x', file=sys.stderr)", False),
    ("print", False),
    ("def f():\n    print('x')\nif __name__ == '__main__':\n    f()", False),
]


@pytest.mark.parametrize(("source", "found"), RUNNER)
def test_an_import_of_the_runner_is_a_fault(tmp_path: Path, source: str, found: bool) -> None:
    modules, _ = read_modules(_project(tmp_path, source))
    check = check_imports(tmp_path, modules)
    assert check.result is (Outcome.FAIL if found else Outcome.PASS)
    assert check.place.startswith("algorithm/main.py:") is found


def test_a_module_of_the_project_that_is_named_runner_is_its_own(tmp_path: Path) -> None:
    modules, _ = read_modules(_project(tmp_path, "import runner"))
    (tmp_path / "runner.py").touch()
    assert check_imports(tmp_path, modules).result is Outcome.PASS


@pytest.mark.parametrize(("source", "found"), MEMORY)
def test_python_s_own_shared_memory_is_a_fault(tmp_path: Path, source: str, found: bool) -> None:
    modules, _ = read_modules(_project(tmp_path, source))
    assert check_shared_memory(modules).result is (Outcome.FAIL if found else Outcome.PASS)


@pytest.mark.parametrize(("source", "found"), PRINTS)
def test_printing_is_found_outside_of_scripts(tmp_path: Path, source: str, found: bool) -> None:
    modules, _ = read_modules(_project(tmp_path, source))
    assert bool(print_places(modules)) is found


@pytest.mark.parametrize("place", ["tests/test_x.py", ".venv/x.py", "build/x.py", "a/__pycache__/x.py", "conftest.py"])
def test_only_the_author_s_own_source_is_read(tmp_path: Path, place: str) -> None:
    path = _project(tmp_path, "a = 1") / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("import runner", "utf-8")
    modules, _ = read_modules(tmp_path)
    assert [one.file for one in modules] == ["algorithm/main.py"]


@pytest.mark.parametrize("source", ["def", "x = '\0'", "(" * 500])
def test_source_that_cannot_be_parsed_is_a_fault_with_its_place(tmp_path: Path, source: str) -> None:
    modules, check = read_modules(_project(tmp_path, source))
    assert modules == []
    assert check.result is Outcome.FAIL
    assert check.place.startswith("algorithm/main.py:")


def _project(folder: Path, source: str) -> Path:
    (folder / "algorithm").mkdir()
    (folder / "algorithm" / "main.py").write_text(source, "utf-8")
    return folder
