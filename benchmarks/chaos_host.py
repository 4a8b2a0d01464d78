"""A host of the chaos soak: sends images nobody saw before, and holds each answer against what it sent.

Every message that arrives is counted by its request id as it stands on the link, before anything is made of it.
"""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from procvision_sdk import segment
from procvision_sdk.wire import body, framing
from procvision_sdk.wire.messages import PROTOCOL_VERSION

SHAPE = (256, 256, 3)
DEADLINE_MS = 3000
# An answer that is not there this long after its deadline will never be.
LOST_AFTER_S = 10.0
DEPTH = 2
# What may be said of an inspection while workers are being ended; any other code is a wrong answer.
LEGAL_ERRORS = frozenset({"1005", "1012", "1013", "3001", "3005"})
_LEASE_AGAIN_S = 0.02


class Line:
    """One link; `hear` gives what comes, in order, with the moment of its arrival."""

    def __init__(self, home: Path, name: str) -> None:
        kind, _, rest = (home / "run" / "address").read_text("utf-8").partition(":")
        if kind != "unix":
            raise ValueError(f"the soak speaks through a unix socket, the runner serves {kind}")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(rest)
        self._decoder = framing.FrameDecoder()
        self._unheard: list[tuple[float, dict[str, Any]]] = []
        self.say(type="hello", request_id="hello", client_id=name, protocol_version=PROTOCOL_VERSION)
        self.welcome = next(message for _, message in self.hear(30.0))

    def say(self, **message: Any) -> None:
        self._socket.sendall(framing.encode(body.encode(message)))

    def hear(self, patience_s: float) -> Iterator[tuple[float, dict[str, Any]]]:
        """Everything that arrives with the next bytes; nothing when none come in time. ConnectionError at its end."""
        self._socket.settimeout(max(0.001, patience_s))
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            return
        if not data:
            raise ConnectionError("the runner closed the link")
        arrived_s = time.monotonic()
        bodies, too_long = self._decoder.feed(data)
        if too_long is not None:
            raise too_long
        for raw in bodies:
            yield arrived_s, body.decode(raw)

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The data of an answer, on a link that asks nothing else; events that come before it are dropped."""
        self.say(type=kind, request_id=f"{kind}-{time.monotonic_ns()}", **fields)
        while True:
            for _, message in self.hear(60.0):
                if message["type"] != "event":
                    data: dict[str, Any] = message["data"]
                    return data

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Sent:
    """One inspection on its way; times are on the monotonic clock."""

    id: str
    sent_s: float
    checksum: int
    verdict: str
    act: str
    shared_mem_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that tells something about the workers: a good result, or how a fault ended."""

    at_s: float
    sent: Sent
    code: str
    incarnation: int
    attempts: int
    queue_s: float
    os_pid: int
    has_stack: bool


@dataclass(slots=True)
class Tally:
    """What the hosts of one product saw."""

    calls: int = 0
    good: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    torn: int = 0
    late: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    answers: list[Answered] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def take(self, sent: Sent, at_s: float, answer: dict[str, Any], pid: str) -> None:
        """Count one answer, the first to its request."""
        self.late += at_s > sent.sent_s + DEADLINE_MS / 1000
        found = judge(sent, answer, pid)
        if found in ("wrong", "torn"):
            setattr(self, found, getattr(self, found) + 1)
            self.examples.append(f"{found}: {sent} got {answer}")
        elif found:
            self.codes[found] += 1
        else:
            self.good += 1
        if "timings" in answer:
            queue_s, os_pid = answer["timings"]["queue"] / 1000, answer["data"].get("os_pid", 0)
            told = (answer["incarnation"], answer["attempts"], queue_s, os_pid, "stack" in answer["diagnostics"])
            self.answers.append(Answered(at_s, sent, answer.get("error_code") or "", *told))


def judge(sent: Sent, answer: dict[str, Any], pid: str) -> str:
    """ "": it is the answer to this image and this request; `wrong`, `torn`, or the code of a legal error.

    Torn: the algorithm saw bytes that were never this image. Wrong: an answer to another request, another verdict.
    """
    if answer["status"] == "ERROR":
        return answer["error_code"] if answer["error_code"] in LEGAL_ERRORS else "wrong"
    data = answer["data"]
    if (data["nonce"], data["product"], answer["pid"]) != (sent.id, pid, pid):
        return "wrong"
    if data["checksums"] != [sent.checksum, sent.checksum]:
        return "torn"
    return "" if data["result_status"] == sent.verdict else "wrong"


