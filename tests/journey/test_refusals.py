"""What is refused before a worker is asked has its code, and leaves the lease with the host (spec.md §4.31)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.host.client import RefusedError
from tests.doubles.daemon import CAPACITY_BYTES, IMAGE, Daemon, inspect, serving


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("s"), "steady") as running:
        running.wait_ready()
        yield running


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"pid": "S9"}, "1001", "served are: S1, S2"),
    ({"step_index": 3}, "1006", "has the steps [1, 2], got 3"),
    ({"step_index": 1, "user_params": {"limit": 11}}, "1006", "limit"),
    ({"step_index": 1, "user_params": {"limit": "3"}}, "1006", "limit"),
    ({"step_index": 1, "user_params": {"limit": True}}, "1006", "limit"),
    ({"step_index": 1, "user_params": {"verdikt": "OK"}}, "1006", "verdict"),
    ({"step_index": 2, "user_params": {"limit": 3}}, "1006", "limit"),
    ({"phases": "pre", "step_index": 1}, "1006", "session_id"),
    ({"phases": "execute"}, "1006", "step_index"),
    ({"image_meta": {}}, "1002", "width"),
    ({"image_meta": {"width": 0}}, "1002", "width"),
    ({"image_meta": {"width": -64}}, "1002", "width"),
    ({"image_meta": {"width": True}}, "1002", "width"),
    ({"image_meta": {"height": 65536}}, "1002", "height"),
    ({"image_meta": {"color_space": "CMYK"}}, "1002", "color_space"),
    ({"image_meta": {"encoding": "bmp"}}, "1002", "encoding"),
    ({"image_meta": {"timestamp_ms": -1}}, "1002", "timestamp_ms"),
    ({"image_meta": {"camera_id": None}}, "1002", "camera_id"),
    ({"image_meta": {"encoding": "jpeg", "length_bytes": CAPACITY_BYTES + 1}}, "4003", str(CAPACITY_BYTES)),
    ({"image_meta": {"width": 65535, "height": 65535}}, "4003", "a slot has 65536"),
    ({"shared_mem_id": "pv1.another-runner.0.1"}, "4003", "no slot of this runner"),
    ({"shared_mem_id": "development-image"}, "4003", "no slot of this runner"),
    ({"shared_mem_id": "../../etc/passwd"}, "4003", "no slot of this runner"),
    ({"shared_mem_id": ""}, "4003", "no slot of this runner"),
    ({"shared_mem_id": "a\0b"}, "4003", "no slot of this runner"),
    ({"deadline_ms": 0}, "4002", "deadline_ms"),
    ({"deadline_ms": True}, "4002", "deadline_ms"),
    ({"deadline": 5}, "4002", "deadline_ms"),
    ({"step_index": 0}, "4002", "step_index"),
    ({"step_index": 1.0}, "4002", "step_index"),
    ({"user_params": []}, "4002", "user_params"),
    ({"phases": "post"}, "4002", "phases"),
    ({"pid": "../S1"}, "4002", "pid"),
    ({"pid": "'; drop table results"}, "4002", "pid"),
    ({"trace_id": "%n\n{}"}, "4002", "trace_id"),
    ({"keep": "yes"}, "4002", "keep"),
]


@pytest.mark.parametrize(("fields", "code", "message"), REFUSED)
def test_a_wrong_request_is_refused_by_its_code_and_its_lease_and_id_can_be_used_again(
    daemon: Daemon, fields: dict[str, Any], code: str, message: str
) -> None:
    with daemon.host() as host:
        lease = host.lease()
        host.fill(lease, IMAGE.tobytes())
        meta = {"width": 64, "height": 48, "timestamp_ms": 1, "camera_id": "c"}
        good = {"request_id": "q", "pid": "S1", "shared_mem_id": lease["shared_mem_id"], "image_meta": meta}
        wrong = {**good, **fields}
        if "image_meta" in fields:
            wrong["image_meta"] = {**meta, **fields["image_meta"]} if fields["image_meta"] else {}
        refused = host.ask("inspect", **wrong)
        assert (refused["status"], refused["error_code"]) == ("ERROR", code), refused
        assert message in refused["message"] + refused.get("hint", ""), refused
        assert refused["request_id"] == "q" and "deployment" not in refused and not refused.get("incarnation")
        assert host.ask("inspect", **good)["status"] == "OK"


def test_a_lease_that_was_used_up_is_refused(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        assert client.inspect("S1", lease, meta, renew=False)["status"] == "OK"
        result = client.inspect("S1", lease, meta, renew=False)
    assert result["error_code"] == "4003" and "used up" in result["hint"]


def test_a_released_lease_and_one_of_an_earlier_generation_are_refused(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        client.release(lease)
        released = client.inspect("S1", lease, meta, renew=False)
        again = client.lease()  # the slot that became free last is leased first
        stale = client.inspect("S1", lease, meta, renew=False)
        client.release(again)
    assert again.offset == lease.offset and again.shared_mem_id != lease.shared_mem_id
    assert released["error_code"] == "4003"
    assert stale["error_code"] == "4003" and "stale" in stale["message"]


def test_a_lease_of_another_link_is_refused_and_stays_what_it_was(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as thief:
        lease = client.lease()
        meta = lease.put(IMAGE)
        stolen = thief.inspect("S1", lease, meta, renew=False)
        with pytest.raises(RefusedError) as refused:
            thief.release(lease)
        result = client.inspect("S1", lease, meta, renew=False)
    assert stolen["error_code"] == refused.value.code == "4003"
    assert result["status"] == "OK"


@pytest.mark.parametrize(
    ("request_fields", "code", "message"),
    [
        ({"type": "inspekt"}, "4002", "expected one of"),
        ({"type": 7}, "4002", "expected one of"),
        ({"type": "lease", "count": 2}, "4002", "no field 'count'"),
        ({"type": "release"}, "4002", "shared_mem_id"),
        ({"type": "release", "shared_mem_id": "x"}, "4003", "no slot"),
        ({"type": "open_session", "pid": "S9"}, "1001", "served are"),
        ({"type": "open_session", "pid": "S1", "context": 3}, "4002", "context"),
        ({"type": "end_session", "session_id": "nobody"}, "1006", "not open"),
        ({"type": "subscribe", "topics": ["result"]}, "4002", "topics"),
        ({"type": "subscribe", "topics": []}, "4002", "topics"),
        ({"type": "cancel", "target_request_id": "nothing"}, "1006", "not in flight"),
        ({"type": "query", "target_request_id": "nothing"}, "1006", "no answer is stored"),
        ({"type": "hello"}, "4005", "hello was said"),
    ],
)
def test_every_other_wrong_request_is_refused_too_and_the_link_lives(
    daemon: Daemon, request_fields: dict[str, Any], code: str, message: str
) -> None:
    with daemon.host() as host:
        fields = dict(request_fields)
        refused = host.ask(fields.pop("type"), **fields)
        assert (refused["status"], refused["error_code"]) == ("ERROR", code), refused
        assert message in refused["message"]
        assert host.ask("ping")["type"] == "pong"


def test_refusals_are_counted_as_such(daemon: Daemon) -> None:
    before = daemon.status()["inspections"]
    with daemon.client() as client:
        inspect(client, "S9")
    after = daemon.status()["inspections"]
    assert after["refused"] == before["refused"] + 1
    assert {**after, "refused": 0, "submitted": 0} == {**before, "refused": 0, "submitted": 0}
