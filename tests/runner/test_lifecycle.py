"""The life of a worker: every cell of the table, and what stays true on any walk through it (spec.md §7)."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runner.workers.lifecycle import (
    Action,
    Answered,
    AskToStop,
    Booted,
    BootFailed,
    CallSent,
    DelayOver,
    Distrusted,
    Event,
    Exited,
    ImpossibleEventError,
    Kill,
    Life,
    Offer,
    Outlived,
    Overran,
    Spawn,
    Start,
    State,
    StopAsked,
    StopOverran,
    TakeStack,
    Wait,
    Worn,
    advance,
    hopeless,
)

EVENTS: tuple[Event, ...] = (
    Start(),
    Booted(),
    BootFailed(recoverable=False),
    BootFailed(recoverable=True),
    CallSent(),
    Answered(recycle=False),
    Answered(recycle=True),
    Overran(),
    Distrusted(),
    Worn(),
    Exited(delay_s=1.0),
    Outlived(delay_s=1.0),
    DelayOver(),
    StopAsked(),
    StopOverran(),
)

# Everything that can happen, from the 5th incarnation with 3 restarts.
POSSIBLE: list[tuple[State, Event, State, tuple[Action, ...]]] = [
    (State.STOPPED, Start(), State.STARTING, (Spawn(6),)),
    (State.STOPPED, StopAsked(), State.STOPPED, ()),
    (State.STARTING, Booted(), State.READY, (Offer(),)),
    (State.STARTING, BootFailed(recoverable=False), State.FAILING, (Kill(),)),
    (State.STARTING, BootFailed(recoverable=True), State.ABORTING, (Kill(),)),
    (State.STARTING, Distrusted(), State.ABORTING, (Kill(),)),
    (State.STARTING, Exited(delay_s=1.0), State.BACKOFF, (Wait(1.0),)),
    (State.STARTING, StopAsked(), State.STOPPING, (AskToStop(),)),
    (State.READY, CallSent(), State.BUSY, ()),
    (State.READY, Distrusted(), State.ABORTING, (Kill(),)),
    (State.READY, Exited(delay_s=1.0), State.BACKOFF, (Wait(1.0),)),
    (State.READY, Worn(), State.RECYCLING, (AskToStop(),)),
    (State.READY, StopAsked(), State.STOPPING, (AskToStop(),)),
    (State.BUSY, Answered(recycle=False), State.READY, (Offer(),)),
    (State.BUSY, Answered(recycle=True), State.RECYCLING, (AskToStop(),)),
    (State.BUSY, Overran(), State.ABORTING, (TakeStack(),)),
    (State.BUSY, Distrusted(), State.ABORTING, (Kill(),)),
    (State.BUSY, Exited(delay_s=1.0), State.BACKOFF, (Wait(1.0),)),
    (State.BUSY, StopAsked(), State.STOPPING, (AskToStop(),)),
    (State.ABORTING, Exited(delay_s=1.0), State.BACKOFF, (Wait(1.0),)),
    (State.ABORTING, Outlived(delay_s=1.0), State.BACKOFF, (Wait(1.0),)),
    (State.ABORTING, StopAsked(), State.STOPPING, (Kill(),)),
    (State.BACKOFF, DelayOver(), State.STARTING, (Spawn(6),)),
    (State.BACKOFF, StopAsked(), State.STOPPED, ()),
    (State.FAILING, Exited(delay_s=1.0), State.FATAL, ()),
    (State.FAILING, Outlived(delay_s=1.0), State.FATAL, ()),
    (State.FAILING, StopAsked(), State.STOPPING, (Kill(),)),
    (State.FATAL, Start(), State.STARTING, (Spawn(6),)),
    (State.FATAL, StopAsked(), State.STOPPED, ()),
    (State.RECYCLING, Exited(delay_s=1.0), State.STARTING, (Spawn(6),)),
    (State.RECYCLING, StopOverran(), State.ABORTING, (Kill(),)),
    (State.RECYCLING, StopAsked(), State.STOPPING, ()),
    (State.STOPPING, Answered(recycle=False), State.STOPPING, ()),
    (State.STOPPING, Answered(recycle=True), State.STOPPING, ()),
    (State.STOPPING, StopOverran(), State.STOPPING, (Kill(),)),
    (State.STOPPING, Exited(delay_s=1.0), State.STOPPED, ()),
    (State.STOPPING, Outlived(delay_s=1.0), State.STOPPED, ()),
    (State.STOPPING, StopAsked(), State.STOPPING, ()),
]
IMPOSSIBLE = [
    (state, event)
    for state in State
    for event in EVENTS
    if (state, event) not in [(before, happened) for before, happened, _, _ in POSSIBLE]
]


def life_in(state: State) -> Life:
    return Life(state, incarnation=5, restarts=3)


def test_the_table_below_speaks_of_every_event() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize(("before", "event", "after", "actions"), POSSIBLE, ids=lambda one: str(one)[:60])
def test_each_event_leads_to_its_state_and_actions(
    before: State, event: Event, after: State, actions: tuple[Action, ...]
) -> None:
    life, done = advance(life_in(before), event)
    assert (life.state, done) == (after, actions)
    assert life.incarnation == (6 if Spawn(6) in actions else 5)


@pytest.mark.parametrize(("state", "event"), IMPOSSIBLE, ids=lambda one: str(one)[:60])
def test_an_impossible_event_raises_and_tells_state_and_event(state: State, event: Event) -> None:
    life = life_in(state)
    with pytest.raises(ImpossibleEventError, match=rf"{type(event).__name__} .* {state.value} .*incarnation=5"):
        advance(life, event)
    assert life == life_in(state)


def test_restarts_count_what_came_back_by_itself_and_nothing_that_was_asked_for() -> None:
    assert advance(life_in(State.BACKOFF), DelayOver())[0].restarts == 4
    assert advance(life_in(State.RECYCLING), Exited())[0].restarts == 4
    assert advance(life_in(State.STOPPED), Start())[0].restarts == 3
    assert advance(life_in(State.FATAL), Start())[0].restarts == 3


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((State.FATAL,), True),
        ((State.FAILING, State.STOPPED), True),
        ((State.FATAL, State.BACKOFF), False),
        ((State.STOPPED,), False),
        ((), False),
    ],
)
def test_workers_are_hopeless_when_one_cannot_boot_and_none_is_on_its_way(
    states: tuple[State, ...], expected: bool
) -> None:
    assert hopeless(states) is expected


class Walk(RuleBasedStateMachine):
    """Any legal events in any order; a process is counted from Spawn to Exited, as the supervisor has it."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.processes = 0
        self.incarnations: list[int] = []

    @rule(event=st.sampled_from(EVENTS))
    def happens(self, event: Event) -> None:
        before = self.life
        if isinstance(event, Exited) and not self.processes:
            return  # nothing is there that could exit
        try:
            self.life, actions = advance(before, event)
        except ImpossibleEventError:
            return
        if isinstance(event, Exited | Outlived):  # one that was given up is nobody's worker any more
            self.processes -= 1
        for action in actions:
            if isinstance(action, Spawn):
                self.processes += 1
                self.incarnations.append(action.incarnation)
            if isinstance(action, Offer):
                assert self.life.state is State.READY
        if before.state is State.ABORTING:
            assert isinstance(event, Exited | Outlived | StopAsked)

    @precondition(lambda self: self.life.state not in (State.STOPPED, State.FATAL, State.BACKOFF))
    @rule()
    def dies_by_itself(self) -> None:
        self.happens(Exited())

    @invariant()
    def a_worker_has_one_process_at_most_and_none_where_nothing_runs(self) -> None:
        idle = self.life.state in (State.STOPPED, State.FATAL, State.BACKOFF)
        assert self.processes == (0 if idle else 1)

    @invariant()
    def every_process_has_a_number_of_its_own(self) -> None:
        assert self.incarnations == list(range(1, len(self.incarnations) + 1))
        assert self.life.incarnation == len(self.incarnations)

    @invariant()
    def no_count_is_negative_and_what_stopped_can_begin_again(self) -> None:
        assert 0 <= self.life.restarts < max(1, self.life.incarnation)
        assert advance(self.life, StopAsked())[0].state in (State.STOPPED, State.STOPPING)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
