"""Every fault of docs/faults.md is shown by a test, or the page says why none can: the two lists cannot drift apart."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
ROW = re.compile(r"^\| (?P<row>[ABC]\d+) \| (?P<fault>[^|]+) \| (?P<seen>[^|]+) \|$", re.MULTILINE)
NOT_RUN = "not run: "
EXPECTED = [f"A{n}" for n in range(1, 51)] + [f"B{n}" for n in range(1, 24)] + [f"C{n}" for n in range(1, 21)]


def rows_of_the_page() -> dict[str, str]:
    """Row -> what is seen."""
    return {found["row"]: found["seen"].strip() for found in ROW.finditer(PAGE.read_text("utf-8"))}


def rows_of_the_tests(folder: Path) -> dict[str, list[str]]:
    """Row -> the files with a test, or a row of its table, that is marked with it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for row in _marked(node):
                found[row].append(path.name)
    return found


def _marked(node: ast.AST) -> list[str]:
    if not isinstance(node, ast.Call) or ast.unparse(node.func).removeprefix("pytest.") != "mark.fault":
        return []
    return [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def test_the_page_lists_every_row_once_and_in_order() -> None:
    listed = [found["row"] for found in ROW.finditer(PAGE.read_text("utf-8"))]
    assert listed == EXPECTED


def test_every_row_is_shown_by_a_test_or_says_why_none_can() -> None:
    shown = rows_of_the_tests(ROOT / "tests")
    silent = [row for row, seen in rows_of_the_page().items() if row not in shown and not seen.startswith(NOT_RUN)]
    assert silent == []


def test_what_a_test_shows_is_not_said_to_be_impossible_and_is_on_the_page() -> None:
    page = rows_of_the_page()
    wrong = {
        row: tests
        for row, tests in rows_of_the_tests(ROOT / "tests").items()
        if row not in page or page[row].startswith(NOT_RUN)
    }
    assert wrong == {}


def test_a_mark_is_found_where_it_stands(tmp_path: Path) -> None:
    text = '@pytest.mark.slow\n@pytest.mark.fault("A1", "B2")\ndef test_a() -> None: ...\ndef test_b() -> None: ...\n'
    (tmp_path / "test_x.py").write_text(text, "utf-8")
    assert rows_of_the_tests(tmp_path) == {"A1": ["test_x.py"], "B2": ["test_x.py"]}
