"""The file of results: groups, ids, orphans, order, damage (spec.md §4.34, §4.36)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.results.archive import Archive, StoreError, is_damage
from runner.results.damage import set_aside
from runner.results.reading import Checkup, Reader, listing
from runner.results.rows import Kept, Selection
from tests.doubles.result_rows import PAYLOAD, accepted, answer_to, answered, restarted, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "results.sqlite"


@pytest.fixture
def archive(path: Path) -> Iterator[Archive]:
    opened = Archive(path, "first-life", limit_s=0.05)
    yield opened
    opened.close()


def found(path: Path, request_id: str) -> Kept | None:
    reader = Reader(path)
    try:
        return reader.find(("host", request_id))
    finally:
        reader.close()


def test_an_answer_is_found_as_it_was_written(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1))], "FULL")
    assert found(path, "r1") == Kept(PAYLOAD, answer_to("r1"), 2000)
    assert found(path, "r2") is None


def test_an_accepted_row_is_open_until_it_is_answered(archive: Archive, path: Path) -> None:
    row = accepted(1)
    archive.write([row], "NORMAL")
    assert found(path, "r1") == Kept(PAYLOAD, None, 0)
    archive.write([answered(row, "NG")], "FULL")
    (told,) = written(path)
    assert (told.seq, told.status, told.verdict, told.finished_at_ms) == (1, "OK", "NG", 2000)


def test_rows_are_numbered_in_their_order_whatever_the_clock_said(archive: Archive, path: Path) -> None:
    archive.write([accepted(1, received_at_ms=9000), accepted(2, received_at_ms=1)], "NORMAL")
    archive.write([answered(accepted(3, received_at_ms=5))], "FULL")
    assert [(row.seq, row.request_id) for row in written(path)] == [(1, "r1"), (2, "r2"), (3, "r3")]


def test_the_last_word_on_a_row_in_a_group_counts_whatever_the_order(archive: Archive, path: Path) -> None:
    row, other = accepted(1), accepted(2)
    archive.write([row, answered(row, "OK"), answered(other, "NG"), other, answered(row, "NG")], "FULL")
    assert [(one.seq, one.verdict) for one in written(path)] == [(1, "NG"), (2, "NG")]
    assert archive.rows == 2


def test_an_acceptance_that_comes_late_does_not_open_an_answered_row(archive: Archive, path: Path) -> None:
    row = accepted(1)
    archive.write([answered(row)], "FULL")
    archive.write([row], "NORMAL")
    assert found(path, "r1") == Kept(PAYLOAD, answer_to("r1"), 2000)
    assert archive.rows == 1


def test_an_id_that_is_used_again_finds_its_newest_row_and_the_old_one_stays(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1), "OK", finished_at_ms=1)], "FULL")
    archive.write([answered(accepted(1), "NG", finished_at_ms=2)], "FULL")
    kept = found(path, "r1")
    assert kept is not None and kept.answer == answer_to("r1", "NG")
    assert [row.verdict for row in written(path)] == ["OK", "NG"]


def test_a_group_that_fails_leaves_nothing_and_can_be_written_later_under_its_numbers(
    archive: Archive, path: Path
) -> None:
    row = accepted(1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as caught:
        archive.write([answered(row)], "FULL")
    assert not is_damage(caught.value)
    other.execute("COMMIT")
    other.close()
    assert written(path) == [] and archive.rows == 0
    archive.write([answered(accepted(2))], "FULL")
    archive.write([answered(row)], "FULL")
    assert sorted(one.request_id for one in written(path)) == ["r1", "r2"]


def test_a_full_file_keeps_all_of_a_group_or_none(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(0))], "FULL")
    pages = archive._connection.execute("PRAGMA page_count").fetchone()[0]
    archive._connection.execute(f"PRAGMA max_page_count = {pages}")
    group = [answered(accepted(number)) for number in range(1, 400)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        archive.write(group, "FULL")
    assert [row.request_id for row in written(path)] == ["r0"]
    archive._connection.execute("PRAGMA max_page_count = 100000")
    archive.write(group, "FULL")
    assert len(written(path)) == 400


def test_open_rows_of_an_earlier_life_are_answered_and_those_of_this_one_are_not(archive: Archive, path: Path) -> None:
    done = accepted(1)
    archive.write([answered(done), accepted(2), accepted(3, pid="q")], "NORMAL")
    archive.close()
    later = Archive(path, "second-life")
    later.write([accepted(4)], "NORMAL")
    assert later.close_open_rows(restarted) == 2
    assert later.close_open_rows(restarted) == 0
    later.close()
    assert [(row.seq, row.status, row.error_code) for row in written(path)] == [
        (1, "OK", ""),
        (2, "ERROR", "3004"),
        (3, "ERROR", "3004"),
        (4, "", ""),
    ]
    kept = found(path, "r3")
    assert kept is not None and kept.answer == restarted("r3", "q")


def test_numbers_go_on_in_the_next_life_and_never_come_twice(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(number)) for number in range(3)], "FULL")
    archive.close()
    for life, first_seq in (("second", 1), ("third", 50)):
        later = Archive(path, life, first_seq=first_seq)
        later.write([answered(accepted(10))], "FULL")
        later.close()
    assert [row.seq for row in written(path)] == [1, 2, 3, 4, 50]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [4, 3, 2, 1]),
        (Selection(last=2), [4, 3]),
        (Selection(pid="q"), [4, 2]),
        (Selection(pid="q", last=1), [4]),
        (Selection(since_ms=2000), [4, 3, 2]),
        (Selection(pid="q", since_ms=3000), [4]),
        (Selection(pid="'; DROP TABLE results; --"), []),
    ],
)
def test_rows_are_listed_newest_first_by_product_time_and_number(
    archive: Archive, path: Path, selection: Selection, expected: list[int]
) -> None:
    for number, pid in enumerate("pqpq", start=1):
        archive.write([answered(accepted(number, pid, received_at_ms=number * 1000))], "NORMAL")
    assert [row.seq for row in listing(path, selection)] == expected


def test_a_list_of_a_station_that_records_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results are recorded"):
        listing(tmp_path / "results.sqlite", Selection())


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(archive: Archive, path: Path) -> None:
    archive._connection.execute("PRAGMA user_version = 99")
    archive.close()
    with pytest.raises(StoreError, match="another version"):
        Archive(path, "second-life")
    assert path.exists()


def test_an_answer_whose_bytes_have_changed_is_damage_and_not_an_answer(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1))], "FULL")
    archive._connection.execute("UPDATE results SET answer = ?", (answer_to("r1", "NG"),))
    with pytest.raises(sqlite3.DatabaseError) as caught:
        found(path, "r1")
    assert is_damage(caught.value)


def test_a_damaged_file_is_set_aside_whole(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(1))], "FULL")
    assert Path(f"{path}-wal").exists()
    aside = set_aside(path, "20260101T000000Z")
    archive.close()
    assert aside.name == "results.sqlite.broken-20260101T000000Z"
    assert Path(f"{aside}-wal").exists() or aside.exists()
    assert not path.exists() and not Path(f"{path}-wal").exists()


def test_the_checkup_finds_damage_in_the_middle_of_a_file(archive: Archive, path: Path) -> None:
    archive.write([answered(accepted(number)) for number in range(200)], "FULL")
    archive.close()
    assert Checkup(path).run() == ""
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 : 4096 * 3 + 64] = b"\xff" * 64
    path.write_bytes(damaged)
    assert Checkup(path).run() != ""


def test_the_price_of_power_is_paid_only_where_it_is_asked_for(archive: Archive) -> None:
    def synchronous() -> int:
        found: int = archive._connection.execute("PRAGMA synchronous").fetchone()[0]
        return found

    archive.write([answered(accepted(1))], "FULL")
    assert synchronous() == 2
    archive.write([accepted(2)], "NORMAL")
    assert synchronous() == 1
