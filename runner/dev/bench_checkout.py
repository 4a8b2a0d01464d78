"""A checkout and the process that plays its scenarios (spec.md §11.31)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from procvision_sdk.errors import StationError

_SCENARIOS = Path("runner", "dev", "bench_scenarios.py")
_NEEDED = (Path("pyproject.toml"), _SCENARIOS, Path("benchmarks", "null_algorithm", "manifest.json"))


class NoCheckoutError(StationError):
    """The command measures a source checkout, and here is none: exit code 3."""


class RaisedError(Exception):
    """A scenario, or the whole process, raised."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder of the project's source, and the interpreter that runs it."""

    folder: Path
    python: str

    @classmethod
    def at(cls, folder: Path, python: str = "") -> Checkout:
        """NoCheckoutError names what the folder lacks. `python`: else its own .venv, else this interpreter."""
        folder = folder.resolve()
        missing = [str(one) for one in _NEEDED if not (folder / one).is_file()]
        if missing:
            raise NoCheckoutError(
                f"{folder} is no checkout that can be measured: it has no {', no '.join(missing)}",
                hint="clone the project and give its folder: an installed copy brings no benchmarks",
            )
        own = folder / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        return cls(folder, python or (str(own) if own.exists() else sys.executable))

    @classmethod
    def own(cls) -> Checkout:
        """The one this code runs from; NoCheckoutError when it was installed."""
        return cls.at(Path(__file__).parents[2], sys.executable)


class Side:
    """The scenarios of one checkout, playing in a process of their own. Use it in a `with` block."""

    def __init__(self, checkout: Checkout) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        environment = {**os.environ, "PYTHONPATH": str(checkout.folder), "PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(
            [checkout.python, "-m", "runner.dev.bench_scenarios"],
            cwd=checkout.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self.scenarios: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Side:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.communicate()
        self._errors.close()

    def ready(self) -> None:
        """Wait for its scenarios; RaisedError when it ends instead."""
        self.scenarios = self._heard()["scenarios"]

    def samples(self, scenario: str, calls: int) -> list[float]:
        """A round; RaisedError."""
        found: list[float] = self._ask({"scenario": scenario, "calls": calls})["samples"]
        return found

    def counts(self, calls: int) -> dict[str, int]:
        """The exact counts over `calls` inspections; RaisedError."""
        found: dict[str, int] = self._ask({"counts": calls})["counts"]
        return found

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise RaisedError(f"the scenarios' process ended: {self._last_words()}") from None
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RaisedError(f"the scenarios' process ended: {self._last_words()}")
        told: dict[str, Any] = json.loads(line)
        if "raised" in told:
            raise RaisedError(told["raised"])
        return told

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return said[-1][:300] if said else f"exit {self._process.returncode}"
