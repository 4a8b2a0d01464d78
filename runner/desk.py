"""What a host's request does to the station: one request in, exactly one answer out (spec.md §4, Host link)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import asdict
from secrets import token_hex

import msgspec

from procvision_sdk.errors import (
    ErrorCode,
    ErrorReport,
    InvalidParamsError,
    NotAllowedError,
    ProcVisionError,
    SchemaError,
    report_of,
)
from procvision_sdk.wire import body
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
    Packages,
    Query,
    Release,
    Reload,
    Role,
    Status,
    Subscribe,
    Welcome,
)
from procvision_sdk.wire.messages import PROTOCOL_VERSION, refusal
from runner import __version__
from runner.clock import wall_ms
from runner.eager import EagerTask
from runner.host.link import Link
from runner.host.peers import may_administer, name_of
from runner.logs import runner_log
from runner.package_desk import Told
from runner.package_service import PackageService
from runner.results.archive import StoreError
from runner.results.keeping import Keeping
from runner.results.report import InspectionResult, encode, failure_fields
from runner.results.rows import Accepted, Key, Selection
from runner.results.store import ResultStore
from runner.station import Station
from runner.status import station_status
from runner.ticket import Stage, Ticket

_ROLES: tuple[Role, ...] = ("inspect", "operate", "admin")
# Members of `host.group` inspect; who changes the station is its owner, or root.
_ROLES_OF_MEMBERS: tuple[Role, ...] = ("inspect", "operate")


class HostDesk:
    """Serves all links of a station. `token` "" means that whoever can connect is allowed to; without a `store`
    nothing is recorded.
    """

    def __init__(
        self,
        station: Station,
        reload: Callable[[str | None], Told],
        packages: PackageService,
        store: ResultStore | None = None,
    ) -> None:
        self.token = ""
        self._station = station
        self._reload = reload
        self._packages = packages
        self._store = store
        self._tickets: dict[Key, Ticket] = {}
        self._all_answered: asyncio.Future[None] | None = None
        self._subscriptions: dict[Link, Callable[[], None]] = {}

    def welcome(self, link: Link, hello: HostHello) -> Welcome:
        """The runner's hello; NotAllowedError without the token, SchemaError when the protocols do not meet."""
        if self.token and not hmac.compare_digest(self.token.encode(), (hello.token or "").encode()):
            raise NotAllowedError("hello: the token is missing or wrong", hint="it is in run/token of the station")
        if hello.protocol_version.partition(".")[0] != PROTOCOL_VERSION.partition(".")[0]:
            raise SchemaError(f"the host speaks protocol {hello.protocol_version}, this runner {PROTOCOL_VERSION}")
        link.client_id = hello.client_id or f"link-{token_hex(8)}"
        granted = _ROLES if may_administer(link.peer) else _ROLES_OF_MEMBERS
        link.roles = tuple(role for role in granted if hello.roles is None or role in hello.roles)
        segment, slots = self._station.segment, self._station.config.slots
        return Welcome(
            request_id=hello.request_id or msgspec.UNSET,
            runner_version=__version__,
            station=self._station.config.station,
            client_id=link.client_id,
            roles=list(link.roles),
            arena=ArenaDescription(
                segment=segment.name,
                size_bytes=segment.arena.layout.size,
                slot_count=slots.count,
                slot_capacity_bytes=slots.capacity_bytes,
            ),
        )

    def answer(self, link: Link, request: HostRequest, received_at_s: float) -> bytes | EagerTask[bytes]:
        """The encoded answer, or for an inspection what will be it. Raises ProcVisionError for what is refused."""
        station = self._station
        match request:
            case Inspect():
                return self._inspect(link, request, received_at_s)
            case Lease():
                data: Told = asdict(station.slots.lease(link))
            case Release(shared_mem_id=shared_mem_id):
                station.slots.release(link, shared_mem_id)
                data = {}
            case OpenSession():
                data = {"session_id": station.open_session(request.pid, request.session_id, request.context)}
            case EndSession(session_id=session_id):
                station.tell_session_ended(station.sessions.end(session_id))
                data = {"session_id": session_id}
            case Cancel(target_request_id=target):
                data = self._cancel(link, target)
            case Query(target_request_id=str(target)):
                data = self._query(link, target)
            case Query():
                return self._list(request)
            case Subscribe(topics=topics):
                self._unsubscribe(link)
                self._subscriptions[link] = station.events.subscribe(topics, link.deliver)
                data = {"topics": topics}
            case Reload(pid=pid):
                _refuse_without_admin(link, "reload")
                data = self._reload(pid)
            case Packages():
                _refuse_without_admin(link, f"packages {request.operation}")
                who = f"{name_of(link.peer) or link.client_id}@local"
                return EagerTask(_told(request, self._packages.begin(request, who)))
            case Status():
                data = {**station_status(station), **self._packages.status(), **self._store_status()}
            case _:
                raise SchemaError(f"{type(request).__name__} is not a request")
        return _answer(request, data)

    async def finish(self) -> None:
        """Return when every admitted inspection has its answer: recorded, and handed to its link."""
        while self._tickets:
            self._all_answered = asyncio.get_running_loop().create_future()
            await self._all_answered

    def link_gone(self, link: Link) -> None:
        """Leases and subscriptions end with their link; inspections go on, their answers can be queried."""
        self._unsubscribe(link)
        if hasattr(self._station, "slots"):
            self._station.slots.owner_gone(link)

    def _unsubscribe(self, link: Link) -> None:
        end = self._subscriptions.pop(link, None)
        if end is not None:
            end()

    def _inspect(self, link: Link, request: Inspect, received_at_s: float) -> bytes | EagerTask[bytes]:
        key = (link.client_id, request.request_id)
        known = self._station.answers.begin(key, request)
        if known is not None:
            return known if isinstance(known, bytes) else EagerTask(_result_of(known))
        ticket = self._station.journey.ticket(request, received_at_s)
        if self._store is not None:
            answered = self._begin_keeping(self._store, key, ticket)
            if answered is not None:
                return answered
        self._tickets[key] = ticket
        ticket.task = EagerTask(self._run(link, key, ticket))
        return ticket.task

    def _begin_keeping(self, store: ResultStore, key: Key, ticket: Ticket) -> bytes | None:
        """The answer that an earlier life gave to this request; None: it is new, and the ticket keeps its row."""
        answers, request = self._station.answers, ticket.request
        try:
            payload = answers.payload(key)
            answered = store.find(key, payload)
            if answered is None:
                store.refuse_what_cannot_be_kept()
        except ProcVisionError:
            answers.withdraw(key)
            raise
        if answered is not None:
            answers.finish(key, answered)
            return answered
        row = Accepted(key, request.pid, payload, request.shared_mem_id, wall_ms())
        until_s = None
        if ticket.give_up_at_s is not None:
            # Half of the margin before the deadline belongs to the store, half to the way to the host.
            margin_s = ticket.received_at_s + (request.deadline_ms or 0.0) / 1000 - ticket.give_up_at_s
            until_s = ticket.give_up_at_s + margin_s / 2
        ticket.keeping = Keeping(store, row, until_s)
        return None

    async def _run(self, link: Link, key: Key, ticket: Ticket) -> bytes:
        """Inspect, record, keep the answer; whatever breaks here is still one answer."""
        accepted = True
        try:
            result, accepted = await self._station.inspect(link, ticket)
            encoded = ticket.keeping.encoded if accepted and ticket.keeping else encode(result)[1]
        except Exception as error:  # noqa: BLE001 - the last boundary before the host: a fault of ours is answered 9999
            runner_log.exception("inspection %s broke", ticket.request.request_id)
            _, encoded = encode(await ticket.settle(_failed(ticket, report_of(error))))
        finally:
            self._ticket_done(key)
        if accepted:
            self._station.answers.finish(key, encoded)
        else:
            self._station.answers.refuse(key, encoded)
        return encoded

    def _ticket_done(self, key: Key) -> None:
        del self._tickets[key]
        if not self._tickets and self._all_answered is not None and not self._all_answered.done():
            self._all_answered.set_result(None)

    def _cancel(self, link: Link, target: str) -> Told:
        ticket = self._tickets.get((link.client_id, target))
        if ticket is None or ticket.stage is Stage.DONE:
            raise InvalidParamsError(f"target_request_id {target!r} is not in flight", hint="query reads its answer")
        return {"stage": ticket.cancel().value}

    def _query(self, link: Link, target: str) -> Told:
        key = (link.client_id, target)
        stored = self._station.answers.find(key)
        if stored is None and self._store is not None and key not in self._tickets:
            stored = self._store.answer_to(key)
        if stored is None:
            raise InvalidParamsError(f"no answer is stored for request_id {target!r} of client {link.client_id!r}")
        return body.decode(stored)

    def _list(self, request: Query) -> EagerTask[bytes]:
        if self._store is None:
            raise StoreError(
                "this station records nothing", hint='set store.durability to "power" or "process" in station.toml'
            )
        return EagerTask(self._listed(self._store, request))

    async def _listed(self, store: ResultStore, request: Query) -> bytes:
        selection = Selection(request.pid, request.since_ms or 0, request.last or Selection().last)
        try:
            rows = await store.listing(selection)
        except ProcVisionError as error:
            told = refusal(request.request_id, error.code, error.message, error.hint)
            return told.encoded()
        return _answer(request, {"rows": [row.to_json() for row in rows]})

    def _store_status(self) -> Told:
        if self._store is None:
            return {"store": {"state": "off", "durability": "none"}}
        return {"recorded": self._store.durability, "store": self._store.status()}


