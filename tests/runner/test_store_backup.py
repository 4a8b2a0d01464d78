"""The backup of a store: whole, of answered rows, made beside the writing (spec.md §5.14)."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.results import backup as module
from runner.results import care as care_module
from runner.results import damage
from runner.results.archive import Archive
from runner.results.backup import BackupError, make
from runner.results.care import Care
from runner.results.damage import backup_of, restore, set_aside
from runner.results.reading import Checkup
from tests.doubles.result_rows import accepted, answered, plan_of, writing, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "results.sqlite"


@pytest.fixture
def archive(path: Path) -> Iterator[Archive]:
    opened = Archive(path, "life", limit_s=0.05)
    yield opened
    opened.close()


def names(path: Path) -> set[str]:
    return {one.name for one in path.parent.iterdir() if not one.name.endswith(("-wal", "-shm"))}


def test_a_backup_holds_what_was_answered_and_nothing_that_is_open(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1)), accepted(2), answered(accepted(3))], "FULL")
    assert make(path, threading.Event())
    assert [row.request_id for row in written(backup_of(path))] == ["r1", "r3"]
    assert names(path) == {"results.sqlite", "results.backup.sqlite"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks up descriptors in /proc")
def test_a_backup_is_on_the_disk_slice_by_slice_so_that_no_commit_waits_for_all_of_it(
    archive: Archive, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write([answered(accepted(number)) for number in range(50)], "FULL")
    monkeypatch.setattr(module, "_SLICE_PAGES", 1)
    stopping = threading.Event()
    happened: list[str] = []
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        happened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(stopping, "wait", lambda _: happened.append("pause"))
    assert make(path, stopping)
    draft = f"{backup_of(path).name}.new"
    pauses = happened.count("pause")
    assert pauses > 5
    # Then the whole of it, and the folder with its new name.
    assert happened == [draft, "pause"] * pauses + [draft, path.parent.name]


def test_what_is_written_while_a_backup_is_made_is_neither_delayed_nor_half_in_it(
    archive: Archive, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write([answered(accepted(number)) for number in range(50)], "FULL")
    monkeypatch.setattr(module, "_SLICE_PAGES", 1)
    stopping, slices = threading.Event(), 0

    def write_one(_timeout: float) -> bool:
        nonlocal slices
        slices += 1
        archive.write([answered(accepted(1000 + slices))], "FULL")
        return False

    monkeypatch.setattr(stopping, "wait", write_one)
    assert make(path, stopping)
    assert slices > 3 and len(written(path)) == 50 + slices
    assert len(written(backup_of(path))) == 50


def test_a_stop_gives_up_the_backup_and_leaves_the_one_before(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1))], "FULL")
    assert make(path, threading.Event())
    archive.write([answered(accepted(2))], "FULL")
    stopping = threading.Event()
    stopping.set()
    assert not make(path, stopping)
    assert [row.request_id for row in written(backup_of(path))] == ["r1"]
    assert names(path) == {"results.sqlite", "results.backup.sqlite"}


def test_a_damaged_store_does_not_take_the_place_of_a_good_backup(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1))], "FULL")
    assert make(path, threading.Event())
    archive._connection.execute("UPDATE results SET answer = CAST('{}' AS BLOB)")
    with pytest.raises(BackupError, match="damaged"):
        make(path, threading.Event())
    assert Checkup(backup_of(path)).run() == ""
    assert names(path) == {"results.sqlite", "results.backup.sqlite"}


def test_a_backup_is_restored_only_where_there_is_no_store(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1))], "FULL")
    assert make(path, threading.Event())
    assert not restore(path, "t")
    archive.close()
    set_aside(path, "t")
    assert restore(path, "t") and not restore(path, "t")
    assert [row.request_id for row in written(path)] == ["r1"]
    assert "results.sqlite.broken-t" in names(path) and not backup_of(path).exists()


def test_the_rows_of_a_restored_store_get_numbers_that_were_not_given_in_this_life(path: Path) -> None:
    with writing(plan_of(path)) as (writer, outcomes):
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        outcomes.wait(1)
        assert make(path, threading.Event())
        writer.put(answered(accepted(2)), outcomes.of("r2"))
        outcomes.wait(2)
        writer.distrust(writer.generation, "a page is not what it was")
        writer.put(answered(accepted(3)), outcomes.of("r3"))
        outcomes.wait(3)
        assert writer.condition.restored == 1
    assert [(row.seq, row.request_id) for row in written(path)] == [(1, "r1"), (3, "r3")]


@pytest.mark.parametrize(("backup_s", "expected"), [(0.05, True), (0.0, False)])
def test_a_backup_is_made_again_and_again_unless_there_shall_be_none(
    path: Path, monkeypatch: pytest.MonkeyPatch, backup_s: float, expected: bool
) -> None:
    monkeypatch.setattr(care_module, "_TICK_S", 0.01)
    made: list[Path] = []

    def note(of: Path, _stopping: threading.Event) -> bool:
        made.append(of)
        return True

    monkeypatch.setattr(module, "make", note)
    plan = replace(plan_of(path), backup_s=backup_s)
    with writing(plan) as (writer, _):
        ticks = _count_ticks(plan.room, monkeypatch)
        care = Care(plan, writer)
        care.start()
        while ticks[0] < 20 or (expected and len(made) < 3):
            threading.Event().wait(0.005)
        care.stop()
    assert bool(made) is expected


def test_a_backup_that_cannot_be_made_is_counted_and_the_store_is_not_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(module, "make", fail)
    plan = replace(plan_of(path), backup_s=1.0)
    with writing(plan) as (writer, outcomes):
        care = Care(plan, writer)
        care._back_up()
        assert (care.failures, care.at_ms) == (1, None)
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        assert outcomes.wait(1) == [("r1", True)]
        assert writer.condition.set_aside == ()


def test_a_backup_that_became_the_store_is_followed_by_another_at_once(path: Path) -> None:
    plan = replace(plan_of(path), backup_s=3600.0)
    with writing(plan) as (writer, outcomes):
        care = Care(plan, writer)
        care._back_up()
        assert not care._is_due()
        writer.distrust(writer.generation, "a page is not what it was")
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        outcomes.wait(1)
        assert care._is_due()
        care._back_up()
        assert not care._is_due() and backup_of(path).exists()


def test_a_damaged_store_that_cannot_be_set_aside_is_not_used_and_set_aside_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [OSError("read-only file system")] * 2

    def refused(of: Path, at: str) -> Path:
        if refusals:
            raise refusals.pop()
        return set_aside(of, at)

    monkeypatch.setattr(damage, "set_aside", refused)
    with writing(plan_of(path)) as (writer, outcomes):
        writer.distrust(writer.generation, "a page is not what it was")
        for number in range(6):
            writer._look_at_s = 0.0
            writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
            outcomes.wait(number + 1)
        assert (outcomes.told[0], outcomes.told[-1]) == (("r0", False), ("r5", True))
        assert len(writer.condition.set_aside) == 1
    assert "r0" not in {row.request_id for row in written(path)}


def test_a_page_that_could_not_be_read_once_is_no_damage(
    archive: Archive, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write([answered(accepted(1))], "FULL")
    looks = ["*** in database main *** unable to get the page. error code=266", ""]
    monkeypatch.setattr(Checkup, "_look", lambda _: looks.pop(0))
    assert Checkup(path).run() == "" and looks == []


def _count_ticks(room: object, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    ticks = [0]

    def counted(_self: object) -> int:
        ticks[0] += 1
        return 0

    monkeypatch.setattr(type(room), "mend", counted)
    return ticks
