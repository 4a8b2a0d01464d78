"""The thread that writes results: groups, failures, recovery (docs/decisions/0016)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.results import group
from runner.results import writer as module
from runner.results.archive import Archive, Sync
from runner.results.rows import Accepted, Row
from tests.doubles.result_rows import accepted, answered, plan_of, restarted, writing, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "results.sqlite"


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK_S", 0.02)


class Spy:
    """Notes what each commit held, and can hold the first one up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[tuple[list[str], Sync]] = []
        write = Archive.write

        def spied(archive: Archive, rows: Sequence[Row], sync: Sync) -> None:
            write(archive, rows, sync)
            if rows:
                self.groups.append(([_told(row) for row in rows], sync))

        monkeypatch.setattr(Archive, "write", spied)


def test_what_is_told_to_be_kept_is_in_the_file(path: Path) -> None:
    with writing(plan_of(path)) as (writer, outcomes):
        for number in range(50):
            row = accepted(number)
            writer.put(row)
            writer.put(answered(row), outcomes.of(f"r{number}"))
            assert outcomes.wait(number + 1)[-1] == (f"r{number}", True)
            assert written(path)[-1].request_id == f"r{number}"
    assert [row.request_id for row in written(path)] == [f"r{number}" for number in range(50)]


def test_rows_that_came_while_a_commit_ran_go_together_and_are_told_in_their_order(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch)
    lock = _locked(path)
    with writing(plan_of(path, "power", locked_s=30.0)) as (writer, outcomes):
        lock.execute("BEGIN IMMEDIATE")
        writer.put(answered(accepted(0)), outcomes.of("r0"))
        for number in range(1, 40):
            writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
        lock.execute("ROLLBACK")
        assert outcomes.wait(40) == [(f"r{number}", True) for number in range(40)]
    lock.close()
    sizes = [len(names) for names, _ in spy.groups]
    assert sum(sizes) == 40 and max(sizes) <= group.GROUP_ROWS
    assert len(sizes) < 40


def test_an_acceptance_goes_with_its_answer_when_that_comes_at_once_and_is_not_synced_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch)
    monkeypatch.setattr(group, "GROUP_S", 30.0)
    row, alone = accepted(1), accepted(2)
    with writing(plan_of(path, "power")) as (writer, outcomes):
        writer.put(row)
        writer.put(answered(row), outcomes.of("r1"))
        outcomes.wait(1)
        writer.put(alone)
    assert spy.groups == [(["accepted r1", "answered r1"], "FULL"), (["accepted r2"], "NORMAL")]


@pytest.mark.parametrize(("durability", "sync"), [("power", "FULL"), ("process", "NORMAL")])
def test_an_awaited_answer_is_synced_to_the_disk_for_power_only(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, sync: str
) -> None:
    spy = Spy(monkeypatch)
    plan = plan_of(path, "power" if durability == "power" else "process")
    with writing(plan) as (writer, outcomes):
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        outcomes.wait(1)
    assert spy.groups == [(["answered r1"], sync)]


def test_what_was_asked_before_the_stop_is_written(path: Path) -> None:
    with writing(plan_of(path)) as (writer, _):
        for number in range(100):
            writer.put(answered(accepted(number)))
    assert len(written(path)) == 100


def test_a_locked_file_is_told_after_the_limit_and_then_at_once_until_it_is_free_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, tried = _locked(path), _tried(monkeypatch)
    monkeypatch.setattr(module, "_TICK_S", 3600.0)
    with writing(plan_of(path)) as (writer, outcomes):
        lock.execute("BEGIN IMMEDIATE")
        late = accepted(1)
        writer.put(answered(late), outcomes.of("r1"))
        assert outcomes.wait(1) == [("r1", False)]
        assert writer.condition.state == "failing" and "BUSY" in writer.condition.reason
        writer.put(answered(accepted(2)), outcomes.of("r2"))
        assert outcomes.wait(2)[-1] == ("r2", False)
        writer.put(answered(late, "NG"))
        lock.execute("ROLLBACK")
        writer._look_at_s = 0.0
        writer.put(accepted(9))
        _until_good(writer)
        writer.put(answered(accepted(3)), outcomes.of("r3"))
        assert outcomes.wait(3)[-1] == ("r3", True)
    lock.close()
    assert [(row.request_id, row.verdict) for row in written(path)] == [("r1", "NG"), ("r9", ""), ("r3", "OK")]
    assert writer.condition.unrecorded == 2
    assert "answered r1" in tried and "answered r2" not in tried


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_folder_that_cannot_be_written_is_survived_and_found_again_when_it_can(
    tmp_path: Path, durability: str
) -> None:
    in_the_way = tmp_path / "store"
    in_the_way.write_text("a file where the folder should be")
    path = in_the_way / "results.sqlite"
    with writing(plan_of(path, "power" if durability == "power" else "process")) as (writer, outcomes):
        assert writer.condition.state == "failing" and writer.condition.failures >= 1
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        assert outcomes.wait(1) == [("r1", False)]
        in_the_way.unlink()
        _until_good(writer)
        writer.put(answered(accepted(2)), outcomes.of("r2"))
        assert outcomes.wait(2)[-1] == ("r2", True)


