"""The life of one worker as a table: an event in, the next state and the actions out; no clock, no process.

                    .--------------------------- BACKOFF <---------------------------.
                    v    (delay over)               ^                                |
    STOPPED --> STARTING --ready--> READY --call--> BUSY --deadline, out of turn--> ABORTING
                 |    |               ^----answer----'|                                ^
                 |    '--boot failed--> FAILING --exit--> FATAL       (unresponsive) --'
                 '--- stop (from anywhere) ---> STOPPING --exit--> STOPPED
                                       RECYCLING = STOPPING, then STARTING again

Protects: only this table changes state; ABORTING hears nothing but the exit, or that there is none in spite of the
kill. A miss in the table raises and changes nothing. How long BACKOFF lasts is the budget's decision (budget.py) and
comes in with the exit; a package that cannot boot is FATAL and is not started again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace


class State(Enum):
    __hash__ = object.__hash__  # each is one object; Enum would hash its name in Python

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    READY = "READY"
    BUSY = "BUSY"
    ABORTING = "ABORTING"
    BACKOFF = "BACKOFF"
    FAILING = "FAILING"
    FATAL = "FATAL"
    RECYCLING = "RECYCLING"
    STOPPING = "STOPPING"


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody wants this worker."""


@dataclass(frozen=True, slots=True)
class Booted:
    """`ready` was heard."""


@dataclass(frozen=True, slots=True)
class BootFailed:
    """Import or setup failed, or overran its limit. `recoverable`: setup raised RecoverableError."""

    recoverable: bool


@dataclass(frozen=True, slots=True)
class CallSent:
    """A call is with the worker."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call's result came. `recycle`: the worker must not serve another call."""

    recycle: bool


@dataclass(frozen=True, slots=True)
class Overran:
    """Its call missed the deadline: it hangs, and how is worth knowing."""


@dataclass(frozen=True, slots=True)
class Distrusted:
    """It spoke out of turn, took too much memory, or an idle one misses its pings."""


@dataclass(frozen=True, slots=True)
class Worn:
    """It serves well, but must be replaced when it is idle: it grew, or it keeps views."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The process has been reaped; the next one may start after `delay_s`."""

    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlived:
    """It does not end although it was killed (uninterruptible in the kernel): it is given up, its slots stay held."""

    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DelayOver:
    """The back-off has passed."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The station stops, or the deployment goes."""


@dataclass(frozen=True, slots=True)
class StopOverran:
    """It did not end within the limit after being asked."""


Event = (
    Start
    | Booted
    | BootFailed
    | CallSent
    | Answered
    | Overran
    | Distrusted
    | Worn
    | Exited
    | Outlived
    | DelayOver
    | StopAsked
    | StopOverran
)


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start process number `incarnation`."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Offer:
    """It can take a call."""


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Send shutdown; report StopOverran after the limit."""


@dataclass(frozen=True, slots=True)
class TakeStack:
    """Ask for the stack of the hang, then end the process and its group."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process and its group now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Report DelayOver after `delay_s`."""

    delay_s: float


Action = Spawn | Offer | AskToStop | TakeStack | Kill | Wait


class Life(Struct, frozen=True):
    """Everything the table knows."""

    state: State = State.STOPPED
    incarnation: int = 0
    restarts: int = 0


class ImpossibleEventError(Exception):
    """The table has no entry: the supervisor and the table disagree about what happened."""


Step = tuple[Life, tuple[Action, ...]]


def _to(state: State, *actions: Action) -> Callable[[Life, Event], Step]:
    return lambda life, _: (Life(state, life.incarnation, life.restarts), actions)


def _spawn(life: Life, _: Event) -> Step:
    incarnation = life.incarnation + 1
    return replace(life, state=State.STARTING, incarnation=incarnation), (Spawn(incarnation),)


def _respawn(life: Life, event: Event) -> Step:
    return _spawn(replace(life, restarts=life.restarts + 1), event)


def _fail(life: Life, event: Event) -> Step:
    delay_s = event.delay_s if isinstance(event, Exited | Outlived) else 0.0
    return replace(life, state=State.BACKOFF), (Wait(delay_s),)


def _boot_failed(life: Life, event: Event) -> Step:
    recoverable = isinstance(event, BootFailed) and event.recoverable
    return replace(life, state=State.ABORTING if recoverable else State.FAILING), (Kill(),)


def _answered(life: Life, event: Event) -> Step:
    if isinstance(event, Answered) and event.recycle:
        return replace(life, state=State.RECYCLING), (AskToStop(),)
    return Life(State.READY, life.incarnation, life.restarts), (Offer(),)


_distrusted = _to(State.ABORTING, Kill())
_ask_to_stop = _to(State.STOPPING, AskToStop())

_TABLE: dict[tuple[State, type[Event]], Callable[[Life, Event], Step]] = {
    (State.STOPPED, Start): _spawn,
    (State.FATAL, Start): _spawn,
    (State.STARTING, Booted): _to(State.READY, Offer()),
    (State.STARTING, BootFailed): _boot_failed,
    (State.STARTING, Distrusted): _distrusted,
    (State.STARTING, Exited): _fail,
    (State.STARTING, StopAsked): _ask_to_stop,
    (State.READY, CallSent): _to(State.BUSY),
    (State.READY, Distrusted): _distrusted,
    (State.READY, Worn): _to(State.RECYCLING, AskToStop()),
    (State.READY, Exited): _fail,
    (State.READY, StopAsked): _ask_to_stop,
    (State.BUSY, Answered): _answered,
    (State.BUSY, Overran): _to(State.ABORTING, TakeStack()),
    (State.BUSY, Distrusted): _distrusted,
    (State.BUSY, Exited): _fail,
    (State.BUSY, StopAsked): _ask_to_stop,
    (State.ABORTING, Exited): _fail,
    (State.ABORTING, Outlived): _fail,
    (State.ABORTING, StopAsked): _to(State.STOPPING, Kill()),
    (State.BACKOFF, DelayOver): _respawn,
    (State.BACKOFF, StopAsked): _to(State.STOPPED),
    (State.FAILING, Exited): _to(State.FATAL),
    (State.FAILING, Outlived): _to(State.FATAL),
    (State.FAILING, StopAsked): _to(State.STOPPING, Kill()),
    (State.FATAL, StopAsked): _to(State.STOPPED),
    (State.RECYCLING, Exited): _respawn,
    (State.RECYCLING, StopOverran): _distrusted,
    (State.RECYCLING, StopAsked): _to(State.STOPPING),
    (State.STOPPING, Answered): _to(State.STOPPING),
    (State.STOPPING, StopAsked): _to(State.STOPPING),
    (State.STOPPING, StopOverran): _to(State.STOPPING, Kill()),
    (State.STOPPING, Exited): _to(State.STOPPED),
    (State.STOPPING, Outlived): _to(State.STOPPED),
    (State.STOPPED, StopAsked): _to(State.STOPPED),
}


def advance(life: Life, event: Event) -> Step:
    """The next life and what is to be done; ImpossibleEventError when the table has no such case."""
    step = _TABLE.get((life.state, type(event)))
    if step is None:
        raise ImpossibleEventError(f"{type(event).__name__} happened to a worker that is {life.state.value} ({life})")
    return step(life, event)


_CANNOT_BOOT = frozenset({State.FATAL, State.FAILING})


def hopeless(states: Iterable[State]) -> bool:
    """Whether none will ever serve unless somebody acts: one cannot boot, and no other one is on its way."""
    found = set(states)
    return bool(found & _CANNOT_BOOT) and found <= _CANNOT_BOOT | {State.STOPPED}
