"""Where the algorithm is looked for, in which order, and what is told when it is not there (spec.md §4)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.adapter.entrypoint import AlgorithmImportError, EntryPoint, check_claims, discover, load
from procvision_sdk.errors import CannotBootError, EntryPointNotFoundError

# In the documented order: each place named after itself, in the folder where it is looked for.
PLACES = ("option", "variable", "here/manifest.json", "root/manifest.json", "here/manifest.yaml", "root/manifest.yaml",
          "here/pyproject.toml", "root/pyproject.toml", "algorithm/main.py")  # fmt: skip


@pytest.fixture(autouse=True)
def untouched_path() -> Iterator[None]:
    """sys.path and the modules that a test imports are put back."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def put(folder: Path, place: str) -> None:
    """Make one of the places name an entry point that says which place it is."""
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    name = place.replace("/", "_").replace(".", "_")
    match file.suffix:
        case ".toml":
            file.write_text(f'\ufeff[tool.procvision.algorithm]\nentry_point = "m:{name}"\n', "utf-8")
        case ".py":
            file.write_text("raise RuntimeError('imported while it was looked for')\n", "utf-8")
        case _:
            file.write_text("\ufeff" + json.dumps({"entry_point": f"m:{name}"}), "utf-8")


def found_in(folder: Path, places: tuple[str, ...]) -> EntryPoint:
    for place in places:
        if "/" in place:
            put(folder / "here" if place.startswith("algorithm") else folder, place)
    (folder / "here").mkdir(exist_ok=True)
    # A parser of YAML that reads the JSON which every YAML parser reads.
    (folder / "yaml.py").write_text("from json import loads as safe_load\n", "utf-8")
    sys.path.insert(0, str(folder))
    return discover(
        "m:option" if "option" in places else None,
        "m:variable" if "variable" in places else None,
        [folder / "here", folder / "root"],
    )


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_first_place_in_the_documented_order_is_taken(tmp_path: Path, first: int) -> None:
    entry = found_in(tmp_path, PLACES[first:])
    if PLACES[first] == "algorithm/main.py":
        assert (entry.module, entry.class_name, entry.source) == ("algorithm.main", "Algorithm", "the default")
    else:
        assert entry.class_name == PLACES[first].replace("/", "_").replace(".", "_")


def test_without_a_parser_for_yaml_such_a_manifest_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "manifest.yaml")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EntryPointNotFoundError):
        discover(None, None, [tmp_path])


def test_where_nothing_is_found_every_place_that_was_searched_is_told(tmp_path: Path) -> None:
    with pytest.raises(EntryPointNotFoundError, match=r"^entry_point not found: searched --entry") as caught:
        discover(None, None, [tmp_path, tmp_path])
    assert caught.value.code == "1004"
    for place in ("PROC_ENTRY_POINT", str(tmp_path / "manifest.json"), "pyproject.toml", "algorithm.main:Algorithm"):
        assert caught.value.message.count(place) == 1


@pytest.mark.parametrize("text", ["m", "m:", ":C", "m.:C", "m:C.D", "a b:C", "m:C:D", "1m:C", 5, ["m:C"]])
def test_what_is_not_module_and_class_is_refused_with_its_place(tmp_path: Path, text: Any) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"entry_point": text}), "utf-8")
    with pytest.raises(EntryPointNotFoundError, match=r"manifest\.json: expected module:Class, got"):
        discover(None, None, [tmp_path])


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("manifest.json", b"{", "cannot be read: JSONDecodeError"),
        ("manifest.json", b"\xff", "cannot be read: UnicodeDecodeError"),
        ("manifest.json", b"[]", "expected an object, got list"),
        ("pyproject.toml", b"= 1", "cannot be read: TOMLDecodeError"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_not_passed_over(
    tmp_path: Path, file: str, content: bytes, reason: str
) -> None:
    put(tmp_path, "algorithm/main.py")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(EntryPointNotFoundError, match=reason):
        discover(None, None, [tmp_path])


@pytest.mark.parametrize("text", ["tool = 5", "[tool]\nprocvision = []", "[tool.procvision.algorithm]\nname = 'x'"])
def test_a_pyproject_that_says_nothing_of_it_is_passed_over(tmp_path: Path, text: str) -> None:
    put(tmp_path, "algorithm/main.py")
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    assert discover(None, None, [tmp_path]).source == "the default"


def test_a_module_named_algorithm_is_not_the_default_package(tmp_path: Path) -> None:
    (tmp_path / "algorithm.py").write_text("", "utf-8")
    with pytest.raises(EntryPointNotFoundError):
        discover(None, None, [tmp_path])


def test_a_loaded_algorithm_comes_from_its_own_folder(tmp_path: Path) -> None:
    source = "from tests.algorithms.quiet import Algorithm as A\nclass Algorithm(A):\n    pass\nclass No:\n    pass\n"
    (tmp_path / "own_detector.py").write_text(source, "utf-8")
    (tmp_path / "broken_detector.py").write_text("class E(Exception):\n    __str__ = 5\nraise E\n", "utf-8")
    sys.path.append(str(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROC_TEST_FOLDER", str(tmp_path))
        algorithm = load(EntryPoint("own_detector", "Algorithm", "a test"), [tmp_path])
    assert type(algorithm).__module__ == "own_detector"
    assert sys.path[0] == str(tmp_path.resolve()) and sys.path.count(str(tmp_path)) == 1
    for module, name, reason in [
        ("own_detector", "No", "expected a subclass"),
        ("own_detector", "Nothing", "got None"),
        ("broken_detector", "A", "cannot be imported: E: its text could not be made"),
    ]:
        with pytest.raises(AlgorithmImportError, match=reason):
            load(EntryPoint(module, name, "a test"), [tmp_path])


CLAIMS = {"name": "n", "version": "1", "supported_pids": ["a", "b"]}


@pytest.mark.parametrize(
    ("info", "key"),
    [
        (CLAIMS, None),
        ({**CLAIMS, "supported_pids": ["b", "a", "a"]}, None),
        ({**CLAIMS, "supported_pids": ["a"]}, "supported_pids"),
        ({**CLAIMS, "supported_pids": None}, "supported_pids"),
        ({**CLAIMS, "name": "m"}, "name"),
        ({"name": "n", "supported_pids": ["a", "b"]}, "version"),
    ],
)
def test_get_info_must_say_what_the_manifest_says(info: dict[str, Any], key: str | None) -> None:
    entry = EntryPoint("m", "C", "manifest.json", CLAIMS)
    check_claims({}, EntryPoint("m", "C", "--entry"))
    if key is None:
        check_claims(info, entry)
    else:
        with pytest.raises(CannotBootError, match=rf"^{key}: manifest\.json says"):
            check_claims(info, entry)
