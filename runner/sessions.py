"""Session state, with one writer: this book (spec.md §2).

A call carries what its worker does not have yet, a result carries the changes, and only a good attempt's changes are
applied. So a crash loses no session, and any worker can take the next step.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import count
from secrets import token_hex
from typing import Any

import msgspec

from procvision_sdk.errors import ErrorCode, InvalidParamsError, StationError
from procvision_sdk.session import MAX_STATE_BYTES
from procvision_sdk.wire import body
from procvision_sdk.wire.calls import SessionDelta, SessionRef
from runner.clock import monotonic_s
from runner.turns import Turns

# Open sessions cost up to 100 KB each; a host that never ends any meets this before the station's memory ends.
MAX_SESSIONS = 1000
# No version: the worker saw the session, and holds nothing of it that counts.
NOTHING_HELD = -1


class OpenSession(msgspec.Struct):
    """One part's run, on the deployment that it began with. `seen` is the version each worker holds, `turns` keeps its
    requests one after the other.
    """

    id: str
    pid: str
    deployment: str
    context: Mapping[str, Any]
    one_shot: bool
    state: dict[str, Any] = {}
    version: int = 0
    seen: dict[Hashable, int] = {}
    touched_at_s: float = msgspec.field(default_factory=monotonic_s)
    turns: Turns = msgspec.field(default_factory=Turns)
    before_attempt: tuple[dict[str, Any], int] | None = None
    attempt_by: Hashable | None = None

    def reference(self, worker: Hashable) -> SessionRef:
        """What a call to `worker` carries: the state only when the worker does not hold this version."""
        self.touched_at_s = monotonic_s()
        context = dict(self.context)
        if self.seen.get(worker) == self.version:
            return SessionRef(id=self.id, context=context, version=self.version)
        return SessionRef(id=self.id, context=context, version=self.version, state=self.state)

    def begin_attempt(self, worker: Hashable) -> None:
        """From here on `drop_attempt` comes back to the state as it is now; the attempt stays on `worker`."""
        self.before_attempt = (self.state, self.version)
        self.attempt_by = worker
        self.seen.setdefault(worker, NOTHING_HELD)

    def end_attempt(self) -> None:
        """The attempt was good: there is nothing to come back to."""
        self.before_attempt = None

    def apply(self, worker: Hashable, delta: SessionDelta | msgspec.UnsetType) -> None:
        """Take a good call's changes; `worker` holds the new version."""
        if not delta:
            return
        if delta.set or delta.deleted:
            state = {key: value for key, value in self.state.items() if key not in delta.deleted}
            state |= delta.set
            if len(body.encode(state)) > MAX_STATE_BYTES:
                raise InvalidParamsError(f"session {self.id}: its state would exceed {MAX_STATE_BYTES} bytes")
            self.state = state
        self.version = delta.version
        self.seen[worker] = delta.version

    def drop_attempt(self) -> None:
        """An ERROR: the state is what it was before the attempt; every worker is told in full at its next call."""
        if self.before_attempt is not None:
            self.state, self.version = self.before_attempt
            self.before_attempt = None
        self.seen = dict.fromkeys(self.seen, NOTHING_HELD)


class SessionBook:
    """All open sessions of a station."""

    def __init__(self, idle_s: float) -> None:
        self.idle_s = idle_s
        self._open: dict[str, OpenSession] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, pid: str, deployment: str, session_id: str | None, context: Mapping[str, Any]) -> OpenSession:
        """A new session on the deployment of that label.

        InvalidParamsError (1006): the id is taken; StationError (3001): there are too many.
        """
        session_id = session_id or token_hex(8)
        if session_id in self._open:
            raise InvalidParamsError(f"session_id {session_id!r} is open already", hint="end it, or take another id")
        if len(self._open) >= MAX_SESSIONS:
            raise StationError(f"{MAX_SESSIONS} sessions are open", hint="end sessions", code=ErrorCode.BUSY)
        session = self._open[session_id] = OpenSession(session_id, pid, deployment, context, one_shot=False)
        return session

    def find(self, session_id: str, pid: str) -> OpenSession:
        """An open session of this product; InvalidParamsError (1006) says what is wrong with the id."""
        session = self._open.get(session_id)
        if session is None:
            raise InvalidParamsError(
                f"session_id {session_id!r} is not open", hint=f"sessions end after {self.idle_s:g} s without a call"
            )
        if session.pid != pid:
            raise InvalidParamsError(f"session {session_id!r} belongs to product {session.pid}, not {pid}")
        return session

    def any_on(self, deployment: str) -> bool:
        """Whether a session that is open began on this deployment."""
        return any(one.deployment == deployment for one in self._open.values())

    def for_one_inspection(self, pid: str, deployment: str, context: Mapping[str, Any]) -> OpenSession:
        """A session that nobody else can name."""
        return OpenSession(f"once-{next(self._numbers)}", pid, deployment, context, one_shot=True)

    def end(self, session_id: str) -> OpenSession:
        """Close a session; the caller tells the workers in `seen`. InvalidParamsError when it is not open."""
        session = self._open.pop(session_id, None)
        if session is None:
            raise InvalidParamsError(f"session_id {session_id!r} is not open")
        return session

    def take_idle(self, now_s: float) -> list[OpenSession]:
        """Sessions nobody touched for the idle limit, closed by this."""
        idle = [one for one in self._open.values() if now_s - one.touched_at_s > self.idle_s and not one.turns.taken]
        for session in idle:
            del self._open[session.id]
        return idle

    def worker_gone(self, worker: Hashable) -> None:
        """A worker ended: it holds nothing any more."""
        for session in self._open.values():
            session.seen.pop(worker, None)
