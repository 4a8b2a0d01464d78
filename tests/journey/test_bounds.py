"""What hosts may use up is bounded, and who meets a bound is told at once (spec.md §4.23, §4.40)."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.host.client import RefusedError
from tests.doubles.daemon import IMAGE, SLOTS, inspect, serving, submit
from tests.doubles.raw_host import LinkClosedError


def test_a_lease_too_many_is_busy_and_the_next_one_after_a_release_is_granted(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        leases = [client.lease() for _ in range(SLOTS)]
        with pytest.raises(RefusedError, match="all 4 slots are in use") as refused:
            client.lease()
        assert refused.value.code == "3001"
        client.release(leases.pop())
        leases.append(client.lease())
        assert len({lease.offset for lease in leases}) == SLOTS


def test_a_steady_host_gets_its_next_slot_although_all_others_are_leased(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client, daemon.client() as greedy:
        daemon.wait_ready()
        lease = client.lease()
        for _ in range(SLOTS - 1):
            greedy.lease()
        for _ in range(3):
            assert client.inspect("S1", lease, lease.put(IMAGE), step_index=1)["status"] == "OK"


def test_an_inspection_too_many_in_the_queue_is_busy_and_those_in_it_are_served(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", host__max_waiting=2) as daemon, daemon.client() as client:
        daemon.wait_ready()
        gate = daemon.gate("full")
        asked = {"step_index": 1, "user_params": {"gate": "full"}}
        ahead, _ = submit(client, "S1", **asked)
        with gate:
            waiting = [submit(client, "S1", step_index=1)[0] for _ in range(2)]
            busy = client.result(submit(client, "S1", step_index=1)[0])
            assert client.status()["deployments"][0]["waiting"] == 2
        assert (busy["status"], busy["error_code"]) == ("ERROR", "3001")
        assert [client.result(one)["status"] for one in [ahead, *waiting]] == ["OK"] * 3
        assert inspect(client, "S1", step_index=1)["status"] == "OK"


def test_a_request_that_waits_longer_than_the_queue_limit_is_told_so(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", timeouts__queue_s=0.1) as daemon, daemon.client() as client:
        daemon.wait_ready()
        ahead, _ = submit(client, "S1", step_index=1, user_params={"gate": "slow"})
        with daemon.gate("slow"):
            late = client.result(submit(client, "S1", step_index=1)[0])
        assert (late["error_code"], late["attempts"]) == ("1005", 0)
        assert client.result(ahead)["status"] == "OK"


def test_a_link_with_too_many_unanswered_requests_is_busy_and_other_links_are_not(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", host__max_outstanding=1) as daemon, daemon.client() as client:
        daemon.wait_ready()
        ahead, _ = submit(client, "S1", step_index=1, user_params={"gate": "one"})
        with daemon.gate("one"), daemon.client() as other:
            with pytest.raises(RefusedError, match="unanswered") as refused:
                client.lease()
            assert other.status()["inspections"]["in_flight"] == 1
        assert refused.value.code == "3001"
        assert client.result(ahead)["status"] == "OK"


def test_a_connection_too_many_is_closed_and_those_there_are_served(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", host__max_links=2) as daemon, daemon.host() as one, daemon.host() as two:
        with pytest.raises(LinkClosedError):
            daemon.host()
        assert one.ask("ping")["type"] == two.ask("ping")["type"] == "pong"


def test_a_host_that_reads_no_answers_is_disconnected_and_others_are_served(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", host__max_unread_bytes=65536) as daemon, daemon.host() as deaf:
        with pytest.raises(LinkClosedError):
            for _ in range(20_000):
                deaf.say("status")
        assert daemon.status()["station"] == "tested"