class Host(threading.Thread):
    """Keeps DEPTH inspections in flight until it is told to stop; then hears the rest, and a while longer."""

    def __init__(self, home: Path, name: str, pid: str, orders: Callable[[], str]) -> None:
        """`orders` says what the next request asks the algorithm to do."""
        super().__init__(name=name)
        self.tally = Tally()
        self.stopping = threading.Event()
        self.failure = ""
        self._pid, self._orders = pid, orders
        self._line = Line(home, name)
        arena = self._line.welcome["arena"]
        self._mapping = segment.attach_writable(arena["segment"], arena["size_bytes"])
        self._random = np.random.default_rng(zlib.crc32(name.encode()))
        self._leases: list[dict[str, Any]] = []
        self._asked_leases = 0
        self._ask_again_s = 0.0
        self._flying: dict[str, Sent] = {}
        self._answered: set[str] = set()
        self._count = 0

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._keep_flying()
                self._listen(_LEASE_AGAIN_S)
            self._land()
        except (OSError, framing.FrameTooLongError) as error:
            self.failure = f"{self.name}: {error!r}"
        self.tally.lost += len(self._flying)
        self._line.close()

    def _keep_flying(self) -> None:
        missing = DEPTH - len(self._flying) - len(self._leases) - self._asked_leases
        if missing > 0 and time.monotonic() >= self._ask_again_s:
            for _ in range(missing):
                self._count += 1
                self._line.say(type="lease", request_id=f"lease-{self._count}")
                self._asked_leases += 1
        while self._leases and len(self._flying) < DEPTH:
            self._send(self._leases.pop())

    def _send(self, lease: dict[str, Any]) -> None:
        self._count += 1
        request_id, act = f"{self.name}-{self._count}", self._orders()
        pixels = self._random.bytes(SHAPE[0] * SHAPE[1] * SHAPE[2])
        offset = lease["offset"]
        self._mapping[offset : offset + len(pixels)] = pixels
        meta = {"width": SHAPE[1], "height": SHAPE[0], "timestamp_ms": 0, "camera_id": "soak", "color_space": "RGB"}
        verdict = "NG" if pixels[-1] % 2 else "OK"
        sent = Sent(request_id, time.monotonic(), zlib.crc32(pixels), verdict, act, lease["shared_mem_id"])
        self._flying[request_id] = sent
        self.tally.calls += 1
        self._line.say(
            type="inspect",
            request_id=request_id,
            pid=self._pid,
            shared_mem_id=sent.shared_mem_id,
            image_meta=meta,
            user_params={"nonce": request_id, "act": act},
            deadline_ms=DEADLINE_MS,
            renew=True,
        )

    def _listen(self, patience_s: float) -> None:
        for at_s, message in self._line.hear(patience_s):
            request_id = message.get("request_id", "")
            if request_id.startswith("lease-"):
                self._take_lease(message)
            elif request_id in self._flying:
                sent = self._flying.pop(request_id)
                self._answered.add(request_id)
                self.tally.take(sent, at_s, message, self._pid)
                self._take_renewal(sent, message)
            elif request_id in self._answered:
                self.tally.duplicated += 1
            elif not request_id.startswith("back-"):
                self.tally.wrong += 1
                self.tally.examples.append(f"wrong: nobody asked for {message}")

    def _take_lease(self, message: dict[str, Any]) -> None:
        self._asked_leases -= 1
        if message["status"] == "OK":
            self._leases.append(message["data"])
        else:
            self._ask_again_s = time.monotonic() + _LEASE_AGAIN_S

    def _take_renewal(self, sent: Sent, message: dict[str, Any]) -> None:
        if message.get("lease"):
            self._leases.append(message["lease"])
        elif not message.get("deployment"):
            # It was refused before it was admitted; what it held goes back, and the next one is asked for.
            self._line.say(type="release", request_id=f"back-{sent.id}", shared_mem_id=sent.shared_mem_id)

    def _land(self) -> None:
        """Hear the answers that are due, and then whatever comes in a second: a second answer comes late."""
        give_up_s = time.monotonic() + DEADLINE_MS / 1000 + LOST_AFTER_S
        while self._flying and time.monotonic() < give_up_s:
            self._listen(0.2)
        quiet_until_s = time.monotonic() + 1.0
        while time.monotonic() < quiet_until_s:
            self._listen(0.2)
