"""The runner inside a Python host: the same slots, workers and checks, and no socket in between (spec.md §11).

    async with AsyncRunner(["det"]) as runner:          with Runner(["det"]) as runner:
        lease = runner.lease()                              lease = runner.lease()
        meta = lease.put(image)                             meta = lease.put(image)
        result = await runner.inspect("A01", lease, meta)   result = runner.inspect("A01", lease, meta)

Results are what a host on the link gets, as dicts. Nothing of the host is touched: no signal handler is set, no
process but the algorithms' own is ended, and no result is recorded (`recorded` is `none`; a daemon does that).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from procvision_sdk.errors import SchemaError, StationError
from procvision_sdk.wire import body
from procvision_sdk.wire.host_messages import Inspect, parse_request
from runner.clock import monotonic_s
from runner.config import StationConfig
from runner.eager import EagerTask
from runner.health import Health
from runner.host.lease import Lease
from runner.results.report import encode
from runner.routing import catalog
from runner.station import Station
from runner.status import station_status
from runner.ticket import Ticket
from runner.workers.process import LastingThread

_OWNER = "embedded"
P = ParamSpec("P")
T = TypeVar("T")


class AsyncRunner:
    """A station of one process, for hosts that run asyncio; start it on the thread that lives longest."""

    def __init__(self, projects: Iterable[str | Path], config: StationConfig | None = None) -> None:
        """`projects` are folders with a manifest.json; PackageError or ManifestError say what is wrong with one."""
        found = catalog.build([Path(project) for project in projects])
        self._station = Station(config or StationConfig(station=_OWNER), found)
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        """Start; returns when every algorithm is READY. StationError with the reason when one cannot boot."""
        try:
            await self._station.start()
            await self._station.wait_ready()
            for name, crew in self._station.crews.items():
                failure = crew.boot_failure
                if crew.health is Health.FATAL and failure is not None:
                    raise StationError(f"{name}: {failure.message}", hint=failure.hint, code=failure.code)
        except BaseException:
            await self._station.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Refuse, wait for what was accepted, stop the algorithms, unlink the segment."""
        await self._station.stop()

    def lease(self) -> Lease:
        """A slot to fill; StationError 3001 when none is free."""
        arena = self._station.segment.arena
        granted = self._station.slots.lease(_OWNER)
        offset = granted.offset - arena.layout.data_offset
        slot = arena.slot(offset // arena.layout.slot_stride)
        return Lease(granted.shared_mem_id, 0, granted.capacity, slot)

    def release(self, lease: Lease) -> None:
        """Give a lease back unused."""
        self._station.slots.release(_OWNER, lease.shared_mem_id)

    def open_session(self, pid: str, context: Mapping[str, Any] | None = None, session_id: str | None = None) -> str:
        """Begin one part's run over its steps; the session's id. ValueError or TypeError: `context` is no JSON."""
        given = dict(context or {})
        body.encode(given)
        return self._station.open_session(pid, session_id, given)

    def end_session(self, session_id: str) -> None:
        self._station.tell_session_ended(self._station.sessions.end(session_id))

    def status(self) -> dict[str, Any]:
        """What `procvision-runner status --json` tells of a daemon."""
        return station_status(self._station)

    async def inspect(self, pid: str, lease: Lease, image_meta: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """The result of one inspection, an ERROR included; it uses the lease up unless `keep=True`.

        `fields` are those of the inspect message (spec.md §4); ValueError or TypeError: one of them is no JSON.
        Cancelling the await cancels the inspection: at once while it waits for a worker, after the running hook
        otherwise.
        """
        ticket = self._station.journey.ticket(self._request(pid, lease, image_meta, fields), monotonic_s())
        told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        ticket.task = EagerTask(self._inspect(ticket))
        ticket.task.then(lambda encoded: None if told.done() else told.set_result(body.decode(encoded)))
        try:
            return await told
        except asyncio.CancelledError:
            ticket.cancel()
            raise

    async def _inspect(self, ticket: Ticket) -> bytes:
        result, _ = await self._station.inspect(_OWNER, ticket)
        return encode(result)[1]

    def _request(self, pid: str, lease: Lease, image_meta: Mapping[str, Any], fields: dict[str, Any]) -> Inspect:
        own = {"pid": pid, "shared_mem_id": lease.shared_mem_id, "image_meta": image_meta}
        asked = {"type": "inspect", "request_id": f"{next(self._numbers)}", **fields, "renew": False, **own}
        body.encode(asked)  # what a host on the link could not send either is refused before anything has begun
        request = parse_request(asked)
        if not isinstance(request, Inspect):
            raise SchemaError(f"type: expected 'inspect', got {fields.get('type')!r:.40}")
        return request


class Runner:
    """The same for hosts without asyncio: every method blocks. One thread at a time may use it."""

    def __init__(self, projects: Iterable[str | Path], config: StationConfig | None = None) -> None:
        self._runner = AsyncRunner(projects, config)
        self._loop = asyncio.new_event_loop()
        self._thread = LastingThread(target=self._loop.run_forever, name="procvision-runner")

    def __enter__(self) -> Self:
        """Start; returns when every algorithm is READY, StationError when one cannot boot."""
        self._thread.start()
        try:
            self._ask(self._runner.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Refuse, wait for what was accepted, stop the algorithms, unlink the segment."""
        try:
            self._ask(self._runner.__aexit__(kind, error, tb))
        finally:
            self._end()

    def lease(self) -> Lease:
        """A slot to fill; StationError 3001 when none is free."""
        return self._ask(_now(self._runner.lease))

    def release(self, lease: Lease) -> None:
        """Give a lease back unused."""
        self._ask(_now(self._runner.release, lease))

    def open_session(self, pid: str, context: Mapping[str, Any] | None = None, session_id: str | None = None) -> str:
        """Begin one part's run over its steps; the session's id."""
        return self._ask(_now(self._runner.open_session, pid, context, session_id))

    def end_session(self, session_id: str) -> None:
        self._ask(_now(self._runner.end_session, session_id))

    def status(self) -> dict[str, Any]:
        """What `procvision-runner status --json` tells of a daemon."""
        return self._ask(_now(self._runner.status))

    def inspect(self, pid: str, lease: Lease, image_meta: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """The result of one inspection, an ERROR included; it uses the lease up unless `keep=True`."""
        return self._ask(self._runner.inspect(pid, lease, image_meta, **fields))

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _now(call: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    return call(*given, **named)
