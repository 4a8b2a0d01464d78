"""Upkeep of the store comes between commits and beside them, never in their way (docs/decisions/0038)."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.results import care as care_module
from runner.results import checkpoint, damage, group
from runner.results import writer as writer_module
from runner.results.archive import Archive
from runner.results.care import Care
from runner.results.plan import Asked, WriterPlan
from runner.results.reading import Checkup, reading
from runner.results.retention import SLICE_ROWS, Limits, Retention
from runner.results.writer import Writer
from tests.doubles.result_rows import LIMIT_S, Outcomes, accepted, answered, plan_of, writing, written

PAGE_BYTES = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "results.sqlite"


@pytest.fixture(autouse=True)
def little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upkeep all the time, and a log that is soon long enough to be moved."""
    monkeypatch.setattr(writer_module, "_TICK_S", 0.02)
    monkeypatch.setattr(care_module, "_TICK_S", 0.01)
    monkeypatch.setattr(care_module, "_LOG_BYTES", 1)


@contextmanager
def cared_for(plan: WriterPlan) -> Iterator[tuple[Writer, Outcomes]]:
    with writing(plan) as (writer, outcomes):
        care = Care(plan, writer)
        care.start()
        try:
            yield writer, outcomes
        finally:
            care.stop()


def keep(writer: Writer, outcomes: Outcomes, number: int) -> None:
    writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
    assert outcomes.wait(len(outcomes.told) + 1)[-1] == (f"r{number}", True)


def test_a_log_that_was_moved_begins_anew_with_the_next_commit(path: Path) -> None:
    archive = Archive(path, "life")
    for number in range(50):
        archive.write([answered(accepted(number))], "NORMAL")
    assert checkpoint.move(path) > 50
    archive.write([answered(accepted(50))], "NORMAL")
    assert checkpoint.move(path) < 10
    archive.close()
    assert len(written(path)) == 51


def test_commits_go_on_while_the_log_is_moved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving, going_on = threading.Event(), threading.Event()

    class Slow(sqlite3.Connection):
        """Has the file open until commits have been made."""

        def execute(self, *asked: Any) -> sqlite3.Cursor:
            moving.set()
            assert going_on.wait(LIMIT_S)
            return super().execute(*asked)

    connect = partial(sqlite3.connect, factory=Slow)
    monkeypatch.setattr(checkpoint, "sqlite3", SimpleNamespace(connect=connect, Error=sqlite3.Error))
    with cared_for(plan_of(path)) as (writer, outcomes):
        assert moving.wait(LIMIT_S)
        for number in range(20):
            keep(writer, outcomes, number)
        going_on.set()
    assert len(written(path)) == 20


def test_a_log_that_is_written_without_a_pause_is_ended_by_its_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(care_module, "_LONG_LOG_PAGES", 100)
    move = checkpoint.move
    lengths: list[int] = []
    with writing(plan_of(path)) as (writer, outcomes):
        care = Care(plan_of(path), writer)

        def never_alone(path: Path) -> int:
            """In no move there is a moment without a commit: the last is always beyond what it sees."""
            for number in range(2):
                keep(writer, outcomes, 10 * len(lengths) + number)
            with reading(path) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT seq FROM results LIMIT 1").fetchone()
                keep(writer, outcomes, 10 * len(lengths) + 2)
                lengths.append(move(path))
            return lengths[-1]

        monkeypatch.setattr(checkpoint, "move", never_alone)
        for _ in range(50):
            care._move_log()
    # Some pages for each of 300 commits.
    assert 100 < max(lengths) < 200
    assert len(written(path)) == 300


