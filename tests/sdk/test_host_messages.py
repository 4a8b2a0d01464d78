"""What a host may send and what it gets: read strictly, refused by the name of the field (spec.md §4)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from procvision_sdk.errors import ErrorCode, SchemaError
from procvision_sdk.wire import body
from procvision_sdk.wire.host_messages import (
    Answer,
    ArenaDescription,
    Cancel,
    EndSession,
    Event,
    HostHello,
    HostPing,
    HostRequest,
    Inspect,
    Lease,
    OpenSession,
    Query,
    Release,
    Status,
    Subscribe,
    Welcome,
    parse_request,
)

META = {"width": 8, "height": 4, "timestamp_ms": 1, "camera_id": "cam"}
INSPECT: dict[str, Any] = {
    "type": "inspect",
    "request_id": "r",
    "pid": "p",
    "shared_mem_id": "pv1.s.0.1",
    "image_meta": META,
}
REQUESTS: list[HostRequest] = [
    HostHello(),
    HostHello(request_id="h", client_id="line-3", protocol_version="1.7", roles=["inspect", "admin"], token="t"),
    HostPing(),
    HostPing(request_id="r"),
    Lease(request_id="r", timestamp_ms=5),
    Release(request_id="r", shared_mem_id="pv1.s.0.1"),
    OpenSession(request_id="r", pid="p"),
    OpenSession(request_id="r", pid="p:1", session_id="s.1", context={"operator": "änne", "n": [1, None]}),
    EndSession(request_id="r", session_id="s"),
    Inspect(request_id="r", pid="p", shared_mem_id="pv1.s.0.1", image_meta=META),
    Inspect(
        request_id="A.b_c:d-9",
        timestamp_ms=-1,
        pid="p",
        shared_mem_id="any",
        image_meta={},
        session_id="s",
        context={"a": 1},
        step_index=1,
        phases="pre",
        user_params={"threshold": 0.5},
        deadline_ms=0.5,
        keep=True,
        renew=True,
        trace_id="t",
    ),
    Cancel(request_id="r", target_request_id="q"),
    Query(request_id="r", target_request_id="q"),
    Subscribe(request_id="r", topics=["workers", "results"]),
    Status(request_id="r"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_a_request_that_was_written_is_read_as_it_was(request_: HostRequest) -> None:
    written = body.decode(body.encode(request_.model_dump(mode="json", exclude_none=True)))
    assert parse_request(written) == request_


def test_every_kind_of_request_is_tried() -> None:
    kinds = "hello ping lease release open_session end_session inspect cancel query subscribe status"
    assert {request.type for request in REQUESTS} == set(kinds.split())


def test_what_a_request_leaves_out_means_the_documented_default() -> None:
    read = parse_request(INSPECT)
    assert isinstance(read, Inspect)
    assert (read.phases, read.keep, read.renew, read.user_params, read.context) == ("both", False, False, {}, {})
    assert (read.step_index, read.session_id, read.deadline_ms, read.trace_id) == (None, None, None, None)
    hello = parse_request({"type": "hello"})
    assert isinstance(hello, HostHello)
    assert (hello.protocol_version, hello.roles, hello.token) == ("1.0", None, None)


ID = "String should match pattern"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "^type: expected one of hello, ping, lease, .*, packages, got None$"),
    ({"type": "inspekt"}, "^type: expected one of hello, .* got 'inspekt'$"),
    ({"type": 3}, "^type: expected one of .* got 3$"),
    ({"type": None}, "^type: expected one of .* got None$"),
    ({"type": ["lease"]}, r"^type: expected one of .* got \['lease'\]$"),
    ({"type": {"a": 1}}, "^type: expected one of .* got {'a': 1}$"),
    ({"type": "x" * 5000}, "^type: expected one of .{0,300}$"),
    ({"type": "Lease", "request_id": "r"}, "^type: expected one of .* got 'Lease'$"),
    ({"type": "lease"}, "^lease: request_id: Field required$"),
    ({"type": "lease", "request_id": None}, "^lease: request_id: .*valid string, got None$"),
    ({"type": "lease", "request_id": 7}, "^lease: request_id: .*valid string, got 7$"),
    ({"type": "lease", "request_id": ""}, f"^lease: request_id: {ID}"),
    ({"type": "lease", "request_id": "a b"}, f"^lease: request_id: {ID}.*got 'a b'$"),
    ({"type": "lease", "request_id": "ä"}, f"^lease: request_id: {ID}"),
    ({"type": "lease", "request_id": "r\n"}, f"^lease: request_id: {ID}"),
    ({"type": "lease", "request_id": "a/b"}, f"^lease: request_id: {ID}"),
    ({"type": "lease", "request_id": "x" * 65}, f"^lease: request_id: {ID}"),
    ({"type": "lease", "request_id": "r", "timestamp_ms": "1"}, "^lease: timestamp_ms: .*valid integer, got '1'$"),
    ({"type": "lease", "request_id": "r", "timestamp_ms": True}, "^lease: timestamp_ms: .*valid integer, got True$"),
    ({"type": "lease", "request_id": "r", "timestamp_ms": 1.0}, "^lease: timestamp_ms: .*valid integer, got 1.0$"),
    ({"type": "release", "request_id": "r"}, "^release: shared_mem_id: Field required$"),
    ({"type": "open_session", "request_id": "r", "pid": "-p"}, f"^open_session: pid: {ID}"),
    ({"type": "open_session", "request_id": "r", "pid": "../p"}, f"^open_session: pid: {ID}"),
    ({"type": "open_session", "request_id": "r", "pid": "p", "context": []}, "^open_session: context: .*dictionary"),
    ({**INSPECT, "image_meta": None}, "^inspect: image_meta: .*valid dictionary, got None$"),
    ({**INSPECT, "step_index": 0}, "^inspect: step_index: .*greater than or equal to 1, got 0$"),
    ({**INSPECT, "step_index": True}, "^inspect: step_index: .*valid integer, got True$"),
    ({**INSPECT, "step_index": 1.0}, "^inspect: step_index: .*valid integer, got 1.0$"),
    ({**INSPECT, "step_index": "1"}, "^inspect: step_index: .*valid integer, got '1'$"),
    ({**INSPECT, "phases": "all"}, "^inspect: phases: Input should be 'both', 'pre' or 'execute', got 'all'$"),
    ({**INSPECT, "deadline_ms": 0}, "^inspect: deadline_ms: .*greater than 0, got 0$"),
    ({**INSPECT, "deadline_ms": -1}, "^inspect: deadline_ms: .*greater than 0, got -1$"),
    ({**INSPECT, "deadline_ms": True}, "^inspect: deadline_ms: .*valid number, got True$"),
    ({**INSPECT, "deadline_ms": "100"}, "^inspect: deadline_ms: .*valid number, got '100'$"),
    ({**INSPECT, "keep": 1}, "^inspect: keep: .*valid boolean, got 1$"),
    ({**INSPECT, "renew": "true"}, "^inspect: renew: .*valid boolean, got 'true'$"),
    ({**INSPECT, "user_params": [1]}, r"^inspect: user_params: .*valid dictionary, got \[1\]$"),
    ({**INSPECT, "shared_mem_id": "x", "session_id": "a b"}, f"^inspect: session_id: {ID}"),
    ({**INSPECT, "deadline": 100}, r"^inspect: there is no field 'deadline'; did you mean 'deadline_ms'\?$"),
    ({**INSPECT, "user_param": {}}, r"^inspect: there is no field 'user_param'; did you mean 'user_params'\?$"),
    ({**INSPECT, "zzz": 1}, "^inspect: there is no field 'zzz'"),
    ({**INSPECT, "x" * 5000: 1}, "^inspect: there is no field 'x{64}'"),
    ({"type": "lease", "request_id": "r", "pid": "p"}, "^lease: there is no field 'pid'"),
    ({"type": "cancel", "request_id": "r", "target_request_id": ""}, f"^cancel: target_request_id: {ID}"),
    ({"type": "query", "request_id": "r", "target_request_id": 3}, "^query: target_request_id: .*valid string, got 3$"),
    ({"type": "subscribe", "request_id": "r", "topics": []}, "^subscribe: topics: .*at least 1 item"),
    ({"type": "subscribe", "request_id": "r", "topics": "workers"}, "^subscribe: topics: .*valid list, got 'workers'$"),
    ({"type": "subscribe", "request_id": "r", "topics": ["work"]}, "^subscribe: topics.0: .*'workers' or 'results'"),
    ({"type": "hello", "client_id": ""}, f"^hello: client_id: {ID}"),
    ({"type": "hello", "roles": ["root"]}, "^hello: roles.0: Input should be 'inspect', 'operate' or 'admin'"),
    ({"type": "hello", "protocol_version": 1}, "^hello: protocol_version: .*valid string, got 1$"),
]


@pytest.mark.parametrize(("raw", "told"), REFUSED, ids=[str(raw)[-60:] for raw, _ in REFUSED])
def test_what_is_wrong_with_a_request_is_told_by_the_name_of_its_field(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(SchemaError, match=told) as refused:
        parse_request(raw)
    assert refused.value.code == ErrorCode.SCHEMA
    assert len(refused.value.message) < 500


@pytest.mark.parametrize("request_id", ["a", "A.b_c:d-9", "-", "...", "x" * 64])
def test_an_id_of_the_documented_letters_is_taken(request_id: str) -> None:
    assert parse_request({"type": "lease", "request_id": request_id}).request_id == request_id


@pytest.mark.parametrize("kind", ["hello", "ping"])
def test_hello_and_ping_may_say_more_than_this_version_knows(kind: str) -> None:
    assert parse_request({"type": kind, "request_id": "r", "later": {"a": 1}}).request_id == "r"


def test_a_request_does_not_change_after_it_was_read() -> None:
    request = parse_request(INSPECT)
    with pytest.raises(ValidationError, match="frozen"):
        request.request_id = "another"  # type: ignore[misc]


ANSWERS: list[Welcome | Answer | Event] = [
    Welcome(
        request_id="h",
        runner_version="0.1.0",
        station="s",
        client_id="c",
        roles=["inspect"],
        arena=ArenaDescription(segment="pv-s", size_bytes=9, slot_count=1, slot_capacity_bytes=5),
    ),
    Answer(request_id="r", timestamp_ms=1, data={"a": [1, None]}),
    Answer(request_id="r", status="ERROR", message="m", error_code="3001", error_name="busy", hint="h"),
    Event(topic="workers", timestamp_ms=1, data={"a": 1}, dropped=3),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_an_answer_that_was_written_is_read_as_it_was(answer: Welcome | Answer | Event) -> None:
    written = body.decode(answer.encoded())
    assert msgspec.convert(written, type(answer)) == answer
