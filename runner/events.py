"""Bounded publish and subscribe: a slow subscriber loses events, and is told how many (architecture decision 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from procvision_sdk.wire.host_messages import Event, Topic
from runner.clock import wall_ms

# Delivers one event and says whether it was taken; a full subscriber says no.
Deliver = Callable[[Event], bool]


class Events:
    """Results are not events: what is published here may be dropped, and each drop is counted."""

    def __init__(self) -> None:
        self._subscribers: dict[int, tuple[frozenset[Topic], Deliver]] = {}
        self._missed: dict[int, int] = {}
        self._next = 0
        self.dropped = 0

    def subscribe(self, topics: Iterable[Topic], deliver: Deliver) -> Callable[[], None]:
        """Get the events of these topics; the returned function ends it."""
        number = self._next
        self._next += 1
        self._subscribers[number] = (frozenset(topics), deliver)

        def end() -> None:
            self._subscribers.pop(number, None)
            self._missed.pop(number, None)

        return end

    def wanted(self, topic: Topic) -> bool:
        """Whether anybody subscribes to this topic: what is told of each inspection is put together only then."""
        return any(topic in topics for topics, _ in self._subscribers.values())

    def publish(self, topic: Topic, data: dict[str, Any]) -> None:
        """Offer an event to all subscribers of its topic; never waits."""
        for number, (topics, deliver) in tuple(self._subscribers.items()):
            if topic not in topics:
                continue
            missed = self._missed.get(number, 0)
            if deliver(Event(topic=topic, timestamp_ms=wall_ms(), data=data, dropped=missed)):
                self._missed[number] = 0
            else:
                self._missed[number] = missed + 1
                self.dropped += 1
