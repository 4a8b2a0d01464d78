"""Answers that were given, so that a resent request gets the same one and is not inspected twice (spec.md §4).

In memory, bounded by time, count and bytes: the whole memory of a station with `durability = "none"`, and what is asked
before the store elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import NamedTuple

import msgspec
from pydantic import BaseModel

from procvision_sdk.errors import IdReuseError
from runner.clock import monotonic_s

MAX_ANSWERS = 10_000
MAX_BYTES = 64 * 1024 * 1024

Key = tuple[str, str]
# The same whatever the order in which a host wrote its keys.
_sorted = msgspec.json.Encoder(order="sorted")


class _Open(msgspec.Struct):
    """A request on its way, and who asked for it again meanwhile."""

    request: BaseModel | bytes
    waiting: list[asyncio.Future[bytes]] = []


class _Given(NamedTuple):
    """An answer and when it was given. Nothing here is a container, so thousands of them cost the collector nothing."""

    payload: bytes
    answer: bytes
    at_s: float


class AnswerBook:
    """By (client_id, request_id)."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._open: dict[Key, _Open] = {}
        # In the order in which they were given. A plain dict would look for its first key among those it has lost.
        self._given: OrderedDict[Key, _Given] = OrderedDict()
        self._bytes = 0

    def begin(self, key: Key, request: BaseModel) -> asyncio.Future[bytes] | bytes | None:
        """None: it is new, inspect it and `finish`. Bytes: its stored answer. A future: it is being inspected now.

        IdReuseError (4004) when the id was used for another payload (all fields but timestamp_ms).
        """
        self._forget_old()
        given, entry = self._given.get(key), self._open.get(key)
        if given is not None:
            if _fingerprint(request) != given.payload:
                raise reused(key[1])
            return given.answer
        if entry is None:
            self._open[key] = _Open(request)
            return None
        if _fingerprint(request) != _fingerprint(entry.request):
            raise reused(key[1])
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        entry.waiting.append(waiting)
        return waiting

    def finish(self, key: Key, answer: bytes) -> None:
        """Keep the answer, and give it to everyone who asked again meanwhile."""
        entry = self._open.pop(key)
        self._given[key] = _Given(_fingerprint(entry.request), answer, monotonic_s())
        self._bytes += len(answer)
        _tell(entry.waiting, answer)
        while len(self._given) > MAX_ANSWERS or self._bytes > MAX_BYTES:
            self._forget(next(iter(self._given)))

    def payload(self, key: Key) -> bytes:
        """The digest of a request that has begun: what two requests have in common when they ask the same."""
        entry = self._open[key]
        entry.request = _fingerprint(entry.request)
        return entry.request

    def withdraw(self, key: Key) -> None:
        """The request was not begun after all; to be called before anybody else can ask for it."""
        del self._open[key]

    def refuse(self, key: Key, answer: bytes) -> None:
        """The request was not accepted: whoever asked meanwhile is told, and the id stays free to be sent again."""
        _tell(self._open.pop(key).waiting, answer)

    def find(self, key: Key) -> bytes | None:
        """The stored answer, None when there is none (yet)."""
        self._forget_old()
        given = self._given.get(key)
        return given.answer if given is not None else None

    def _forget_old(self) -> None:
        oldest_s = monotonic_s() - self._ttl_s
        while self._given:
            key = next(iter(self._given))
            if self._given[key].at_s >= oldest_s:
                return
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self._bytes -= len(self._given.pop(key).answer)


def _tell(waiting: list[asyncio.Future[bytes]], answer: bytes) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(answer)


def reused(request_id: str) -> IdReuseError:
    """4004: the id belongs to another request."""
    return IdReuseError(
        f"request_id {request_id!r} was used for another request", hint="take a new request_id for each inspection"
    )


def _fingerprint(request: BaseModel | bytes) -> bytes:
    """What two requests have in common when they ask the same; a request itself may be large and is not kept."""
    if isinstance(request, bytes):
        return request
    return hashlib.sha256(_sorted.encode({**vars(request), "timestamp_ms": None})).digest()
