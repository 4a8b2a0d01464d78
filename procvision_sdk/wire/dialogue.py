"""Who may say what when, on the link between runner and adapter (spec.md §4).

    the runner's view of one worker

      GREETING --hello--> BOOTING --ready--> READY --call--> BUSY
                             |                 ^---result------'
                             '--error--> FAILED        shutdown (from GREETING, BOOTING, READY, BUSY)
                                                          '--> CLOSING --shutdown--> CLOSED

Protects: hello first; one outstanding call per worker; each request_id gets exactly one answer. A miss in the table
raises DialogueError and changes nothing: such a worker cannot be trusted and ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from procvision_sdk.errors import BadFrameError, ErrorCode, ProcVisionError, SchemaError
from procvision_sdk.validation import shown
from procvision_sdk.wire import body
from procvision_sdk.wire.calls import Call, Result, quick_call, quick_result
from procvision_sdk.wire.framing import FrameTooLongError
from procvision_sdk.wire.messages import (
    PROTOCOL_VERSION,
    ErrorMessage,
    FromAdapter,
    Ping,
    Pong,
    Ready,
    RunnerHello,
    Shutdown,
    parse,
    parse_call,
    parse_from_adapter,
    refusal,
    request_id_of,
    same_major,
)

# spec.md §4: calls that wait while one runs; one more is answered 3001.
MAX_WAITING_CALLS = 16


class DialogueError(BadFrameError):
    """The other side spoke out of turn, or answered a question that was not asked of it."""


class Turn(Enum):
    __hash__ = object.__hash__  # each is one object; Enum would hash its name in Python

    GREETING = "greeting"
    BOOTING = "booting"
    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


_HEARD: dict[tuple[Turn, str], Turn] = {
    (Turn.GREETING, "hello"): Turn.BOOTING,
    (Turn.BOOTING, "ready"): Turn.READY,
    (Turn.BOOTING, "error"): Turn.FAILED,
    (Turn.BOOTING, "pong"): Turn.BOOTING,
    (Turn.READY, "pong"): Turn.READY,
    (Turn.BUSY, "pong"): Turn.BUSY,
    (Turn.BUSY, "result"): Turn.READY,
    (Turn.CLOSING, "hello"): Turn.CLOSING,
    (Turn.CLOSING, "pong"): Turn.CLOSING,
    (Turn.CLOSING, "ready"): Turn.CLOSING,
    (Turn.CLOSING, "error"): Turn.CLOSING,
    (Turn.CLOSING, "result"): Turn.CLOSING,
    (Turn.CLOSING, "shutdown"): Turn.CLOSED,
}

_SAID: dict[tuple[Turn, str], Turn] = {
    (Turn.BOOTING, "hello"): Turn.BOOTING,
    (Turn.BOOTING, "ping"): Turn.BOOTING,
    (Turn.READY, "ping"): Turn.READY,
    (Turn.BUSY, "ping"): Turn.BUSY,
    (Turn.READY, "call"): Turn.BUSY,
    (Turn.GREETING, "shutdown"): Turn.CLOSING,
    (Turn.BOOTING, "shutdown"): Turn.CLOSING,
    (Turn.READY, "shutdown"): Turn.CLOSING,
    (Turn.BUSY, "shutdown"): Turn.CLOSING,
}


class RunnerDialogue:
    """The runner's end: `say` before sending, `hear` each body that came; neither does I/O."""

    __slots__ = ("_asked", "turn")

    def __init__(self) -> None:
        self.turn = Turn.GREETING
        self._asked: str | None = None

    def say(self, message: FromRunner) -> bytes:
        """The body to send; DialogueError when it is not this side's turn to say it."""
        after = _SAID.get((self.turn, message.type))
        if after is None:
            raise DialogueError(f"{message.type} cannot be said to a worker that is {self.turn.value}")
        asked = self._asked
        if isinstance(message, Call):
            asked = message.request_id
            if not asked:
                raise DialogueError("a call needs a request_id: its answer could not be told from another's")
        raw_body = message.encoded()
        self._asked, self.turn = asked, after
        return raw_body

    def hear(self, raw_body: bytes) -> Told:
        """The message in a body; DialogueError, SchemaError or BadFrameError when it may not be said now."""
        message = quick_result(raw_body) or parse_from_adapter(body.decode(raw_body))
        after = _HEARD.get((self.turn, message.type))
        if after is None:
            raise DialogueError(f"the adapter said {message.type} while it was {self.turn.value}")
        if isinstance(message, Result):
            if self._asked is None or message.request_id != self._asked:
                raise DialogueError(f"the adapter answered {message.request_id!r:.80}, asked was {self._asked!r}")
            self._asked = None
        self.turn = after
        return message


