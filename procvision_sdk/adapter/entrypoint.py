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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from procvision_sdk.algorithm import BaseAlgorithm
from procvision_sdk.errors import CannotBootError, EntryPointNotFoundError, report_of

DEFAULT_ENTRY_POINT = "algorithm.main:Algorithm"


class AlgorithmImportError(CannotBootError):
    """The module cannot be imported, the class is no algorithm, or its __init__ raised."""


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Where the class is, which place said so, and what the manifest claims ({} without one)."""

    module: str
    class_name: str
    source: str
    claims: Mapping[str, Any] = field(default_factory=dict)


def discover(option: str | None, variable: str | None, folders: Sequence[Path]) -> EntryPoint:
    """The entry point in the documented order; EntryPointNotFoundError (1004) lists the places that were searched.

    `option` is --entry, `variable` PROC_ENTRY_POINT, `folders` the working directory and PROC_ALGO_ROOT.
    """
    folders = list(dict.fromkeys(folder.resolve() for folder in folders))
    manifests = list(_manifests(folders))
    claims = next((document for _, document in manifests), {})
    candidates: list[tuple[str, object]] = [("--entry", option), ("PROC_ENTRY_POINT", variable)]
    candidates += [(str(path), document.get("entry_point")) for path, document in manifests]
    for source, text in candidates:
        if text:
            return _split(text, source, claims)
    for path in [folder / "pyproject.toml" for folder in folders]:
        text = _from_pyproject(path)
        if text:
            return _split(text, str(path), claims)
    if _has_default(folders):
        return _split(DEFAULT_ENTRY_POINT, "the default", claims)
    searched = ["--entry", "PROC_ENTRY_POINT"]
    searched += [str(folder / name) for name in ("manifest.json", "pyproject.toml") for folder in folders]
    raise _not_found(f"searched {', '.join([*searched, DEFAULT_ENTRY_POINT])}", "name it as module:Class")


def _not_found(reason: str, hint: str) -> EntryPointNotFoundError:
    return EntryPointNotFoundError(f"entry_point not found: {reason}", hint=hint)


def _manifests(folders: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in folders:
        path = folder / "manifest.json"
        if path.is_file():
            yield path, _read(path, json.loads)
    if importlib.util.find_spec("yaml") is None:
        return
    for folder in folders:
        path = folder / "manifest.yaml"
        if path.is_file():
            yield path, _read(path, importlib.import_module("yaml").safe_load)


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    """The document in a UTF-8 file, with or without byte order mark; what a parser raises is the file's fault."""
    try:
        document = parse(path.read_text(encoding="utf-8-sig"))
    except Exception as error:  # noqa: BLE001 - each parser has its own tree of errors
        raise _not_found(f"{path} cannot be read: {report_of(error).message}", "mend the file") from None
    if not isinstance(document, dict):
        raise _not_found(f"{path}: expected an object, got {type(document).__name__}", "mend the file")
    return document


def _from_pyproject(path: Path) -> object:
    if not path.is_file():
        return None
    found: object = _read(path, tomllib.loads)
    for key in ("tool", "procvision", "algorithm", "entry_point"):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _split(text: object, source: str, claims: Mapping[str, Any]) -> EntryPoint:
    module, colon, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    parts = [*module.split("."), name]
    if not colon or not all(part.isidentifier() for part in parts):
        raise _not_found(f"{source}: expected module:Class, got {text!r:.120}", "name it as module:Class")
    return EntryPoint(module, name, source, claims)


def _has_default(folders: Sequence[Path]) -> bool:
    """Whether algorithm/main.py is there; nothing of it is imported to find that out."""
    _make_importable(folders)
    package = PathFinder.find_spec("algorithm")
    if package is None or package.submodule_search_locations is None:
        return False
    return PathFinder.find_spec("algorithm.main", list(package.submodule_search_locations)) is not None


def _make_importable(folders: Sequence[Path]) -> None:
    """The package's folders first, each once, whoever put them on the path before."""
    wanted = list(dict.fromkeys(str(folder.resolve()) for folder in folders))
    sys.path[:] = wanted + [path for path in sys.path if path not in wanted]


def load(entry: EntryPoint, folders: Sequence[Path]) -> BaseAlgorithm:
    """The one instance of this process; AlgorithmImportError (1014) with the cause when import or __init__ fail."""
    _make_importable(folders)
    where = f"{entry.module}:{entry.class_name} (from {entry.source})"
    try:
        module = importlib.import_module(entry.module)
    except BaseException as error:
        raise AlgorithmImportError(f"{where} cannot be imported: {report_of(error).message}") from error
    found = getattr(module, entry.class_name, None)
    if not isinstance(found, type) or not issubclass(found, BaseAlgorithm):
        raise AlgorithmImportError(
            f"{where}: expected a subclass of procvision_sdk.BaseAlgorithm, got {found!r:.120}",
            hint=f"define `class {entry.class_name}(BaseAlgorithm)` in {entry.module}",
        )
    try:
        return found()
    except BaseException as error:
        raise AlgorithmImportError(f"{where}: its __init__ raised {report_of(error).message}") from error


def check_claims(info: Mapping[str, Any], entry: EntryPoint) -> None:
    """get_info must equal the manifest in name, version and supported_pids; CannotBootError names the difference."""
    for key in ("name", "version", "supported_pids"):
        if key not in entry.claims:
            continue
        claimed, said = entry.claims[key], info.get(key)
        if key == "supported_pids":
            claimed, said = _as_set(claimed), _as_set(said)
        if claimed != said:
            raise CannotBootError(
                f"{key}: {entry.source} says {claimed!r:.200}, get_info() says {said!r:.200}",
                hint="make both say the same: hosts and the station go by the manifest",
            )


def _as_set(pids: object) -> object:
    """Product ids in no order and once each; what is no list is compared as it is."""
    return sorted(set(map(str, pids))) if isinstance(pids, list) else pids
