"""Budgets of shape: sizes with a limit for each file, and counts for the whole that may only fall.

A function is measured from `def` to its last line, without its docstring. BaseAlgorithm's hooks have the parameters
that the contract gives them, and a command's parameters are the options that a user sees.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("procvision_sdk", "runner", "algorithm_example", "tests", "benchmarks")
SHIPPED = FOLDERS[:3]

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_PARAMETERS = 5
HOOKS = frozenset({"pre_execute", "execute"})
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "context", "misc", "info"})
# Programs that misbehave on purpose: silence and broad excepts are what they are there to show.
ZOO = "tests/algorithms/"
# Where JSON of unknown shape enters or leaves: only here a value may be Any.
JSON_EDGE = (
    "procvision_sdk/wire/",
    "procvision_sdk/json_value.py",
    "procvision_sdk/algorithm.py",
    "runner/embedded.py",
    "runner/host/client.py",
)

# Counts over all shipped files. Whoever lowers one lowers its number; none is ever raised.
RATCHETS = {"broad except": 40, "type: ignore": 30, "Any outside the JSON edge": 184, "boolean parameter": 30}


@dataclass(frozen=True, slots=True)
class Source:
    file: str
    text: str
    tree: ast.Module


Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(root: Path, folders: tuple[str, ...] = FOLDERS) -> Iterator[Source]:
    """Each Python file of the folders, parsed."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            yield Source(path.relative_to(root).as_posix(), text, ast.parse(text))


def oversized(root: Path) -> list[str]:
    """One line for each file, function or signature above its limit, each silent except and each forbidden name."""
    found: list[str] = []
    for source in sources(root):
        lines = len(source.text.splitlines())
        if lines > MAX_FILE_LINES:
            found.append(f"{source.file}: {lines} lines, limit {MAX_FILE_LINES}")
        if FORBIDDEN_NAMES & set(source.file.removesuffix(".py").split("/")):
            found.append(f"{source.file}: a file is named by what is in it")
        for node in ast.walk(source.tree):
            if isinstance(node, Function):
                found += _function_findings(source.file, node)
            if isinstance(node, ast.ExceptHandler) and _is_silent(node) and not source.file.startswith(ZOO):
                found.append(f"{source.file}:{node.lineno} an except that does nothing")
    return found


def _function_findings(file: str, node: Function) -> Iterator[str]:
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    end = node.end_lineno or node.lineno
    lines = end - node.lineno + 1
    if docstring is not None and docstring.end_lineno is not None:
        lines -= docstring.end_lineno - docstring.lineno + 1
    if lines > MAX_FUNCTION_LINES:
        yield f"{file}:{node.lineno} {node.name}: {lines} lines, limit {MAX_FUNCTION_LINES}"
    parameters = len(_parameters(node))
    if parameters > MAX_PARAMETERS and node.name not in HOOKS and not _is_command(node):
        yield f"{file}:{node.lineno} {node.name}: {parameters} parameters, limit {MAX_PARAMETERS}"


def _parameters(node: Function) -> list[ast.arg]:
    every = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    return [one for one in every if one.arg not in ("self", "cls")]


def _is_command(node: Function) -> bool:
    calls = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    return any(isinstance(one, ast.Attribute) and one.attr in ("command", "callback") for one in calls)


def _is_silent(node: ast.ExceptHandler) -> bool:
    return len(node.body) == 1 and isinstance(node.body[0], ast.Pass)


def counts(root: Path) -> Counter[str]:
    """What the ratchets count, over all shipped files."""
    found: Counter[str] = Counter()
    for source in sources(root, SHIPPED):
        at_edge = source.file.startswith(JSON_EDGE)
        for node in ast.walk(source.tree):
            found["broad except"] += _is_broad(node)
            found["Any outside the JSON edge"] += not at_edge and isinstance(node, ast.Name) and node.id == "Any"
            if isinstance(node, Function) and not node.name.startswith("_") and not _is_command(node):
                found["boolean parameter"] += sum(_is_bool(one) for one in _parameters(node))
        found["type: ignore"] += sum("type: ignore" in comment for comment in _comments(source.text))
    return found


