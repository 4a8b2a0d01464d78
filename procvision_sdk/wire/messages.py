"""Every message between runner and adapter as a frozen model (spec.md §4).

    runner -> adapter   hello, ping, call, shutdown
    adapter -> runner   hello, ready, pong, result, error, shutdown

Types are strict (a string is never taken for a number); fields this version does not know are harmless.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from procvision_sdk.errors import InvalidParamsError, SchemaError, error_word

PROTOCOL_VERSION = "1.0"

Phase = Literal["info", "setup", "pre", "execute", "step", "reset", "teardown", "on_step_start", "on_step_finish"]
PHASES: tuple[str, ...] = get_args(Phase)
# The phases that work on one step, and so need a step_index of 1 or more.
STEP_PHASES = frozenset({"pre", "execute", "step", "on_step_start", "on_step_finish"})
# No product has more steps; and no number reaches a hook that a 32-bit host could not have meant.
MAX_STEP_INDEX = 2**31 - 1
_ENVELOPE = ("type", "request_id", "timestamp_ms")

M = TypeVar("M", bound=BaseModel)


class Message(BaseModel):
    """What all messages share; `to_wire()` leaves out what has no value."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    request_id: str | None = None
    timestamp_ms: int | None = None

    def to_wire(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


def present(model: BaseModel) -> dict[str, Any]:
    """The fields of a model of plain values that have one."""
    return {key: value for key, value in vars(model).items() if value is not None}


class RunnerHello(Message):
    type: Literal["hello"] = "hello"
    runner_version: str = ""
    protocol_version: str = PROTOCOL_VERSION
    heartbeat_interval_ms: float = 5000
    heartbeat_grace_ms: float = 2000


class Ping(Message):
    type: Literal["ping"] = "ping"


class Shutdown(Message):
    """From the runner: stop politely. From the adapter: done, with status OK."""

    type: Literal["shutdown"] = "shutdown"
    status: Literal["OK"] | None = None


class SessionRef(BaseModel):
    """The session of a call. `version` is what the worker holds after applying `state`; without both: what it has."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    id: str = ""
    context: dict[str, Any] = Field(default_factory=dict)
    state: dict[str, Any] | None = None
    version: int | None = Field(default=None, ge=0)


class Call(Message):
    """One hook call. `deadline_ms` is what remains, counted from the receipt of the frame.

    `ends_session`: the session ends with this call, reset follows in the same trip.
    """

    type: Literal["call"] = "call"
    phase: Phase = "execute"
    step_index: int = Field(default=0, le=MAX_STEP_INDEX)
    pid: str = ""
    session: SessionRef = Field(default_factory=SessionRef)
    user_params: dict[str, Any] = Field(default_factory=dict)
    shared_mem_id: str = ""
    image_meta: dict[str, Any] = Field(default_factory=dict)
    deadline_ms: float | None = Field(default=None, ge=0)
    trace_id: str | None = None
    ends_session: bool = False

    def to_wire(self) -> dict[str, Any]:
        """The canonical layout: the call under `data`, type, request_id and timestamp_ms at the top."""
        data = present(self)
        data["session"] = present(self.session)
        return {key: data.pop(key) for key in _ENVELOPE if key in data} | {"data": data}


class SessionDelta(BaseModel):
    """What a call changed: the state of version `version` is the one before with `set` and `deleted` applied."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    version: int
    set: dict[str, Any] = Field(default_factory=dict)
    deleted: list[str] = Field(default_factory=list)


class PhaseTimings(BaseModel):
    """Milliseconds inside each hook of one step, by the adapter's monotonic clock."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    pre_execute: float = 0.0
    execute: float = 0.0


class Result(Message):
    """The answer to a call.

    `kept_view`: the algorithm still holds the image, its slot must not be used again. `copies`, `decodes`: how often
    this project's own code copied or decoded a whole image on the way to the hook. `fatal`: this worker ends now.
    """

    type: Literal["result"] = "result"
    status: Literal["OK", "ERROR"]
    message: str = ""
    error_code: str = ""
    error_name: str = ""
    hint: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    diagnostics: dict[str, Any] = Field(default_factory=dict)
    session: SessionDelta | None = None
    timings: PhaseTimings | None = None
    kept_view: bool = False
    copies: int = 0
    decodes: int = 0
    fatal: bool = False

    def to_wire(self) -> dict[str, Any]:
        wire = present(self)
        if self.session is not None:
            wire["session"] = vars(self.session)
        if self.timings is not None:
            wire["timings"] = vars(self.timings)
        return wire


class AdapterHello(Message):
    type: Literal["hello"] = "hello"
    sdk_version: str
    protocol_version: str
    capabilities: list[str] = Field(default_factory=list)


class Ready(Message):
    type: Literal["ready"] = "ready"
    setup_ms: float


class Pong(Message):
    type: Literal["pong"] = "pong"
    status: Literal["OK"] = "OK"


class ErrorMessage(Message):
    """A message that could not become a result; `recoverable` on a failed boot: try again with back-off."""

    type: Literal["error"] = "error"
    status: Literal["ERROR"] = "ERROR"
    message: str
    error_code: str
    error_name: str = ""
    hint: str = ""
    diagnostics: dict[str, Any] = Field(default_factory=dict)
    recoverable: bool = False


FromAdapter = Annotated[AdapterHello | Ready | Pong | Result | ErrorMessage | Shutdown, Field(discriminator="type")]
_from_adapter: TypeAdapter[AdapterHello | Ready | Pong | Result | ErrorMessage | Shutdown] = TypeAdapter(FromAdapter)

_METHODS = {"pre_execute": "pre", "execute": "execute"}


def first_problem(error: ValidationError) -> str:
    """One line out of a validation error: where, what was wrong, what came."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the message"
    if problem["type"] == "missing":
        return f"{where}: {problem['msg']}"
    return f"{where}: {problem['msg']}, got {shown(problem.get('input'))}"


def shown(value: object) -> str:
    """A value of a message for an error text: short, whatever its size."""
    return reprlib.repr(value)[:80]


def parse_from_adapter(
    raw: Mapping[str, Any],
) -> AdapterHello | Ready | Pong | Result | ErrorMessage | Shutdown:
    """A message of the adapter; SchemaError (4002) when it is none."""
    try:
        return _from_adapter.validate_python(raw)
    except ValidationError as error:
        raise SchemaError(f"from the adapter: {first_problem(error)}") from None


def parse(model: type[M], raw: Mapping[str, Any]) -> M:
    """`raw` as `model`; SchemaError (4002) names the field."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise SchemaError(f"{raw.get('type')}: {first_problem(error)}") from None


def parse_call(raw: Mapping[str, Any]) -> Call:
    """A call in any of its three layouts (spec.md §4); InvalidParamsError (1006) names the field, nothing is guessed.

    canonical `data {...}`, flat keys at the top level, or `method` and `payload {...}` of older hosts.
    """
    fields = _call_fields(raw)
    phase = fields.get("phase", "execute")
    if phase not in PHASES:
        raise InvalidParamsError(f"phase: expected one of {', '.join(PHASES)}, got {shown(phase)}")
    try:
        call = Call.model_validate(fields)
    except ValidationError as error:
        raise InvalidParamsError(f"call: {first_problem(error)}") from None
    if call.phase in STEP_PHASES and call.step_index < 1:
        raise InvalidParamsError(f"step_index: expected 1 or more for phase {call.phase}, got {call.step_index}")
    return call


def _call_fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    phase = None
    if "method" in raw:
        method = raw["method"]
        if not isinstance(method, str) or method not in _METHODS:
            raise InvalidParamsError(f"method: expected one of {', '.join(_METHODS)}, got {shown(method)}")
        phase = _METHODS[method]
        inner = raw.get("payload", {})
    else:
        inner = raw.get("data", raw)
    if not isinstance(inner, Mapping):
        raise InvalidParamsError(f"call: expected an object of call fields, got {type(inner).__name__}")
    fields = {key: value for key, value in inner.items() if key not in _ENVELOPE}
    if phase is not None and fields.setdefault("phase", phase) != phase:
        raise InvalidParamsError(f"phase: method says {phase}, the payload {shown(fields['phase'])}")
    return fields | {key: raw[key] for key in _ENVELOPE if key in raw}


def refusal(request_id: str | None, code: str, message: str, hint: str = "") -> Result | ErrorMessage:
    """What answers a message that could not be served: a result when its request_id could be read, else an error."""
    if request_id is None:
        return ErrorMessage(message=message, error_code=code, error_name=error_word(code), hint=hint)
    return Result(
        request_id=request_id, status="ERROR", message=message, error_code=code, error_name=error_word(code), hint=hint
    )


def request_id_of(raw: Mapping[str, Any]) -> str | None:
    """The request_id when it is a usable one, else None."""
    request_id = raw.get("request_id")
    return request_id if isinstance(request_id, str) and request_id else None


def same_major(version: str) -> bool:
    """Whether both sides speak the same MAJOR of the protocol; another MINOR is no mismatch (spec.md §4)."""
    return version.partition(".")[0] == PROTOCOL_VERSION.partition(".")[0]
