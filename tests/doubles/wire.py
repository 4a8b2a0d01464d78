"""A connection without a socket: what is written is kept, and read out by the test as the other side would."""

from __future__ import annotations

import asyncio
from typing import Any

from procvision_sdk.wire import body, framing


class WireInMemory(asyncio.Transport):
    """`unread_bytes` is what the other side has not read, as far as the protocol can know."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.ended = asyncio.Event()
        self.aborted = False
        self.unread_bytes = 0
        self.reads_everything = True
        self._protocol = protocol
        self._decoder = framing.FrameDecoder()
        self._heard: list[dict[str, Any]] = []
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.closed:
            return
        if not self.reads_everything:
            self.unread_bytes += len(data)
        bodies, too_long = self._decoder.feed(bytes(data))
        assert too_long is None
        self._heard += map(body.decode, bodies)

    @property
    def closed(self) -> bool:
        return self.ended.is_set()

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self._end()

    def abort(self) -> None:
        self.aborted = True
        self._end()

    def _end(self) -> None:
        if not self.closed:
            self.ended.set()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def say(self, *messages: dict[str, Any]) -> None:
        """The other side sends these in one piece."""
        self.send(b"".join(framing.encode(body.encode(message)) for message in messages))

    def send(self, data: bytes) -> None:
        """The other side sends these bytes."""
        self._protocol.data_received(data)

    def hear(self) -> list[dict[str, Any]]:
        """What was written since the last time."""
        heard, self._heard = self._heard, []
        return heard