def _is_broad(node: ast.AST) -> bool:
    broad = ("Exception", "BaseException")
    match node:
        case ast.ExceptHandler(type=None):
            return True
        case ast.ExceptHandler(type=ast.Name(id=name)):
            return name in broad
        case ast.ExceptHandler(type=ast.Tuple(elts=several)):
            return any(isinstance(one, ast.Name) and one.id in broad for one in several)
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=several):
            return any(isinstance(one, ast.Name) and one.id in broad for one in several)
    return False


def _is_bool(parameter: ast.arg) -> bool:
    return isinstance(parameter.annotation, ast.Name) and parameter.annotation.id == "bool"


def _comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def test_no_file_function_or_signature_is_above_its_limit() -> None:
    assert oversized(ROOT) == []


@pytest.mark.parametrize("what", RATCHETS)
def test_what_may_only_fall_has_not_risen(what: str) -> None:
    assert counts(ROOT)[what] <= RATCHETS[what]


def _body(lines: int) -> str:
    return "    x = 1\n" * lines


OVER = [
    ("runner/x.py", "x = 1\n" * 301, "runner/x.py: 301 lines"),
    ("runner/x.py", "def f():\n" + _body(40), "f: 41 lines"),
    ("runner/x.py", "class A:\n    async def f(self):\n" + "        x = 1\n" * 40, "f: 41 lines"),
    ("tests/sdk/x.py", "def f(a, b, c, *, d, e, g): ...", "f: 6 parameters"),
    ("runner/utils.py", "x = 1", "named by what is in it"),
    ("runner/context/x.py", "x = 1", "named by what is in it"),
    ("runner/x.py", "try:\n    f()\nexcept OSError:\n    pass\n", "an except that does nothing"),
]


@pytest.mark.parametrize(("file", "text", "expected"), OVER)
def test_what_is_above_a_limit_is_reported_with_its_place(tmp_path: Path, file: str, text: str, expected: str) -> None:
    _plant(tmp_path, file, text)
    found = oversized(tmp_path)
    assert len(found) == 1 and file in found[0] and expected in found[0], found


WITHIN = [
    ("runner/x.py", "x = 1\n" * 300),
    ("runner/x.py", 'def f():\n    """One\n\n    two."""\n' + _body(39)),
    ("runner/x.py", "class A:\n    def f(self, a, b, c, d, e): ..."),
    ("runner/x.py", "class A:\n    def execute(self, a, b, c, d, e, f): ..."),
    ("runner/dev/x.py", "@app.command()\ndef run(a, b, c, d, e, f): ..."),
    ("tests/algorithms/x.py", "try:\n    f()\nexcept OSError:\n    pass\n"),
]


@pytest.mark.parametrize(("file", "text"), WITHIN)
def test_what_is_within_its_limit_is_not_reported(tmp_path: Path, file: str, text: str) -> None:
    _plant(tmp_path, file, text)
    assert oversized(tmp_path) == []


COUNTED = [
    ("broad except", "try:\n    f()\nexcept Exception as error:\n    g(error)\n", 1),
    ("broad except", "try:\n    f()\nexcept:\n    g()\n", 1),
    ("broad except", "try:\n    f()\nexcept (OSError, BaseException):\n    g()\n", 1),
    ("broad except", "with contextlib.suppress(Exception):\n    f()\n", 1),
    ("broad except", "try:\n    f()\nexcept OSError:\n    g()\n", 0),
    ("type: ignore", "x = f()  # type: " + "ignore[attr-defined]\n", 1),
    ("type: ignore", "x = 'type: " + "ignore'\n", 0),
    ("Any outside the JSON edge", "def f(a: dict[str, Any]) -> Any: ...\n", 2),
    ("boolean parameter", "def f(a: bool, *, b: bool = True) -> bool: ...\n", 2),
    ("boolean parameter", "def _f(a: bool) -> None: ...\n", 0),
]


@pytest.mark.parametrize(("what", "text", "expected"), COUNTED)
def test_the_ratchets_count_what_they_name(tmp_path: Path, what: str, text: str, expected: int) -> None:
    _plant(tmp_path, "runner/x.py", text)
    assert counts(tmp_path)[what] == expected


def test_any_is_free_at_the_json_edge(tmp_path: Path) -> None:
    _plant(tmp_path, "procvision_sdk/wire/x.py", "def f(a: Any) -> Any: ...\n")
    assert counts(tmp_path)["Any outside the JSON edge"] == 0


def _plant(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text, "utf-8")
