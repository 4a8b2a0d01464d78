"""Hosts that say what no request may say: refused by its code, no worker is asked (spec.md §4.21, §4.31, §4.41)."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import CAPACITY_BYTES, Daemon, inspect, serving, worker_in
from tests.doubles.raw_host import RawHost, frame

SHARED_MEMORY = Path("/dev/shm")
META: dict[str, Any] = {"width": 64, "height": 48, "timestamp_ms": 1, "camera_id": "c"}
REPEATABLE = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with around_a_fault(tmp_path_factory.mktemp("s"), "broken_setup") as running:
        yield running


@contextmanager
def wrong_host(daemon: Daemon) -> Iterator[RawHost]:
    """A host for wrong words: afterwards its link lives, and no worker was asked."""
    answered = daemon.worker("steady")["answered"]
    with daemon.host() as host:
        yield host
        assert host.ask("ping", request_id="last")["type"] == "pong"
    assert daemon.worker("steady")["answered"] == answered


def told(host: RawHost, body: str | bytes) -> dict[str, Any]:
    host.write(frame(body.encode() if isinstance(body, str) else body))
    return host.hear()


REQUESTS: list[dict[str, Any]] = [
    {"type": "lease"},
    {"type": "status"},
    {"type": "release", "shared_mem_id": "pv1.a.0.1"},
    {"type": "open_session", "pid": "S1", "context": {}},
    {"type": "end_session", "session_id": "s"},
    {"type": "inspect", "pid": "S1", "shared_mem_id": "pv1.a.0.1", "image_meta": META, "deadline_ms": 9, "keep": True},
    {"type": "cancel", "target_request_id": "r"},
    {"type": "query", "target_request_id": "r"},
    {"type": "query", "last": 5, "since_ms": 1},
    {"type": "subscribe", "topics": ["workers"]},
]
# For each JSON type a field may have, values of the others; true is no number.
WRONG: dict[type, list[Any]] = {
    str: [None, True, 0, -1.5, [], {}, ["S1"]],
    int: [True, "1", 1.5, [], {}, -1, -(10**100)],
    float: [True, "9", [], {}, -0.0, -1, 0],
    bool: [1, 0, "true", [], {}, None],
    dict: [None, True, 1, "a", [], [["a", 1]]],
    list: [None, True, 1, "workers", {}, ["nothing"], [7], []],
}
# `null` is how some clients say that they leave a field out.
OPTIONAL = {"deadline_ms", "last", "since_ms", "target_request_id"}


@st.composite
def wrong_requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request with exactly one thing wrong in it: a value, a type, a field too many or one too few."""
    request = {"request_id": "q", **draw(st.sampled_from(REQUESTS))}
    field = draw(st.sampled_from([key for key in request if key != "type"]))
    match draw(st.sampled_from(["value", "unknown field", "unknown type", "id"])):
        case "value":
            kind = float if field == "deadline_ms" else type(request[field])
            wrong = [value for value in WRONG[kind] if value is not None or field not in OPTIONAL]
            return {**request, field: draw(st.sampled_from(wrong))}
        case "unknown field":
            return {**request, draw(st.sampled_from(["Pid", "deadline", "timeout_ms", "extra", "__class__"])): 1}
        case "unknown type":
            return {
                **request,
                "type": draw(st.sampled_from([None, 1, True, [], {}, "", "INSPECT", "lease ", "shutdown"])),
            }
        case _:
            return {**request, "request_id": draw(st.sampled_from(["", "a b", "a" * 65, 7, None, True, "é", "a\n"]))}


@pytest.mark.fault("C8")
@REPEATABLE
@given(wrong=wrong_requests())
def test_a_request_with_one_thing_wrong_in_it_is_4002(daemon: Daemon, wrong: dict[str, Any]) -> None:
    with daemon.host() as host:
        answer = told(host, json.dumps(wrong))
        assert (answer["status"], answer["error_code"]) == ("ERROR", "4002"), (wrong, answer)
        assert host.ask("ping", request_id="last")["type"] == "pong"


