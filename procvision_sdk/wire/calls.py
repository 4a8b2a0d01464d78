"""What passes once for every inspection: the call, and the result that answers it (spec.md §4).

Structs of msgspec: written in 1 us and read in 1 us, where pydantic models took 13 and 14 (docs/performance.md).
A body that is, byte for byte, what this module would write is read by one quick decoder. Every other body is read by
the strict reader of wire/body.py and then checked against the same types, so both ways take and refuse the same things.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

import msgspec

from procvision_sdk.wire import body

Phase = Literal["info", "setup", "pre", "execute", "step", "reset", "teardown", "on_step_start", "on_step_finish"]
PHASES: tuple[str, ...] = get_args(Phase)
# The phases that work on one step, and so need a step_index of 1 or more.
STEP_PHASES = frozenset({"pre", "execute", "step", "on_step_start", "on_step_finish"})
# No product has more steps; and no number reaches a hook that a 32-bit host could not have meant.
MAX_STEP_INDEX = 2**31 - 1

S = TypeVar("S", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


class Message(msgspec.Struct, frozen=True):
    """What all messages have in common. Values are plain JSON: they were normalised or decoded before."""

    type: ClassVar[str]

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = msgspec.to_builtins(self)
        return wire

    def encoded(self) -> bytes:
        """The body; BadFrameError (4001) when it breaks a limit that the other side holds it to.

        ValueError for half of a surrogate pair.
        """
        raw_body = _encoder.encode(self)
        if body.may_break_limits(raw_body):
            body.check_limits(self.to_wire())
        return raw_body

    def stamped(self, timestamp_ms: int) -> Self:
        return msgspec.structs.replace(self, timestamp_ms=timestamp_ms)


class SessionRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """The session of a call. `version` is what the worker holds after applying `state`; without both: what it has."""

    id: str = ""
    context: dict[str, Any] = {}
    state: dict[str, Any] | None = None
    version: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Call(Message, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="call"):
    """One hook call. `deadline_ms` is what remains, counted from the receipt of the frame.

    `ends_session`: the session ends with this call, reset follows in the same trip.
    """

    type: ClassVar[str] = "call"
    request_id: str | None = None
    timestamp_ms: int | None = None
    phase: Phase = "execute"
    step_index: Annotated[int, msgspec.Meta(le=MAX_STEP_INDEX)] = 0
    pid: str = ""
    session: SessionRef = SessionRef()
    user_params: dict[str, Any] = {}
    shared_mem_id: str = ""
    image_meta: dict[str, Any] = {}
    deadline_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    trace_id: str | None = None
    ends_session: bool = False

    @property
    def lacks_step(self) -> bool:
        """Whether it would work on a step and does not say which."""
        return self.step_index < 1 and self.phase in STEP_PHASES


class SessionDelta(msgspec.Struct, frozen=True):
    """What a call changed: the state of version `version` is the one before with `set` and `deleted` applied."""

    version: int
    set: dict[str, Any] = {}
    deleted: list[str] = []


class PhaseTimings(msgspec.Struct, frozen=True):
    """Milliseconds inside each hook of one step, by the adapter's monotonic clock."""

    pre_execute: float = 0.0
    execute: float = 0.0


class Result(Message, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """The answer to a call.

    `kept_view`: the algorithm still holds the image, its slot must not be used again. `copies`, `decodes`: how often
    this project's own code copied or decoded a whole image on the way to the hook. `fatal`: this worker ends now.
    """

    type: ClassVar[str] = "result"
    status: Literal["OK", "ERROR"]
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    timestamp_ms: int | msgspec.UnsetType = msgspec.UNSET
    message: str = ""
    error_code: str = ""
    error_name: str = ""
    hint: str = ""
    data: dict[str, Any] = {}
    diagnostics: dict[str, Any] = {}
    session: SessionDelta | msgspec.UnsetType = msgspec.UNSET
    timings: PhaseTimings | msgspec.UnsetType = msgspec.UNSET
    kept_view: bool = False
    copies: int = 0
    decodes: int = 0
    fatal: bool = False


_quick_calls = msgspec.json.Decoder(Call)
_quick_results = msgspec.json.Decoder(Result)


def _quickly(decoder: msgspec.json.Decoder[S], raw_body: bytes) -> S | None:
    """What a body says when it is written as this module writes; None leaves the judgement to the strict reader."""
    if body.may_break_limits(raw_body):
        return None
    try:
        message = decoder.decode(raw_body)
    except (msgspec.DecodeError, ValueError):
        return None
    return message if _encoder.encode(message) == raw_body else None


def quick_call(raw_body: bytes) -> Call | None:
    """A call that is good as it is; None: read it strictly, and say what is wrong with it if something is."""
    call = _quickly(_quick_calls, raw_body)
    return None if call is None or call.lacks_step else call


def quick_result(raw_body: bytes) -> Result | None:
    """A result that is good as it is; None: read it strictly."""
    return _quickly(_quick_results, raw_body)
