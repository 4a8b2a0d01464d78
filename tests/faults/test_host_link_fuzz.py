"""Hosts that send anything at all: the runner lives, and a polite host is served meanwhile (spec.md §4.1 to §4.6)."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.host.client import Client, Lease
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import IMAGE, Daemon, serving
from tests.doubles.host_connection import PATIENT, Connection, connected
from tests.doubles.raw_host import LinkClosedError, RawHost, frame

SEED = 20_240_501
SLOW = [pytest.mark.slow, pytest.mark.timeout(3600)]
# After so many frames the polite host asks, and the rude one reads what it was answered.
BATCH = 25
META = {"width": 8, "height": 8, "timestamp_ms": 1, "camera_id": "c"}
VALUES: list[Any] = [None, True, -1, 0, 1e308, 10**30, "", "a" * 99, "\ud800", "\0", "../..", [], {}, [[[]]], {"a": {}}]
REQUESTS: list[dict[str, Any]] = [
    {"type": "ping"},
    {"type": "lease"},
    {"type": "status"},
    {"type": "release", "shared_mem_id": "pv1.a.0.1"},
    {"type": "open_session", "pid": "S1", "session_id": "s", "context": {"a": 1}},
    {"type": "end_session", "session_id": "s"},
    {"type": "inspect", "pid": "S1", "shared_mem_id": "pv1.a.0.1", "image_meta": META, "deadline_ms": 9},
    {"type": "cancel", "target_request_id": "r1"},
    {"type": "query", "target_request_id": "r1"},
    {"type": "subscribe", "topics": ["workers"]},
    {"type": "hello", "protocol_version": "1.0", "client_id": "x"},
]


def anything(rng: random.Random) -> bytes:
    """Noise, noise in a frame, a broken frame, or a request with something wrong in it."""
    request = {"request_id": f"r{rng.randrange(9)}", **rng.choice(REQUESTS)}
    match rng.randrange(8):
        case 0:
            return frame(rng.randbytes(rng.randrange(200)))
        case 1:
            return rng.randbytes(rng.randrange(1, 40))
        case 2:
            body = bytearray(json.dumps(request).encode())
            body[rng.randrange(len(body))] = rng.randrange(256)
            return frame(bytes(body))
        case 3:
            whole = frame(json.dumps(request).encode())
            return whole[: rng.randrange(1, len(whole))]
        case 4:
            request.pop(rng.choice(list(request)))
        case 5:
            request[rng.choice([*request, "extra"])] = rng.choice(VALUES)
        case 6:
            return rng.randrange(2**32).to_bytes(4, "big")
    return frame(json.dumps(request).encode())


def rude_batch(daemon: Daemon, rng: random.Random) -> int:
    """One link's worth of anything; how many frames went out before the runner closed it."""
    sent = 0
    with RawHost(daemon.home) as rude:
        try:
            if rng.random() < 0.9:
                rude.ask("hello", protocol_version="1.0")
            for _ in range(BATCH):
                sent += 1
                rude.write(anything(rng))
            rude.ask("ping", request_id="last")
        except LinkClosedError:
            return sent
    return sent


def assert_served(polite: Client, lease: Lease, meta: dict[str, Any]) -> None:
    result = polite.inspect("S1", lease, meta, keep=True)
    assert (result["status"], result["incarnation"]) == ("OK", 1), result


def fuzz(folder: Path, frames: int) -> None:
    rng = random.Random(SEED)
    with serving(folder, "steady", host__body_s=0.02, host__hello_s=0.5) as daemon, daemon.client() as polite:
        daemon.wait_ready()
        lease = polite.lease()
        meta = lease.put(IMAGE)
        assert_served(polite, lease, meta)
        polite.ask("query", last=1)  # the store opens its reader at the first question, and keeps it
        descriptors = psutil.Process(daemon.process.pid).num_fds()
        sent = 0
        while sent < frames:
            sent += rude_batch(daemon, rng)
            assert_served(polite, lease, meta)
        polite.release(lease)
        daemon.assert_nothing_is_lost()
        for _ in range(20):  # turns of the runner's loop, in which it closes what the last links left
            polite.status()
        assert psutil.Process(daemon.process.pid).num_fds() == descriptors
        assert "Traceback" not in daemon.log and '"level": "error"' not in daemon.log


@pytest.mark.fault("C1", "C2")
def test_three_thousand_frames_of_anything_stop_neither_the_runner_nor_a_polite_host(tmp_path: Path) -> None:
    fuzz(tmp_path, 3_000)


@pytest.mark.fault("C1")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_frames_of_anything_stop_neither_the_runner_nor_a_polite_host(tmp_path: Path) -> None:
    fuzz(tmp_path, 100_000)


@pytest.mark.fault("C3")
def test_a_flood_of_valid_requests_is_answered_or_refused_one_by_one_and_a_polite_host_is_served(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "steady", host__max_outstanding=8) as daemon, daemon.client() as polite:
        daemon.wait_ready()
        lease, greedy = polite.lease(), daemon.host()
        meta = lease.put(IMAGE)
        with greedy:
            taken = greedy.lease()
            asked = {"pid": "S1", "shared_mem_id": taken["shared_mem_id"], "image_meta": META, "keep": True}
            for number in range(100):
                greedy.say("inspect", request_id=f"f{number}", **asked)
            for _ in range(5):
                assert_served(polite, lease, meta)
            answers = [greedy.answer(f"f{number}") for number in range(100)]
        codes = [one["error_code"] for one in answers]
        assert set(codes) == {"", "3001"} and codes.count("") >= 8
        assert all(one["status"] == ("OK" if one["error_code"] == "" else "ERROR") for one in answers)
        polite.release(lease)


@pytest.mark.fault("C1")
@pytest.mark.parametrize(
    ("data", "closes"),
    [
        (b"\0\0\0\0", False),
        (b"\0\0\0\x02\xff\xfe", False),
        (frame(os.urandom(200)), False),
        (b"\xff\xff\xff\xff", True),
        (b"GET / HTTP/1.1\r\n\r\n", True),
        ((2 * 1024 * 1024 + 1).to_bytes(4, "big"), True),
    ],
)
def test_bytes_that_are_no_frame_are_4001_and_close_the_link_where_it_cannot_go_on(
    tmp_path: Path, data: bytes, closes: bool
) -> None:
    with around_a_fault(tmp_path) as daemon, daemon.host() as host, daemon.host() as other:
        host.write(data)
        if closes:
            assert [one["error_code"] for one in host.hear_the_end()] == ["4001"]
        else:
            assert host.hear()["error_code"] == "4001"
            assert host.ask("ping")["type"] == "pong"
        assert other.ask("ping")["type"] == "pong"


def hear_anything(frames: int) -> int:
    """Anything, to links in memory; how many of them ended over it."""
    dice = random.Random(20_250_111)
    ended = heard = 0

    async def one_link(connection: Connection) -> None:
        nonlocal heard, ended
        for _ in range(1000):
            if connection.wire.closed:
                ended += 1
                return
            connection.wire.send(anything(dice))
            heard += 1

    while heard < frames:
        connected(one_link, PATIENT)
    return ended


@pytest.mark.fault("C1")
@pytest.mark.parametrize("frames", [20_000, pytest.param(5_000_000, marks=SLOW)])
def test_whatever_hosts_say_a_link_answers_refuses_or_closes_and_never_breaks(frames: int) -> None:
    assert hear_anything(frames) > frames // 1000
