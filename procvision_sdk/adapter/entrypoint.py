"""From the documented places to a checked BaseAlgorithm instance (spec.md §4, Launch).

--entry > PROC_ENTRY_POINT > manifest.json (working directory, PROC_ALGO_ROOT; manifest.yaml with PyYAML)
        > pyproject.toml [tool.procvision.algorithm] entry_point > algorithm.main:Algorithm
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procvision_sdk.algorithm import BaseAlgorithm
from procvision_sdk.errors import CannotBootError, EntryPointNotFoundError, InvalidParamsError

DEFAULT_ENTRY_POINT = "algorithm.main:Algorithm"


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Where the class is, which place said so, and what the manifest claims ({} without one)."""

    module: str
    class_name: str
    source: str
    claims: Mapping[str, Any] = field(default_factory=dict)


def discover(entry: str | None, environment: Mapping[str, str], working_directory: Path) -> EntryPoint:
    """The entry point in the documented order; EntryPointNotFoundError (1004) lists the places that were searched."""
    folders = [working_directory]
    if environment.get("PROC_ALGO_ROOT"):
        folders.append(Path(environment["PROC_ALGO_ROOT"]))
    claims: Mapping[str, Any] = {}
    searched: list[str] = []
    candidates: list[tuple[str, object]] = [
        ("--entry", entry),
        ("PROC_ENTRY_POINT", environment.get("PROC_ENTRY_POINT")),
    ]
    for folder in folders:
        for source, document in _manifests(folder):
            claims = claims or document
            candidates.append((source, document.get("entry_point")))
    for folder in folders:
        candidates.append((str(folder / "pyproject.toml"), _from_pyproject(folder / "pyproject.toml")))
    for source, text in candidates:
        searched.append(source)
        if text:
            return _split(text, source, claims)
    _make_importable(folders)
    if _exists("algorithm.main"):
        return _split(DEFAULT_ENTRY_POINT, "the default", claims)
    raise EntryPointNotFoundError(
        "entry_point not found", hint=f"searched: {', '.join([*searched, DEFAULT_ENTRY_POINT])}; use module:Class"
    )


def _manifests(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    path = folder / "manifest.json"
    if path.is_file():
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise EntryPointNotFoundError("entry_point not found", hint=f"{path} cannot be read: {error}") from None
        found.append((str(path), document))
    path = folder / "manifest.yaml"
    if path.is_file() and importlib.util.find_spec("yaml") is not None:
        found.append((str(path), importlib.import_module("yaml").safe_load(path.read_text(encoding="utf-8-sig"))))
    return [(source, document) for source, document in found if isinstance(document, dict)]


def _from_pyproject(path: Path) -> object:
    if not path.is_file():
        return None
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise EntryPointNotFoundError("entry_point not found", hint=f"{path} cannot be read: {error}") from None
    return document.get("tool", {}).get("procvision", {}).get("algorithm", {}).get("entry_point")


def _split(text: object, source: str, claims: Mapping[str, Any]) -> EntryPoint:
    module, colon, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    parts = [*module.split("."), name]
    if not colon or not all(part.isidentifier() for part in parts):
        raise EntryPointNotFoundError(
            "entry_point not found", hint=f"{source}: expected module:Class, got {text!r:.120}"
        )
    return EntryPoint(module, name, source, claims)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _make_importable(folders: list[Path]) -> None:
    for folder in reversed(folders):
        text = str(folder.resolve())
        if text in sys.path:
            sys.path.remove(text)
        sys.path.insert(0, text)


def load(entry: EntryPoint, folders: list[Path]) -> BaseAlgorithm:
    """The one instance of this process; CannotBootError (1014) with the cause when import or constructor fail."""
    _make_importable(folders)
    where = f"{entry.module}:{entry.class_name} (from {entry.source})"
    try:
        module = importlib.import_module(entry.module)
    except BaseException as error:
        raise CannotBootError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, entry.class_name, None)
    if not isinstance(found, type) or not issubclass(found, BaseAlgorithm):
        raise CannotBootError(
            f"{where}: expected a subclass of procvision_sdk.BaseAlgorithm, got {found!r:.120}",
            hint=f"define `class {entry.class_name}(BaseAlgorithm)` in {entry.module}",
        )
    try:
        return found()
    except BaseException as error:
        raise CannotBootError(f"{where}: its __init__ raised {type(error).__name__}: {error}") from error


def check_claims(info: Mapping[str, Any], entry: EntryPoint) -> None:
    """get_info must equal the manifest in name, version and supported_pids; CannotBootError names the difference."""
    for key in ("name", "version", "supported_pids"):
        if key not in entry.claims:
            continue
        claimed, said = entry.claims[key], info.get(key)
        if key == "supported_pids":
            if not isinstance(said, list | tuple | set | frozenset):
                raise InvalidParamsError(f"get_info: supported_pids: expected a list, got {type(said).__name__}")
            claimed, said = sorted(map(str, claimed)), sorted(map(str, said))
        if claimed != said:
            raise CannotBootError(
                f"{key}: {entry.source} says {claimed!r:.200}, get_info() says {said!r:.200}",
                hint="make both say the same: hosts and the station go by the manifest",
            )
