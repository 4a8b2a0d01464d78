"""How long rows are kept: by age, by size, and what a jumped clock may not do (spec.md §11.15)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.results import retention
from runner.results.archive import Archive
from runner.results.retention import DOUBT_MS, Limits, Retention, Trust, judge
from tests.doubles.result_rows import accepted, answered, written

DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


@pytest.fixture
def archive(path: Path) -> Iterator[Archive]:
    opened = Archive(path, "life")
    yield opened
    opened.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The wall clock in ms, moved by hand."""
    now = [NOW_MS]
    monkeypatch.setattr(retention, "wall_ms", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seen_ms", "doubted_ms", "expected"),
    [
        (None, None, Trust.TRUSTED),
        (NOW_MS - DAY_MS, None, Trust.TRUSTED),
        (NOW_MS + DAY_MS, None, Trust.TRUSTED),
        (NOW_MS - DOUBT_MS, None, Trust.DOUBTED),
        (NOW_MS + DOUBT_MS, None, Trust.DOUBTED),
        (NOW_MS - DOUBT_MS, NOW_MS - DAY_MS, Trust.TRUSTED),
        (NOW_MS - DOUBT_MS, NOW_MS, Trust.TRUSTED),
        (NOW_MS - DOUBT_MS, NOW_MS - DOUBT_MS, Trust.DOUBTED),
        (NOW_MS - DOUBT_MS, NOW_MS + 1, Trust.DOUBTED),
    ],
)
def test_a_clock_that_jumped_is_trusted_when_a_second_start_agrees(
    seen_ms: int | None, doubted_ms: int | None, expected: Trust
) -> None:
    assert judge(NOW_MS, seen_ms, doubted_ms) is expected


@pytest.mark.usefixtures("clock")
def test_answered_rows_go_by_age_in_slices_and_open_ones_and_the_newest_stay(archive: Archive, path: Path) -> None:
    old = NOW_MS - 91 * DAY_MS
    archive.write([answered(accepted(1), finished_at_ms=old), accepted(2)], "FULL")
    archive.write([answered(accepted(number), finished_at_ms=old) for number in (3, 4)], "FULL")
    archive.write([answered(accepted(5), finished_at_ms=NOW_MS), answered(accepted(6), finished_at_ms=old)], "FULL")
    keeper = Retention(Limits(90.0, 1 << 30))
    keeper.see_clock(archive)
    assert [keeper.prune(archive, slice_rows=2) for _ in range(3)] == [2, 1, 0]
    assert [row.request_id for row in written(path)] == ["r2", "r5", "r6"]
    assert archive.rows == 3


def test_a_clock_that_jumps_between_two_lives_deletes_nothing_until_a_second_life_agrees(
    archive: Archive, path: Path, clock: list[int]
) -> None:
    archive.write([answered(accepted(number), finished_at_ms=NOW_MS) for number in range(3)], "FULL")
    pruned = []
    for _ in range(3):
        keeper = Retention(Limits(90.0, 1 << 30))
        keeper.see_clock(archive)
        pruned.append(keeper.prune(archive))
        clock[0] = NOW_MS + 365 * DAY_MS
    assert pruned == [0, 0, 2]
    assert len(written(path)) == 1


def test_a_clock_that_jumps_during_a_life_deletes_nothing(archive: Archive, clock: list[int]) -> None:
    archive.write([answered(accepted(number), finished_at_ms=NOW_MS) for number in range(3)], "FULL")
    keeper = Retention(Limits(90.0, 1 << 30))
    keeper.see_clock(archive)
    clock[0] = NOW_MS + 365 * DAY_MS
    assert keeper.prune(archive) == 0


@pytest.mark.fault("B10")
@pytest.mark.usefixtures("clock")
def test_a_row_that_was_written_by_a_clock_a_year_behind_does_not_go_before_those_that_are_older(
    archive: Archive, path: Path
) -> None:
    times = [NOW_MS, NOW_MS - 365 * DAY_MS, NOW_MS]
    archive.write([answered(accepted(number), finished_at_ms=at) for number, at in enumerate(times)], "FULL")
    keeper = Retention(Limits(90.0, 1 << 30))
    keeper.see_clock(archive)
    assert keeper.prune(archive) == 0
    assert len(written(path)) == 3


@pytest.mark.fault("B10")
def test_a_long_life_is_no_jump_to_the_next_one(
    archive: Archive, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = [0.0]
    monkeypatch.setattr(retention, "monotonic_s", lambda: passed_s[0])
    keeper = Retention(Limits(90.0, 1 << 30))
    assert keeper.see_clock(archive) is Trust.TRUSTED
    passed_s[0] = 30 * DAY_MS / 1000
    keeper.keep_clock(archive)
    clock[0] = NOW_MS + 30 * DAY_MS
    assert Retention(Limits(90.0, 1 << 30)).see_clock(archive) is Trust.TRUSTED


@pytest.mark.usefixtures("clock")
def test_beyond_its_size_the_oldest_go_and_the_file_gives_back_their_room(archive: Archive, path: Path) -> None:
    for number in range(400):
        archive.write([answered(accepted(number), finished_at_ms=NOW_MS)], "NORMAL")
    archive.write([accepted(400)], "NORMAL")
    whole = archive.used_bytes()
    keeper = Retention(Limits(90.0, whole // 2))
    keeper.see_clock(archive)
    while keeper.prune(archive, slice_rows=20):
        pass
    assert archive.used_bytes() <= whole // 2
    numbers = [row.seq for row in written(path)]
    assert numbers == list(range(numbers[0], 402)) and numbers[0] > 100
    archive.checkpoint()
    assert path.stat().st_size < whole
