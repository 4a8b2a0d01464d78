"""Who may say what when, on the link between runner and adapter (spec.md §4).

    the runner's view of one worker

      GREETING --hello--> BOOTING --ready--> READY --call--> BUSY
                             |                 ^---result------'
                             '--error--> FAILED        shutdown (from BOOTING, READY, BUSY)
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

from procvision_sdk.errors import BadFrameError, ErrorCode, ProcVisionError, SchemaError
from procvision_sdk.wire import body
from procvision_sdk.wire.messages import (
    PROTOCOL_VERSION,
    Call,
    ErrorMessage,
    Message,
    Ping,
    Pong,
    Ready,
    Result,
    RunnerHello,
    Shutdown,
    parse,
    parse_call,
    parse_from_adapter,
    refusal,
    request_id_of,
)

# spec.md §4: calls that wait while one runs; one more is answered 3001.
MAX_WAITING_CALLS = 16


class DialogueError(BadFrameError):
    """The other side spoke out of turn, or answered a question that was not asked of it."""


class Turn(Enum):
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

    def say(self, message: Message) -> bytes:
        """The body to send; DialogueError when it is not this side's turn to say it."""
        kind = message.to_wire()
        after = _SAID.get((self.turn, kind["type"]))
        if after is None:
            raise DialogueError(f"{kind['type']} cannot be said to a worker that is {self.turn.value}")
        if after is Turn.BUSY and self.turn is Turn.READY:
            self._asked = message.request_id
        self.turn = after
        return body.encode(kind)

    def hear(self, raw_body: bytes) -> Message:
        """The message in a body; DialogueError, SchemaError or BadFrameError when it may not be said now."""
        message = parse_from_adapter(body.decode(raw_body))
        after = _HEARD.get((self.turn, message.type))
        if after is None:
            raise DialogueError(f"the adapter said {message.type} while it was {self.turn.value}")
        if isinstance(message, Result):
            if self._asked is None or message.request_id != self._asked:
                raise DialogueError(f"the adapter answered {message.request_id!r}, asked was {self._asked!r}")
            self._asked = None
        self.turn = after
        return message


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """Nobody will ask again: the other side closed its end."""


@dataclass(frozen=True, slots=True)
class ProtocolMismatch:
    """The runner speaks another MAJOR; the error that names both has been sent."""


class AdapterDialogue:
    """The adapter's end: bodies in, immediate replies out, calls and the end kept in their order.

    Pings overtake; shutdown and end of input take their place behind the calls that came before them.
    """

    def __init__(self) -> None:
        self._inbox: deque[Call | Shutdown | EndOfInput | ProtocolMismatch] = deque()
        self._greeted = False
        self._setup_ms: float | None = None
        self._ending = False

    @property
    def ending(self) -> bool:
        """True once shutdown, end of input or a mismatch was heard: nothing after it is executed."""
        return self._ending

    def hear(self, raw_body: bytes) -> list[Message]:
        """What must be answered at once to this body: pong, ready, or the reason why it cannot be served."""
        request_id: str | None = None
        try:
            raw = body.decode(raw_body)
            request_id = request_id_of(raw)
            return self._hear(raw, request_id)
        except ProcVisionError as error:
            return [refusal(request_id, error.code, error.message, error.hint)]

    def hear_end(self) -> None:
        """The other side closed its end."""
        if not self._ending:
            self._end(EndOfInput())

    def take(self) -> Call | Shutdown | EndOfInput | ProtocolMismatch | None:
        """What is to be done next, in the order it was asked for; None when nothing is."""
        return self._inbox.popleft() if self._inbox else None

    def setup_done(self, setup_ms: float) -> list[Message]:
        """`ready`, when the runner has said hello; a later hello gets it then."""
        self._setup_ms = setup_ms
        return [Ready(setup_ms=setup_ms)] if self._greeted else []

    def _hear(self, raw: Mapping[str, Any], request_id: str | None) -> list[Message]:
        match raw.get("type"):
            case "call":
                return self._queue(parse_call(raw))
            case "ping":
                return [Pong(request_id=parse(Ping, raw).request_id)]
            case "hello":
                return self._greet(parse(RunnerHello, raw))
            case "shutdown":
                self._end(parse(Shutdown, raw))
                return []
            case unknown:
                expected = "expected hello, ping, call or shutdown"
                raise SchemaError(f"type: {expected}, got {unknown!r:.80} (request_id {request_id!r})")

    def _queue(self, call: Call) -> list[Message]:
        if self._ending:
            return [refusal(call.request_id, ErrorCode.BUSY, "this call came after the end was asked for")]
        if len(self._inbox) >= MAX_WAITING_CALLS:
            message = f"{MAX_WAITING_CALLS} calls are waiting already"
            return [refusal(call.request_id, ErrorCode.BUSY, message, "wait for an answer before asking again")]
        self._inbox.append(call)
        return []

    def _greet(self, hello: RunnerHello) -> list[Message]:
        if hello.protocol_version.partition(".")[0] != PROTOCOL_VERSION.partition(".")[0]:
            self._end(ProtocolMismatch())
            message = f"the runner speaks protocol {hello.protocol_version}, this adapter {PROTOCOL_VERSION}"
            code = ErrorCode.BAD_FRAME
            return [ErrorMessage(message=message, error_code=code, error_name=code.word, hint="update the older side")]
        first = not self._greeted
        self._greeted = True
        return [Ready(setup_ms=self._setup_ms)] if first and self._setup_ms is not None else []

    def _end(self, end: Shutdown | EndOfInput | ProtocolMismatch) -> None:
        self._ending = True
        self._inbox.append(end)
