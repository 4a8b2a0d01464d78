"""Checks of a project's Python source without running it: what it may not import or call (spec.md §3, §12).

Tests of the project are left out: they may do what they like.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.dev.checks import Check, Outcome
from runner.dev.project import is_source

# More places than these do not help to mend it.
_PLACES_SHOWN = 5
_STDOUT = frozenset({"sys.stdout.write", "sys.__stdout__.write", "sys.stdout.buffer.write"})


@dataclass(frozen=True, slots=True)
class Module:
    """One source file, parsed; `file` is relative to the project."""

    file: str
    tree: ast.Module


def read_modules(folder: Path) -> tuple[list[Module], Check]:
    """All source files of the project, and the check that they can be parsed."""
    modules: list[Module] = []
    broken: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        file = path.relative_to(folder).as_posix()
        if not is_source(path, folder) or file.startswith("tests/") or path.name == "conftest.py":
            continue
        try:
            modules.append(Module(file, ast.parse(path.read_bytes(), file)))
        except (SyntaxError, ValueError, RecursionError) as error:
            broken.append(f"{file}:{getattr(error, 'lineno', 1)}: {getattr(error, 'msg', error)}")
    if broken:
        return modules, Check("source", Outcome.FAIL, "; ".join(broken), broken[0].split(": ")[0])
    return modules, Check.passed("source", f"Python files that can be parsed: {len(modules)}")


def check_imports(folder: Path, modules: list[Module]) -> Check:
    """The runner is not there where a package is installed: only procvision_sdk is."""
    own = (folder / "runner").is_dir() or (folder / "runner.py").is_file()
    places = [] if own else [f"{one.file}:{line}" for one in modules for line in _imports(one.tree, "runner")]
    if not places:
        return Check.passed("imports", "nothing of the runner is imported")
    hint = "algorithms use procvision_sdk only: the runner does not exist in their environment"
    return Check("imports", Outcome.FAIL, "the runner is imported", _told(places), hint)


def check_shared_memory(modules: list[Module]) -> Check:
    """Python's own SharedMemory registers what it opens, and unlinks the station's memory when the process ends."""
    places = [f"{one.file}:{line}" for one in modules for line in _imports(one.tree, "multiprocessing.shared_memory")]
    if not places:
        return Check.passed("shared_memory", "images are read through the SDK only")
    hint = "use read_image_from_shared_memory(shared_mem_id, image_meta)"
    message = "multiprocessing.shared_memory is used: it may take the station's memory away when the process ends"
    return Check("shared_memory", Outcome.FAIL, message, _told(places), hint)


def print_places(modules: list[Module]) -> str:
    """Where the source prints, as `file:line, file:line`; "" when it does not. A script may print: it is no hook."""
    return _told([f"{one.file}:{line}" for one in modules if not _is_script(one.tree) for line in _prints(one.tree)])


def _is_script(tree: ast.Module) -> bool:
    tests = (node.test for node in tree.body if isinstance(node, ast.If))
    return any(isinstance(one, ast.Compare) and _dotted(one.left) == "__name__" for one in tests)


def imported_names(module: Module) -> set[str]:
    """The first parts of all that a module imports from elsewhere."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _imports(tree: ast.Module, module: str) -> Iterator[int]:
    """Lines that import `module` or a part of it, or use it by its full name."""
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            targets = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and "." in module:
            targets = [_dotted(node)]
        if any(target == module or target.startswith(f"{module}.") for target in targets):
            yield node.lineno  # type: ignore[attr-defined]


def _prints(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = _dotted(node.func)
        to_file = any(keyword.arg == "file" for keyword in node.keywords)
        if (called == "print" and not to_file) or called in _STDOUT:
            yield node.lineno


def _dotted(node: ast.expr) -> str:
    """`a.b.c` for such an expression, "" for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def _told(places: list[str]) -> str:
    shown = list(dict.fromkeys(places))
    more = f" and {len(shown) - _PLACES_SHOWN} more" if len(shown) > _PLACES_SHOWN else ""
    return ", ".join(shown[:_PLACES_SHOWN]) + more
