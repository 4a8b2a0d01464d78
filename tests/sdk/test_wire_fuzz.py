"""Mutated frames: every one is answered or refused, nothing crashes, nothing grows (spec.md §4)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from procvision_sdk.errors import ProcVisionError
from procvision_sdk.wire import body
from procvision_sdk.wire.dialogue import MAX_WAITING_CALLS, AdapterDialogue, RunnerDialogue
from procvision_sdk.wire.framing import MAX_BODY_BYTES, FrameDecoder, encode
from procvision_sdk.wire.messages import AdapterHello, parse_from_adapter

LEGACY = Path(__file__).parents[1] / "specimens" / "legacy_host.jsonl"
FROM_RUNNER = [line.encode() for line in LEGACY.read_text("utf-8").splitlines()]
FROM_ADAPTER = [
    b'{"type":"hello","sdk_version":"1","protocol_version":"1.0","capabilities":["ping"]}',
    b'{"type":"ready","setup_ms":1.5}',
    b'{"type":"pong","status":"OK","request_id":"p"}',
    b'{"type":"error","status":"ERROR","message":"m","error_code":"1014"}',
    b'{"type":"result","request_id":"r","status":"OK","data":{"defect_rects":[{"x":1,"y":2,"width":3,"height":4}]},'
    b'"session":{"version":2,"set":{"a":1},"deleted":["b"]},"timings":{"pre_execute":1,"execute":2.5}}',
]
# Pieces that mean something to a JSON reader, to a framer or to a schema.
PIECES = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"[" * 40, b"\xff", b"\x00"),
    *(b"null", b"true", b"NaN", b"1e999", b"-0", b"9" * 40, b"\\ud800"),
    *(b'"type"', b'"data"', b'"phase"', b'"request_id"', b"\x00\x00\x00\x01", b"\xff\xff\xff\xff"),
]


def mutate(raw: bytes, dice: random.Random) -> bytes:
    """The same with one to four bytes or pieces changed, taken out, doubled or put in."""
    mutant = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(mutant) + 1)
        match dice.randrange(5):
            case 0:
                mutant[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del mutant[at : at + dice.randint(1, 12)]
            case 2:
                mutant[at:at] = mutant[at : at + dice.randint(1, 40)]
            case 3:
                mutant[at:at] = dice.choice(PIECES)
            case _:
                mutant[at : at + dice.randint(1, 8)] = dice.choice(PIECES)
    return bytes(mutant)


def mutants(corpus: list[bytes], count: int) -> Iterator[bytes]:
    dice = random.Random(20240607)
    for _ in range(count):
        yield mutate(dice.choice(corpus), dice)


def fuzz_adapter(count: int) -> int:
    """Bodies to an adapter that never gets to its calls; how many were answered at once."""
    adapter = AdapterDialogue()
    answered = 0
    for raw in mutants(FROM_RUNNER, count):
        for reply in adapter.hear(raw, 0.0):
            json.loads(body.encode(reply.to_wire()))
            answered += 1
        assert len(adapter._inbox) <= MAX_WAITING_CALLS + 1
        if adapter._ending:
            adapter = AdapterDialogue()
    return answered


def fuzz_runner(count: int) -> int:
    """Bodies to a runner; how many were refused with a reason."""
    refused = 0
    for raw in mutants(FROM_ADAPTER, count):
        try:
            parse_from_adapter(body.decode(raw))
        except ProcVisionError as error:
            assert error.message
            refused += 1
    return refused


def fuzz_stream(count: int) -> int:
    """One stream of mutated frames, read in pieces; how many links an over-long frame ended."""
    dice = random.Random(7)
    decoder, ended = FrameDecoder(), 0
    for raw in mutants([encode(line) for line in FROM_RUNNER], count):
        bodies, error = decoder.feed(raw)
        assert len(decoder._pending) <= MAX_BODY_BYTES + 4
        assert all(len(one) <= MAX_BODY_BYTES for one in bodies)
        if error is not None:
            assert len(decoder._pending) == 0
            decoder, ended = FrameDecoder(), ended + 1
        elif dice.random() < 0.01:
            decoder = FrameDecoder()
    return ended


@pytest.mark.parametrize("count", [7_000, pytest.param(350_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_every_mutated_frame_is_answered_or_refused_and_nothing_grows(count: int) -> None:
    assert fuzz_adapter(count) > count // 4
    assert fuzz_runner(count) > count // 4
    assert fuzz_stream(count) > count // 100


def test_a_dialogue_that_refused_a_mutant_still_understands_the_original() -> None:
    for raw in mutants(FROM_ADAPTER[:1], 500):
        dialogue = RunnerDialogue()
        try:
            dialogue.hear(raw)
        except ProcVisionError:
            assert isinstance(dialogue.hear(FROM_ADAPTER[0]), AdapterHello)
