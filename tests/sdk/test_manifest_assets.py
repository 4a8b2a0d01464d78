"""Asset paths exist and stay inside the package (spec.md §9)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procvision_sdk.errors import ManifestError
from procvision_sdk.manifest import Manifest, load

MINIMAL: dict[str, Any] = {
    "name": "bright-spot",
    "version": "1.0",
    "entry_point": "bright_spot.main:BrightSpot",
    "supported_pids": ["A01", "A02"],
    "steps": [{"index": 1, "name": "find spot"}],
}


def text(changes: dict[str, Any]) -> str:
    return json.dumps({**MINIMAL, **changes})


def parsed(changes: dict[str, Any]) -> Manifest:
    return Manifest.parse(text(changes), "manifest.json")


@pytest.mark.parametrize("path", ["a", "assets/A01/golden.png", "a b/c.d", "模板/金.png", "a..b/..c", "...x"])
def test_a_plain_relative_path_is_an_asset_path(path: str) -> None:
    assert parsed({"required_assets": {"A01": {"t": path}}}).required_assets["A01"]["t"] == path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "at least 1 character"),
        ("/etc/passwd", "expected a path relative to the package"),
        ("//server/share", "expected a path relative to the package"),
        ("..", "no '..'"),
        ("../x", "no '..'"),
        ("a/../../x", "no '..'"),
        ("a/..", "no '..'"),
        ("./a", "no '..', no '.', no empty part"),
        ("a//b", "no empty part"),
        ("a/", "no empty part"),
        ("C:/x", "no drive letter"),
        ("C:x", "no drive letter"),
        ("a:stream", "no drive letter and no colon"),
        ("..\\x", "expected forward slashes"),
        ("a\\b", "expected forward slashes"),
        ("\\\\server\\share", "expected forward slashes"),
        ("a\x00b", "expected printable names"),
        ("a\nb", "expected printable names"),
        ("a/ b", "neither begin nor end with a space"),
        ("a /b", "neither begin nor end with a space"),
        ("a./b", "nor end with a dot"),
        ("x" * 401, "at most 400 characters"),
    ],
)
def test_an_asset_path_that_leaves_the_package_or_depends_on_the_platform_is_refused(path: str, message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape("required_assets.A01.t: ")) as caught:
        parsed({"required_assets": {"A01": {"t": path}}})
    assert message in caught.value.message


@given(st.text(max_size=40) | st.from_regex(r"[./\\:a ]{1,12}", fullmatch=True))
def test_no_accepted_asset_path_leads_out_of_its_folder(path: str) -> None:
    try:
        parsed({"required_assets": {"A01": {"t": path}}})
    except ManifestError:
        return
    base = os.sep + "package"
    assert os.path.normpath(f"{base}{os.sep}{path}").startswith(base + os.sep)


def package(folder: Path, assets: dict[str, str]) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(text({"required_assets": {"A01": assets}}), "utf-8")
    return folder


def test_a_package_whose_assets_are_there_is_loaded(tmp_path: Path) -> None:
    folder = package(tmp_path / "p", {"template": "assets/golden.png", "models": "assets"})
    (folder / "assets").mkdir()
    (folder / "assets/golden.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to(folder)
    assert load(folder).name == load(tmp_path / "link").name == "bright-spot"


def test_a_folder_without_a_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"expected a readable manifest\.json: No such file"):
        load(tmp_path)


def test_a_missing_asset_is_told_with_product_and_kind(tmp_path: Path) -> None:
    folder = package(tmp_path / "p", {"template": "golden.png"})
    with pytest.raises(
        ManifestError, match=r"required_assets\.A01\.template: expected a file .*'golden.png' is not there"
    ):
        load(folder)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("link to a file outside", "expected a path inside the package, 'asset' leads to"),
        ("link to a folder outside", "expected a path inside the package, 'asset/secret' leads to"),
        ("link to itself", "'asset' is not there"),
        ("pipe", "expected a file or folder, 'asset' is something else"),
    ],
)
def test_an_asset_that_is_not_a_file_of_the_package_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    folder = package(tmp_path / "p", {"t": "asset/secret" if "folder" in kind else "asset"})
    if kind == "pipe":
        os.mkfifo(folder / "asset")
    else:
        target = {"link to a file outside": tmp_path / "secret", "link to a folder outside": tmp_path}
        (folder / "asset").symlink_to(target.get(kind, folder / "asset"))
    with pytest.raises(ManifestError, match=re.escape(message)):
        load(folder)
