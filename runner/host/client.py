"""Blocking client for Python hosts: lease a slot, write pixels into it, inspect, get the result (spec.md §4).

    with Client.at(home) as client:
        lease = client.lease()
        meta = lease.put(image, camera_id="cam-1")
        result = client.inspect("A01", lease, meta)

Use one client per thread. Requests may overlap: `submit` returns at once, `result` waits for that answer.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any

from procvision_sdk import segment
from procvision_sdk.errors import ErrorCode, ProcVisionError, SchemaError
from procvision_sdk.wire import body, framing
from procvision_sdk.wire.messages import PROTOCOL_VERSION
from runner.host.lease import Lease as Lease


class RunnerUnreachableError(ProcVisionError):
    """No runner answers at this address."""

    default_code = ErrorCode.UNKNOWN_ERROR


class RefusedError(ProcVisionError):
    """The runner refused a request other than inspect; `code` is its error_code."""


class Client:
    """One link to a runner. Every method raises RunnerUnreachableError when the link is gone."""

    def __init__(self, address: str, client_id: str | None = None, token: str | None = None) -> None:
        """Connect to `unix:<path>` or `tcp:<host>:<port>`, say hello and map the segment."""
        self._socket = _connect(address)
        self._decoder = framing.FrameDecoder()
        self._arrived: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        # A named host that comes back must not repeat the ids of its earlier life: their answers are kept.
        self._life = token_hex(4)
        self._count = 0
        try:
            self.welcome = self._greet(client_id, token)
            arena = self.welcome["arena"]
            self._mapping = segment.attach_writable(arena["segment"], arena["size_bytes"])
        except ProcVisionError:
            self._socket.close()
            raise

    @classmethod
    def at(cls, home: Path, client_id: str | None = None) -> Client:
        """Connect to the runner of a station folder."""
        address, token = home / "run" / "address", home / "run" / "token"
        try:
            text = address.read_text(encoding="utf-8")
        except OSError:
            raise RunnerUnreachableError(
                f"no runner serves {home}", hint="start it: procvision-runner serve --home " + str(home)
            ) from None
        return cls(text, client_id, token.read_text(encoding="utf-8") if token.exists() else None)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the link; its leases end with it. The segment is unmapped unless an array of a lease still lives."""
        self._socket.close()
        with suppress(BufferError):
            self._mapping.close()

    def lease(self) -> Lease:
        """A slot to fill; RefusedError 3001 when none is free."""
        return self._lease_of(self.ask("lease"))

    def release(self, lease: Lease) -> None:
        self.ask("release", shared_mem_id=lease.shared_mem_id)

    def open_session(self, pid: str, context: Mapping[str, Any] | None = None, session_id: str | None = None) -> str:
        """Begin one part's run over its steps; the session's id."""
        fields = {"pid": pid, "context": dict(context or {}), "session_id": session_id}
        answer: str = self.ask("open_session", **fields)["session_id"]
        return answer

    def end_session(self, session_id: str) -> None:
        self.ask("end_session", session_id=session_id)

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def inspect(self, pid: str, lease: Lease, image_meta: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """The result of one inspection, an ERROR included. With the default `renew` the lease is the next slot then.

        `fields` are those of the inspect message: step_index, session_id, phases, user_params, deadline_ms, keep,
        renew, context, trace_id, request_id (spec.md §4).
        """
        fields.setdefault("renew", not fields.get("keep", False))
        result = self.result(self.submit(pid, lease, image_meta, **fields))
        if fields["renew"]:
            self._renew(lease, result)
        return result

    def submit(self, pid: str, lease: Lease, image_meta: Mapping[str, Any], **fields: Any) -> str:
        """Send an inspection and return its request_id without waiting."""
        request_id: str = fields.pop("request_id", None) or self._next_id()
        message = {"type": "inspect", "request_id": request_id, "pid": pid, "shared_mem_id": lease.shared_mem_id}
        self._send({**message, "image_meta": dict(image_meta), **fields})
        return request_id

    def result(self, request_id: str) -> dict[str, Any]:
        """Wait for the answer to a request."""
        return self._wait(request_id)

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The `data` of the answer to any request but inspect; RefusedError when it was refused."""
        request_id = self._next_id()
        self._send({"type": kind, "request_id": request_id, **fields})
        answer = self._wait(request_id)
        if answer["status"] != "OK":
            raise RefusedError(answer["message"], hint=answer.get("hint", ""), code=answer["error_code"])
        data: dict[str, Any] = answer["data"]
        return data

    def _greet(self, client_id: str | None, token: str | None) -> dict[str, Any]:
        hello = {"type": "hello", "request_id": "hello", "client_id": client_id, "token": token}
        with suppress(RunnerUnreachableError):  # a runner that is full says why and closes, whoever is quicker
            self._send({**hello, "protocol_version": PROTOCOL_VERSION})
        answer = self._wait("hello")
        if answer["type"] != "hello":
            raise RefusedError(answer["message"], hint=answer.get("hint", ""), code=answer["error_code"])
        return answer

    def _renew(self, lease: Lease, result: dict[str, Any]) -> None:
        granted = result.get("lease")
        fresh = self._lease_of(granted) if granted is not None else self.lease()
        lease.shared_mem_id, lease.offset = fresh.shared_mem_id, fresh.offset

    def _lease_of(self, granted: Mapping[str, Any]) -> Lease:
        return Lease(granted["shared_mem_id"], granted["offset"], granted["capacity"], self._mapping)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._life}-{self._count}"

    def _send(self, message: Mapping[str, Any]) -> None:
        encoded = body.encode({key: value for key, value in message.items() if value is not None})
        try:
            self._socket.sendall(framing.encode(encoded))
        except OSError as error:
            raise RunnerUnreachableError(f"the runner closed the link: {error}") from None

    def _wait(self, request_id: str) -> dict[str, Any]:
        while request_id not in self._arrived:
            try:
                data = self._socket.recv(65_536)
            except OSError as error:
                raise RunnerUnreachableError(f"the runner closed the link: {error}") from None
            if not data:
                raise RunnerUnreachableError("the runner closed the link")
            bodies, too_long = self._decoder.feed(data)
            for raw in bodies:
                self._take(body.decode(raw))
            if too_long is not None:
                raise too_long
        return self._arrived.pop(request_id)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            self.events.append(message)
        elif "request_id" in message:
            self._arrived[message["request_id"]] = message
        else:
            raise SchemaError(f"the runner says: {message.get('message')}", code=message.get("error_code"))


def _connect(address: str) -> socket.socket:
    kind, _, rest = address.partition(":")
    try:
        if kind == "unix":
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # type: ignore[attr-defined,unused-ignore]
            link.connect(rest)
            return link
        host, _, port = rest.rpartition(":")
        link = socket.create_connection((host, int(port)))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link
    except (OSError, ValueError) as error:
        raise RunnerUnreachableError(f"no runner answers at {address}: {error}") from None
