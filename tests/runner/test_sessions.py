"""Session state with one writer: versions, attempts, ends; no worker is asked (spec.md §2)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from procvision_sdk.errors import ErrorCode, InvalidParamsError, StationError
from procvision_sdk.session import MAX_STATE_BYTES
from procvision_sdk.wire.calls import SessionDelta
from runner import sessions
from runner.sessions import MAX_SESSIONS, OpenSession, SessionBook


def session_with(state: dict[str, Any], version: int = 3) -> OpenSession:
    return OpenSession("s", "p", "d", {"operator": "anna"}, one_shot=False, state=state, version=version)


def delta(version: int, *deleted: str, **changed: Any) -> SessionDelta:
    return SessionDelta(version=version, set=changed, deleted=list(deleted))


def test_a_worker_is_sent_the_state_once_and_then_only_the_version() -> None:
    session = session_with({"a": 1})
    first = session.reference("w")
    assert (first.id, first.context, first.version, first.state) == ("s", {"operator": "anna"}, 3, {"a": 1})
    session.apply("w", delta(4, b=2))
    assert (session.state, session.version) == ({"a": 1, "b": 2}, 4)
    assert (session.reference("w").version, session.reference("w").state) == (4, None)
    assert session.reference("other").state == {"a": 1, "b": 2}


def test_a_call_without_changes_moves_the_version_and_no_answer_moves_nothing() -> None:
    session = session_with({"a": 1})
    session.apply("w", delta(4))
    assert (session.state, session.version, session.seen) == ({"a": 1}, 4, {"w": 4})
    session.apply("w", msgspec.UNSET)
    assert (session.version, session.seen) == (4, {"w": 4})


def test_deleted_keys_go_and_a_key_deleted_and_set_again_stays() -> None:
    session = session_with({"a": 1, "b": 2})
    session.apply("w", delta(4, "a", "b", "unknown", b=3))
    assert session.state == {"b": 3}


def test_an_attempt_that_failed_leaves_the_state_before_it_pre_executes_changes_dropped_too() -> None:
    session = session_with({"a": 1})
    session.begin_attempt("w")
    session.apply("w", delta(4, a=2))
    session.apply("w", delta(5, "a", b=1))
    session.drop_attempt()
    assert (session.state, session.version) == ({"a": 1}, 3)
    assert session.reference("w").state == {"a": 1}


def test_after_a_dropped_attempt_every_worker_that_saw_the_session_is_told_in_full() -> None:
    session = session_with({})
    session.apply("w1", delta(4))
    session.apply("w2", delta(5))
    session.begin_attempt("w2")
    session.drop_attempt()
    assert set(session.seen) == {"w1", "w2"}
    assert session.reference("w1").state == session.reference("w2").state == {}


def test_a_good_attempt_is_not_undone_by_the_failure_of_a_later_one() -> None:
    session = session_with({})
    session.begin_attempt("w")
    session.apply("w", delta(4, a=1))
    session.end_attempt()
    session.drop_attempt()
    assert (session.state, session.version) == ({"a": 1}, 4)
    session.begin_attempt("w")
    session.apply("w", delta(5, a=2))
    session.drop_attempt()
    assert (session.state, session.version) == ({"a": 1}, 4)


def test_the_state_of_a_session_is_bounded_over_all_its_calls() -> None:
    session = session_with({})
    half = "x" * (MAX_STATE_BYTES // 2)
    session.apply("w", delta(4, a=half))
    with pytest.raises(InvalidParamsError, match="session s: its state would exceed 102400 bytes"):
        session.apply("w", delta(5, b=half))
    assert (set(session.state), session.version) == ({"a"}, 4)


def test_a_session_is_found_by_its_id_and_product() -> None:
    book = SessionBook(600.0)
    opened = book.open("p", "d", "part-7", {"operator": "anna"})
    assert book.find("part-7", "p") is opened
    assert (opened.pid, opened.context, opened.one_shot, len(book)) == ("p", {"operator": "anna"}, False, 1)


def test_a_session_without_an_id_gets_one_of_its_own() -> None:
    book = SessionBook(600.0)
    ids = {book.open("p", "d", None, {}).id for _ in range(20)}
    assert len(ids) == len(book) == 20


@pytest.mark.parametrize(
    ("session_id", "pid", "told"),
    [("other", "p", "session_id 'other' is not open"), ("s", "q", "session 's' belongs to product p, not q")],
)
def test_a_session_that_is_not_this_products_is_refused(session_id: str, pid: str, told: str) -> None:
    book = SessionBook(600.0)
    book.open("p", "d", "s", {})
    with pytest.raises(InvalidParamsError, match=told) as refused:
        book.find(session_id, pid)
    assert refused.value.code == ErrorCode.INVALID_PARAMS


def test_an_id_that_is_open_is_not_opened_again_and_the_first_one_stays() -> None:
    book = SessionBook(600.0)
    first = book.open("p", "d", "s", {})
    with pytest.raises(InvalidParamsError, match="session_id 's' is open already"):
        book.open("q", "d", "s", {})
    assert book.find("s", "p") is first


def test_an_ended_session_is_unknown_and_its_id_free() -> None:
    book = SessionBook(600.0)
    opened = book.open("p", "d", "s", {})
    assert book.end("s") is opened
    with pytest.raises(InvalidParamsError, match="session_id 's' is not open"):
        book.end("s")
    with pytest.raises(InvalidParamsError, match="session_id 's' is not open"):
        book.find("s", "p")
    assert book.open("p", "d", "s", {}) is not opened


def test_too_many_sessions_are_busy_until_one_ends() -> None:
    book = SessionBook(600.0)
    for number in range(MAX_SESSIONS):
        book.open("p", "d", f"s{number}", {})
    with pytest.raises(StationError, match="1000 sessions are open") as refused:
        book.open("p", "d", None, {})
    assert refused.value.code == ErrorCode.BUSY
    book.end("s1")
    book.open("p", "d", None, {})


def test_a_session_for_one_inspection_can_be_named_by_nobody() -> None:
    book = SessionBook(600.0)
    once = book.for_one_inspection("p", "d", {"a": 1})
    assert (once.one_shot, once.context, len(book)) == (True, {"a": 1}, 0)
    with pytest.raises(InvalidParamsError, match="is not open"):
        book.find(once.id, "p")


def test_a_session_ends_when_nobody_called_for_longer_than_the_idle_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(sessions, "monotonic_s", lambda: now_s)
    book = SessionBook(600.0)
    # The default of the field is the clock as it was when the class was made.
    idle, called = book.open("p", "d", "idle", {}), book.open("p", "d", "called", {})
    idle.touched_at_s = called.touched_at_s = now_s
    now_s = 1500.0
    called.reference("w")
    assert book.take_idle(1600.0) == []
    assert book.take_idle(1600.1) == [idle]
    assert book.take_idle(1600.1) == []
    assert len(book) == 1
    assert book.take_idle(2100.1) == [called]


def test_a_session_in_the_middle_of_an_inspection_is_not_idle() -> None:
    async def run() -> None:
        book = SessionBook(1.0)
        busy = book.open("p", "d", "busy", {})
        await busy.turns.take(1.0)
        assert book.take_idle(busy.touched_at_s + 100) == []
        busy.turns.give_back()
        assert book.take_idle(busy.touched_at_s + 100) == [busy]

    asyncio.run(run())


def test_a_worker_that_ended_holds_no_session() -> None:
    book = SessionBook(600.0)
    first, second = book.open("p", "d", "s1", {}), book.open("p", "d", "s2", {})
    first.apply("w", delta(1))
    first.apply("v", delta(2))
    second.apply("w", delta(1))
    book.worker_gone("w")
    assert (first.seen, second.seen) == ({"v": 2}, {})
    assert first.reference("w").state == {}
