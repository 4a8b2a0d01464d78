"""The faults of the chaos soak: a seeded schedule, how each is done, and how long the product was without a result.

kill, stop, segv    a signal from outside, to the worker that serves
exit, hang, grow    the algorithm itself, ordered with the parameters of a request
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chaos_host import Answered, Line

OUTSIDE = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "segv": signal.SIGSEGV}
KINDS = (*OUTSIDE, "exit", "hang", "grow")
GAP_S = (0.5, 5.0)
# What one call of the soak's algorithm may take, pre_execute and execute together.
PRE_EXECUTE_S = 0.2
EXECUTE_S = 0.6
HANG_S = PRE_EXECUTE_S + EXECUTE_S
_LOOKS = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """`incarnation` is that of the worker a signal went to; 0 where the algorithm itself was asked."""

    kind: str
    at_s: float
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Recovery:
    """From the end of a worker to the next good result. `standby`: whether another worker was ready at that moment."""

    kind: str
    took_ms: float
    standby: bool


class Roll(threading.Thread):
    """Which workers of a deployment could serve, and when: from the runner's events."""

    def __init__(self, home: Path, deployment: str) -> None:
        super().__init__(name="roll")
        self.stopping = threading.Event()
        self._line = Line(home, "roll")
        self._line.ask("subscribe", topics=["workers"])
        self._prefix = f"{deployment}#"
        self._usable: dict[int, list[tuple[float, bool]]] = {}
        for one in workers_of(self._line, deployment):
            self._usable[one["incarnation"]] = [(0.0, one["state"] in ("READY", "BUSY"))]

    def run(self) -> None:
        with suppress(ConnectionError):
            while not self.stopping.is_set():
                for at_s, message in self._line.hear(0.2):
                    data = message.get("data", {})
                    if str(data.get("worker", "")).startswith(self._prefix):
                        incarnation = int(data["worker"].rpartition(".")[2])
                        self._usable.setdefault(incarnation, []).append((at_s, data["state"] == "READY"))
        self._line.close()

    def had_another(self, incarnation: int, at_s: float) -> bool:
        """Whether a worker other than this one was ready then."""
        return any(_last_before(told, at_s) for one, told in self._usable.items() if one != incarnation)


class Injector:
    """Does one fault after the other; `order` is asked by the hosts for what their next request shall do."""

    def __init__(self, home: Path, deployment: str, seed: int) -> None:
        self.faults: list[Fault] = []
        self._line = Line(home, "injector")
        self._deployment = deployment
        self._random = random.Random(seed)
        self._orders: deque[str] = deque()

    def order(self) -> str:
        try:
            return self._orders.popleft()
        except IndexError:
            return "none"

    def run(self, seconds: float) -> None:
        """Faults until the time is over, the last early enough to be recovered from."""
        end_s = time.monotonic() + seconds
        while True:
            time.sleep(min(self._random.uniform(*GAP_S), max(0.0, end_s - time.monotonic())))
            if time.monotonic() >= end_s:
                self._line.close()
                return
            self._do(self._random.choice(KINDS))

    def _do(self, kind: str) -> None:
        if kind not in OUTSIDE:
            self.faults.append(Fault(kind, time.monotonic()))
            self._orders.append(kind)
            return
        target = self._serving()
        if target is None:
            return
        incarnation, os_pid = target
        self.faults.append(Fault(kind, time.monotonic(), incarnation))
        with suppress(ProcessLookupError):
            os.kill(os_pid, OUTSIDE[kind])

    def _serving(self) -> tuple[int, int] | None:
        """The worker that is at work; None when there is none for long."""
        for _ in range(_LOOKS):
            for one in workers_of(self._line, self._deployment):
                if one["state"] == "BUSY" and one["os_pid"] > 0:
                    return one["incarnation"], one["os_pid"]
            time.sleep(0.005)
        return None


def recoveries(faults: Sequence[Fault], answers: Iterable[Answered], roll: Roll, notes: Path) -> list[Recovery]:
    """One for each fault that ended a worker, as far as its moment is known.

    The moment: of a signal, when it was sent; of an exit, what the algorithm noted; of a hang or a stopped worker, the
    hard deadline of the call it held up; of growth, the answer that said so.
    """
    told = sorted(answers, key=lambda one: one.at_s)
    good = [one for one in told if not one.code]
    arrivals = [one.at_s for one in good]
    incarnations = {one.os_pid: one.incarnation for one in good}
    ends = [_end(fault, told) for fault in faults if fault.kind in OUTSIDE]
    ends += [_own_end(one, notes, incarnations) for one in told if one.sent.act != "none"]
    found = []
    for end in ends:
        if end is None or end.incarnation == 0:
            continue
        after = good[bisect_right(arrivals, end.at_s) :]
        following = next((one for one in after if end.kind == "grow" or one.incarnation != end.incarnation), None)
        if following is not None and following.incarnation != end.incarnation:
            took_ms = (following.at_s - end.at_s) * 1000
            found.append(Recovery(end.kind, took_ms, roll.had_another(end.incarnation, end.at_s)))
    return found


def _end(fault: Fault, told: Iterable[Answered]) -> Fault | None:
    """When the worker that got a signal was at its end."""
    if fault.kind != "stop":
        return fault
    for one in told:
        if one.at_s > fault.at_s and one.incarnation == fault.incarnation and one.code == "1005":
            return _hung(fault.kind, one)
    return None


def _own_end(one: Answered, notes: Path, incarnations: dict[int, int]) -> Fault | None:
    """When the worker ended that was asked to misbehave."""
    match one.sent.act:
        case "hang" if one.code == "1005":
            return _hung("hang", one)
        case "grow" if one.code == "1012":
            return Fault("grow", one.at_s, one.incarnation)
        case "exit" if (notes / one.sent.id).exists():
            at_s, os_pid = (notes / one.sent.id).read_text("ascii").split()
            return Fault("exit", float(at_s), incarnations.get(int(os_pid), 0))
    return None


def _hung(kind: str, one: Answered) -> Fault | None:
    if one.attempts != 1:
        return None
    return Fault(kind, one.sent.sent_s + one.queue_s + HANG_S, one.incarnation)


def distribution(found: Sequence[float], percents: Sequence[float] = (50, 99)) -> dict[str, float]:
    """n, the percentiles (p50 and p99) and max, in milliseconds."""
    if not found:
        return {"n": 0}
    told = {f"p{percent:g}": round(float(np.percentile(found, percent)), 2) for percent in percents}
    return {"n": len(found), **told, "max": round(max(found), 2)}


def workers_of(line: Line, deployment: str) -> list[dict[str, Any]]:
    """What status says of each worker of a deployment."""
    status = line.ask("status")
    found: list[dict[str, Any]] = next(one["workers"] for one in status["deployments"] if one["name"] == deployment)
    return found


def _last_before(told: Sequence[tuple[float, bool]], at_s: float) -> bool:
    earlier = [usable for since_s, usable in told if since_s <= at_s]
    return bool(earlier) and earlier[-1]
