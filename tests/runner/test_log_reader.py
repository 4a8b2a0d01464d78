"""The station's log, read back while it is written and rotated (spec.md §11.20)."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from runner import log_reader
from runner.log_reader import Wanted, follow, line_of, newest

ALL = Wanted()


def write(path: Path, *records: object) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.writelines(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records)


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {"level": "info", "timestamp_ms": number, "message": str(number), **fields}


def numbers(records: list[dict[str, Any]]) -> list[str]:
    return [one["message"] for one in records]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven records in three files, as rotation leaves them; and what does not belong to the log."""
    write(tmp_path / "runner.log.2", record(1), record(2))
    write(tmp_path / "runner.log.1", record(3), record(4), record(5))
    write(tmp_path / "runner.log", record(6), record(7))
    write(tmp_path / "runner.log.old", record(99))
    return tmp_path


@pytest.mark.parametrize(("last", "found"), [(0, ""), (1, "7"), (2, "67"), (3, "567"), (7, "1234567"), (99, "1234567")])
def test_the_newest_records_come_in_the_order_of_time_through_rotated_files(
    folder: Path, last: int, found: str
) -> None:
    assert "".join(numbers(newest(folder, ALL, last))) == found


def test_rotated_files_are_ordered_by_number(tmp_path: Path) -> None:
    for number in range(1, 12):
        write(tmp_path / f"runner.log.{number}", record(-number))
    write(tmp_path / "runner.log", record(0))
    assert numbers(newest(tmp_path, ALL, 99)) == [str(number) for number in range(-11, 1)]


def test_a_station_that_never_ran_has_no_records(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent", ALL, 9) == []


RECORDS = [
    record(1),
    record(2, pid="A", worker="find#0.1"),
    record(3, pid="B", worker="find#0.12"),
    record(4, pid="A", worker="find#1.2"),
    record(5, worker="finder#0.1"),
    "a line of text",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ALL, ["1", "2", "3", "4", "5", "a line of text"]),
        (Wanted(pid="A"), ["2", "4"]),
        (Wanted(pid="C"), []),
        (Wanted(worker="find"), ["2", "3", "4"]),
        (Wanted(worker="find#0"), ["2", "3"]),
        (Wanted(worker="find#0.1"), ["2"]),
        (Wanted(worker="find#0.12"), ["3"]),
        (Wanted(pid="A", worker="find#1"), ["4"]),
    ],
)
def test_records_are_chosen_by_product_and_worker(tmp_path: Path, wanted: Wanted, found: list[str]) -> None:
    write(tmp_path / "runner.log", *RECORDS)
    assert numbers(newest(tmp_path, wanted, 99)) == found


@pytest.mark.parametrize("line", [b"{", b"[1]", b"\xff\xfe", b"[" * 30_000, b"7"])
def test_a_line_that_is_no_record_is_shown_as_text(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "runner.log").write_bytes(line + b"\n\n")
    (found,) = newest(tmp_path, ALL, 9)
    assert found == {"message": line.decode("utf-8", "backslashreplace")}


class Pauses:
    """What happens while the reader waits, one event for each pause; after the last, the test is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Any] = []
        monkeypatch.setattr(log_reader, "pause_s", self)

    def __call__(self, seconds: float) -> None:
        assert seconds > 0
        if not self.events:
            raise KeyboardInterrupt
        self.events.pop(0)()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


def until_interrupted(folder: Path, pauses: Pauses, *events: Any) -> list[str]:
    pauses.events = list(events)
    found: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(one["message"] for one in follow(folder, ALL))
    return found


def test_following_begins_with_what_comes_and_waits_for_whole_lines(tmp_path: Path, pauses: Pauses) -> None:
    path = tmp_path / "runner.log"
    write(path, record(1))
    half = json.dumps(record(3))

    def append(text: str) -> None:
        with path.open("a", encoding="utf-8") as log:
            log.write(text)

    found = until_interrupted(
        tmp_path, pauses, lambda: write(path, record(2)), lambda: append(half[:9]), lambda: append(f"{half[9:]}\n")
    )
    assert found == ["2", "3"]


def test_following_goes_on_through_rotation_deletion_and_a_cut(tmp_path: Path, pauses: Pauses) -> None:
    path = tmp_path / "runner.log"
    write(path, record(1))

    def rotate() -> None:
        write(path, record(2))
        path.rename(tmp_path / "runner.log.1")
        write(path, record(3))

    def replace() -> None:
        path.unlink()
        write(path, record(4))

    later = [path.unlink, lambda: write(path, record(6)), lambda: path.write_text(""), lambda: write(path, record(5))]
    assert until_interrupted(tmp_path, pauses, rotate, replace, *later) == ["2", "3", "4", "6", "5"]


def test_following_a_station_that_never_ran_waits_for_it(tmp_path: Path, pauses: Pauses) -> None:
    folder = tmp_path / "logs"
    assert until_interrupted(folder, pauses, folder.mkdir, lambda: write(folder / "runner.log", record(1))) == ["1"]


def test_a_reader_that_is_left_closes_its_file(folder: Path, pauses: Pauses) -> None:
    pauses.events = [lambda: write(folder / "runner.log", record(8), record(9))]
    reading = follow(folder, ALL)
    assert numbers(list(islice(reading, 1))) == ["8"]
    del reading


def test_a_record_is_one_line_that_steers_no_terminal() -> None:
    line = line_of(
        record(0, worker="find#0.1", pid="A", mean=3.5, source="worker", at_ms=7) | {"message": "a\nb\x1b[2J"}
    )
    assert "\n" not in line and "\x1b" not in line
    assert line.endswith(r"info    find#0.1 A a\nb\x1b[2J mean=3.5")
    assert line_of({"message": "text"}) == "- -       text"