@pytest.mark.fault("C8")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("1e999", "4001"),
        ("-1e999", "4001"),
        ("NaN", "4001"),
        ("9" * 5000, "4001"),
        ("-0", "4002"),
        ("-0.0", "4002"),
        ("1e-400", "4002"),
        ("01", "4001"),
        ("0x10", "4001"),
    ],
)
def test_a_number_that_is_none_is_refused(daemon: Daemon, number: str, code: str) -> None:
    asked = {"type": "inspect", "request_id": "q", "pid": "S1", "shared_mem_id": "x", "image_meta": META}
    body = json.dumps({**asked, "deadline_ms": "NUMBER"}).replace('"NUMBER"', number)
    with wrong_host(daemon) as host:
        assert told(host, body)["error_code"] == code


@pytest.mark.fault("C8")
def test_another_version_of_the_protocol_is_refused_by_both_names(daemon: Daemon) -> None:
    with RawHost(daemon.home) as host:
        answer = told(host, '{"type":"hello","request_id":"h","protocol_version":"2.0"}')
        assert answer["error_code"] == "4002" and "2.0" in answer["message"] and "1.0" in answer["message"]
        assert host.hear_the_end() == []


HOSTILE = [
    "../../etc/passwd", "/etc/passwd", "../x", ".\\..\\x", "%2e%2e%2f", "$(reboot)", "`id`", "; rm -rf /", "| cat",
    "' OR '1'='1", "1; DROP TABLE results", '"}{"', "%s%s%n", "{0.__class__}", "${jndi:ldap://x}",
    "a\nerror: forged", "a\r\n", "\x1b[31m", "\u202egnp", "\x00", "a" * 65, "", " ", "ＡＢＣ", "é",
]  # fmt: skip


@pytest.mark.fault("C15")
@pytest.mark.parametrize("field", ["request_id", "pid", "session_id", "trace_id", "target_request_id", "client_id"])
def test_an_id_that_could_be_a_path_a_command_or_a_line_of_the_log_is_refused(daemon: Daemon, field: str) -> None:
    asked = {"type": "inspect", "request_id": "q", "pid": "S1", "shared_mem_id": "x", "image_meta": META}
    if field == "target_request_id":
        asked = {"type": "query", "request_id": "q"}
    with wrong_host(daemon) as host, ExitStack() as opened:
        for payload in HOSTILE:
            if field == "client_id":
                other = opened.enter_context(RawHost(daemon.home))
                answer = told(other, json.dumps({"type": "hello", "client_id": payload}))
            else:
                answer = told(host, json.dumps({**asked, field: payload}))
            assert (answer["status"], answer["error_code"]) == ("ERROR", "4002"), (payload, answer)
    assert "forged" not in [line[:14] for line in daemon.log.splitlines()]
    assert "\x1b" not in daemon.log and "\u202e" not in daemon.log


@contextmanager
def _odd_files() -> Iterator[list[str]]:
    """Names that exist in shared memory and are no segment: a pipe, a link, a folder, a device, another's file."""
    base = SHARED_MEMORY / f"odd-{os.getpid()}"
    names = {kind: Path(f"{base}-{kind}") for kind in ("pipe", "link", "folder", "device", "foreign")}
    try:
        os.mkfifo(names["pipe"])
        names["link"].symlink_to("/etc/passwd")
        names["folder"].mkdir()
        names["foreign"].write_bytes(bytes(CAPACITY_BYTES))
        with suppress(PermissionError):
            os.mknod(names["device"], stat.S_IFCHR | 0o666, os.makedev(1, 5))
            os.chown(names["foreign"], 65534, 65534)
        yield [path.name for path in names.values()]
    finally:
        names["folder"].rmdir()
        for kind in ("pipe", "link", "device", "foreign"):
            names[kind].unlink(missing_ok=True)


@pytest.mark.fault("C9")
def test_what_is_no_lease_of_this_link_is_4003_and_nothing_is_opened(daemon: Daemon) -> None:
    with wrong_host(daemon) as host, _odd_files() as names:
        segment = host.welcome["arena"]["segment"]
        ids = [*names, *(f"pv1.{name}.0.1" for name in names), "", "..", "/", "/dev/shm", "a/b", "a\0b", "x" * 5000]
        ids += ["missing", f"pv1.{segment}", f"pv1.{segment}.0", f"pv1.{segment}.0.1.2", f"pv2.{segment}.0.1", segment]
        for number, one in enumerate(ids):
            answer = host.ask("inspect", request_id=f"q{number}", pid="S1", shared_mem_id=one, image_meta=META)
            assert (answer["status"], answer["error_code"]) == ("ERROR", "4003"), (one, answer)


