"""Session: JSON only, copied, bounded, and exact about its changes (spec.md §2)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procvision_sdk.json_value import JsonValue
from procvision_sdk.session import MAX_STATE_BYTES, Session, SessionChanges


def make(state: dict[str, JsonValue] | None = None) -> Session:
    return Session("sid-1", {"product_code": "A01"}, state, version=3)


def test_what_was_set_is_there_until_it_is_deleted() -> None:
    session = make()
    session.set("mean", 12.5)
    assert (session.get("mean"), session.exists("mean")) == (12.5, True)
    assert session.delete("mean") is True
    assert (session.get("mean", "none"), session.exists("mean"), session.delete("mean")) == ("none", False, False)


def test_a_stored_none_is_a_value() -> None:
    session = make()
    session.set("found", None)
    assert session.exists("found")
    assert session.get("found", "default") is None


def test_a_value_is_copied_on_its_way_in_and_out() -> None:
    session = make({"old": [1]})
    mine = {"points": [1, 2]}
    session.set("new", mine)
    mine["points"].append(3)
    session.get("new")["points"].append(4)
    session.get("old").append(2)
    session.changes().set["new"] = "spoilt"
    state = session.state()
    state["old"] = "spoilt"
    assert session.state() == {"old": [1], "new": {"points": [1, 2]}}


def test_context_is_a_copy_each_time() -> None:
    given_context: dict[str, Any] = {"product_code": "A01", "tags": ["a"]}
    session = Session("sid-1", given_context)
    given_context["tags"].append("b")
    session.context["tags"].append("c")
    assert session.context == {"product_code": "A01", "tags": ["a"]}


def test_identity_cannot_be_changed() -> None:
    session = make()
    assert (session.id, session.version) == ("sid-1", 3)
    for name in ("id", "version", "context"):
        with pytest.raises(AttributeError):
            setattr(session, name, "other")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("k", math.nan, r"session\['k'\]: expected a finite number, got nan"),
        ("k", [1, {"a": math.inf}], r"session\['k'\]\[1\]\.a: expected a finite number"),
        ("k", np.zeros(3), r"session\['k'\]: expected plain JSON, got ndarray"),
        ("k", np.float64(1.0), r"expected plain JSON, got float64"),
        ("k", {1}, r"expected plain JSON, got set"),
        ("k", b"x", r"expected plain JSON, got bytes"),
        ("k", object(), r"expected plain JSON, got object"),
        ("k", {1: 2}, r"expected text as key, got int"),
        (7, 1, r"session key: expected str, got int"),
        (None, 1, r"session key: expected str, got NoneType"),
        ("\ud800", 1, r"session key: expected text, got a lone surrogate"),
    ],
)
def test_what_is_not_json_is_a_type_error_and_changes_nothing(key: Any, value: object, message: str) -> None:
    session = make({"k": "before"})
    with pytest.raises(TypeError, match=message):
        session.set(key, value)
    assert session.state() == {"k": "before"}
    assert session.changes() == SessionChanges({}, ())


def filler(session: Session) -> str:
    """A text that fills the session to the last byte under the key "big"."""
    used = len(json.dumps(session.state(), separators=(",", ":"), ensure_ascii=False).encode())
    entry = '"big":""' if not session.state() else ',"big":""'
    return "x" * (MAX_STATE_BYTES - used - len(entry))


@pytest.mark.parametrize("state", [{}, {"a": 1}, {"a": [1.5, "坏"], "b": {"c": None}}])
def test_the_bound_is_the_size_of_the_whole_state_as_json(state: dict[str, JsonValue]) -> None:
    session = make(dict(state))
    text = filler(session)
    session.set("big", text)
    with pytest.raises(
        ValueError, match=r"session\['big'\]: \d+ bytes would make the state 102401 bytes; at most 102400"
    ):
        session.set("big", text + "x")
    assert session.get("big") == text
    session.set("big", text)


@pytest.mark.parametrize("make_room", ["delete", "replace", "discard"])
def test_room_that_was_freed_can_be_used_again(make_room: str) -> None:
    session = make()
    text = filler(session)
    session.set("big", text)
    if make_room == "delete":
        session.delete("big")
    elif make_room == "replace":
        session.set("big", 0)
    else:
        session.discard()
    session.set("big", text)
    assert session.get("big") == text


def test_room_taken_by_a_dropped_attempt_is_free_for_other_keys() -> None:
    session = make()
    text = filler(session)
    session.set("big", text)
    session.discard()
    session.set("alt", text)
    assert session.state() == {"alt": text}


def test_a_full_session_is_still_full_after_its_changes_were_accepted() -> None:
    session = make()
    session.set("big", filler(session))
    session.rebase()
    with pytest.raises(ValueError, match="at most 102400"):
        session.set("more", 1)


def test_changes_say_what_the_attempt_did_and_nothing_else() -> None:
    session = make({"kept": 0, "changed": 1, "gone": 2, "back": 3})
    session.set("changed", 10)
    session.set("new", [1])
    session.delete("gone")
    session.delete("back")
    session.set("back", 30)
    session.set("fleeting", 1)
    session.delete("fleeting")
    assert session.changes() == SessionChanges(set={"changed": 10, "new": [1], "back": 30}, deleted=("gone",))


def test_discard_brings_back_the_state_before_the_attempt() -> None:
    session = make({"a": 1, "b": 2})
    session.set("a", 10)
    session.delete("b")
    session.set("c", 3)
    session.discard()
    assert session.state() == {"a": 1, "b": 2}
    assert session.changes() == SessionChanges({}, ())
    assert session.version == 3


def test_rebase_accepts_the_changes_one_version_later() -> None:
    session = make({"a": 1, "b": 2})
    session.set("a", 10)
    session.delete("b")
    session.rebase()
    session.discard()
    assert (session.state(), session.version) == ({"a": 10}, 4)
    assert session.changes() == SessionChanges({}, ())


def test_the_state_it_began_with_is_never_written_to() -> None:
    state: dict[str, JsonValue] = {"a": [1]}
    session = make(state)
    session.set("b", 1)
    session.delete("a")
    session.rebase()
    assert state == {"a": [1]}


def test_an_unused_session_copies_no_state() -> None:
    class Watched(dict[str, JsonValue]):
        def __iter__(self) -> Any:
            raise AssertionError("the state was read")

        items = keys = values = __iter__

    session = Session("sid-1", {}, Watched(a=1))
    assert session.get("a") == 1
    assert session.exists("b") is False
    assert session.changes() == SessionChanges({}, ())
    session.discard()


keys = st.sampled_from("abcd")
values = st.integers().filter(lambda n: abs(n) < 2**63) | st.lists(st.text("xy"), max_size=3)
actions = st.lists(
    st.tuples(st.just("set"), keys, values)
    | st.tuples(st.sampled_from(["delete", "discard", "rebase"]), keys, st.none()),
    max_size=25,
)


@given(st.dictionaries(keys, values), actions)
def test_replaying_the_changes_on_the_state_of_record_gives_the_session(
    start: dict[str, JsonValue], what: list[tuple[str, str, JsonValue]]
) -> None:
    session = Session("sid-1", {}, dict(start))
    record, model = dict(start), dict(start)
    for action, key, value in what:
        if action == "set":
            session.set(key, value)
            model[key] = value
        elif action == "delete":
            assert session.delete(key) is (model.pop(key, None) is not None)
        elif action == "discard":
            session.discard()
            model = dict(record)
        else:
            changes = session.changes()
            session.rebase()
            record = {k: v for k, v in (record | changes.set).items() if k not in changes.deleted}
            assert record == model
        assert session.state() == model
        assert {key for key in "abcd" if session.exists(key)} == set(model)
    changes = session.changes()
    assert {k: v for k, v in (record | changes.set).items() if k not in changes.deleted} == model
    assert not set(changes.set) & set(changes.deleted)
