"""The bare relay with asyncio Protocols in place of epoll: what an event loop costs, with no service on it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import Any, cast

from benchmarks.frames import HEADER, Cutter
from benchmarks.relayed import relayed
from benchmarks.stage import Play, Setting, perform

NAME = "benchmarks.contestants.asyncio_relay"


class Onward(asyncio.Protocol):
    """Each body that comes goes on to `to`."""

    def __init__(self, gone: asyncio.Event) -> None:
        self.to: Any = None
        self.transport: Any = None
        self._cutter = Cutter()
        self._gone = gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for body in self._cutter.feed(data):
            self.to.write(HEADER.pack(len(body)) + body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._gone.set()


async def relay(worker: list[str]) -> None:
    """Between descriptor 0 and a worker, until the host closes."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    command = [sys.executable, "-m", "benchmarks.frames", *worker]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)  # noqa: ASYNC220
    host, answers = Onward(gone), Onward(gone)
    asks, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
    await loop.connect_read_pipe(lambda: answers, process.stdout)
    host.to = asks
    transport, _ = await loop.create_unix_connection(lambda: host, sock=socket.socket(fileno=0))
    answers.to = cast(asyncio.Transport, transport)
    await gone.wait()
    asks.close()
    await asyncio.to_thread(process.wait)


def open_relay(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return relayed(stack, setting, NAME)


if __name__ == "__main__":
    if sys.argv[1] == "--relay":
        asyncio.run(relay(sys.argv[2:]))
    else:
        perform(open_relay)
