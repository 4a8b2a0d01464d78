"""`procvision keygen` (spec.md §11.18)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runner.dev.keygen import keygen
from runner.dev.project import UsageError
from runner.packages import signing
from tests.doubles.author import procvision


def test_the_private_key_is_its_owners_and_the_public_one_is_beside_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = keygen(tmp_path / "line.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert made.public == tmp_path / "line.key.pub"
    assert signing.public_of(made.private.read_bytes()) == made.public.read_bytes()
    assert made.key_id == signing.key_id(made.public.read_bytes())


@pytest.mark.parametrize("there", ["line.key", "line.key.pub"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already: nothing was written"):
        keygen(tmp_path / "line.key")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(there, b"precious")]


def test_a_link_to_nowhere_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "line.key.pub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is there already"):
        keygen(tmp_path / "line.key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line\.key cannot be written: No such file"):
        keygen(tmp_path / "none" / "line.key")


def test_the_command_prints_the_key_id(tmp_path: Path) -> None:
    ended = procvision(tmp_path, "keygen", "-o", tmp_path / "line.key", "--json")
    assert (ended.code, ended.left) == (0, ()), ended.err
    told = ended.document()
    assert told == {
        "private": str(tmp_path / "line.key"),
        "public": str(tmp_path / "line.key.pub"),
        "key_id": signing.key_id((tmp_path / "line.key.pub").read_bytes()),
    }
    assert procvision(tmp_path, "keygen", "-o", tmp_path / "line.key").code == 2
