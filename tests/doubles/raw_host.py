"""A host written from spec.md alone: a socket, four bytes of length, JSON. Nothing of the project is imported.

Blocking. A silence of LIMIT_S is a failed test.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# No measure of anything: only the difference between slow and never.
LIMIT_S = 60.0


class LinkClosedError(Exception):
    """The runner closed the link."""


def frame(body: bytes) -> bytes:
    """Length and body (spec.md §4.1)."""
    return struct.pack(">I", len(body)) + body


class RawHost:
    """One link to a runner: `RawHost(home)` connects and says nothing, `RawHost.greeted(home)` said hello."""

    def __init__(self, home: Path) -> None:
        kind, _, rest = (home / "run" / "address").read_text("utf-8").partition(":")
        if kind == "unix":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(LIMIT_S)
            self._socket.connect(rest)
        else:
            host, _, port = rest.partition(":")
            self._socket = socket.create_connection((host, int(port)), LIMIT_S)
        self._unread = b""
        self._asked = 0
        self._mapping: mmap.mmap | None = None
        self._said: deque[dict[str, Any]] = deque()
        self.events: deque[dict[str, Any]] = deque()
        self.welcome: dict[str, Any] = {}

    @classmethod
    def greeted(cls, home: Path, **hello: Any) -> Self:
        host = cls(home)
        token = home / "run" / "token"
        if token.exists():
            hello.setdefault("token", token.read_text("utf-8"))
        try:
            host.welcome = host.ask("hello", protocol_version="1.0", **hello)
        except LinkClosedError:
            host.close()
            raise
        return host

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
        if self._mapping is not None:
            self._mapping.close()

    def write(self, data: bytes) -> None:
        """Bytes as they are; LinkClosedError when nobody reads them any more."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LinkClosedError(str(error)) from None

    def say(self, kind: str, **fields: Any) -> str:
        """Send a request; its request_id."""
        self._asked += 1
        request_id: str = fields.setdefault("request_id", f"raw-{self._asked}")
        self.write(frame(json.dumps({"type": kind, **fields}).encode()))
        return request_id

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a request and hear its answer; other messages wait for `hear`, events for `hear_event`."""
        request_id = self.say(kind, **fields)
        return self.answer(request_id)

    def answer(self, request_id: str) -> dict[str, Any]:
        """The answer to one request."""
        for message in self._said:
            if message.get("request_id") == request_id:
                self._said.remove(message)
                return message
        while (message := self._read()).get("request_id") != request_id:
            self._keep(message)
        return message

    def hear(self) -> dict[str, Any]:
        """The next message that is no event."""
        while not self._said:
            self._keep(self._read())
        return self._said.popleft()

    def hear_event(self) -> dict[str, Any]:
        while not self.events:
            self._keep(self._read())
        return self.events.popleft()

    def hear_the_end(self) -> list[dict[str, Any]]:
        """Everything up to the end of the link."""
        heard = []
        while True:
            try:
                heard.append(self.hear())
            except LinkClosedError:
                return heard

    def lease(self) -> dict[str, Any]:
        data: dict[str, Any] = self.ask("lease")["data"]
        return data

    def fill(self, lease: dict[str, Any], pixels: bytes) -> None:
        """Write into a leased slot, the way spec.md §4.25 tells a host to."""
        arena = self.welcome["arena"]
        if self._mapping is None:
            descriptor = os.open(f"/dev/shm/{arena['segment']}", os.O_RDWR)
            self._mapping = mmap.mmap(descriptor, arena["size_bytes"])
            os.close(descriptor)
        assert len(pixels) <= lease["capacity"]
        self._mapping[lease["offset"] : lease["offset"] + len(pixels)] = pixels

    def _keep(self, message: dict[str, Any]) -> None:
        (self.events if message["type"] == "event" else self._said).append(message)

    def _read(self) -> dict[str, Any]:
        (length,) = struct.unpack(">I", self._exactly(4))
        message: dict[str, Any] = json.loads(self._exactly(length))
        return message

    def _exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            try:
                data = self._socket.recv(65_536)
            except ConnectionError as error:
                raise LinkClosedError(str(error)) from None
            if not data:
                raise LinkClosedError("end of the link")
            self._unread += data
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken
