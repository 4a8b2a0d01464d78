"""One connection: bytes to requests, answers to bytes, and limits on both (spec.md §4, Host link).

Hello first. Every request gets exactly one answer, in whatever order they are ready. What a host may use up is
bounded: requests in flight, the time for one body, the answers it does not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

import msgspec

from procvision_sdk.errors import BadFrameError, ErrorCode, NotAllowedError, ProcVisionError, report_of
from procvision_sdk.wire import body, framing
from procvision_sdk.wire.calls import Result
from procvision_sdk.wire.host_messages import Event, HostHello, HostPing, HostRequest, Role, Welcome, parse_request
from procvision_sdk.wire.messages import ErrorMessage, Pong, refusal, request_id_of
from runner.clock import monotonic_s
from runner.config import HostConfig
from runner.eager import EagerTask, read_in_small_pieces
from runner.host import peers

# An event is offered only while a subscriber has read most of what it got.
_EVENT_BACKLOG_BYTES = 262_144

link_log = logging.getLogger("procvision.host")


class Desk(Protocol):
    """What answers the requests of all links."""

    def welcome(self, link: Link, hello: HostHello) -> Welcome: ...
    def answer(self, link: Link, request: HostRequest, received_at_s: float) -> bytes | EagerTask[bytes]: ...
    def link_gone(self, link: Link) -> None: ...


class Link(asyncio.Protocol):
    """One host's connection; `client_id` and `roles` are known after its hello."""

    def __init__(self, desk: Desk, config: HostConfig, gone: Callable[[Link], None]) -> None:
        self.client_id = ""
        self.roles: tuple[Role, ...] = ()
        self.peer: peers.Peer | None = None
        self.outstanding = 0
        self._desk = desk
        self._config = config
        self._gone = gone
        self._decoder = framing.FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        read_in_small_pieces(transport)
        self.peer = peers.peer_of(transport.get_extra_info("socket"))
        refused = peers.why_refused(transport.get_extra_info("socket"), self._config.group)
        if refused:
            link_log.warning("a connection was refused: %s", refused)
            self._refuse_and_close(NotAllowedError(refused, hint="connect as the station's user, or set host.group"))
        else:
            self._wait_at_most(self._config.hello_s, "no hello")

    def data_received(self, data: bytes) -> None:
        received_at_s = monotonic_s()
        bodies, too_long = self._decoder.feed(data)
        for raw_body in bodies:
            self._hear(raw_body, received_at_s)
        if too_long is not None:
            self._refuse_and_close(too_long)
        elif self.client_id and not self._decoder.unfinished:
            self._wait_at_most(None, "")
        elif self.client_id and (bodies or self._patience is None):
            self._wait_at_most(self._config.body_s, "an unfinished frame")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._wait_at_most(None, "")
        self._desk.link_gone(self)
        self._gone(self)

    def deliver(self, event: Event) -> bool:
        """Send an event unless the host is behind; whether it was sent."""
        if self._transport is None or self._transport.get_write_buffer_size() > _EVENT_BACKLOG_BYTES:
            return False
        self._write(event.encoded())
        return True

    def close(self) -> None:
        """Send what is queued, then close."""
        if self._transport is not None:
            self._transport.close()

    def _hear(self, raw_body: bytes, received_at_s: float) -> None:
        if self._transport is None or self._transport.is_closing():
            return  # it came in one piece with what closed the link
        request_id: str | None = None
        try:
            raw = body.decode(raw_body)
            request_id = request_id_of(raw)
            self._dispatch(parse_request(raw), received_at_s)
        except ProcVisionError as error:
            self._say(refusal(request_id, error.code, error.message, error.hint))
            if not self.client_id:
                self.close()
        except Exception as error:  # noqa: BLE001 - a fault of ours is answered and told, and the link lives
            told = report_of(error)
            link_log.exception("a request broke: %s", told.message)
            self._say(refusal(request_id, ErrorCode.UNKNOWN_ERROR, told.message, "a fault of the runner: see its log"))

    def _dispatch(self, request: HostRequest, received_at_s: float) -> None:
        if isinstance(request, HostHello) and self.client_id:
            raise BadFrameError("hello was said already on this link", code=ErrorCode.NOT_ALLOWED)
        if isinstance(request, HostHello):
            welcome = self._desk.welcome(self, request)
            self._write(welcome.encoded())
        elif not self.client_id:
            raise BadFrameError("the first message of a link is hello", code=ErrorCode.NOT_ALLOWED)
        elif isinstance(request, HostPing):
            self._say(Pong(request_id=request.request_id or msgspec.UNSET))
        elif self.outstanding >= self._config.max_outstanding:
            message = f"{self.outstanding} requests of this link are unanswered"
            self._say(refusal(request.request_id, ErrorCode.BUSY, message, "wait for answers before asking more"))
        else:
            answer = self._desk.answer(self, request, received_at_s)
            if isinstance(answer, bytes):
                self._write(answer)
            else:
                self.outstanding += 1
                answer.then(self._answered)

    def _answered(self, encoded: bytes) -> None:
        self.outstanding -= 1
        self._write(encoded)

    def _say(self, message: Pong | Result | ErrorMessage) -> None:
        self._write(message.encoded())

    def _write(self, encoded: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(framing.encode(encoded))
        if self._transport.get_write_buffer_size() > self._config.max_unread_bytes:
            self._transport.abort()

    def _refuse_and_close(self, error: ProcVisionError) -> None:
        self._say(refusal(None, error.code, error.message, error.hint))
        self.close()

    def _wait_at_most(self, seconds: float | None, reason: str) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if seconds is not None:
            error = BadFrameError(f"{reason} for {seconds:g} s; this link is closed")
            self._patience = asyncio.get_running_loop().call_later(seconds, self._refuse_and_close, error)