async def _result_of(waiting: asyncio.Future[bytes]) -> bytes:
    return await waiting


async def _told(request: HostRequest, waiting: asyncio.Task[Told]) -> bytes:
    """The answer once there is one; it must be one, whatever happens."""
    try:
        return _answer(request, await waiting)
    except ProcVisionError as error:
        told = refusal(request.request_id, error.code, error.message, error.hint)
    except asyncio.CancelledError:
        told = refusal(request.request_id, ErrorCode.DEGRADED, "the station is stopping", "ask again when it is back")
    except Exception as error:  # noqa: BLE001 - the last boundary before the host: a fault of ours is answered 9999
        runner_log.exception("%s broke", request.type)
        hint = "a fault of the runner: see its log"
        told = refusal(request.request_id, ErrorCode.UNKNOWN_ERROR, report_of(error).message, hint)
    return told.encoded()


def _refuse_without_admin(link: Link, what: str) -> None:
    if "admin" not in link.roles:
        raise NotAllowedError(
            f"{what} needs the role admin; this link has {', '.join(link.roles) or 'none'}",
            hint="connect as the station's user, and ask for the role in hello",
        )


def _answer(request: HostRequest, data: Told) -> bytes:
    answer = Answer(request_id=request.request_id or msgspec.UNSET, timestamp_ms=wall_ms(), data=data)
    return answer.encoded()


def _failed(ticket: Ticket, broken: ErrorReport) -> InspectionResult:
    report = ErrorReport(ErrorCode.UNKNOWN_ERROR, broken.message, "a fault of the runner: see its log")
    return InspectionResult(
        request_id=ticket.request.request_id, timestamp_ms=wall_ms(), pid=ticket.request.pid, **failure_fields(report)
    )
