"""A package's archive is written whole, and the same each time (spec.md §10.3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procvision_sdk.errors import PackageError
from runner.packages.archive_writing import listed, workplace, write_archive


def test_the_same_contents_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    contents = {"b": b"2", "a/ü": b"1" * 100_000, "wheels/x.whl": b"3"}
    write_archive(tmp_path / "one.zip", contents, listed(contents))
    again = dict(reversed(contents.items()))
    write_archive(tmp_path / "two.zip", again, listed(again))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_file_that_changes_while_it_is_packed_is_found(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"before")
    files = listed({"source": source})
    source.write_bytes(b"after!")
    with pytest.raises(PackageError, match="source changed while it was packed") as refused:
        write_archive(tmp_path / "x.zip", {"source": source}, files)
    assert refused.value.code == "2009"


def test_a_workplace_is_beside_its_output_and_gone_afterwards(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), workplace(tmp_path / "x.zip") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
        assert folder.parent == tmp_path
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_only_what_dead_runs_of_the_same_output_left_is_removed(tmp_path: Path) -> None:
    dead, living = 2**22 + 1, os.getppid()
    kept = [f".y.zip.{dead}.partial", ".x.zip.mine.partial", f".x.zip.{living}.partial"]
    for name in (*kept, f".x.zip.{dead}.partial"):
        (tmp_path / name).mkdir()
    with workplace(tmp_path / "x.zip"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