def test_a_store_is_not_set_aside_while_its_log_is_moved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving, going_on = threading.Event(), threading.Event()
    move = checkpoint.move

    def stuck(path: Path) -> int:
        moving.set()
        assert going_on.wait(LIMIT_S)
        return move(path)

    aside = threading.Event()
    set_aside = damage.set_aside

    def noted(path: Path, at: str) -> Path:
        aside.set()
        return set_aside(path, at)

    monkeypatch.setattr(checkpoint, "move", stuck)
    monkeypatch.setattr(damage, "set_aside", noted)
    with cared_for(plan_of(path)) as (writer, outcomes):
        keep(writer, outcomes, 1)
        assert moving.wait(LIMIT_S)
        writer.distrust(writer.generation, "a page is not what it was")
        writer.put(answered(accepted(2)), outcomes.of("r2"))
        assert not aside.wait(0.3)
        going_on.set()
        assert outcomes.wait(2)[-1] == ("r2", True)
        assert aside.is_set()
    assert [row.request_id for row in written(path)] == ["r2"]


def test_a_check_that_ends_after_its_file_was_set_aside_condemns_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(plan_of(path)) as (writer, outcomes):
        care = Care(plan_of(path), writer)

        def overtaken(_: Checkup) -> str:
            """Finds damage, as somebody else did meanwhile."""
            writer.distrust(writer.generation, "a page is not what it was")
            keep(writer, outcomes, 1)
            return "a page is not what it was"

        monkeypatch.setattr(Checkup, "run", overtaken)
        assert care._look_for_damage()
        keep(writer, outcomes, 2)
    assert len(writer.condition.set_aside) == 1
    assert [row.request_id for row in written(path)] == ["r1", "r2"]


def test_a_log_that_cannot_be_moved_is_told_and_results_are_kept_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Semaphore(0)

    def broken(_: Path) -> int:
        tried.release()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(checkpoint, "move", broken)
    with caplog.at_level(logging.WARNING, "procvision.runner"), cared_for(plan_of(path)) as (writer, outcomes):
        for number in range(3):
            keep(writer, outcomes, number)
            assert tried.acquire(timeout=LIMIT_S)
    assert f"the log of {path} was not moved into it: OperationalError: disk I/O error" in caplog.text
    assert len(written(path)) == 3


def test_a_store_that_cannot_be_opened_is_tried_with_each_look_and_not_without_a_pause(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.mkdir(parents=True)  # a folder where the file should be
    monkeypatch.setattr(writer_module, "_TICK_S", 3600.0)
    turns: list[float] = []
    gather = group.gather

    def counted(asked: queue.SimpleQueue[Asked | None], latest_s: float) -> tuple[list[Asked], bool]:
        turns.append(latest_s)
        return gather(asked, latest_s)

    monkeypatch.setattr(writer_module, "gather", counted)
    with writing(plan_of(path)) as (writer, outcomes):
        for number in range(5):
            writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
            assert outcomes.wait(number + 1)[-1] == (f"r{number}", False)
    assert writer.condition.state == "failing"
    # One for each row and one for the end; the first may find its row only in the next.
    assert len(turns) <= 7


def test_what_is_too_much_goes_in_slices_with_commits_between_them_and_no_more_goes_than_that(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(path, "life")
    for number in range(100):
        archive.write([answered(accepted(100 * number + each)) for each in range(100)], "NORMAL")
    whole = archive.used_bytes()
    archive.close()
    slices: list[int] = []
    prune = Retention.prune

    def noted(retention: Retention, archive: Archive) -> int:
        slices.append(prune(retention, archive))
        return slices[-1]

    monkeypatch.setattr(Retention, "prune", noted)
    monkeypatch.setattr(writer_module, "_PRUNE_S", 0.0)
    number, told_between = 10_000, 0
    with writing(replace(plan_of(path), limits=Limits(1e6, whole // 2))) as (writer, outcomes):
        while not slices or slices[-1]:
            number += 1
            keep(writer, outcomes, number)
            told_between += len(slices) > 0
    assert max(slices) == SLICE_ROWS
    assert told_between > 1
    archive = Archive(path, "life")
    assert whole // 2 - 16 * PAGE_BYTES < archive.used_bytes() <= whole // 2 + 16 * PAGE_BYTES
    assert archive.rows == number - writer.condition.pruned
    archive.close()
