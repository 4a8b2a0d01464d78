"""Every message between runner and adapter as a frozen model (spec.md §4).

    runner -> adapter   hello, ping, call, shutdown
    adapter -> runner   hello, ready, pong, result, error, shutdown

Types are strict (a string is never taken for a number); fields this version does not know are harmless. What passes
once for every inspection, call and result, is in wire/calls.py; here is how both are read strictly.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from procvision_sdk.errors import InvalidParamsError, SchemaError, error_word
from procvision_sdk.wire import body
from procvision_sdk.wire.calls import PHASES, Call, Result, told

PROTOCOL_VERSION = "1.0"

_ENVELOPE = ("type", "request_id", "timestamp_ms")

M = TypeVar("M", bound=BaseModel)


class Message(BaseModel):
    """What all messages share; `to_wire()` leaves out what has no value."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    request_id: str | None = None
    timestamp_ms: int | None = None

    def to_wire(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)

    def encoded(self) -> bytes:
        """The body; BadFrameError (4001) when it breaks a limit that the other side holds it to."""
        return body.encode(self.to_wire())

    def stamped(self, timestamp_ms: int) -> Self:
        return self.model_copy(update={"timestamp_ms": timestamp_ms})


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


FromAdapter = AdapterHello | Ready | Pong | ErrorMessage | Shutdown
_from_adapter: TypeAdapter[FromAdapter] = TypeAdapter(Annotated[FromAdapter, Field(discriminator="type")])

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


def parse_from_adapter(raw: Mapping[str, Any]) -> FromAdapter | Result:
    """A message of the adapter; SchemaError (4002) when it is none."""
    try:
        return msgspec.convert(raw, Result) if raw.get("type") == "result" else _from_adapter.validate_python(raw)
    except msgspec.ValidationError as error:
        raise SchemaError(f"from the adapter: result.{told(error)}") from None
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
        call = msgspec.convert(fields, Call)
    except msgspec.ValidationError as error:
        raise InvalidParamsError(f"call: {told(error)}") from None
    if call.lacks_step:
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
