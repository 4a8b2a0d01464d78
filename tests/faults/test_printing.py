"""Whatever an algorithm prints lands in the log, never between the frames (spec.md §4.9, §12.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with around_a_fault(tmp_path_factory.mktemp("s"), "printing") as running:
        yield running


@pytest.mark.fault("A21")
@pytest.mark.parametrize(
    ("how", "logged"),
    [
        ("print", "printed in a hook"),
        ("print", "written to the first stdout"),
        ("write", "written to descriptor 1"),
        ("echo", "echoed by a shell"),
        ("child", "printed by a child"),
        ("banner", "a banner of a C library"),
        ("print", "printed at import"),
        ("faulthandler", "Current thread"),
    ],
)
def test_what_is_printed_is_in_the_log_and_the_part_is_judged(daemon: Daemon, how: str, logged: str) -> None:
    with daemon.client() as client:
        result = inspect(client, "P1", user_params={"how": how})
        after = inspect(client, "P1", user_params={"how": "print"})
    assert [(one["status"], one["incarnation"], one["attempts"]) for one in (result, after)] == [("OK", 1, 1)] * 2
    assert logged in daemon.log


@pytest.mark.fault("A24")
def test_a_flood_neither_blocks_the_worker_nor_fills_memory_or_disk_nor_reaches_a_terminal(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "flooding") as daemon, daemon.client() as client:
        runner = psutil.Process(daemon.process.pid)
        before = runner.memory_info().rss
        for how in ("lines", "endless", "binary", "ansi"):
            result = inspect(client, "F1", user_params={"how": how})
            assert (result["status"], result["incarnation"], result["attempts"]) == ("OK", 1, 1)
        assert runner.memory_info().rss - before < 20_000_000  # of 24 million bytes written
        written = b"".join(path.read_bytes() for path in (daemon.home / "logs").iterdir())
        assert "bytes of log suppressed" in daemon.log
    assert len(written) < 6_000_000
    assert not set(written) & (set(range(32)) - {10}) and max(written) < 127
