"""What `package` makes `validate` accepts, and what `validate` accepts a station installs (spec.md §11.6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from procvision_sdk.errors import PackageError
from runner.dev.checks import Outcome
from runner.dev.keygen import keygen
from runner.dev.package import Packed
from runner.dev.package_target import TargetOptions
from runner.dev.zip_checks import Looked, look
from runner.packages import admission
from runner.packages.policy import Signatures
from runner.packages.signing import new_key, public_of
from tests.doubles.packages import installer
from tests.doubles.packaging import make_packable, pack
from tests.runner.dev.test_validate_zip import CHANGED, LISTED_WRONG, Change, changed_copy, list_anew
from tests.runner.packages.hostile.archives import Hostile
from tests.runner.packages.hostile.corpus import every

HERE = TargetOptions()
# An author may look at these (spec.md §10.14, §11.6); this station installs none.
TO_LOOK_AT = {"made for another system", "made for another Python", "no wheels at all"}
CORPUS = every()


def validated(folder: Path, path: Path, key: bytes | None = None) -> Looked:
    (folder / "unpacked").mkdir()
    return look(path, key, folder / "unpacked")


def refusal(looked: Looked) -> str:
    """The code of the first check that failed; "" when none did."""
    return next((one.code for one in looked.checks if one.result is Outcome.FAIL), "")


def installed(folder: Path, path: Path, signatures: Signatures = "off") -> str:
    """The code with which a station that starts nothing refuses it; "" when it is installed."""
    try:
        installer(folder / "station", signatures).install(path, "t")
    except PackageError as error:
        return error.code
    return ""


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
def test_a_hostile_file_is_refused_by_both_with_one_code(tmp_path: Path, one: Hostile) -> None:
    path = tmp_path / "hostile.zip"
    path.write_bytes(one.data())
    asked = one.name.startswith("signed:")
    station = installed(tmp_path, path, "require" if asked else "off")
    author = refusal(validated(tmp_path, path, public_of(new_key()) if asked else None))
    assert station in one.codes
    assert author == ("" if one.name in TO_LOOK_AT else station)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A package for this machine, of wheels that hold nothing."""
    folder = tmp_path_factory.mktemp("signed")
    return pack(make_packable(folder), HERE, key=keygen(folder / "line.key").private)


@pytest.mark.parametrize(
    ("changes", "_message"),
    [
        *(((change,), message) for change, check, message in CHANGED if check != "signature"),
        *(((change, list_anew), message) for change, _, message in LISTED_WRONG),
    ],
)
def test_a_package_that_was_changed_is_refused_by_both_with_one_code(
    tmp_path: Path, signed: Packed, changes: tuple[Change, ...], _message: str
) -> None:
    path = changed_copy(signed.path, tmp_path, *changes)
    station = installed(tmp_path, path)
    assert station == refusal(validated(tmp_path, path)) != ""


MADE = [
    ("for this machine", HERE, True, ""),
    ("for this machine by name, asked for", TargetOptions(("linux-x86_64",)), True, ""),
    ("without wheels", HERE, False, "2004"),
    ("for Windows", TargetOptions(("win-amd64",)), True, "2003"),
    ("for another Python", TargetOptions(python="3.12"), True, "2003"),
]


@pytest.mark.parametrize(("_what", "targets", "wheels", "station"), MADE)
def test_what_package_makes_is_accepted_by_validate_and_by_the_station_it_is_for(
    tmp_path: Path, _what: str, targets: TargetOptions, wheels: bool, station: str
) -> None:
    made = pack(make_packable(tmp_path), targets, wheels=wheels)
    looked = validated(tmp_path, made.path)
    assert {one.name: one.result for one in looked.checks} == {
        "archive": Outcome.PASS,
        "signature": Outcome.WARN,
        "identity": Outcome.PASS,
        "wheels": Outcome.PASS if wheels else Outcome.WARN,
    }
    assert installed(tmp_path, made.path) == station


@pytest.mark.parametrize("name", ["manifest.json", "requirements.txt"])
def test_what_is_believed_before_unpacking_is_what_was_listed(tmp_path: Path, signed: Packed, name: str) -> None:
    def swap(files: dict[str, bytes]) -> None:
        files[name] = files[name].replace(b"1", b"2")

    with pytest.raises(PackageError, match=f"{name} is not the one that is listed") as refused:
        admission.contents(changed_copy(signed.path, tmp_path, swap))
    assert refused.value.code == "2009"
