"""What a host is told depends on what was kept: recorded truthfully, or not told at all (spec.md §4.32, §4.34)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from procvision_sdk.errors import IdReuseError, ProcVisionError
from runner.clock import wall_ms
from runner.config import StoreConfig
from runner.results.disk import Disk
from runner.results.keeping import Keeping
from runner.results.reading import DamagedRowError, Reader
from runner.results.report import InspectionResult
from runner.results.rows import Accepted, Kept, Key, Selection
from runner.results.store import ResultStore, StorePlan
from tests.doubles.result_rows import PAYLOAD

Durability = Literal["power", "process"]
BOTH: tuple[Durability, ...] = ("power", "process")
KEY = ("host", "r1")
# No measure of anything: only the difference between slow and never.
PATIENT_S = 20.0
RESULT = InspectionResult(
    request_id="r1",
    timestamp_ms=1,
    status="OK",
    pid="p",
    session_id="s",
    data={"result_status": "NG", "ng_reason": "x"},
)


def kept_in(
    folder: Path,
    durability: Durability,
    test: Callable[[ResultStore], Coroutine[Any, Any, None]],
    ttl_s: float = 3600.0,
    locked_s: float = PATIENT_S,
) -> None:
    """Runs a test on an open store, which is closed at the end."""

    async def run() -> None:
        store = ResultStore(StorePlan(folder, StoreConfig(locked_s=locked_s, ballast_mb=0), ttl_s), durability)
        await store.open()
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(run())


def row() -> Accepted:
    return Accepted(KEY, "p", PAYLOAD, "pv1.pv-s.0.1", 1000)


def answer_in(encoded: bytes | None) -> dict[str, Any]:
    assert encoded is not None
    found: dict[str, Any] = json.loads(encoded)
    return found


@pytest.mark.parametrize("durability", BOTH)
def test_an_answer_says_how_it_is_recorded_and_is_found_again_in_the_next_life(
    tmp_path: Path, durability: Durability
) -> None:
    told: list[bytes] = []

    async def inspect(store: ResultStore) -> None:
        keeping = Keeping(store, row(), None)
        keeping.accepted()
        result = await keeping.settle(RESULT)
        assert result.recorded == durability and result.data == RESULT.data
        told.append(keeping.encoded)
        assert store.find(KEY, PAYLOAD) == keeping.encoded

    async def look(store: ResultStore) -> None:
        assert store.find(KEY, PAYLOAD) == store.answer_to(KEY) == told[0]
        assert store.find(("other", "r1"), PAYLOAD) is None
        with pytest.raises(IdReuseError):
            store.find(KEY, b"another payload")
        (listed,) = await store.listing(Selection())
        assert (listed.status, listed.verdict, listed.error_code) == ("OK", "NG", "")

    kept_in(tmp_path, durability, inspect)
    kept_in(tmp_path, durability, look)
    assert answer_in(told[0])["recorded"] == durability


@pytest.mark.parametrize("durability", BOTH)
def test_an_inspection_that_a_life_left_open_is_answered_runner_restart_in_the_next(
    tmp_path: Path, durability: Durability
) -> None:
    async def begin(store: ResultStore) -> None:
        Keeping(store, row(), None).accepted()

    async def look(store: ResultStore) -> None:
        answer = answer_in(store.find(KEY, PAYLOAD))
        assert (answer["status"], answer["error_code"], answer["error_name"]) == ("ERROR", "3004", "runner_restart")
        assert (answer["request_id"], answer["pid"], answer["recorded"]) == ("r1", "p", durability)
        assert store.status()["restarted"] == 1

    kept_in(tmp_path, durability, begin)
    kept_in(tmp_path, durability, look)


def test_an_id_is_free_again_after_its_time_and_its_old_row_stays_listed(tmp_path: Path) -> None:
    async def twice(store: ResultStore) -> None:
        for _ in range(2):
            assert store.find(KEY, b"any payload") is None and store.answer_to(KEY) is None
            keeping = Keeping(store, row(), None)
            await keeping.settle(RESULT)
            await asyncio.to_thread(_wait_for_another_millisecond)
        assert len(await store.listing(Selection())) == 2

    kept_in(tmp_path, "process", twice, ttl_s=0.0)


@pytest.mark.parametrize(
    ("durability", "recorded", "code", "data"),
    [("power", "none", "3008", {}), ("process", "none", "", RESULT.data)],
)
def test_what_cannot_be_recorded_in_time_is_said_so_and_with_power_is_no_verdict(
    tmp_path: Path, durability: Durability, recorded: str, code: str, data: dict[str, Any]
) -> None:
    told: list[bytes] = []

    async def locked(store: ResultStore) -> None:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        keeping = Keeping(store, row(), None)
        result = await keeping.settle(RESULT)
        other.execute("ROLLBACK")
        other.close()
        assert (result.recorded, result.error_code, result.data) == (recorded, code, data)
        assert result.session_id == "s"
        told.append(keeping.encoded)

    async def look(store: ResultStore) -> None:
        assert store.find(KEY, PAYLOAD) in (told[0], None)

    kept_in(tmp_path, durability, locked, locked_s=0.2)
    assert answer_in(told[0]).get("error_code", "") == code
    kept_in(tmp_path, durability, look)


def test_an_error_that_cannot_be_recorded_keeps_its_code_and_says_that_it_is_not(tmp_path: Path) -> None:
    hang = msgspec.structs.replace(RESULT, status="ERROR", error_code="1005", message="it hung", data={})

    async def late(store: ResultStore) -> None:
        told = await Keeping(store, row(), until_s=0.0).settle(hang)
        assert (told.error_code, told.message, told.recorded) == ("1005", "it hung", "none")

    kept_in(tmp_path, "power", late)


def test_a_deadline_ends_the_wait_for_the_store(tmp_path: Path) -> None:
    async def late(store: ResultStore) -> None:
        keeping = Keeping(store, row(), until_s=0.0)
        assert (await keeping.settle(RESULT)).error_code == "3008"

    async def look(store: ResultStore) -> None:
        assert answer_in(store.find(KEY, PAYLOAD))["error_code"] == "3008"

    kept_in(tmp_path, "power", late)
    kept_in(tmp_path, "power", look)


def test_a_result_too_long_for_a_message_is_recorded_as_what_the_host_gets(tmp_path: Path) -> None:
    async def long(store: ResultStore) -> None:
        keeping = Keeping(store, row(), None)
        result = await keeping.settle(msgspec.structs.replace(RESULT, data={"text": "x" * 2_200_000}))
        assert result.error_code == "1011" and len(keeping.encoded) < 2000
        (listed,) = await store.listing(Selection())
        assert (listed.status, listed.verdict, listed.error_code) == ("ERROR", "", "1011")

    kept_in(tmp_path, "power", long)


@pytest.mark.parametrize(
    ("durability", "change", "code"),
    [
        ("power", {"disk": Disk(10, "full")}, "3007"),
        ("process", {"disk": Disk(10, "full")}, "3007"),
        ("power", {"state": "failing", "reason": "locked"}, "3008"),
        ("process", {"state": "failing", "reason": "locked"}, None),
        ("power", {"disk": Disk(10, "scarce")}, None),
    ],
)
def test_new_inspections_are_refused_when_what_they_come_to_could_not_be_kept(
    tmp_path: Path, durability: Durability, change: dict[str, Any], code: str | None
) -> None:
    async def refuse(store: ResultStore) -> None:
        store._writer.condition = replace(store._writer.condition, **change)
        try:
            store.refuse_what_cannot_be_kept()
        except ProcVisionError as error:
            assert error.code == code
            assert sum(store.status()["refused"].values()) == 1
        else:
            assert code is None

    kept_in(tmp_path, durability, refuse)


def test_damage_met_while_looking_up_is_no_answer_and_begins_a_new_store(tmp_path: Path) -> None:
    async def damaged(store: ResultStore) -> None:
        await Keeping(store, row(), None).settle(RESULT)
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("UPDATE results SET answer = CAST('{}' AS BLOB)")
        other.close()
        with pytest.raises(ProcVisionError, match="cannot be read") as refused:
            store.find(KEY, PAYLOAD)
        assert refused.value.code == "3008"
        again = Keeping(store, row(), None)
        await again.settle(RESULT)
        assert store.status()["set_aside"]
        assert store.find(KEY, PAYLOAD) == again.encoded

    kept_in(tmp_path, "power", damaged)


@pytest.mark.fault("B13")
def test_a_look_that_failed_once_is_made_again_and_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, failures = Reader.find, [DamagedRowError("a page could not be read")]

    def fail_once(reader: Reader, key: Key) -> Kept | None:
        if failures:
            raise failures.pop()
        return find(reader, key)

    async def look(store: ResultStore) -> None:
        keeping = Keeping(store, row(), None)
        await keeping.settle(RESULT)
        monkeypatch.setattr(Reader, "find", fail_once)
        assert store.find(KEY, PAYLOAD) == keeping.encoded and not failures
        assert store.status()["set_aside"] == ()

    kept_in(tmp_path, "power", look)


@pytest.mark.fault("B10")
@pytest.mark.parametrize("jump_s", [86_400.0 * 365, -86_400.0 * 365])
def test_a_clock_that_jumps_in_a_life_frees_no_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    async def jump(store: ResultStore) -> None:
        keeping = Keeping(store, row(), None)
        await keeping.settle(RESULT)
        true_time = time.time
        monkeypatch.setattr(time, "time", lambda: true_time() + jump_s)
        assert store.find(KEY, PAYLOAD) == keeping.encoded

    kept_in(tmp_path, "power", jump)


def test_damage_that_only_the_checkup_sees_is_set_aside_too(tmp_path: Path) -> None:
    async def fill(store: ResultStore) -> None:
        for number in range(300):
            one = Accepted(("host", f"r{number}"), "p", PAYLOAD, "id", 1)
            await Keeping(store, one, None).settle(RESULT)

    async def look(store: ResultStore) -> None:
        await asyncio.to_thread(_wait_until, lambda: store._writer.condition.files)

    kept_in(tmp_path, "process", fill)
    content = bytearray((tmp_path / "results.sqlite").read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 100] = b"\xff" * 100
    (tmp_path / "results.sqlite").write_bytes(content)
    kept_in(tmp_path, "process", look)


def _wait_until(condition: Callable[[], object]) -> None:
    while not condition():
        threading.Event().wait(0.005)


def _wait_for_another_millisecond() -> None:
    begun = wall_ms()
    _wait_until(lambda: wall_ms() > begun + 5)