class Asked(msgspec.Struct, frozen=True):
    """A call and when its frame was received, in seconds of a monotonic clock."""

    call: Call
    received_s: float

    def is_too_late(self, now_s: float) -> bool:
        """Whether the time its host gave it passed while it waited."""
        limit_ms = self.call.deadline_ms
        return limit_ms is not None and (now_s - self.received_s) * 1000 >= limit_ms


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """Nobody will ask again: the other side closed its end."""


@dataclass(frozen=True, slots=True)
class ProtocolFailure:
    """Another MAJOR, or a stream that cannot be resynchronised. The error that says so has been answered."""


End = Shutdown | EndOfInput | ProtocolFailure
# What each end says.
FromRunner = RunnerHello | Ping | Call | Shutdown
Told = FromAdapter | Result


class AdapterDialogue:
    """The adapter's end: bodies in, immediate replies out, calls and the end kept in their order.

    Pings overtake; shutdown and end of input take their place behind the calls that came before them. At most
    MAX_WAITING_CALLS wait beside the one that runs (or beside setup).
    """

    def __init__(self) -> None:
        self._inbox: deque[Asked | End] = deque()
        self._occupied = True
        self._greeted = False
        self._setup_ms: float | None = None
        self._ending = False

    def hear(self, raw_body: bytes, received_s: float) -> list[Told]:
        """What must be answered at once to this body: pong, ready, or the reason why it cannot be served."""
        call = quick_call(raw_body)
        if call is not None:
            return self._queue(Asked(call, received_s))
        request_id: str | None = None
        try:
            raw = body.decode(raw_body)
            request_id = request_id_of(raw)
            return self._hear(raw, received_s)
        except ProcVisionError as error:
            return [refusal(request_id, error.code, error.message, error.hint)]

    def hear_end(self) -> None:
        """The other side closed its end."""
        self._end(EndOfInput())

    def hear_overlong(self, error: FrameTooLongError) -> list[Told]:
        """A length above the limit came: nothing after it can be read."""
        self._end(ProtocolFailure())
        return [refusal(None, error.code, error.message, error.hint)]

    def stop(self) -> list[Told]:
        """This process must end: the end is next, and each call that waits is refused."""
        self._end(EndOfInput())
        waiting = [item.call for item in self._inbox if isinstance(item, Asked)]
        self._inbox = deque(item for item in self._inbox if not isinstance(item, Asked))
        message = "this process was asked to end before the call's turn came"
        return [refusal(call.request_id, ErrorCode.BUSY, message, "ask again") for call in waiting]

    def take(self) -> Asked | End | None:
        """What is to be done next, in the order it was asked for; None when nothing is."""
        taken = self._inbox.popleft() if self._inbox else None
        self._occupied = isinstance(taken, Asked)
        return taken

    def setup_done(self, setup_ms: float) -> list[Told]:
        """`ready`, when the runner has said hello; a later hello gets it then."""
        self._setup_ms = setup_ms
        return [Ready(setup_ms=setup_ms)] if self._greeted else []

    def _hear(self, raw: Mapping[str, Any], received_s: float) -> list[Told]:
        match raw.get("type"):
            case "call":
                return self._queue(Asked(parse_call(raw), received_s))
            case "ping":
                return [Pong(request_id=parse(Ping, raw).request_id)]
            case "hello":
                return self._greet(parse(RunnerHello, raw))
            case "shutdown":
                asked = parse(Shutdown, raw)
                return [] if self._end(asked) else self._too_late(asked)
            case unknown:
                raise SchemaError(f"type: expected hello, ping, call or shutdown, got {shown(unknown)}")

    def _queue(self, asked: Asked) -> list[Told]:
        if self._ending:
            return self._too_late(asked.call)
        if len(self._inbox) - (not self._occupied) >= MAX_WAITING_CALLS:
            message = f"{MAX_WAITING_CALLS} calls are waiting already"
            return [refusal(asked.call.request_id, ErrorCode.BUSY, message, "wait for an answer before asking again")]
        self._inbox.append(asked)
        return []

    def _too_late(self, message: Call | Shutdown) -> list[Told]:
        return [refusal(message.request_id, ErrorCode.BUSY, "this came after the end was asked for")]

    def _greet(self, hello: RunnerHello) -> list[Told]:
        if not same_major(hello.protocol_version):
            self._end(ProtocolFailure())
            code, hint = ErrorCode.BAD_FRAME, "update the older side: the runner, or the SDK in the package"
            theirs = hello.protocol_version[:20]
            message = f"the runner speaks protocol {theirs}, this adapter {PROTOCOL_VERSION}"
            told = ErrorMessage(
                request_id=hello.request_id, message=message, error_code=code, error_name=code.word, hint=hint
            )
            return [told]
        first = not self._greeted
        self._greeted = True
        return [Ready(setup_ms=self._setup_ms)] if first and self._setup_ms is not None else []

    def _end(self, end: End) -> bool:
        """Take the first end in its place; False for any later one: nothing after the first is done."""
        first = not self._ending
        if first:
            self._ending = True
            self._inbox.append(end)
        return first
