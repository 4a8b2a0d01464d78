"""`procvision package`: what is in the file it makes, and that it is the same each time (spec.md §10)."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.errors import PackageError, ProcVisionError
from runner.dev.keygen import keygen
from runner.dev.package import PackagePlan, Packed, package
from runner.dev.package_target import TargetOptions
from runner.dev.package_wheels import Index
from runner.dev.project import UsageError
from runner.packages import locked, signing
from runner.packages.listing import digest, parse_listing
from tests.doubles.author import procvision
from tests.doubles.packaging import document_in, make_packable, names_in, pack, read_in
from tests.doubles.wheels import SDK_NEEDS, make_wheel


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """One package that several tests look into, signed."""
    folder = tmp_path_factory.mktemp("packed")
    project = make_packable(folder)
    (project / "assets").mkdir()
    (project / "assets" / "model.bin").write_bytes(bytes(range(256)) * 100)
    return pack(project, key=keygen(folder / "publisher.key").private)


def test_it_holds_manifest_sources_assets_wheels_and_what_is_said_about_them(packed: Packed) -> None:
    assert names_in(packed.path) == [
        "algorithm/__init__.py",
        "algorithm/main.py",
        "assets/model.bin",
        "manifest.json",
        "package.json",
        "requirements.txt",
        "sbom.cdx.json",
        "signature.json",
        "wheels/msgspec-0.20.0-py3-none-any.whl",
        "wheels/numpy-2.0.0-py3-none-any.whl",
        "wheels/pillow-11.0.0-py3-none-any.whl",
        "wheels/procvision_sdk-0.1.0-py3-none-any.whl",
        "wheels/pydantic-2.10.0-py3-none-any.whl",
    ]


def test_the_listing_names_every_other_file_with_its_size_and_hash(packed: Packed) -> None:
    listing = parse_listing(read_in(packed.path, "package.json"))
    assert (listing.name, listing.version, listing.target, listing.python) == ("trial", "1.0", "linux-x86_64", "3.11")
    assert [one.path for one in listing.files] == sorted(
        set(names_in(packed.path)) - {"package.json", "signature.json"}
    )
    for one in listing.files:
        content = read_in(packed.path, one.path)
        assert (one.size_bytes, one.sha256) == (len(content), hashlib.sha256(content).hexdigest()), one.path


def test_requirements_are_the_wheels_by_version_and_hash(packed: Packed) -> None:
    found = locked.parse(read_in(packed.path, "requirements.txt"))
    assert sorted(map(str, found)) == sorted([*SDK_NEEDS, "procvision-sdk==0.1.0"])
    for one in found:
        wheel = f"wheels/{one.name.replace('-', '_')}-{one.version}-py3-none-any.whl"
        assert one.sha256 == (hashlib.sha256(read_in(packed.path, wheel)).hexdigest(),)


def test_the_signature_is_over_the_listings_bytes(packed: Packed) -> None:
    signature = signing.parse_signature(read_in(packed.path, "signature.json"))
    public = (packed.path.parent / "publisher.key.pub").read_bytes()
    signing.verify(read_in(packed.path, "package.json"), signature, public)
    assert signature.key_id == signing.key_id(public) == packed.signed_by


def test_the_bill_of_materials_names_each_component_and_neither_time_nor_number(packed: Packed) -> None:
    bill = document_in(packed.path, "sbom.cdx.json")
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert [one["purl"] for one in bill["components"]] == [
        "pkg:pypi/msgspec@0.20.0",
        "pkg:pypi/numpy@2.0.0",
        "pkg:pypi/pillow@11.0.0",
        "pkg:pypi/procvision-sdk@0.1.0",
        "pkg:pypi/pydantic@2.10.0",
    ]
    assert all(one["hashes"][0]["alg"] == "SHA-256" for one in bill["components"])
    assert bill.keys() == {"bomFormat", "specVersion", "version", "metadata", "components"}
    assert "timestamp" not in bill["metadata"]


def test_entries_are_plain_files_of_one_time_and_wheels_are_stored(packed: Packed) -> None:
    with zipfile.ZipFile(packed.path) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == stat.S_IFREG | 0o644
            stored = entry.filename.startswith("wheels/")
            assert entry.compress_type == (zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)


def test_the_same_inputs_give_the_same_bytes_from_another_folder_at_another_time(tmp_path: Path) -> None:
    made = []
    for name, moment in (("one", 1_000_000_000), ("two", 1_700_000_000)):
        (tmp_path / name).mkdir()
        project = make_packable(tmp_path / name)
        for path in project.rglob("*"):
            os.utime(path, (moment, moment))
        (project / "algorithm" / "main.py").chmod(0o600 if name == "one" else 0o755)
        made.append(pack(project))
    one, two = made
    assert one.path.read_bytes() == two.path.read_bytes()
    assert digest(one.listing.to_bytes()) == digest(two.listing.to_bytes())


def test_one_byte_of_a_source_is_another_digest(tmp_path: Path) -> None:
    project = make_packable(tmp_path)
    before = digest(pack(project).listing.to_bytes())
    with (project / "algorithm" / "main.py").open("a") as source:
        source.write("\n")
    assert digest(pack(project).listing.to_bytes()) != before


NAMED = [
    (("linux-x86_64",), ["trial-v1.0-linux-x86_64-offline.zip"]),
    (("win-amd64", "linux-x86_64"), ["trial-v1.0-win-amd64-offline.zip", "trial-v1.0-linux-x86_64-offline.zip"]),
    ((), ["trial-v1.0-offline.zip"]),
]


@pytest.mark.parametrize(("names", "files"), NAMED)
def test_files_are_named_by_the_manifest_and_the_targets(
    tmp_path: Path, names: tuple[str, ...], files: list[str]
) -> None:
    project = make_packable(tmp_path)
    index = Index((tmp_path / "index",), only_folders=True)
    plan = PackagePlan(project, TargetOptions(names), index, output=tmp_path)
    assert [one.path.name for one in package(plan)] == files


def test_what_is_made_for_windows_has_what_only_windows_needs(tmp_path: Path) -> None:
    project = make_packable(tmp_path, "bar==1.0\n")
    index = tmp_path / "index"
    make_wheel(index, "bar==1.0", requires=['onlywin==1.0; sys_platform == "win32"', 'other==1.0; os_name == "posix"'])
    make_wheel(index, "onlywin==1.0", "cp311-cp311-win_amd64")
    make_wheel(index, "other==1.0")
    wheels = names_in(pack(project, TargetOptions(("win-amd64",), python="3.11")).path)
    assert "wheels/onlywin-1.0-cp311-cp311-win_amd64.whl" in wheels
    assert not any("other" in name for name in wheels)


def test_without_wheels_the_versions_are_locked_all_the_same(tmp_path: Path) -> None:
    made = pack(make_packable(tmp_path), wheels=False)
    assert not any(name.startswith("wheels/") for name in names_in(made.path))
    found = locked.parse(read_in(made.path, "requirements.txt"))
    assert sorted(map(str, found)) == sorted([*SDK_NEEDS, "procvision-sdk==0.1.0"])


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("python", {"requires_python": ">=3.12"}, "2003", "requires_python is '>=3.12'"),
    ("sdk", {"sdk": ">=9"}, "2003", "sdk is '>=9'"),
    ("entry point", {"entry_point": "elsewhere.main:Algorithm"}, "2002", "expected the file elsewhere/main.py"),
    ("asset", {"required_assets": {"A01": {"model": "assets/none.onnx"}}}, "2002", "assets/none.onnx"),
]


@pytest.mark.parametrize(("_what", "manifest", "code", "message"), REFUSED)
def test_what_no_station_could_use_is_refused_and_nothing_is_written(
    tmp_path: Path, _what: str, manifest: dict[str, Any], code: str, message: str
) -> None:
    project = make_packable(tmp_path, **manifest)
    with pytest.raises(PackageError, match=message) as refused:
        pack(project)
    assert refused.value.code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "project"]


OUTPUTS = [
    ("nowhere/x.zip", ("linux-x86_64",), "nowhere is no folder"),
    ("x.zip", ("linux-x86_64", "win-amd64"), "expected a folder for 2 targets"),
]


@pytest.mark.parametrize(("output", "names", "message"), OUTPUTS)
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, output: str, names: tuple[str, ...], message: str) -> None:
    project = make_packable(tmp_path)
    with pytest.raises(UsageError, match=message):
        pack(project, TargetOptions(names), output=tmp_path / output)


def test_an_earlier_package_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    project = make_packable(tmp_path)
    made = pack(project)
    before = made.path.read_bytes()
    (project / "requirements.txt").write_text("nobody-has-this==1.0\n", "utf-8")
    with pytest.raises(PackageError):
        pack(project)
    assert made.path.read_bytes() == before


def test_a_key_that_cannot_sign_is_refused_before_anything_is_resolved(tmp_path: Path) -> None:
    project = make_packable(tmp_path)
    keys = keygen(tmp_path / "k")
    with pytest.raises(ProcVisionError, match="private key: expected PEM") as refused:
        pack(project, key=keys.public, index=Index((tmp_path / "nowhere",), only_folders=True))
    assert refused.value.code == "2008"


def test_the_command_prints_one_document_and_works_with_its_defaults(tmp_path: Path) -> None:
    project = make_packable(tmp_path)
    ended = procvision(tmp_path, "package", project, "--find-links", tmp_path / "index", "--no-index", "--json")
    assert (ended.code, ended.left) == (0, ()), ended.err
    (told,) = ended.document()["packages"]
    assert told["path"] == str(tmp_path / "trial-v1.0-offline.zip")
    assert told["digest"] == digest(read_in(Path(told["path"]), "package.json"))
    assert (told["signed_by"], told["left_out"]) == ("", [])


COMMANDS = [
    (("--embed-python",), 2, "packages hold no Python"),
    (("--target", "amiga-68k"), 2, "expected one of linux-x86_64"),
    (("-p", "2.7"), 2, "expected a Python such as 3.11"),
    (("-i", "pp"), 2, "expected cp"),
    (("-r", "none.txt"), 2, "none.txt is not there"),
    (("--sign", "none.key"), 2, "none.key cannot be read"),
    (("--find-links", "empty", "--no-index"), 4, "2004 wheels_missing"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), COMMANDS)
def test_the_command_fails_in_words(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    project = make_packable(tmp_path)
    (tmp_path / "empty").mkdir()
    ended = procvision(tmp_path, "package", project, *arguments)
    assert ended.code == code
    assert message in ended.err
    assert ended.out == ""
    assert not list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".*partial"))
