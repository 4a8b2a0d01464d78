"""Who may say what when: every cell of both tables, and the two ends back to back (spec.md §4)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from procvision_sdk.errors import ProcVisionError
from procvision_sdk.wire import body
from procvision_sdk.wire.calls import Call, Result
from procvision_sdk.wire.dialogue import (
    _HEARD,
    _SAID,
    AdapterDialogue,
    Asked,
    DialogueError,
    FromRunner,
    RunnerDialogue,
    Told,
    Turn,
)
from procvision_sdk.wire.messages import AdapterHello, ErrorMessage, Ping, Pong, Ready, RunnerHello, Shutdown

HELLO = AdapterHello(sdk_version="0", protocol_version="1.0")
FROM_ADAPTER: dict[str, Told] = {
    "hello": HELLO,
    "ready": Ready(setup_ms=1),
    "pong": Pong(),
    "result": Result(request_id="r", status="OK"),
    "error": ErrorMessage(message="no", error_code="1014"),
    "shutdown": Shutdown(status="OK"),
}
FROM_RUNNER: dict[str, FromRunner] = {
    "hello": RunnerHello(),
    "ping": Ping(),
    "call": Call(request_id="r", phase="info"),
    "shutdown": Shutdown(),
}
# How a dialogue comes to a turn: said by the runner ">", by the adapter "<".
WAY: dict[Turn, Sequence[str]] = {
    Turn.GREETING: (),
    Turn.BOOTING: ("<hello",),
    Turn.READY: ("<hello", "<ready"),
    Turn.BUSY: ("<hello", "<ready", ">call"),
    Turn.FAILED: ("<hello", "<error"),
    Turn.CLOSING: ("<hello", "<ready", ">call", ">shutdown"),
    Turn.CLOSED: ("<hello", "<ready", ">shutdown", "<shutdown"),
}


def dialogue_at(turn: Turn) -> RunnerDialogue:
    dialogue = RunnerDialogue()
    for step in WAY[turn]:
        if step[0] == "<":
            dialogue.hear(body.encode(FROM_ADAPTER[step[1:]].to_wire()))
        else:
            dialogue.say(FROM_RUNNER[step[1:]])
    assert dialogue.turn is turn
    return dialogue


@pytest.mark.parametrize("kind", FROM_ADAPTER)
@pytest.mark.parametrize("turn", Turn)
def test_the_runner_hears_what_the_table_says_and_nothing_else(turn: Turn, kind: str) -> None:
    dialogue = dialogue_at(turn)
    raw = body.encode(FROM_ADAPTER[kind].to_wire())
    after = _HEARD.get((turn, kind))
    if after is None:
        with pytest.raises(DialogueError, match=f"said {kind} while it was {turn.value}"):
            dialogue.hear(raw)
        assert dialogue.turn is turn
    else:
        assert dialogue.hear(raw) == FROM_ADAPTER[kind]
        assert dialogue.turn is after


@pytest.mark.parametrize("kind", FROM_RUNNER)
@pytest.mark.parametrize("turn", Turn)
def test_the_runner_says_what_the_table_says_and_nothing_else(turn: Turn, kind: str) -> None:
    dialogue = dialogue_at(turn)
    after = _SAID.get((turn, kind))
    if after is None:
        with pytest.raises(DialogueError, match=f"{kind} cannot be said to a worker that is {turn.value}"):
            dialogue.say(FROM_RUNNER[kind])
        assert dialogue.turn is turn
    else:
        assert body.decode(dialogue.say(FROM_RUNNER[kind]))["type"] == kind
        assert dialogue.turn is after


def test_an_answer_to_a_question_that_was_not_asked_is_refused_and_changes_nothing() -> None:
    dialogue = dialogue_at(Turn.BUSY)
    with pytest.raises(DialogueError, match="answered 'other', asked was 'r'"):
        dialogue.hear(b'{"type":"result","request_id":"other","status":"OK"}')
    assert dialogue.turn is Turn.BUSY
    dialogue.hear(b'{"type":"result","request_id":"r","status":"OK"}')
    dialogue.say(Shutdown())
    with pytest.raises(DialogueError, match="answered 'r', asked was None"):
        dialogue.hear(b'{"type":"result","request_id":"r","status":"OK"}')


@pytest.mark.parametrize("request_id", [None, ""])
def test_a_call_without_a_request_id_is_not_said(request_id: str | None) -> None:
    dialogue = dialogue_at(Turn.READY)
    with pytest.raises(DialogueError, match="needs a request_id"):
        dialogue.say(Call(request_id=request_id, phase="info"))
    assert dialogue.turn is Turn.READY


def test_a_call_that_cannot_be_encoded_was_not_said() -> None:
    dialogue = dialogue_at(Turn.READY)
    with pytest.raises(ProcVisionError, match="more than 50000 values"):
        dialogue.say(Call(request_id="r", phase="info", user_params={"a": [0] * 50_000}))
    assert dialogue.turn is Turn.READY


def test_a_hello_of_another_major_is_heard_so_that_it_can_be_told_why_it_cannot_be_served() -> None:
    dialogue = RunnerDialogue()
    hello = dialogue.hear(b'{"type":"hello","sdk_version":"9","protocol_version":"2.0"}')
    assert isinstance(hello, AdapterHello) and hello.protocol_version == "2.0"
    assert dialogue.turn is Turn.BOOTING


def test_both_ends_understand_each_other_from_the_first_word_to_the_last() -> None:
    runner, adapter = RunnerDialogue(), AdapterDialogue()

    def to_runner(*messages: Told) -> list[Turn]:
        return [(runner.hear(body.encode(message.to_wire())), runner.turn)[1] for message in messages]

    def to_adapter(message: FromRunner) -> list[Told]:
        return adapter.hear(runner.say(message), 0.0)

    assert to_runner(HELLO) == [Turn.BOOTING]
    assert to_adapter(RunnerHello()) == []
    assert to_runner(*to_adapter(Ping(request_id="p"))) == [Turn.BOOTING]
    assert to_runner(*adapter.setup_done(2.0)) == [Turn.READY]
    for number in range(3):
        assert to_adapter(Call(request_id=str(number), phase="info")) == []
        assert to_runner(*to_adapter(Ping())) == [Turn.BUSY]
        asked = adapter.take()
        assert isinstance(asked, Asked)
        assert to_runner(Result(request_id=str(asked.call.request_id), status="OK")) == [Turn.READY]
    assert to_adapter(Shutdown(request_id="s")) == []
    end = adapter.take()
    assert isinstance(end, Shutdown)
    assert to_runner(Shutdown(request_id=end.request_id, status="OK")) == [Turn.CLOSED]
