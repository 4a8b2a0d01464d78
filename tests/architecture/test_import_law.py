"""The import law: who may import whom, read from the syntax tree of every file, imports inside functions included.

    algorithm_example -> procvision_sdk <- runner.{host, slots, ...} <- runner.journey <- runner.{daemon, cli, dev}

The stations of the journey do not import one another: what one needs of another is passed in.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("procvision_sdk", "runner", "algorithm_example")

SDK_BASE = frozenset({"procvision_sdk", "numpy", "pydantic", "msgspec"})
# Imported where they are needed and nowhere else: Pillow decodes, PyYAML reads an older manifest where it is installed.
SDK_LAZY = frozenset({"PIL", "yaml"})
WIRE_FORBIDDEN = ("socket", "asyncio", "subprocess", "select", "selectors", "procvision_sdk.adapter")
EXAMPLE_BASE = frozenset({"procvision_sdk", "numpy", "cv2"})

STATIONS = frozenset({"host", "slots", "routing", "workers", "results", "packages", "sessions"})
GROUND = frozenset({"background", "config", "clock", "events", "metrics", "logs", "eager", "turns"})
# The plot and its chapters: what an inspection in flight is, and one step of it.
PLOT = frozenset({"journey", "attempt", "ticket"})
# Where the parts are put together, and what is beside the journey: these may import everything.
RIM = (
    "activation", "arrivals", "cli", "daemon", "desk", "dev", "doctor", "embedded", "installed", "maintenance",
    "package_commands", "package_desk", "package_process", "package_service", "probe", "reload", "station", "status",
)  # fmt: skip
# What a part of runner may import of runner, itself apart; None: everything.
RUNNER_MAY: dict[str, frozenset[str] | None] = {
    **dict.fromkeys(STATIONS | GROUND, GROUND),
    "health": GROUND | {"workers"},
    **dict.fromkeys(PLOT, GROUND | STATIONS | PLOT),
    "__init__": frozenset({"embedded"}),
    **dict.fromkeys(("home", "notify", "settings", "terminal"), GROUND),
    **dict.fromkeys(("last_good", "loop_lag", "scratch"), GROUND),
    "worker_plan": GROUND | {"routing", "workers"},
    "crew": GROUND | {"health", "routing", "worker_plan", "workers"},
    "trial": GROUND | {"routing"},
    "orphans": GROUND | {"slots"},
    "examination": GROUND | {"dev", "slots"},
    "log_reader": GROUND | {"dev"},
    **dict.fromkeys(RIM, None),
}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: `from a import b` is the target `a.b`. `lazy`: importing the file does not import it."""

    file: str
    line: int
    target: str
    lazy: bool

    @property
    def package(self) -> str:
        return self.file.split("/")[0]

    @property
    def top(self) -> str:
        return self.target.split(".")[0]

    def is_of(self, *modules: str) -> bool:
        return any(self.target == module or self.target.startswith(module + ".") for module in modules)


