"""Every message between runner and adapter as a frozen model (spec.md §4).

    runner -> adapter   hello, ping, call, shutdown
    adapter -> runner   hello, ready, pong, result, error, shutdown

Types are strict (a string is never taken for a number); fields this version does not know are harmless. What passes
once for every inspection, call and result, is in wire/calls.py; here is how both are read strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from procvision_sdk.errors import InvalidParamsError, SchemaError, error_word
from procvision_sdk.validation import shown, told
from procvision_sdk.wire.calls import PHASES, Call, Message, Result

PROTOCOL_VERSION = "1.0"

_ENVELOPE = ("type", "request_id", "timestamp_ms")

M = TypeVar("M", bound=msgspec.Struct)
# Left out where there is none; some hosts in the field write null.
Id = str | None | msgspec.UnsetType
Time = int | None | msgspec.UnsetType


class RunnerHello(Message, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    type: ClassVar[str] = "hello"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET
    runner_version: str = ""
    protocol_version: str = PROTOCOL_VERSION
    heartbeat_interval_ms: float = 5000
    heartbeat_grace_ms: float = 2000


class Ping(Message, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    type: ClassVar[str] = "ping"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET


class Shutdown(Message, frozen=True, kw_only=True, tag_field="type", tag="shutdown"):
    """From the runner: stop politely. From the adapter: done, with status OK."""

    type: ClassVar[str] = "shutdown"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET
    status: Literal["OK"] | None | msgspec.UnsetType = msgspec.UNSET


class AdapterHello(Message, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    type: ClassVar[str] = "hello"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET
    sdk_version: str
    protocol_version: str
    capabilities: list[str] = msgspec.field(default_factory=list)


class Ready(Message, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    type: ClassVar[str] = "ready"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET
    setup_ms: float


class Pong(Message, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    type: ClassVar[str] = "pong"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET
    status: Literal["OK"] = "OK"


class ErrorMessage(Message, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """A message that could not become a result; `recoverable` on a failed boot: try again with back-off."""

    type: ClassVar[str] = "error"
    request_id: Id = msgspec.UNSET
    timestamp_ms: Time = msgspec.UNSET
    status: Literal["ERROR"] = "ERROR"
    message: str
    error_code: str
    error_name: str = ""
    hint: str = ""
    diagnostics: dict[str, Any] = msgspec.field(default_factory=dict)
    recoverable: bool = False


FromAdapter = AdapterHello | Ready | Pong | ErrorMessage | Shutdown
_METHODS = {"pre_execute": "pre", "execute": "execute"}


def parse_from_adapter(raw: Mapping[str, Any]) -> FromAdapter | Result:
    """A message of the adapter; SchemaError (4002) when it is none."""
    try:
        heard: FromAdapter | Result = msgspec.convert(raw, FromAdapter | Result)
    except msgspec.ValidationError as error:
        raise SchemaError(f"from the adapter: {str(raw.get('type'))[:40]}: {told(error)}") from None
    return heard


def parse(model: type[M], raw: Mapping[str, Any]) -> M:
    """`raw` as `model`; SchemaError (4002) names the field."""
    try:
        return msgspec.convert(raw, model)
    except msgspec.ValidationError as error:
        raise SchemaError(f"{raw.get('type')}: {told(error)}") from None


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


def refusal(request_id: Id, code: str, message: str, hint: str = "") -> Result | ErrorMessage:
    """What answers a message that could not be served: a result when its request_id could be read, else an error."""
    if not request_id:
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
