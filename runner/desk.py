"""What a host's request does to the station: one request in, exactly one answer out (spec.md §4, Host link)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import Any

from procvision_sdk.errors import (
    ErrorCode,
    ErrorReport,
    InvalidParamsError,
    NotAllowedError,
    ResultTooLargeError,
    SchemaError,
    report_of,
)
from procvision_sdk.wire import body, framing
from procvision_sdk.wire.host_messages import (
    Answer,
    ArenaDescription,
    Cancel,
    EndSession,
    HostHello,
    HostRequest,
    Inspect,
    Lease,
    OpenSession,
    Query,
    Release,
    Role,
    Status,
    Subscribe,
    Welcome,
)
from procvision_sdk.wire.messages import PROTOCOL_VERSION
from runner import __version__
from runner.clock import wall_ms
from runner.host.link import Link
from runner.logs import runner_log
from runner.results.report import InspectionResult, failure_fields
from runner.routing.router import route
from runner.station import Station
from runner.status import station_status
from runner.ticket import Ticket

_ROLES: tuple[Role, ...] = ("inspect", "operate", "admin")


class HostDesk:
    """Serves all links of a station. `token` "" means that whoever can connect is allowed to."""

    def __init__(self, station: Station) -> None:
        self.token = ""
        self._station = station
        self._tickets: dict[tuple[str, str], Ticket] = {}
        self._subscriptions: dict[Link, Callable[[], None]] = {}

    def welcome(self, link: Link, hello: HostHello) -> Welcome:
        """The runner's hello; NotAllowedError without the token, SchemaError when the protocols do not meet."""
        if self.token and not hmac.compare_digest(self.token.encode(), (hello.token or "").encode()):
            raise NotAllowedError("hello: the token is missing or wrong", hint="it is in run/token of the station")
        if hello.protocol_version.partition(".")[0] != PROTOCOL_VERSION.partition(".")[0]:
            raise SchemaError(f"the host speaks protocol {hello.protocol_version}, this runner {PROTOCOL_VERSION}")
        link.client_id = hello.client_id or f"link-{token_hex(8)}"
        segment, slots = self._station.segment, self._station.config.slots
        return Welcome(
            request_id=hello.request_id,
            runner_version=__version__,
            station=self._station.config.station,
            client_id=link.client_id,
            roles=[role for role in _ROLES if hello.roles is None or role in hello.roles],
            arena=ArenaDescription(
                segment=segment.name,
                size_bytes=segment.arena.layout.size,
                slot_count=slots.count,
                slot_capacity_bytes=slots.capacity_bytes,
            ),
        )

    def answer(self, link: Link, request: HostRequest, received_at_s: float) -> bytes | Awaitable[bytes]:
        """The encoded answer, or for an inspection what will be it. Raises ProcVisionError for what is refused."""
        station = self._station
        match request:
            case Inspect():
                return self._inspect(link, request, received_at_s)
            case Lease():
                granted = station.slots.lease(link)
                data: dict[str, Any] = {
                    "shared_mem_id": granted.shared_mem_id,
                    "segment": granted.segment,
                    "offset": granted.offset,
                    "capacity": granted.capacity,
                }
            case Release(shared_mem_id=shared_mem_id):
                station.slots.release(link, shared_mem_id)
                data = {}
            case OpenSession():
                route(station.catalog, request.pid)
                data = {"session_id": station.sessions.open(request.pid, request.session_id, request.context).id}
            case EndSession(session_id=session_id):
                station.tell_session_ended(station.sessions.end(session_id))
                data = {"session_id": session_id}
            case Cancel(target_request_id=target):
                data = self._cancel(link, target)
            case Query(target_request_id=target):
                data = self._query(link, target)
            case Subscribe(topics=topics):
                self._unsubscribe(link)
                self._subscriptions[link] = station.events.subscribe(topics, link.deliver)
                data = {"topics": topics}
            case Status():
                data = station_status(station)
            case _:
                raise SchemaError(f"{type(request).__name__} is not a request")
        answer = Answer(request_id=request.request_id, timestamp_ms=wall_ms(), data=data)
        return body.encode(answer.to_wire())

    def link_gone(self, link: Link) -> None:
        """Leases and subscriptions end with their link; inspections go on, their answers can be queried."""
        self._unsubscribe(link)
        if hasattr(self._station, "slots"):
            self._station.slots.owner_gone(link)

    def _unsubscribe(self, link: Link) -> None:
        end = self._subscriptions.pop(link, None)
        if end is not None:
            end()

    def _inspect(self, link: Link, request: Inspect, received_at_s: float) -> bytes | Awaitable[bytes]:
        key = (link.client_id, request.request_id)
        known = self._station.answers.begin(key, request)
        if known is not None:
            return known
        ticket = self._tickets[key] = self._station.journey.ticket(request, received_at_s)
        return self._run(link, key, ticket)

    async def _run(self, link: Link, key: tuple[str, str], ticket: Ticket) -> bytes:
        """Inspect, encode, keep the answer; whatever breaks here is still one answer."""
        ticket.task = asyncio.current_task()
        accepted = True
        try:
            result, accepted = await self._station.inspect(link, ticket)
            encoded = _encode(result)
        except Exception as error:  # noqa: BLE001 - the last boundary before the host: a fault of ours is answered 9999
            runner_log.exception("inspection %s broke", ticket.request.request_id)
            report = report_of(error)
            own = ErrorReport(ErrorCode.UNKNOWN_ERROR, report.message, "a fault of the runner: see its log")
            encoded = _encode(_failed(ticket, own))
        finally:
            self._tickets.pop(key, None)
        if accepted:
            self._station.answers.finish(key, encoded)
        else:
            self._station.answers.refuse(key, encoded)
        return encoded

    def _cancel(self, link: Link, target: str) -> dict[str, Any]:
        ticket = self._tickets.get((link.client_id, target))
        if ticket is None:
            raise InvalidParamsError(f"target_request_id {target!r} is not in flight", hint="query reads its answer")
        return {"stage": ticket.cancel().value}

    def _query(self, link: Link, target: str) -> dict[str, Any]:
        stored = self._station.answers.find((link.client_id, target))
        if stored is None:
            raise InvalidParamsError(f"no answer is stored for request_id {target!r} of client {link.client_id!r}")
        return body.decode(stored)


def _encode(result: InspectionResult) -> bytes:
    encoded = result.model_dump_json(exclude_none=True).encode()
    if len(encoded) <= framing.MAX_BODY_BYTES:
        return encoded
    message = f"the result takes {len(encoded)} bytes, a message holds {framing.MAX_BODY_BYTES}"
    report = ErrorReport(ResultTooLargeError.default_code, message, "return less in data")
    small = result.model_copy(update={**failure_fields(report), "data": {}, "diagnostics": {}})
    return small.model_dump_json(exclude_none=True).encode()


def _failed(ticket: Ticket, report: ErrorReport) -> InspectionResult:
    return InspectionResult(
        request_id=ticket.request.request_id, timestamp_ms=wall_ms(), pid=ticket.request.pid, **failure_fields(report)
    )
