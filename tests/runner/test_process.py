"""A worker's process: what is said to it before its pipes are known is not lost (spec.md §4.21)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from runner.workers.launch import LaunchPlan
from runner.workers.process import ExitReason, WorkerProcess

ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read(8)); sys.stdout.flush(); sys.stdin.buffer.read()"


class Heard:
    """What a process said, and how it ended."""

    def __init__(self) -> None:
        self.bodies: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()

    def on_body(self, body: bytes) -> None:
        self.bodies.put_nowait(body)

    def on_bad_frame(self, reason: str) -> None:
        raise AssertionError(reason)

    def on_log(self, data: bytes) -> None:
        raise AssertionError(data)

    def on_exit(self, reason: ExitReason) -> None:  # noqa: ARG002
        self.ended.set()


async def echoed(scratch: Path) -> bytes:
    heard = Heard()
    process = WorkerProcess(LaunchPlan((sys.executable, "-c", ECHO), scratch, {}, scratch / "own"), heard)
    process.send(b"{} !")
    await process.start()
    body = await asyncio.wait_for(heard.bodies.get(), 60)
    process.kill()
    await heard.ended.wait()
    return body


def test_what_is_said_before_the_pipes_are_known_arrives(tmp_path: Path) -> None:
    assert asyncio.run(echoed(tmp_path)) == b"{} !"
