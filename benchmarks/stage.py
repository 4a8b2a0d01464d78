"""What every contestant stands on: its setting, the rounds it plays, the words between it and the driver.

    driver   python -m benchmarks.contestants.<name> --size S --placement one
    process  {"ready": true, "version": ...} or {"absent": "why"}
    driver   {"calls": 400, "warm": 40, "in_flight": 1, "every_s": 0.0, "budget_s": 0.6}      a round, as often as asked
    process  {"samples_us": [...], "wall_s": ..., "warmed": 40}
    driver   closes the pipe: the contestant ends, and everything it has started

The work is the same for all: the host has an image, changes its first pixel, asks, somebody else looks at the 64x64
patch in its corner, and the host checks that the answer saw this pixel. A sample is all of that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from benchmarks.placement import PLACEMENTS, core_of, cores, move_to

SIZES = {"S": (640, 640, 3), "M": (1200, 1920, 3), "L": (3000, 4096, 3)}
PATCH = 64
MOST_IN_FLIGHT = 4
# A round that has used up its time still has so many samples: a median of fewer says nothing.
LEAST_SAMPLES = 5


class AbsentError(Exception):
    """This contestant cannot take part here; the message says why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a contestant is started for; `cores` are those it may use."""

    size: str
    placement: str
    durability: str
    cores: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        return SIZES[self.size]

    @property
    def nbytes(self) -> int:
        height, width, channels = self.shape
        return height * width * channels

    @contextmanager
    def serving(self) -> Iterator[None]:
        """What is started in this block runs where the service has its place."""
        move_to(core_of(self.placement, "service", list(self.cores)), list(self.cores))
        try:
            yield
        finally:
            move_to(core_of(self.placement, "requester", list(self.cores)), list(self.cores))


@dataclass(frozen=True, slots=True)
class Order:
    """One round: how many calls, how many at once, how far apart (0: as fast as it goes), for how long at most."""

    calls: int
    warm: int
    in_flight: int
    every_s: float
    budget_s: float


class Contestant(Protocol):
    """The host's end. Answers come in the order of the requests."""

    most_in_flight: int

    def submit(self, place: int, value: int) -> None:
        """Put `value` into the first pixel of image number `place` and ask."""

    def wait(self) -> int:
        """The pixel that the oldest request's answer saw: the sum of a patch that is 0 elsewhere."""


Play = Callable[[Order], dict[str, Any]]


def blocking(contestant: Contestant) -> Play:
    """Rounds of a contestant whose calls block."""

    def play(order: Order) -> dict[str, Any]:
        if order.in_flight > contestant.most_in_flight:
            return {"absent": f"at most {contestant.most_in_flight} in flight"}
        warmed = len(_calls(contestant, order, order.warm))
        began = time.perf_counter()
        samples = _calls(contestant, order, order.calls)
        return {"samples_us": samples, "wall_s": time.perf_counter() - began, "warmed": warmed}

    return play


def _calls(contestant: Contestant, order: Order, calls: int) -> list[float]:
    """The microseconds of up to `calls` requests; what is asked when the time is up is waited for."""
    now, every_ns = time.perf_counter_ns, int(order.every_s * 1e9)
    samples: list[float] = []
    waiting: deque[tuple[int, int]] = deque()
    sent = 0
    tick = now()
    end = tick + int(order.budget_s * 1e9)
    while True:
        if sent < calls and len(waiting) < order.in_flight and (now() < end or sent < LEAST_SAMPLES):
            if every_ns:
                tick += every_ns
                time.sleep(max(0, tick - now()) / 1e9)
            value = sent % 255 + 1
            began = now()
            contestant.submit(sent % order.in_flight, value)
            waiting.append((began, value))
            sent += 1
        elif waiting:
            began, value = waiting.popleft()
            told = contestant.wait()
            samples.append((now() - began) / 1000)
            if told != value:
                raise AssertionError(f"the answer saw {told}, the pixel was {value}: another image was looked at")
        else:
            return samples


def perform(open_contestant: Callable[[ExitStack, Setting], tuple[Play, str]]) -> None:
    """The life of a contestant's process: make ready, play what is ordered, leave nothing."""
    setting = _setting()
    answers = _claim_stdout()
    with ExitStack() as stack:
        try:
            play, version = open_contestant(stack, setting)
        except (AbsentError, ImportError, ValueError) as error:
            _say(answers, {"absent": f"{error}"})
            return
        _say(answers, {"ready": True, "version": version})
        for line in sys.stdin:
            _say(answers, play(Order(**json.loads(line))))


def parser() -> argparse.ArgumentParser:
    """The options that every contestant has."""
    options = argparse.ArgumentParser()
    options.add_argument("--size", choices=tuple(SIZES), default="S")
    options.add_argument("--placement", choices=PLACEMENTS, default="free")
    options.add_argument("--durability", default="none")
    return options


def _setting() -> Setting:
    given, _ = parser().parse_known_args()
    return Setting(given.size, given.placement, given.durability, tuple(cores()))


def _claim_stdout() -> TextIO:
    """The pipe to the driver; what anybody prints from now on goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()