NUMBERS = ["-1", "0", "1", "4", "99", "-0", "+1", "1.0", "1e3", " 1", "", "0x1", "٣", str(2**31), str(2**64), "9" * 400]


@pytest.mark.fault("C10")
@REPEATABLE
@given(slot=st.sampled_from(NUMBERS), generation=st.sampled_from(NUMBERS))
def test_a_slot_or_a_generation_that_was_not_leased_is_4003(daemon: Daemon, slot: str, generation: str) -> None:
    with daemon.host() as host:
        name = f"pv1.{host.welcome['arena']['segment']}.{slot}.{generation}"
        answer = host.ask("inspect", pid="S1", shared_mem_id=name, image_meta=META)
        assert (answer["status"], answer["error_code"]) == ("ERROR", "4003"), (name, answer)


SIZES = st.sampled_from([-(2**63), -1, 0, 1, 47, 64, 65, 192, 65_535, 65_536, 2**31, 2**32 + 64, 2**64])


@pytest.mark.fault("C10", "C13")
@REPEATABLE
@given(width=SIZES, height=SIZES, stride=st.none() | SIZES, dtype=st.sampled_from(["uint8", "uint16"]))
def test_an_image_is_inspected_only_where_it_lies_inside_its_slot(
    daemon: Daemon, width: int, height: int, stride: int | None, dtype: str
) -> None:
    meta = {**META, "width": width, "height": height, "dtype": dtype}
    meta |= {} if stride is None else {"stride_bytes": stride}
    itemsize = 2 if dtype == "uint16" else 1
    row = width * 3 * itemsize
    possible = (
        0 < width < 65_536 and 0 < height < 65_536 and (stride is None or (stride >= row and not stride % itemsize))
    )
    fits = possible and (stride or row) * (height - 1) + row <= CAPACITY_BYTES
    with daemon.client() as client:
        lease = client.lease()
        result = client.inspect("S1", lease, meta, step_index=1, keep=True)
    expected = "" if fits else "4003" if possible else "1002"
    assert result["error_code"] == expected, (meta, result)


@pytest.mark.fault("C13")
@pytest.mark.parametrize("length", [CAPACITY_BYTES + 1, 2**31, 2**63])
def test_a_file_that_claims_more_bytes_than_its_slot_has_is_4003(daemon: Daemon, length: int) -> None:
    with wrong_host(daemon) as host:
        lease = host.lease()
        meta = {**META, "encoding": "png", "length_bytes": length}
        answer = host.ask("inspect", pid="S1", shared_mem_id=lease["shared_mem_id"], image_meta=meta)
        assert answer["error_code"] == "4003" and str(CAPACITY_BYTES) in answer["message"]
        host.ask("release", shared_mem_id=lease["shared_mem_id"])


@pytest.mark.fault("C16")
def test_a_product_that_nobody_serves_or_that_cannot_boot_is_refused_at_once(daemon: Daemon) -> None:
    with daemon.client() as client:
        unknown = [inspect(client, "S9") for _ in range(3)]
        broken = [inspect(client, "B1") for _ in range(3)]
    assert {(one["error_code"], one["attempts"]) for one in unknown} == {("1001", 0)}
    assert "served are: B1, S1, S2" in unknown[0]["message"]
    assert {(one["error_code"], one["attempts"]) for one in broken} == {("1014", 0)}
    assert "the model is for another camera" in broken[0]["message"]


@pytest.mark.fault("C16")
def test_a_degraded_product_without_a_worker_is_refused_at_once_and_served_when_it_has_one(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", "crashing", workers__restarts=0, timeouts__queue_s=3600.0) as daemon:
        daemon.wait_ready()
        with daemon.client() as client:
            os.kill(daemon.worker("crashing")["os_pid"], 9)
            daemon.wait_for(lambda status: worker_in(status, "crashing")["state"] == "BACKOFF")
            refused = [inspect(client, "C1") for _ in range(3)]
            assert {(one["status"], one["error_code"], one["attempts"]) for one in refused} == {("ERROR", "3002", 0)}
            assert "signal SIGKILL" in refused[0]["message"]
            assert inspect(client, "S1")["incarnation"] == 1
            status = daemon.wait_for(lambda status: worker_in(status, "crashing")["state"] == "READY")
            assert [one["health"] for one in status["deployments"] if one["name"] == "crashing"] == ["DEGRADED"]
            assert inspect(client, "C1")["status"] == "OK"
