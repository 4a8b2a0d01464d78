"""The runner inside a Python host: the same answers as on the link, and the host stays as it was (spec.md §11)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from procvision_sdk.errors import ErrorCode, SchemaError, StationError
from runner import AsyncRunner, Runner
from runner.config import SlotsConfig, StationConfig, TimeoutsConfig, WorkersConfig
from tests.doubles.daemon import IMAGE, PROJECTS, serving
from tests.doubles.daemon import inspect as inspect_by_link


def config(folder: Path, **parts: Any) -> StationConfig:
    return StationConfig(
        station="embedded",
        slots=SlotsConfig(count=3, capacity_bytes=65_536),
        workers=WorkersConfig(standby=0),
        environment={"PROC_TEST_FOLDER": str(folder)},
        **parts,
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


OWN = frozenset(
    ("request_id", "timestamp_ms", "session_id", "timings", "lease", "recorded", "latency_ms", "os_pid", "incarnation")
)


def told(value: Any) -> Any:
    """What of a result does not name its own request, session, process and times."""
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items() if key not in OWN}
    return [told(item) for item in value] if isinstance(value, list) else value


def test_an_embedded_runner_answers_what_a_daemon_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        daemon.wait_ready()
        by_link = inspect_by_link(client, "S1")
    with Runner([PROJECTS / "steady"], config(tmp_path)) as runner:
        lease = runner.lease()
        embedded = runner.inspect("S1", lease, lease.put(IMAGE))
        assert told(embedded) == told(by_link)
        assert (embedded["status"], embedded["copies"], embedded["recorded"]) == ("OK", 0, "none")
        assert runner.status()["slots"]["free"] == 3


def test_a_lease_is_a_writable_view_of_the_slot_itself(tmp_path: Path) -> None:
    with Runner([PROJECTS / "steady"], config(tmp_path)) as runner:
        lease = runner.lease()
        meta = {"width": 64, "height": 48, "timestamp_ms": 1, "camera_id": "c"}
        pixels = lease.array(meta)
        assert pixels.shape == (48, 64, 3) and pixels.flags.writeable
        assert np.shares_memory(pixels, np.frombuffer(lease.buffer(), np.uint8))
        del pixels
        runner.release(lease)


def test_a_host_keeps_its_signal_handlers_and_its_children(tmp_path: Path) -> None:
    own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    try:
        with Runner([PROJECTS / "steady"], config(tmp_path)) as runner:
            lease = runner.lease()
            assert runner.inspect("S1", lease, lease.put(IMAGE))["status"] == "OK"
            assert [signal.getsignal(number) for number in numbers] == before
        assert own.poll() is None
        assert [child.pid for child in psutil.Process().children()] == [own.pid]
    finally:
        own.communicate(b"\n")


def test_many_inspections_at_once_get_each_its_own_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with AsyncRunner([PROJECTS / "steady"], config(tmp_path)) as runner:
            leases = [runner.lease() for _ in range(3)]
            asked = [runner.inspect("S1", one, one.put(IMAGE), request_id=f"r{at}") for at, one in enumerate(leases)]
            results = await asyncio.gather(*asked)
            assert [one["request_id"] for one in results] == ["r0", "r1", "r2"]
            assert [one["status"] for one in results] == ["OK"] * 3
            counted = runner.status()["inspections"]
            assert (counted["submitted"], counted["in_flight"]) == (3, 0)

    run(work())


def test_cancelling_the_await_cancels_the_inspection_and_frees_its_slot(tmp_path: Path) -> None:
    async def work() -> None:
        limits = TimeoutsConfig(pre_execute_s=0.2, execute_s=0.3)
        async with AsyncRunner([PROJECTS / "hanging"], config(tmp_path, timeouts=limits)) as runner:
            first, second = runner.lease(), runner.lease()
            pid = next(iter(runner._station.catalog.products))
            hanging = asyncio.create_task(runner.inspect(pid, first, first.put(IMAGE), user_params={"how": "sleep"}))
            waiting = asyncio.create_task(runner.inspect(pid, second, second.put(IMAGE)))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await hanging)["error_code"] == ErrorCode.TIMEOUT
            outcomes = runner.status()["inspections"]
            assert (outcomes["submitted"], outcomes["error"], outcomes["in_flight"]) == (2, 2, 0)

    run(work())


def test_an_algorithm_that_cannot_boot_is_told_at_the_start_and_nothing_is_left(tmp_path: Path) -> None:
    with (
        pytest.raises(StationError, match="broken_setup") as refused,
        Runner([PROJECTS / "broken_setup"], config(tmp_path)),
    ):
        pytest.fail("it cannot be READY")
    assert refused.value.code == ErrorCode.CANNOT_BOOT


def test_a_field_the_message_does_not_know_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with Runner([PROJECTS / "steady"], config(tmp_path)) as runner:
        lease = runner.lease()
        with pytest.raises(SchemaError, match="deadline_ms"):
            runner.inspect("S1", lease, lease.put(IMAGE), deadlin_ms=5.0)
        runner.release(lease)


@pytest.mark.parametrize(
    ("value", "error"), [(float("nan"), ValueError), (float("inf"), ValueError), (np.float32(1.0), TypeError)]
)
def test_a_value_that_is_no_json_is_refused_and_the_next_inspection_is_served(
    tmp_path: Path, value: object, error: type[Exception]
) -> None:
    with Runner([PROJECTS / "steady"], config(tmp_path)) as runner:
        lease = runner.lease()
        meta = lease.put(IMAGE)
        with pytest.raises(error):
            runner.inspect("S1", lease, meta, context={"x": value})
        with pytest.raises(error):
            runner.open_session("S1", {"x": value})
        assert runner.inspect("S1", lease, meta)["status"] == "OK"
