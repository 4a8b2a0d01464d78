"""Runs a coroutine from event to event, without a turn of the event loop before its first step or between two.

    task = EagerTask(inspect(...))      # runs at once, up to the first wait that is not over yet
    task.then(link.write)               # called at once where it is done, when it ends otherwise

An asyncio.Task begins at the next turn of the loop, goes on at the turn after its future is set, and is heard of at the
one after its end. An inspection would wait three turns for nothing (docs/performance.md). What is awaited here may be
any future of asyncio; a `Reply` that is given its result resumes its task inside that very call. There is no current
task in such a coroutine: `asyncio.timeout` does not work there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


# asyncio reads 256 KiB at a time, each into memory that it asks the system for: 9 us a read. 64 KiB cost 0.7.
_READ_BYTES = 65_536


def read_in_small_pieces(transport: asyncio.BaseTransport | None) -> None:
    """Have a transport of asyncio read into memory that its allocator keeps at hand."""
    if hasattr(transport, "max_size"):
        vars(transport)["max_size"] = _READ_BYTES


async def within(seconds: float, place: asyncio.Future[T]) -> T:
    """The result of `place`; TimeoutError, in it too, when there is none after so many seconds."""
    timer = asyncio.get_running_loop().call_later(max(0.0, seconds), _expire, place)
    try:
        return await place
    finally:
        timer.cancel()


def _expire(place: asyncio.Future[Any]) -> None:
    if not place.done():
        place.set_exception(TimeoutError())


class Reply(asyncio.Future[T]):
    """A future whose result resumes the EagerTask that waits for it at once; its exception does so a turn later.

    Who sets a result must be ready to be called again before `set_result` returns.
    """

    _resume: Callable[[], None] | None = None

    def set_result(self, result: T) -> None:
        super().set_result(result)
        if self._resume is not None:
            self._resume()

    def set_exception(self, exception: type[BaseException] | BaseException) -> None:
        super().set_exception(exception)
        if self._resume is not None:
            self.get_loop().call_soon(self._resume)

    def resumes(self, resume: Callable[[], None]) -> None:
        self._resume = resume


class EagerTask(Generic[T]):
    """One coroutine on its way. It must handle whatever can be raised in it: nobody else would."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._waits_for: asyncio.Future[Any] | None = None
        self._then: Callable[[T], None] | None = None
        self._results: tuple[T, ...] = ()
        self._go_on()

    def then(self, tell: Callable[[T], None]) -> None:
        """Give the result to `tell`, once; now where there is one already."""
        if self._results:
            tell(self._results[0])
        else:
            self._then = tell

    def cancel(self) -> None:
        """Raise CancelledError where it waits, if it does."""
        if self._waits_for is not None:
            self._waits_for.cancel()

    def _go_on(self, _: object = None) -> None:
        self._waits_for = None
        try:
            awaited = self._work.send(None)
        except StopIteration as ended:
            self._results = (ended.value,)
            if self._then is not None:
                self._then(ended.value)
            return
        if awaited is None:  # asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        awaited._asyncio_future_blocking = False
        self._waits_for = awaited
        if isinstance(awaited, Reply):
            awaited.resumes(self._go_on)
        else:
            awaited.add_done_callback(self._go_on)