def test_a_read_only_file_is_told_and_left_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Archive(path, "earlier").close()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda where, **given: connect(f"file:{where}?mode=ro", uri=True, **given))
    with writing(plan_of(path)) as (writer, outcomes):
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        assert outcomes.wait(1) == [("r1", False)]
        assert "READONLY" in writer.condition.reason
        assert writer.condition.set_aside == ()


def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_begins(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all " * 1000)
    with writing(plan_of(path)) as (writer, outcomes):
        (aside,) = writer.condition.set_aside
        assert aside.startswith("results.sqlite.broken-") and (path.parent / aside).read_bytes().startswith(b"not a")
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        assert outcomes.wait(1) == [("r1", True)]


@pytest.mark.fault("B13")
def test_damage_that_two_readers_found_sets_one_file_aside_and_not_the_next_one(path: Path) -> None:
    with writing(plan_of(path)) as (writer, outcomes):
        generation = writer.generation
        for number in range(1, 4):
            writer.distrust(generation, f"reader {number}: a page is not what it was")
            writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
            assert outcomes.wait(number)[-1] == (f"r{number}", True)
    assert len(writer.condition.set_aside) == 1
    assert [row.request_id for row in written(path)] == ["r1", "r2", "r3"]


def test_damage_that_a_reader_found_begins_a_new_file_and_what_comes_then_is_kept(path: Path) -> None:
    with writing(plan_of(path)) as (writer, outcomes):
        open_row = accepted(1)
        writer.put(open_row)
        writer.put(answered(accepted(2)), outcomes.of("r2"))
        outcomes.wait(1)
        writer.distrust(writer.generation, "a page is not what it was")
        while writer.condition.files == 0:
            writer.put(answered(accepted(3)), outcomes.of("r3"))
            outcomes.wait(len(outcomes.told) + 1)
        writer.put(answered(open_row), outcomes.of("r1"))
        outcomes.wait(len(outcomes.told) + 1)
    assert all(kept for _, kept in outcomes.told)
    assert ("r1", "OK") in [(row.request_id, row.status) for row in written(path)]


@pytest.mark.parametrize(("times", "set_aside"), [(1, 0), (2, 1)])
def test_damage_met_twice_while_writing_sets_the_file_aside_and_loses_no_row_of_its_group(
    path: Path, monkeypatch: pytest.MonkeyPatch, times: int, set_aside: int
) -> None:
    write = Archive.write
    damaged = [True] * times

    def break_once(archive: Archive, rows: Sequence[Row], sync: Sync) -> None:
        if rows and damaged:
            damaged.pop()
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        write(archive, rows, sync)

    monkeypatch.setattr(Archive, "write", break_once)
    with writing(plan_of(path)) as (writer, outcomes):
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        assert outcomes.wait(1) == [("r1", True)]
        assert len(writer.condition.set_aside) == set_aside
    assert [row.request_id for row in written(path)] == ["r1"]


def test_open_rows_of_a_killed_life_are_answered_before_anything_else(path: Path) -> None:
    earlier = Archive(path, "earlier")
    earlier.write([accepted(1)], "NORMAL")
    earlier.close()
    with writing(plan_of(path)) as (writer, _):
        assert writer.condition.restarted == 1
        assert [(row.request_id, row.error_code) for row in written(path)] == [("r1", "3004")]


def test_a_fault_in_the_writer_is_said_and_survived(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Archive.write

    def break_on_rows(archive: Archive, rows: Sequence[Row], sync: Sync) -> None:
        if rows:
            raise LookupError("a fault")
        write(archive, rows, sync)

    with writing(plan_of(path)) as (writer, outcomes):
        monkeypatch.setattr(Archive, "write", break_on_rows)
        writer.put(answered(accepted(1)), outcomes.of("r1"))
        while writer.condition.state == "good":
            writer.put(accepted(2))
        assert "LookupError" in writer.condition.reason
        monkeypatch.setattr(Archive, "write", write)
        _until_good(writer)
        writer.put(answered(accepted(3)), outcomes.of("r3"))
        assert outcomes.wait(1) == [("r3", True)]


def test_the_answers_of_an_earlier_life_are_those_it_was_given(path: Path) -> None:
    assert restarted("r", "p") == plan_of(path).answer_of("r", "p")


def _tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every row that it was tried to write."""
    tried: list[str] = []
    write = Archive.write

    def noted(archive: Archive, rows: Sequence[Row], sync: Sync) -> None:
        tried.extend(map(_told, rows))
        write(archive, rows, sync)

    monkeypatch.setattr(Archive, "write", noted)
    return tried


def _told(row: Row) -> str:
    if isinstance(row, Accepted):
        return f"accepted {row.key[1]}"
    return f"answered {row.accepted.key[1]}"


def _locked(path: Path) -> sqlite3.Connection:
    """Another process's connection, so to speak: it can hold the file."""
    Archive(path, "other").close()
    return sqlite3.connect(path, isolation_level=None, timeout=30.0)


def _until_good(writer: module.Writer) -> None:
    """The writer tries by itself, each tick."""
    while writer.condition.state != "good":
        threading.Event().wait(0.005)
