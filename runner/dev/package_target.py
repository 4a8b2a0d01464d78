"""For which machines a package is made: what was typed, else the project's .procvision_env.json, else this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from procvision_sdk.errors import PackageError
from runner.dev.init import ENVIRONMENT_FILE
from runner.dev.project import UsageError
from runner.packages import targets
from runner.packages.targets import Target


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What was typed; names are of `--target`, the others describe one machine the way pip does."""

    names: tuple[str, ...] = ()
    platform: str | None = None
    python: str | None = None
    implementation: str | None = None
    abi: str | None = None


class _Environment(BaseModel):
    """.procvision_env.json; keys that other tools keep in it are theirs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    python_version: str | None = None
    implementation: str | None = None
    abi: str | None = None
    wheels_platform: str | None = None


def choose(typed: TargetOptions, project: Path) -> tuple[Target, ...]:
    """The targets, each once. UsageError when what was typed does not fit together or nobody knows it."""
    if typed.names and typed.platform:
        raise UsageError("--target and --wheels-platform both say for which machine", hint="leave one of them out")
    file = _environment(project)
    here = targets.here()
    python = typed.python or file.python_version or here.python
    # What was typed is not contradicted by what the project keeps for another Python.
    kept = file if typed.python in (None, file.python_version) else _Environment()
    _check_interpreter(typed.implementation or kept.implementation, typed.abi or kept.abi, python)
    try:
        if typed.names:
            return tuple(targets.named(name, python) for name in dict.fromkeys(typed.names))
        return (targets.of_platform(typed.platform or file.wheels_platform or here.platform, python),)
    except PackageError as error:
        raise UsageError(error.message, hint=f"known targets: {', '.join(targets.NAMES)}") from None


def _environment(project: Path) -> _Environment:
    try:
        return _Environment.model_validate(json.loads((project / ENVIRONMENT_FILE).read_bytes()))
    except FileNotFoundError:
        return _Environment()
    except (OSError, ValueError, ValidationError) as error:
        raise UsageError(
            f"{ENVIRONMENT_FILE} cannot be read: {str(error).splitlines()[0]}", hint="mend it, or remove it"
        ) from None


def _check_interpreter(implementation: str | None, abi: str | None, python: str) -> None:
    if implementation not in (None, "cp"):
        raise UsageError(f"--implementation: expected cp, stations run CPython; got {implementation!r:.40}")
    expected = f"cp{python.replace('.', '')}"
    if abi not in (None, expected):
        raise UsageError(
            f"--abi: expected {expected} for Python {python}, got {abi!r:.40}",
            hint="leave it out; wheels with abi3 and none are taken by themselves",
        )
