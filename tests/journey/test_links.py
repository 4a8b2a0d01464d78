"""How a link begins, ends and is guarded; what is in flight survives it (spec.md §4.20 to §4.22, §4.40)."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import Client, RefusedError, RunnerUnreachableError
from tests.doubles.daemon import IMAGE, SLOTS, inspect, serving, submit
from tests.doubles.raw_host import RawHost, frame


def test_a_link_that_ends_during_a_call_frees_its_slots_and_the_call_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        client = daemon.client("host-a")
        submit(client, "S1", request_id="mid", step_index=1, user_params={"gate": "mid"})
        for _ in range(SLOTS - 1):
            client.lease()
        with daemon.gate("mid"):
            client.close()
            daemon.wait_for(lambda status: status["inspections"]["in_flight"] == 1)
        with daemon.client("host-a") as back:
            daemon.wait_for(lambda status: status["inspections"]["in_flight"] == 0)
            assert back.ask("query", target_request_id="mid")["status"] == "OK"
            leases = [back.lease() for _ in range(SLOTS)]
            assert len({lease.offset for lease in leases}) == SLOTS


def test_a_new_life_of_a_host_cannot_use_the_leases_of_its_last_one(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        with daemon.client("host-a") as client:
            lease = client.lease()
            meta = lease.put(IMAGE)
        with daemon.client("host-a") as back:
            assert back.inspect("S1", lease, meta, renew=False)["error_code"] == "4003"


def test_over_tcp_the_token_lets_a_host_in_and_nothing_else_does(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", host__transport="tcp") as daemon:
        daemon.wait_ready()
        address = (daemon.home / "run" / "address").read_text("utf-8")
        token = (daemon.home / "run" / "token").read_text("utf-8")
        assert address.startswith("tcp:127.0.0.1:")
        assert stat.S_IMODE((daemon.home / "run" / "token").stat().st_mode) == 0o600
        for wrong in (None, "", token[:-1], token.upper() + "x", "ü"):
            with pytest.raises(RefusedError, match="token") as refused:
                Client(address, token=wrong)
            assert refused.value.code == "4005"
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"
    assert not (daemon.home / "run" / "token").exists()


def test_a_home_too_deep_for_a_socket_is_served_from_the_temporary_folder(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with serving(tmp_path_factory.mktemp("deep"), "steady", home="d" * 60) as daemon:
        address = (daemon.home / "run" / "address").read_text("utf-8")
        assert len(str(daemon.home / "run" / "runner.sock")) > 100
        assert address.startswith(f"unix:{daemon.temporary}")
        daemon.wait_ready()
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"
    assert list(daemon.temporary.iterdir()) == []


def test_the_socket_and_the_segment_are_their_owners_alone(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.host() as host:
        segment = Path("/dev/shm") / host.welcome["arena"]["segment"]
        assert stat.S_IMODE((daemon.home / "run").stat().st_mode) == 0o700
        assert stat.S_IMODE((daemon.home / "run" / "runner.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE(segment.stat().st_mode) == 0o600


FIRST_FRAMES: list[tuple[bytes, str]] = [
    (frame(b'{"type":"lease","request_id":"a"}'), "4005"),
    (frame(b'{"type":"hello","protocol_version":"2.0"}'), "4002"),
    (frame(b'{"type":"hello","protocol_version":1}'), "4002"),
    (frame(b'{"type":"hello","client_id":"../x"}'), "4002"),
    (frame(b""), "4001"),
    (frame(b"[]"), "4001"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "4001"),
    (b"\xff\xff\xff\xff", "4001"),
]


def test_a_link_that_does_not_begin_with_hello_is_told_so_and_closed(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        for data, code in FIRST_FRAMES:
            with RawHost(daemon.home) as host:
                host.write(data)
                (told,) = host.hear_the_end()
                assert (told["status"], told["error_code"]) == ("ERROR", code), (data, told)


def test_hello_may_have_fields_of_a_later_version_and_another_minor(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon, RawHost(daemon.home) as host:
        host.write(frame(json.dumps({"type": "hello", "protocol_version": "1.9", "colour": "red"}).encode()))
        welcome = host.hear()
        assert welcome["type"] == "hello" and welcome["station"] == "tested"


def test_a_link_that_says_no_hello_in_time_is_closed(tmp_path: Path) -> None:
    with serving(tmp_path, host__hello_s=0.05) as daemon, RawHost(daemon.home) as host:
        (told,) = host.hear_the_end()
        assert told["error_code"] == "4001" and "no hello" in told["message"]


@pytest.mark.parametrize("begun", [b"\0", b"\0\0\0\x09", b'\0\0\0\x09{"type"'])
def test_a_frame_that_is_not_finished_in_time_closes_its_link_alone(tmp_path: Path, begun: bytes) -> None:
    with serving(tmp_path, host__body_s=0.05) as daemon, daemon.host() as host, daemon.host() as other:
        host.write(begun)
        (told,) = host.hear_the_end()
        assert told["error_code"] == "4001" and "unfinished" in told["message"]
        assert other.ask("ping")["type"] == "pong"


def test_an_idle_link_lives(tmp_path: Path) -> None:
    with serving(tmp_path, host__hello_s=0.05, host__body_s=0.05) as daemon, daemon.host() as idle:
        with RawHost(daemon.home) as late:
            late.hear_the_end()  # longer than either limit
        assert idle.ask("ping")["type"] == "pong"


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "4001"),
    (b"{", "4001"),
    (b"\xff\xfe", "4001"),
    (b"7", "4001"),
    (b'{"a":NaN}', "4001"),
    (b'{"a":1e999}', "4001"),
    (b'{"a":1,"a":2}', "4001"),
    (b"[" * 5000, "4001"),
    (b'{"a":' * 40 + b"1" + b"}" * 40, "4001"),
    (b"{}", "4002"),
    (b'{"type":"lease"}', "4002"),
    (b'{"type":"lease","request_id":7}', "4002"),
]


def test_a_bad_frame_is_answered_by_an_error_and_the_link_lives(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon, daemon.host() as host:
        for body, code in BAD_BODIES:
            host.write(frame(body))
            told = host.hear()
            assert (told["type"], told["error_code"]) == ("error", code), (body[:60], told)
        assert host.ask("ping")["type"] == "pong"


def test_frames_may_come_byte_by_byte_or_all_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon, daemon.host() as host:
        one = frame(b'{"type":"ping","request_id":"a"}')
        for at in range(len(one)):
            host.write(one[at : at + 1])
        host.write(one * 50)
        assert [host.hear()["type"] for _ in range(51)] == ["pong"] * 51


def test_an_overlong_frame_is_refused_by_its_length_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon, daemon.host() as host:
        host.write((2 * 1024 * 1024 + 1).to_bytes(4, "big"))
        told: list[dict[str, Any]] = host.hear_the_end()
        assert [one["error_code"] for one in told] == ["4001"]


def test_a_home_that_nobody_serves_says_how_to_start_a_runner(tmp_path: Path) -> None:
    with pytest.raises(RunnerUnreachableError, match="no runner serves") as unreachable:
        Client.at(tmp_path)
    assert "procvision-runner serve" in unreachable.value.hint
