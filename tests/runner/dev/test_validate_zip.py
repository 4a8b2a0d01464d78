"""`procvision validate ZIP`: what is made is accepted, what was changed is found (spec.md §11.6)."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.dev.keygen import keygen
from runner.dev.package import Packed
from runner.dev.package_target import TargetOptions
from runner.dev.package_wheels import Index
from runner.packages.archive_writing import listed
from runner.packages.listing import parse_listing
from tests.doubles.author import Finished, make_project, procvision
from tests.doubles.packaging import make_packable, pack
from tests.doubles.wheels import repack

REAL = (
    "msgspec",
    "numpy",
    "pydantic",
    "pydantic-core",
    "pillow",
    "annotated-types",
    "typing-extensions",
    "typing-inspection",
)
HERE = TargetOptions()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A package for this machine out of wheels that hold nothing, signed with line.key beside it."""
    folder = tmp_path_factory.mktemp("signed")
    return pack(make_packable(folder), HERE, key=keygen(folder / "line.key").private)


def test_what_package_makes_is_installed_run_and_accepted(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    (project / "requirements.txt").write_text("", "utf-8")
    keys = keygen(tmp_path / "line.key")
    index = Index((repack(tmp_path / "index", *REAL),), only_folders=True)
    made = pack(project, HERE, index=index, key=keys.private)
    ended = procvision(tmp_path, "validate", made.path, "--key", keys.public, "--json")
    results = {one["name"]: one["result"] for one in ended.document()["checks"]}
    assert (ended.code, ended.left) == (0, ()), ended.document()
    assert {name for name, result in results.items() if result != "PASS"} == {"leaks"}
    assert {"archive", "signature", "identity", "wheels", "installation", "boot", "hooks"} <= results.keys()


def test_without_wheels_it_is_a_warning(tmp_path: Path) -> None:
    made = pack(make_packable(tmp_path), HERE, wheels=False)
    ended = procvision(tmp_path, "validate", made.path, "--json")
    assert (ended.code, ended.left) == (0, ())
    found = _check(ended, "wheels")
    assert found["result"] == "WARN"
    assert "not installable on a station" in found["message"]
    assert _check(ended, "boot")["result"] == "PASS"


def test_for_another_target_it_says_what_cannot_be_checked_here(tmp_path: Path) -> None:
    made = pack(make_packable(tmp_path), TargetOptions(("win-arm64",)))
    ended = procvision(tmp_path, "validate", made.path, "--json")
    assert ended.code == 0
    skipped = {one["name"]: one["message"] for one in ended.document()["checks"] if one["result"] == "SKIP"}
    assert {"installation", "boot", "hooks", "get_info", "timing"} <= skipped.keys()
    assert all(message.startswith("made for win-arm64, Python 3.11; this is") for message in skipped.values())
    assert _check(ended, "wheels")["result"] == "PASS"


SIGNATURES = [
    ("line.key.pub", "PASS", "signed exactly this package"),
    ("other.key.pub", "FAIL", "expected a signature of key"),
    ("", "WARN", "not checked"),
]


@pytest.mark.parametrize(("key", "result", "message"), SIGNATURES)
def test_the_signature_is_checked_with_the_key_that_is_given(
    tmp_path: Path, signed: Packed, key: str, result: str, message: str
) -> None:
    keygen(tmp_path / "other.key")
    shutil.copy(signed.path.parent / "line.key.pub", tmp_path)
    found = _check(_validate(tmp_path, signed.path, *(("--key", tmp_path / key) if key else ())), "signature")
    assert (found["result"], message in found["message"]) == (result, True), found


def test_not_signed_is_a_warning_and_with_a_key_a_failure(tmp_path: Path) -> None:
    made = pack(make_packable(tmp_path), TargetOptions(("win-arm64",)))
    keys = keygen(tmp_path / "line.key")
    assert _check(_validate(tmp_path, made.path), "signature")["result"] == "WARN"
    ended = _validate(tmp_path, made.path, "--key", keys.public)
    assert (ended.code, _check(ended, "signature")["result"]) == (1, "FAIL")


Change = Callable[[dict[str, bytes]], None]


def _put(name: str, content: bytes) -> Change:
    return lambda files: files.update({name: content})


def _drop(name: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        del files[name]

    return change


def _move(name: str, to: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        files[to] = files.pop(name)

    return change


def list_anew(files: dict[str, bytes]) -> None:
    """A listing that is right about what was changed."""
    listing = parse_listing(files.pop("package.json"))
    del files["signature.json"]
    files["package.json"] = listing.model_copy(update={"files": listed(files)}).to_bytes()


def _replace(name: str, old: bytes, new: bytes) -> Change:
    def change(files: dict[str, bytes]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


MAIN = "algorithm/main.py"
CHANGED: list[tuple[Change, str, str]] = [
    (_replace(MAIN, b"class", b"Class"), "archive", "algorithm/main.py: expected SHA-256"),
    (_put("algorithm/more.py", b""), "archive", "in the archive and not in package.json: algorithm/more.py"),
    (_drop(MAIN), "archive", "listed, and not in the archive with that size: algorithm/main.py"),
    (_put(MAIN, b"x" * 10_000), "archive", "not in the archive with that size: algorithm/main.py"),
    (_drop("package.json"), "archive", "package.json is not in the archive"),
    (_replace("package.json", b'"format":1', b'"format": 1'), "archive", "no spaces"),
    (_replace("package.json", b'"format":1', b'"format":1,"x":2'), "archive", "x: Extra inputs"),
    (_replace("package.json", b'"format":1', b'"format":2'), "archive", "format: Input should be 1"),
    (_put("../evil", b""), "archive", "'../evil' is no name for a file: it has '..' as a part"),
    (_put("/evil", b""), "archive", "it is absolute"),
    (_put("MANIFEST.json", b""), "archive", "are one file on some systems"),
    (_put("signature.json", b"{}"), "signature", "Field required"),
]


@pytest.mark.parametrize(("change", "check", "message"), CHANGED)
def test_what_was_changed_afterwards_is_found(
    tmp_path: Path, signed: Packed, change: Change, check: str, message: str
) -> None:
    changed = changed_copy(signed.path, tmp_path, change)
    ended = _validate(tmp_path, changed, "--key", signed.path.parent / "line.key.pub")
    found = _check(ended, check)
    assert (ended.code, found["result"]) == (1, "FAIL")
    assert message in found["message"]
    assert ended.left == ()
    assert not (tmp_path.parent / "evil").exists()


def test_a_changed_listing_is_found_by_its_signature(tmp_path: Path, signed: Packed) -> None:
    change = _replace("package.json", b'"created_with":"procvision', b'"created_with":"Procvision')
    ended = _validate(
        tmp_path, changed_copy(signed.path, tmp_path, change), "--key", signed.path.parent / "line.key.pub"
    )
    found = _check(ended, "signature")
    assert (ended.code, found["result"]) == (1, "FAIL")
    assert "did not sign this package.json" in found["message"]


SDK_WHEEL = "wheels/procvision_sdk-0.1.0-py3-none-any.whl"
NUMPY = "wheels/numpy-2.0.0-py3-none-any.whl"
LISTED_WRONG: list[tuple[Change, str, str]] = [
    (_drop(NUMPY), "wheels", "no wheel for numpy"),
    (_drop(SDK_WHEEL), "wheels", "no wheel for procvision-sdk"),
    (_put("wheels/extra-1.0-py3-none-any.whl", b"x"), "wheels", "requirements.txt does not name: extra"),
    (_put(NUMPY, b"x"), "wheels", "is not the wheel that requirements.txt names by its hash"),
    (_put("wheels/numpy-2.0.1-py3-none-any.whl", b"x"), "wheels", "two wheels are of numpy"),
    (_put("wheels/notes.txt", b"x"), "wheels", "notes.txt"),
    (_move(NUMPY, "wheels/numpy-2.0.0-cp311-cp311-win32.whl"), "wheels", "does not fit"),
    (_replace("requirements.txt", b"numpy==2.0.0", b"numpy>=2.0.0"), "wheels", "requirements.txt line 2"),
    (_replace("manifest.json", b'"version": "1.0"', b'"version": "1.1"'), "identity", "manifest.json says trial 1.1"),
    (_put("manifest.json", b"{}"), "identity", "required, got nothing"),
]


@pytest.mark.parametrize(("change", "check", "message"), LISTED_WRONG)
def test_what_is_listed_and_does_not_fit_together_is_found(
    tmp_path: Path, signed: Packed, change: Change, check: str, message: str
) -> None:
    ended = _validate(tmp_path, changed_copy(signed.path, tmp_path, change, list_anew))
    found = _check(ended, check)
    assert (ended.code, found["result"]) == (1, "FAIL")
    assert message in found["message"]
    assert _check(ended, "archive")["result"] == "PASS"


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_part_of_a_package_is_no_package(tmp_path: Path, signed: Packed, part: float) -> None:
    whole = signed.path.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: int(len(whole) * part)])
    ended = _validate(tmp_path, cut)
    assert (ended.code, _check(ended, "archive")["result"]) == (1, "FAIL")


def test_a_key_for_a_project_is_a_mistake(tmp_path: Path) -> None:
    ended = procvision(tmp_path, "validate", make_project(tmp_path, "cli_plain"), "--key", "x.pub")
    assert (ended.code, "only packages are signed" in ended.err) == (2, True)


def _validate(folder: Path, path: Path, *arguments: str | Path) -> Finished:
    return procvision(folder, "validate", path, "--json", *arguments)


def _check(ended: Finished, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in ended.document()["checks"] if one["name"] == name)
    return found


def changed_copy(path: Path, folder: Path, *changes: Change) -> Path:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for change in changes:
        change(files)
    changed = folder / "changed.zip"
    with zipfile.ZipFile(changed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return changed
