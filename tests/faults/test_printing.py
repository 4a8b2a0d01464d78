"""Whatever an algorithm prints lands in the log, never between the frames (spec.md §4.9, §12.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.daemon import Daemon, inspect, serving


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("s"), "printing") as running:
        running.wait_ready()
        yield running


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
    ],
)
def test_what_is_printed_is_in_the_log_and_the_part_is_judged(daemon: Daemon, how: str, logged: str) -> None:
    with daemon.client() as client:
        result = inspect(client, "P1", user_params={"how": how})
        after = inspect(client, "P1", user_params={"how": "print"})
    assert [(one["status"], one["incarnation"], one["attempts"]) for one in (result, after)] == [("OK", 1, 1)] * 2
    assert logged in daemon.log


def test_a_flood_neither_blocks_the_worker_nor_fills_the_disk_nor_reaches_a_terminal(tmp_path: Path) -> None:
    with serving(tmp_path, "printing") as daemon, daemon.client() as client:
        daemon.wait_ready()
        result = inspect(client, "P1", user_params={"how": "flood"})
        assert (result["status"], result["incarnation"]) == ("OK", 1)
        assert inspect(client, "P1", user_params={"how": "flood"})["status"] == "OK"
        written = b"".join(path.read_bytes() for path in (daemon.home / "logs").iterdir())
    assert len(written) < 3_000_000  # of 8 million bytes
    assert b"\x1b" not in written and b"\xff" not in written
