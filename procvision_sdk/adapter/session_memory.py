"""What this worker holds of each session, so that a call carries only what it does not have yet (spec.md §2).

One step attempt at a time per session: it begins with the state before it, and an ERROR goes back to that state,
whatever pre_execute had set. Bounded, least recently used first: a forgotten session is sent again in full.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.json_value import JsonValue
from procvision_sdk.session import Session
from procvision_sdk.wire.messages import SessionDelta, SessionRef

# A worker sees few sessions at a time (one per part on the line); 100 KB each bounds this to 26 MB.
MAX_SESSIONS = 256


@dataclass(slots=True)
class Held:
    """One session here: its state, and the attempt that pre_execute began and execute has not ended."""

    state: Mapping[str, JsonValue] = field(default_factory=dict)
    version: int = 0
    attempted_steps: set[int] = field(default_factory=set)
    open_step: int | None = None
    before: tuple[Mapping[str, JsonValue], int] | None = None


class SessionMemory:
    """Sessions by id; all state it hands out is copied by Session itself."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Held] = OrderedDict()

    def open(self, ref: SessionRef) -> tuple[Session, Held]:
        """The session a call names; StationError 3009 when the call relies on a state this worker does not hold."""
        held = self._held.get(ref.id)
        if ref.state is not None:
            if held is None or held.open_step is None or held.version != ref.version:
                held = self._keep(ref.id, held, ref.state, ref.version or 0)
        elif ref.version is not None and (held is None or held.version != ref.version):
            if ref.version != 0 or held is not None:
                version = "none" if held is None else str(held.version)
                message = f"session {ref.id}: the call relies on version {ref.version}, this worker holds {version}"
                raise StationError(message, hint="send the state in full", code=ErrorCode.STATE_UNKNOWN)
            held = self._keep(ref.id, None, {}, 0)
        elif held is None:
            held = self._keep(ref.id, None, {}, 0)
        if not ref.id:  # nobody's session: nothing of it may meet another call's
            del self._held[ref.id]
        else:
            self._held.move_to_end(ref.id)
        return Session(ref.id, ref.context, held.state, held.version), held

    def _keep(self, session_id: str, old: Held | None, state: Mapping[str, JsonValue], version: int) -> Held:
        attempted = old.attempted_steps if old is not None else set()
        held = self._held[session_id] = Held(state, version, attempted)
        while len(self._held) > MAX_SESSIONS:
            self._held.popitem(last=False)
        return held


def begin_attempt(held: Held, step_index: int) -> None:
    """From here on an ERROR goes back to the state as it is now."""
    held.open_step = step_index
    held.before = (held.state, held.version)
    held.attempted_steps.add(step_index)


def commit(session: Session, held: Held) -> SessionDelta:
    """Keep what the call changed; one version later, as the runner will count it too."""
    changes = session.changes()
    session.rebase()
    held.state, held.version = session.state() if changes.set or changes.deleted else held.state, session.version
    return SessionDelta(version=held.version, set=changes.set, deleted=list(changes.deleted))


def end_attempt(held: Held) -> None:
    held.open_step = held.before = None


def roll_back(session: Session, held: Held) -> None:
    """The attempt failed: the session is what it was before its first hook."""
    session.discard()
    if held.before is not None:
        held.state, held.version = held.before
    end_attempt(held)
