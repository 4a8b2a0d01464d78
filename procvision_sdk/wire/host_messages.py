"""Every message between host and runner as a frozen model (spec.md §4, Host link).

    host -> runner   hello, ping, lease, release, open_session, end_session, inspect, cancel, query, subscribe, status,
                     reload, packages
    runner -> host   hello, pong, result (one for each request), error, event

A host's request is read strictly and a field it does not know is refused: a misspelt deadline must not be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from procvision_sdk.errors import SchemaError
from procvision_sdk.parameters import did_you_mean
from procvision_sdk.validation import first_problem
from procvision_sdk.wire.calls import Message
from procvision_sdk.wire.messages import PROTOCOL_VERSION

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Pid = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Role = Literal["inspect", "operate", "admin"]
Topic = Literal["workers", "results"]
Operation = Literal[
    "install", "activate", "rollback", "deactivate", "uninstall", "verify", "list", "history", "trust_add",
    "trust_remove", "trust_list",
]  # fmt: skip


class Request(BaseModel):
    """What all requests share."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    request_id: Id
    timestamp_ms: int | None = None


class HostHello(BaseModel):
    """The first frame of a link. `client_id` makes request ids unique over links; absent, it is random per link."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    type: Literal["hello"] = "hello"
    request_id: Id | None = None
    client_id: Id | None = None
    protocol_version: str = PROTOCOL_VERSION
    roles: list[Role] | None = None
    token: str | None = None


class HostPing(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    type: Literal["ping"] = "ping"
    request_id: Id | None = None


class Lease(Request):
    """Ask for the right to fill a slot."""

    type: Literal["lease"] = "lease"


class Release(Request):
    """Give a lease back unused."""

    type: Literal["release"] = "release"
    shared_mem_id: str


class OpenSession(Request):
    """Begin one part's run over its steps."""

    type: Literal["open_session"] = "open_session"
    pid: Pid
    session_id: Id | None = None
    context: dict[str, Any] = Field(default_factory=dict)


class EndSession(Request):
    type: Literal["end_session"] = "end_session"
    session_id: Id


class Inspect(Request):
    """Inspect the image in a leased slot: one step, or without `step_index` all steps in order.

    The lease is consumed unless `keep`; with `renew` the result carries the next one. `deadline_ms` counts from the
    receipt of this frame.
    """

    type: Literal["inspect"] = "inspect"
    pid: Pid
    shared_mem_id: str
    image_meta: dict[str, Any]
    session_id: Id | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    step_index: int | None = Field(default=None, ge=1)
    phases: Literal["both", "pre", "execute"] = "both"
    user_params: dict[str, Any] = Field(default_factory=dict)
    deadline_ms: float | None = Field(default=None, gt=0)
    keep: bool = False
    renew: bool = False
    trace_id: Id | None = None


class Cancel(Request):
    type: Literal["cancel"] = "cancel"
    target_request_id: Id


class Query(Request):
    """Read back the answer that was given to an earlier request of the same client_id; or, without one, list what is
    recorded: of one product, received since, at most `last` of the newest.
    """

    type: Literal["query"] = "query"
    target_request_id: Id | None = None
    pid: Pid | None = None
    since_ms: int | None = Field(default=None, ge=0)
    last: int | None = Field(default=None, ge=1, le=1000)

    @model_validator(mode="after")
    def _one_of_two_questions(self) -> Self:
        if self.target_request_id is not None and (self.pid, self.since_ms, self.last) != (None, None, None):
            raise ValueError("target_request_id asks for one answer; pid, since_ms and last for a list")
        return self


class Subscribe(Request):
    """From now on get `event` messages of these topics on this link."""

    type: Literal["subscribe"] = "subscribe"
    topics: list[Topic] = Field(min_length=1)


class Status(Request):
    type: Literal["status"] = "status"


class Reload(Request):
    """Read the configuration anew and boot what gave up: the deployment of one product, or all."""

    type: Literal["reload"] = "reload"
    pid: Pid | None = None


class Packages(Request):
    """One operation on the station's packages; each has some of these fields."""

    type: Literal["packages"] = "packages"
    operation: Operation
    pid: Pid | None = None
    package: str | None = Field(default=None, max_length=200)
    to: str | None = Field(default=None, max_length=200)
    path: str | None = Field(default=None, max_length=4096)
    key: str | None = Field(default=None, max_length=4096)
    rebuild: Literal["yes"] | None = None


HostRequest = (
    HostHello
    | HostPing
    | Lease
    | Release
    | OpenSession
    | EndSession
    | Inspect
    | Cancel
    | Query
    | Subscribe
    | Status
    | Reload
    | Packages
)
_KINDS: dict[str, type[BaseModel]] = {model.model_fields["type"].default: model for model in get_args(HostRequest)}
_requests: TypeAdapter[HostRequest] = TypeAdapter(Annotated[HostRequest, Field(discriminator="type")])


def parse_request(raw: Mapping[str, Any]) -> HostRequest:
    """A host's request; SchemaError (4002) names the field, and the one that was probably meant."""
    try:
        return _requests.validate_python(raw)
    except ValidationError as error:
        raise SchemaError(_told(raw, error), hint="spec.md §4 lists the fields of every request") from None


def _told(raw: Mapping[str, Any], error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    kind = _KINDS.get(raw["type"]) if isinstance(raw.get("type"), str) else None
    if kind is None:
        return f"type: expected one of {', '.join(_KINDS)}, got {raw.get('type')!r:.80}"
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        near = did_you_mean(name, kind.model_fields) or f"its fields are {', '.join(kind.model_fields)}"
        return f"{raw['type']}: there is no field {name[:64]!r}; {near}"
    return f"{raw['type']}: {first_problem(error).removeprefix(raw['type'] + '.')}"


class ArenaDescription(msgspec.Struct, frozen=True):
    """Where the slots lie: the name of the segment and how large it is."""

    segment: str
    size_bytes: int
    slot_count: int
    slot_capacity_bytes: int


class Welcome(Message, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The runner's hello."""

    type: ClassVar[str] = "hello"
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    status: Literal["OK"] = "OK"
    runner_version: str
    protocol_version: str = PROTOCOL_VERSION
    station: str
    client_id: str
    roles: list[Role]
    arena: ArenaDescription


class Answer(Message, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """The answer to any request but inspect, whose result has more fields (runner.results.report)."""

    type: ClassVar[str] = "result"
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    timestamp_ms: int | msgspec.UnsetType = msgspec.UNSET
    status: Literal["OK", "ERROR"] = "OK"
    message: str = ""
    error_code: str = ""
    error_name: str = ""
    hint: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Event(Message, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """Something that happened; may be dropped for a slow subscriber, `dropped` counts what came before this one."""

    type: ClassVar[str] = "event"
    timestamp_ms: int | msgspec.UnsetType = msgspec.UNSET
    topic: Topic
    data: dict[str, Any]
    dropped: int = 0
