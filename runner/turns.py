"""Whose turn it is: one at a time, in the order they came, each as patient as it says."""

from __future__ import annotations

import asyncio
from collections import deque

from runner.eager import within


class Turns:
    """A lock whose waiting has a limit, and that costs nothing while nobody else wants it."""

    __slots__ = ("_waiting", "taken")

    def __init__(self) -> None:
        self.taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take_if_free(self) -> bool:
        """Take the turn if nobody has it; whether it was taken."""
        free = not self.taken
        self.taken = True
        return free

    async def take(self, patience_s: float) -> None:
        """Wait for the turn; TimeoutError when it did not come in time."""
        if self.take_if_free():
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await within(patience_s, place)
        except BaseException:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place.cancelled() and place.exception() is None:
                self.give_back()
            raise

    def give_back(self) -> None:
        """The next one in line has it."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.taken = False
