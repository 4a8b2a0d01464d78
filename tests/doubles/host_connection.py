"""One host's link on a wire in memory, with a desk that answers as a test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from procvision_sdk.errors import ErrorCode, NotAllowedError, StationError
from procvision_sdk.wire.body import encode
from procvision_sdk.wire.host_messages import ArenaDescription, Event, HostHello, HostRequest, Lease, Status, Welcome
from runner.config import HostConfig
from runner.eager import EagerTask
from runner.host.link import Link
from tests.doubles.wire import WireInMemory

HELLO = {"type": "hello", "request_id": "h", "client_id": "line-3"}
NEVER_S = 3600.0
EVENT = Event(topic="results", timestamp_ms=1, data={"pid": "p"}, dropped=2)
PATIENT = HostConfig(hello_s=NEVER_S, body_s=NEVER_S)


class DeskInMemory:
    """Answers `status` at once, `lease` when the test says so, and refuses the rest."""

    def __init__(self) -> None:
        self.heard: list[HostRequest] = []
        self.open: list[asyncio.Future[bytes]] = []
        self.gone: list[Link] = []
        self.welcomed = 0

    def welcome(self, link: Link, hello: HostHello) -> Welcome:
        self.welcomed += 1
        if hello.token == "wrong":
            raise NotAllowedError("hello: the token is missing or wrong")
        link.client_id = hello.client_id or "random"
        arena = ArenaDescription(segment="pv-s", size_bytes=1, slot_count=1, slot_capacity_bytes=1)
        return Welcome(
            request_id=hello.request_id or msgspec.UNSET,
            runner_version="1",
            station="s",
            client_id=link.client_id,
            roles=["inspect"],
            arena=arena,
        )

    def answer(self, link: Link, request: HostRequest, received_at_s: float) -> bytes | EagerTask[bytes]:
        assert link.client_id
        assert received_at_s > 0
        self.heard.append(request)
        if isinstance(request, Status):
            return answer_of(request.request_id)
        if isinstance(request, Lease):
            waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.open.append(waiting)
            return EagerTask(_told(waiting))
        raise StationError("no slot is free", hint="release", code=ErrorCode.BUSY)

    def link_gone(self, link: Link) -> None:
        self.gone.append(link)


async def _told(waiting: asyncio.Future[bytes]) -> bytes:
    with suppress(asyncio.CancelledError):
        return await waiting
    return b""


def answer_of(request_id: str) -> bytes:
    return encode({"type": "result", "request_id": request_id, "status": "OK"})


class Connection:
    """A link, its desk, and the host's end of the wire."""

    def __init__(self, config: HostConfig = PATIENT) -> None:
        self.desk = DeskInMemory()
        self.lost: list[Link] = []
        self.link = Link(self.desk, config, self.lost.append)
        self.wire = WireInMemory(self.link)

    def ask(self, kind: str, request_id: str, **fields: Any) -> list[dict[str, Any]]:
        self.wire.say({"type": kind, "request_id": request_id, **fields})
        return self.wire.hear()

    async def end(self) -> None:
        self.wire.close()
        for waiting in self.desk.open:
            waiting.cancel()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def connected(
    test: Callable[[Connection], Coroutine[Any, Any, None]], config: HostConfig = PATIENT, *, greeted: bool = True
) -> None:
    """Runs a test on a fresh connection, after its hello unless the test is about that."""

    broken: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: broken.append(told))
        connection = Connection(config)
        if greeted:
            connection.wire.say(HELLO)
            assert connection.wire.hear()[0]["type"] == "hello"
        await test(connection)
        await connection.end()
        assert connection.desk.gone == connection.lost == [connection.link]

    asyncio.run(run())
    assert broken == []


def code_of(messages: list[dict[str, Any]]) -> tuple[str, str | None, str]:
    """(type, request_id, error code) of the one message there is."""
    (message,) = messages
    return message["type"], message.get("request_id"), message.get("error_code", "")
