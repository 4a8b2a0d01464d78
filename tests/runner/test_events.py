"""Events reach who asked for their topic; what a slow one misses is counted (spec.md §4)."""

from __future__ import annotations

from procvision_sdk.wire.host_messages import Event
from runner.events import Events


class Subscriber:
    """Takes events while it is `reading`."""

    def __init__(self) -> None:
        self.reading = True
        self.heard: list[Event] = []

    def __call__(self, event: Event) -> bool:
        if self.reading:
            self.heard.append(event)
        return self.reading

    @property
    def told(self) -> list[tuple[int, int]]:
        """(number of the event, how many were dropped before it)."""
        return [(event.data["number"], event.dropped) for event in self.heard]


def test_an_event_reaches_everybody_who_asked_for_its_topic_and_nobody_else() -> None:
    events, workers, both = Events(), Subscriber(), Subscriber()
    events.subscribe(["workers"], workers)
    events.subscribe(["workers", "results"], both)
    events.publish("workers", {"number": 1})
    events.publish("results", {"number": 2})
    assert (workers.told, both.told) == ([(1, 0)], [(1, 0), (2, 0)])
    assert [event.topic for event in both.heard] == ["workers", "results"]
    assert events.dropped == 0


def test_what_a_slow_subscriber_misses_is_counted_for_it_alone() -> None:
    events, slow, quick = Events(), Subscriber(), Subscriber()
    events.subscribe(["results"], slow)
    events.subscribe(["results"], quick)
    events.publish("results", {"number": 1})
    slow.reading = False
    for number in (2, 3, 4):
        events.publish("results", {"number": number})
    slow.reading = True
    for number in (5, 6):
        events.publish("results", {"number": number})
    assert slow.told == [(1, 0), (5, 3), (6, 0)]
    assert quick.told == [(number, 0) for number in range(1, 7)]
    assert events.dropped == 3


def test_a_topic_that_was_not_asked_for_is_no_miss() -> None:
    events, subscriber = Events(), Subscriber()
    events.subscribe(["results"], subscriber)
    subscriber.reading = False
    events.publish("workers", {"number": 1})
    subscriber.reading = True
    events.publish("results", {"number": 2})
    assert subscriber.told == [(2, 0)]
    assert events.dropped == 0


def test_a_subscription_that_ended_hears_nothing_and_may_be_ended_again() -> None:
    events, gone, stays = Events(), Subscriber(), Subscriber()
    end = events.subscribe(["results"], gone)
    events.subscribe(["results"], stays)
    end()
    end()
    events.publish("results", {"number": 1})
    assert (gone.told, stays.told, events.dropped) == ([], [(1, 0)], 0)


def test_a_subscriber_may_leave_while_it_is_told() -> None:
    events, stays = Events(), Subscriber()

    def leave(_: Event) -> bool:
        end()
        return True

    end = events.subscribe(["results"], leave)
    events.subscribe(["results"], stays)
    events.publish("results", {"number": 1})
    events.publish("results", {"number": 2})
    assert stays.told == [(1, 0), (2, 0)]
