"""Each request has one answer: resent, queried, cancelled, or heard of by others (spec.md §4.34 to §4.37)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.host.client import Client, RefusedError
from tests.doubles.daemon import IMAGE, Daemon, inspect, serving, submit


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("s"), "steady") as running:
        running.wait_ready()
        yield running


def gated(name: str) -> dict[str, Any]:
    return {"step_index": 1, "user_params": {"gate": name}}


def hooks_run(daemon: Daemon) -> int:
    answered: int = daemon.worker("steady")["answered"]
    return answered


def test_a_resent_request_gets_its_stored_answer_and_is_not_inspected_again(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        first = client.inspect("S1", lease, meta, request_id="same", step_index=1, renew=False)
        before = hooks_run(daemon)
        again = client.inspect("S1", lease, meta, request_id="same", step_index=1, renew=False)
    assert again == first
    assert hooks_run(daemon) == before


@pytest.mark.parametrize("changed", [{"step_index": 2}, {"user_params": {"limit": 4}}, {"deadline_ms": 5000.0}])
def test_an_id_that_was_used_for_another_request_is_refused_and_its_answer_stays(
    daemon: Daemon, changed: dict[str, Any]
) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        asked = {"request_id": "used", "step_index": 1, "renew": False}
        first = client.inspect("S1", lease, meta, **asked)
        other = client.inspect("S1", lease, meta, **{**asked, **changed})
        again = client.inspect("S1", lease, meta, **asked)
    assert (other["status"], other["error_code"]) == ("ERROR", "4004")
    assert again == first and first["status"] == "OK"


def test_another_image_under_a_used_id_is_refused_and_keeps_its_lease(daemon: Daemon) -> None:
    with daemon.client() as client:
        inspect(client, "S1", request_id="image", step_index=1)
        lease = client.lease()
        refused = client.inspect("S1", lease, lease.put(IMAGE), request_id="image", step_index=1, renew=False)
        client.release(lease)
    assert refused["error_code"] == "4004"


def test_a_request_resent_while_it_runs_is_inspected_once_and_both_are_answered(daemon: Daemon) -> None:
    gate = daemon.gate("twice")
    before = hooks_run(daemon)
    with daemon.client("host-a") as client, daemon.client("host-a") as again:
        lease = client.lease()
        meta = lease.put(IMAGE)
        client.submit("S1", lease, meta, request_id="t", **gated("twice"))
        with gate:
            again.submit("S1", lease, meta, request_id="t", **gated("twice"))
            again.status()
        assert client.result("t") == again.result("t")
    assert hooks_run(daemon) == before + 1


def test_the_same_id_of_another_host_is_another_request(daemon: Daemon) -> None:
    with daemon.client("host-b") as one, daemon.client("host-c") as other:
        first = inspect(one, "S1", request_id="id", step_index=1)
        second = inspect(other, "S1", request_id="id", step_index=2)
    assert (first["step_index"], second["step_index"]) == (1, 2)


def test_a_refused_request_frees_its_id(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        refused = client.inspect("S1", lease, meta, request_id="free", step_index=9, renew=False)
        result = client.inspect("S1", lease, meta, request_id="free", step_index=1, renew=False)
    assert (refused["error_code"], result["status"]) == ("1006", "OK")


def test_an_answer_that_was_missed_is_found_by_the_host_when_it_comes_back(daemon: Daemon) -> None:
    gate = daemon.gate("lost")
    with daemon.client("host-d") as client:
        submit(client, "S1", request_id="lost", **gated("lost"))
        with gate:
            client.close()
            daemon.status()
    daemon.wait_for(lambda status: status["inspections"]["in_flight"] == 0)
    with daemon.client("host-d") as back:
        found = back.ask("query", target_request_id="lost")
    assert (found["request_id"], found["status"]) == ("lost", "OK")
    assert found["data"]["result_status"] == "OK"


def test_an_answer_is_found_by_its_own_host_alone_and_only_once_it_is_there(daemon: Daemon) -> None:
    gate = daemon.gate("own")
    with daemon.client("host-e") as client, daemon.client("host-f") as stranger:
        request_id, _ = submit(client, "S1", **gated("own"))
        with gate, pytest.raises(RefusedError, match="no answer is stored"):
            client.ask("query", target_request_id=request_id)
        answer = client.result(request_id)
        assert client.ask("query", target_request_id=request_id) == answer
        with pytest.raises(RefusedError, match="no answer is stored"):
            stranger.ask("query", target_request_id=request_id)


def test_a_waiting_request_is_cancelled_at_once_and_never_starts(daemon: Daemon) -> None:
    gate = daemon.gate("ahead")
    before = hooks_run(daemon)
    with daemon.client() as client:
        ahead, _ = submit(client, "S1", **gated("ahead"))
        with gate:
            waiting, _ = submit(client, "S1", step_index=1)
            assert client.ask("cancel", target_request_id=waiting) == {"stage": "waiting"}
            cancelled = client.result(waiting)
        assert client.result(ahead)["status"] == "OK"
    assert (cancelled["status"], cancelled["error_code"], cancelled["attempts"]) == ("ERROR", "3006", 0)
    assert hooks_run(daemon) == before + 1


def test_the_verdict_of_a_running_request_that_was_cancelled_is_dropped_and_no_step_follows(daemon: Daemon) -> None:
    gate = daemon.gate("running")
    with daemon.client() as client:
        session_id = client.open_session("S1")
        running, _ = submit(client, "S1", session_id=session_id, user_params={"gate": "running"})
        with gate:
            assert client.ask("cancel", target_request_id=running) == {"stage": "running"}
        cancelled = client.result(running)
        after = inspect(client, "S1", session_id=session_id, step_index=2)
        client.end_session(session_id)
    assert (cancelled["status"], cancelled["error_code"]) == ("ERROR", "3006")
    assert "result_status" not in str(cancelled)
    assert cancelled["data"] == {} and cancelled["step_index"] == 1
    assert after["data"]["trail"] == ["pre2", "execute2"]
    assert f"reset-{session_id}" in daemon.notes


def test_a_request_of_another_host_cannot_be_cancelled(daemon: Daemon) -> None:
    gate = daemon.gate("foreign")
    with daemon.client() as client, daemon.client() as stranger:
        running, _ = submit(client, "S1", **gated("foreign"))
        with gate, pytest.raises(RefusedError, match="not in flight"):
            stranger.ask("cancel", target_request_id=running)
        assert client.result(running)["status"] == "OK"


def test_a_subscriber_hears_of_results_and_workers_but_gets_no_result(daemon: Daemon) -> None:
    with daemon.host() as subscriber, daemon.client() as client:
        assert subscriber.ask("subscribe", topics=["results", "workers"])["data"]["topics"] == ["results", "workers"]
        inspect(client, "S1", step_index=1, user_params={"verdict": "NG"}, request_id="seen")
        while (event := subscriber.hear_event())["topic"] != "results":
            pass
    assert event["data"].items() >= {"request_id": "seen", "pid": "S1", "status": "OK", "outcome": "ng"}.items()
    assert event["dropped"] == 0 and "request_id" not in event


def test_a_subscription_ends_with_its_link(daemon: Daemon) -> None:
    with daemon.host() as subscriber:
        subscriber.ask("subscribe", topics=["results"])
    with daemon.client() as client:
        inspect(client, "S1", step_index=1)
        assert client.status()["events_dropped"] == 0


def _two_in_one_session(client: Client) -> tuple[str, str, str]:
    session_id = client.open_session("S1")
    first, _ = submit(client, "S1", session_id=session_id, **gated("session"))
    second, _ = submit(client, "S1", session_id=session_id, step_index=2, deadline_ms=200.0)
    return session_id, first, second


def test_a_request_that_waits_for_its_session_is_answered_by_its_deadline(daemon: Daemon) -> None:
    gate = daemon.gate("session")
    with daemon.client() as client:
        session_id, first, second = _two_in_one_session(client)
        with gate:
            assert client.result(second)["error_code"] == "1005"
        assert client.result(first)["status"] == "OK"
        client.end_session(session_id)


def test_requests_of_one_session_run_one_after_the_other_in_their_order(daemon: Daemon) -> None:
    gate = daemon.gate("ordered")
    with daemon.client() as client:
        session_id = client.open_session("S1")
        first, _ = submit(client, "S1", session_id=session_id, **gated("ordered"))
        second, _ = submit(client, "S1", session_id=session_id, step_index=2)
        gate.let_through()
        assert client.result(first)["status"] == "OK"
        assert client.result(second)["data"]["trail"] == ["pre1", "execute1", "pre2", "execute2"]
        client.end_session(session_id)
