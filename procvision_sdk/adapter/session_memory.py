"""What this worker holds of each session, so that a call carries only what it does not have yet (spec.md §2).

One step attempt at a time per session: it begins with the state before it, and an ERROR goes back to that state,
whatever pre_execute had set. Bounded, least recently used first: a forgotten session is sent again in full.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.json_value import JsonValue
from procvision_sdk.session import Session
from procvision_sdk.wire.calls import SessionDelta, SessionRef

# A worker sees few sessions at a time (one per part on the line); 100 KB each bounds this to 26 MB.
MAX_SESSIONS = 256


class Attempt(msgspec.Struct):
    """One attempt at one step, from its on_step_start to its on_step_finish.

    `host_driven`: the host sends on_step_start and on_step_finish itself. `result`: what the attempt came to.
    `substituted`: zeros stood in for its image at least once.
    """

    step_index: int
    before: tuple[Mapping[str, JsonValue], int]
    host_driven: bool = False
    substituted: bool = False
    result: dict[str, Any] | None = None


class Held(msgspec.Struct):
    """One session here: its state, the steps it has seen, and the attempt that is not over."""

    state: Mapping[str, JsonValue] = {}
    version: int = 0
    attempted_steps: set[int] = set()
    attempt: Attempt | None = None

    def begin(self, step_index: int) -> Attempt:
        """From here on an ERROR goes back to the state as it is now."""
        self.attempted_steps.add(step_index)
        self.attempt = Attempt(step_index, (self.state, self.version))
        return self.attempt

    def commit(self, session: Session) -> SessionDelta:
        """Keep what the call changed; one version later, as the runner counts it too."""
        if not session.has_changes:
            session.rebase()
            self.version = session.version
            return SessionDelta(version=self.version)
        changes = session.changes()
        session.rebase()
        self.state, self.version = session.state(), session.version
        return SessionDelta(version=self.version, set=changes.set, deleted=list(changes.deleted))

    def roll_back(self, session: Session) -> None:
        """The attempt failed: the session is what it was before its first hook."""
        session.discard()
        if self.attempt is not None:
            self.state, self.version = self.attempt.before


class SessionMemory:
    """Sessions by id; all state it hands out is copied by Session itself."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Held] = OrderedDict()

    def open(self, ref: SessionRef) -> tuple[Session, Held]:
        """The session a call names; StationError 3009 when the call relies on a state this worker does not hold."""
        held = self._find(ref)
        if ref.id:  # without an id it is nobody's session: nothing of it may meet another call's
            self._held[ref.id] = held
            self._held.move_to_end(ref.id)
            while len(self._held) > MAX_SESSIONS:
                self._held.popitem(last=False)
        return Session(ref.id, ref.context, held.state, held.version), held

    def close(self, ref: SessionRef) -> Session:
        """The session as this worker held it last; from here on it is forgotten."""
        held = self._held.pop(ref.id, None) or Held()
        return Session(ref.id, ref.context, held.state, held.version)

    def _find(self, ref: SessionRef) -> Held:
        held = self._held.get(ref.id)
        if ref.state is not None:
            version = ref.version or 0
            if held is not None and held.attempt is not None and held.version == version:
                return held  # the same state again, in the middle of an attempt that must be able to go back
            attempted = set() if held is None else held.attempted_steps
            return Held(ref.state, version, attempted)
        if held is None and not ref.version:
            return Held()
        if ref.version is not None and (held is None or held.version != ref.version):
            holds = "nothing of it" if held is None else f"version {held.version}"
            message = f"session {ref.id:.80}: the call relies on version {ref.version}, this worker holds {holds}"
            raise StationError(message, hint="send the state in full", code=ErrorCode.STATE_UNKNOWN)
        return held or Held()
