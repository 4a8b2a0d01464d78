"""What a worker holds of sessions: versions, attempts, and what it forgets (spec.md §2)."""

from __future__ import annotations

import pytest

from procvision_sdk.adapter.session_memory import MAX_SESSIONS, SessionMemory
from procvision_sdk.errors import StationError
from procvision_sdk.wire.calls import SessionRef


def counted(memory: SessionMemory, ref: SessionRef) -> int:
    """Count up in the session and keep it; the version after that."""
    session, held = memory.open(ref)
    session.set("count", session.get("count", 0) + 1)
    return held.commit(session).version


def test_a_host_that_sends_neither_state_nor_version_gets_continuity() -> None:
    memory = SessionMemory()
    assert [counted(memory, SessionRef(id="s")) for _ in range(3)] == [1, 2, 3]
    assert memory.open(SessionRef(id="s"))[0].get("count") == 3
    assert memory.open(SessionRef(id="t"))[0].get("count") is None
    assert memory.close(SessionRef(id="s")).get("count") == 3
    assert memory.close(SessionRef(id="nobody")).get("count") is None
    assert memory.open(SessionRef(id="s"))[0].get("count") is None


def test_calls_without_an_id_share_nothing() -> None:
    memory = SessionMemory()
    assert [counted(memory, SessionRef()) for _ in range(2)] == [1, 1]
    assert memory._held == {}


VERSIONS = [
    (SessionRef(id="s", version=2), 3),
    (SessionRef(id="s", version=1), None),
    (SessionRef(id="s", version=3), None),
    (SessionRef(id="s", version=0), None),
    (SessionRef(id="s", version=7, state={"count": 70}), 71),
    (SessionRef(id="s", version=0, state={}), 1),
    (SessionRef(id="s", state={"count": 5}), 6),
    (SessionRef(id="new", version=0), 1),
    (SessionRef(id="new", version=1), None),
]


@pytest.mark.parametrize(("ref", "count"), VERSIONS)
def test_a_call_is_served_from_the_version_it_relies_on_or_asks_for_the_state(
    ref: SessionRef, count: int | None
) -> None:
    memory = SessionMemory()
    for _ in range(2):
        counted(memory, SessionRef(id="s"))
    if count is None:
        with pytest.raises(StationError, match="relies on version") as caught:
            memory.open(ref)
        assert caught.value.code == "3009" and caught.value.hint
        assert memory.open(SessionRef(id="s", version=2))[0].get("count") == 2
    else:
        counted(memory, ref)
        assert memory.open(SessionRef(id=ref.id))[0].get("count") == count


def test_the_state_sent_again_in_the_middle_of_an_attempt_does_not_lose_where_it_began() -> None:
    memory = SessionMemory()
    session, held = memory.open(SessionRef(id="s", version=4, state={"a": 1}))
    held.begin(1)
    session.set("a", 2)
    held.commit(session)
    session, held = memory.open(SessionRef(id="s", version=5, state={"a": 2}))
    session.set("a", 3)
    held.roll_back(session)
    assert memory.open(SessionRef(id="s", version=4))[0].get("a") == 1


def test_a_roll_back_without_an_attempt_drops_the_call_alone() -> None:
    memory = SessionMemory()
    session, held = memory.open(SessionRef(id="s"))
    session.set("a", 1)
    held.roll_back(session)
    assert (held.state, held.version, session.exists("a")) == ({}, 0, False)


def test_the_session_unused_longest_is_forgotten_first() -> None:
    memory = SessionMemory()
    for number in range(MAX_SESSIONS):
        counted(memory, SessionRef(id=str(number)))
    counted(memory, SessionRef(id="0"))
    counted(memory, SessionRef(id="one more"))
    assert len(memory._held) == MAX_SESSIONS
    assert memory.open(SessionRef(id="0"))[0].get("count") == 2
    with pytest.raises(StationError):
        memory.open(SessionRef(id="1", version=1))
