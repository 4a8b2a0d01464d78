"""Answers that were given, found again by request_id, with the clock moved by hand (spec.md §4)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from procvision_sdk.errors import ErrorCode, IdReuseError
from procvision_sdk.wire.host_messages import Inspect
from runner.results import answers
from runner.results.answers import AnswerBook

KEY = ("host", "r1")


class Clock:
    """The clock of the book; only a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    by_hand = Clock()
    monkeypatch.setattr(answers, "monotonic_s", by_hand)
    return by_hand


def request(**changes: Any) -> Inspect:
    fields: dict[str, Any] = {
        "request_id": "r1",
        "pid": "p",
        "shared_mem_id": "pv1.pv-s.0.1",
        "image_meta": {"width": 8, "height": 4},
        "user_params": {"threshold": 1},
    }
    return Inspect(**{**fields, **changes})


def keep(book: AnswerBook, key: tuple[str, str], answer: bytes) -> None:
    assert book.begin(key, request()) is None
    book.finish(key, answer)


def test_a_request_that_is_sent_again_gets_the_stored_answer(clock: Clock) -> None:
    book = AnswerBook(10.0)
    keep(book, KEY, b"answer")
    clock.now_s += 10.0
    assert book.begin(KEY, request()) == b"answer"
    assert book.begin(KEY, request(timestamp_ms=7)) == b"answer"
    assert book.begin(KEY, request(image_meta={"height": 4, "width": 8})) == b"answer"
    assert book.find(KEY) == b"answer"


def test_an_answer_is_forgotten_after_its_time_and_its_id_is_free(clock: Clock) -> None:
    book = AnswerBook(10.0)
    keep(book, KEY, b"answer")
    clock.now_s += 10.001
    assert book.find(KEY) is None
    assert book.begin(KEY, request(pid="another")) is None


def test_the_time_of_an_answer_counts_from_the_answer_and_not_from_the_request(clock: Clock) -> None:
    book = AnswerBook(10.0)
    assert book.begin(KEY, request()) is None
    clock.now_s += 100.0
    book.finish(KEY, b"late")
    clock.now_s += 9.0
    assert book.find(KEY) == b"late"


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": "q"},
        {"shared_mem_id": "pv1.pv-s.0.2"},
        {"image_meta": {"width": 8, "height": 5}},
        {"user_params": {"threshold": True}},
        {"user_params": {}},
        {"deadline_ms": 100.0},
        {"keep": True},
        {"trace_id": "t"},
    ],
    ids=str,
)
@pytest.mark.parametrize("finished", [True, False], ids=["answered", "running"])
@pytest.mark.usefixtures("clock")
def test_an_id_used_for_another_request_is_refused(finished: bool, changes: dict[str, Any]) -> None:
    book = AnswerBook(10.0)
    book.begin(KEY, request())
    if finished:
        book.finish(KEY, b"answer")
    with pytest.raises(IdReuseError, match="request_id 'r1' was used for another request") as refused:
        book.begin(KEY, request(**changes))
    assert refused.value.code == ErrorCode.ID_REUSE
    assert book.find(KEY) == (b"answer" if finished else None)


@pytest.mark.usefixtures("clock")
def test_another_client_may_use_the_same_id() -> None:
    book = AnswerBook(10.0)
    keep(book, ("a", "r1"), b"to a")
    assert book.begin(("b", "r1"), request(pid="q")) is None
    assert book.find(("b", "r1")) is None
    assert book.find(("a", "r1")) == b"to a"


@pytest.mark.usefixtures("clock")
def test_whoever_asks_again_meanwhile_gets_the_one_answer() -> None:
    async def run() -> None:
        book = AnswerBook(10.0)
        assert book.begin(KEY, request()) is None
        again, cancelled = book.begin(KEY, request()), book.begin(KEY, request())
        assert isinstance(again, asyncio.Future) and isinstance(cancelled, asyncio.Future)
        cancelled.cancel()
        book.finish(KEY, b"answer")
        assert await again == b"answer"

    asyncio.run(run())


@pytest.mark.usefixtures("clock")
def test_a_refused_request_is_told_to_all_who_asked_and_its_id_stays_free() -> None:
    async def run() -> None:
        book = AnswerBook(10.0)
        book.begin(KEY, request())
        again, cancelled = book.begin(KEY, request()), book.begin(KEY, request())
        assert isinstance(again, asyncio.Future) and isinstance(cancelled, asyncio.Future)
        cancelled.cancel()
        book.refuse(KEY, b"refused")
        assert await again == b"refused"
        assert book.find(KEY) is None
        assert book.begin(KEY, request(pid="q")) is None

    asyncio.run(run())


def test_the_oldest_answers_go_when_there_are_too_many(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWERS", 3)
    book = AnswerBook(10.0)
    for number in range(3):
        clock.now_s += 0.1
        keep(book, ("host", f"r{number}"), b"x")
    assert [book.find(("host", f"r{number}")) for number in range(3)] == [b"x"] * 3
    keep(book, ("host", "r3"), b"x")
    assert [book.find(("host", f"r{number}")) for number in range(4)] == [None, b"x", b"x", b"x"]


@pytest.mark.usefixtures("clock")
def test_the_oldest_answers_go_when_they_are_too_large_and_the_sum_is_right_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "MAX_BYTES", 100)
    book = AnswerBook(10.0)
    keep(book, ("host", "a"), b"x" * 60)
    keep(book, ("host", "b"), b"x" * 40)
    assert book.find(("host", "a")) is not None
    keep(book, ("host", "c"), b"x" * 60)
    assert [book.find(("host", name)) is not None for name in "abc"] == [False, True, True]
    book.begin(("host", "d"), request())
    book.refuse(("host", "d"), b"x" * 1000)
    keep(book, ("host", "e"), b"")
    assert [book.find(("host", name)) is not None for name in "bce"] == [True, True, True]


@pytest.mark.usefixtures("clock")
def test_what_is_being_inspected_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWERS", 1)
    book = AnswerBook(10.0)
    book.begin(KEY, request())
    for number in range(3):
        keep(book, ("host", f"other-{number}"), b"x")
    with pytest.raises(IdReuseError):
        book.begin(KEY, request(pid="q"))
    book.finish(KEY, b"answer")
    assert book.find(KEY) == b"answer"


@pytest.mark.usefixtures("clock")
def test_a_large_request_is_not_kept_with_its_answer() -> None:
    book = AnswerBook(10.0)
    large = request(context={"text": "x" * 100_000})
    book.begin(KEY, large)
    book.finish(KEY, b"answer")
    kept = weakref.ref(large)
    del large
    gc.collect()
    assert kept() is None
    assert book.begin(KEY, request(context={"text": "x" * 100_000})) == b"answer"