def imports_of(root: Path) -> Iterator[Import]:
    """Every import of every Python file in the packages under `root`."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            file = path.relative_to(root).as_posix()
            for node, lazy in _walk(tree, lazy=False):
                for target in _targets(node):
                    yield Import(file, getattr(node, "lineno", 0), target, lazy)


def _walk(node: ast.AST, *, lazy: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, lazy
        yield from _walk(child, lazy=lazy or _is_lazy(child))


def _is_lazy(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=[]):
            return True
    return False


def _targets(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
    return []


def no_relative_imports(found: Import) -> str:
    return "imports are absolute" if found.target.startswith(".") else ""


def nobody_imports_these(found: Import) -> str:
    if found.is_of("pickle", "shelve", "click", "multiprocessing.shared_memory"):
        return "pickle, shelve, click and multiprocessing.shared_memory are used nowhere"
    return "tests are imported by tests only" if found.top == "tests" and "/tests/" not in found.file else ""


def sdk_needs_little(found: Import) -> str:
    if found.package != "procvision_sdk" or found.top in SDK_BASE:
        return ""
    if found.top in SDK_LAZY:
        return "" if found.lazy else f"{found.top} is imported inside a function only"
    if found.top == "asyncio":
        return "the adapter's side is blocking: no asyncio"
    if found.top == "pytest" and found.file == "procvision_sdk/testing.py":
        return ""
    return "" if found.top in sys.stdlib_module_names else "the SDK needs numpy, pydantic and msgspec, no more"


def wire_says_without_saying(found: Import) -> str:
    wire = found.file.startswith("procvision_sdk/wire/")
    return "no I/O in wire" if wire and found.is_of(*WIRE_FORBIDDEN) else ""


def example_needs_the_sdk_only(found: Import) -> str:
    if found.package != "algorithm_example" or found.top in EXAMPLE_BASE or found.top in sys.stdlib_module_names:
        return ""
    if found.top == "pytest" and found.file.startswith("algorithm_example/tests/"):
        return ""
    return "the example imports procvision_sdk, numpy, cv2, the standard library and itself"


def runner_parts_do_not_meet(found: Import) -> str:
    if found.package != "runner":
        return ""
    part = found.file.split("/")[1].removesuffix(".py")
    allowed = RUNNER_MAY.get(part, frozenset())
    other = found.target.split(".")[1] if found.is_of("runner") and "." in found.target else part
    if allowed is None or other == part or other in allowed or other.startswith("__"):
        return ""
    return f"runner.{part} may import of runner: {', '.join(sorted(allowed)) or 'nothing'}"


def one_colour_per_side(found: Import) -> str:
    blocking = found.file == "runner/host/client.py"
    return "the client is blocking: no asyncio" if blocking and found.is_of("asyncio") else ""


def time_comes_from_the_clock(found: Import) -> str:
    elsewhere = found.package == "runner" and found.file != "runner/clock.py"
    return "time comes from runner/clock.py" if elsewhere and found.is_of("time") else ""


RULES: tuple[Callable[[Import], str], ...] = (
    no_relative_imports,
    nobody_imports_these,
    sdk_needs_little,
    wire_says_without_saying,
    example_needs_the_sdk_only,
    runner_parts_do_not_meet,
    one_colour_per_side,
    time_comes_from_the_clock,
)


def breaches(root: Path) -> list[str]:
    """One line for each import that breaks the law: where, what, and which rule."""
    own = {path.stem for path in (root / "algorithm_example").glob("*") if path.suffix in ("", ".py")}
    found = []
    for one in imports_of(root):
        if one.package == "algorithm_example" and one.top in own | {"algorithm_example"}:
            continue
        reasons = [reason for rule in RULES if (reason := rule(one))]
        found += [f"{one.file}:{one.line} imports {one.target}: {reason}" for reason in reasons]
    return found


def parts_without_a_place(root: Path) -> list[str]:
    """The files and folders of runner that RUNNER_MAY does not know."""
    parts = {path.relative_to(root / "runner").parts[0].removesuffix(".py") for path in (root / "runner").rglob("*.py")}
    return sorted(parts - set(RUNNER_MAY))


def test_every_part_of_runner_has_its_place_in_the_law() -> None:
    assert parts_without_a_place(ROOT) == []


def test_a_part_without_a_place_is_reported(tmp_path: Path) -> None:
    _plant(tmp_path, "runner/tools.py", "import os")
    _plant(tmp_path, "runner/spare/x.py", "import os")
    _plant(tmp_path, "runner/slots/x.py", "import os")
    assert parts_without_a_place(tmp_path) == ["spare", "tools"]


def test_every_import_of_the_project_keeps_the_law() -> None:
    assert breaches(ROOT) == []


def test_the_imports_of_the_project_are_seen() -> None:
    seen = {one.package for one in imports_of(ROOT)}
    assert {"procvision_sdk", "runner"} <= seen


BROKEN = [
    ("procvision_sdk/x.py", "import runner.config", "the SDK needs"),
    ("procvision_sdk/x.py", "def f():\n    from runner import journey", "the SDK needs"),
    ("procvision_sdk/x.py", "import cv2", "the SDK needs"),
    ("procvision_sdk/x.py", "import typer", "the SDK needs"),
    ("procvision_sdk/x.py", "class A:\n    async def f(self):\n        import asyncio", "no asyncio"),
    ("procvision_sdk/x.py", "from PIL import Image", "inside a function only"),
    ("procvision_sdk/x.py", "if TYPE_CHECKING:\n    a = 1\nelse:\n    import PIL", "inside a function only"),
    ("procvision_sdk/x.py", "if TYPE_CHECKING:\n    import runner", "the SDK needs"),
    ("procvision_sdk/x.py", "import importlib\nimportlib.import_module('cv2')", "the SDK needs"),
    ("procvision_sdk/x.py", "from . import errors", "absolute"),
    ("procvision_sdk/x.py", "from multiprocessing.shared_memory import SharedMemory", "used nowhere"),
    ("procvision_sdk/x.py", "import pytest", "the SDK needs"),
    ("procvision_sdk/wire/x.py", "import socket", "no I/O"),
    ("procvision_sdk/wire/x.py", "from procvision_sdk import adapter", "no I/O"),
    ("procvision_sdk/wire/x.py", "from procvision_sdk.adapter.serve import serve", "no I/O"),
    ("algorithm_example/pcb/x.py", "import runner", "the example imports"),
    ("algorithm_example/pcb/x.py", "import scipy", "the example imports"),
    ("algorithm_example/pcb/x.py", "import pytest", "the example imports"),
    ("runner/slots/x.py", "from runner.workers.pool import Pool", "runner.slots may import"),
    ("runner/slots/x.py", "from runner import journey", "runner.slots may import"),
    ("runner/sessions.py", "def f():\n    import runner.host.link", "runner.sessions may import"),
    ("runner/config.py", "from runner.slots.pool import SlotPool", "runner.config may import"),
    ("runner/health.py", "from runner.slots.pool import SlotPool", "runner.health may import"),
    ("runner/journey.py", "import runner.daemon", "runner.journey may import"),
    ("runner/slots/x.py", "from runner.ticket import Ticket", "runner.slots may import"),
    ("runner/host/x.py", "from runner.desk import HostDesk", "runner.host may import"),
    ("runner/tools.py", "import runner.slots", "runner.tools may import"),
    ("runner/host/client.py", "import asyncio", "the client is blocking"),
    ("runner/workers/x.py", "from time import monotonic", "runner/clock.py"),
    ("runner/dev/x.py", "import pickle", "used nowhere"),
    ("runner/x.py", "import tests.doubles", "tests only"),
]


@pytest.mark.parametrize(("file", "source", "reason"), BROKEN)
def test_a_planted_breach_is_reported_with_its_place(tmp_path: Path, file: str, source: str, reason: str) -> None:
    _plant(tmp_path, file, source)
    found = breaches(tmp_path)
    assert any(line.startswith(f"{file}:") and reason in line for line in found), found


KEPT = [
    ("procvision_sdk/x.py", "import numpy as np\nfrom pydantic import BaseModel\nimport json"),
    ("procvision_sdk/x.py", "def f():\n    from PIL import Image"),
    ("procvision_sdk/x.py", "if TYPE_CHECKING:\n    from PIL import Image"),
    ("procvision_sdk/testing.py", "import pytest"),
    ("algorithm_example/pcb/x.py", "import cv2\nfrom pcb.y import core\nfrom procvision_sdk import BaseAlgorithm"),
    ("algorithm_example/tests/test_x.py", "import pytest"),
    ("runner/slots/x.py", "from runner.slots.y import Y\nfrom runner import config\nfrom procvision_sdk import errors"),
    ("runner/logs.py", "from runner.clock import wall_ms"),
    ("runner/health.py", "from runner.workers.lifecycle import State"),
    ("runner/journey.py", "from runner.slots.pool import SlotPool\nfrom runner.ticket import Ticket"),
    ("runner/daemon.py", "from runner.journey import inspect\nimport asyncio"),
    ("runner/clock.py", "import time"),
]


@pytest.mark.parametrize(("file", "source"), KEPT)
def test_what_the_law_allows_is_not_reported(tmp_path: Path, file: str, source: str) -> None:
    _plant(tmp_path, file, source)
    assert breaches(tmp_path) == []


def _plant(root: Path, file: str, source: str) -> None:
    (root / "algorithm_example" / "pcb").mkdir(parents=True, exist_ok=True)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(source, "utf-8")
