"""Frames: whole bodies out of a stream cut anywhere, and an end before anything over-long is kept (spec.md §4)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procvision_sdk.errors import ErrorCode
from procvision_sdk.wire.framing import HEADER, MAX_BODY_BYTES, FrameDecoder, FrameTooLongError, encode

BODIES = [b"{}", b"", b'{"type":"ping"}', b"x" * 300, b"\x00\x00\x00\x02"]
STREAM = b"".join(map(encode, BODIES))


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
def test_bodies_come_out_whole_and_in_order_at_every_read_size(size: int) -> None:
    decoder = FrameDecoder()
    heard: list[bytes] = []
    for start in range(0, len(STREAM), size):
        bodies, error = decoder.feed(STREAM[start : start + size])
        assert error is None
        heard += bodies
    assert heard == BODIES
    assert not decoder.unfinished


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
@settings(max_examples=200, deadline=None)
def test_any_split_of_any_frames_gives_the_same_bodies(bodies: list[bytes], data: st.DataObject) -> None:
    stream = memoryview(b"".join(map(encode, bodies)))
    decoder = FrameDecoder()
    heard: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        heard += decoder.feed(stream[:size])[0]
        stream = stream[size:]
    assert heard == bodies


@pytest.mark.parametrize("cut", range(1, 4 + 5))
def test_input_that_ends_inside_a_frame_delivers_nothing_of_it(cut: int) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(encode(b"hello")[:cut]) == ([], None)
    assert decoder.unfinished


@pytest.mark.parametrize(
    ("length", "refused"), [(MAX_BODY_BYTES, False), (MAX_BODY_BYTES + 1, True), (2**32 - 1, True)]
)
def test_only_a_length_above_the_limit_ends_the_link(length: int, refused: bool) -> None:
    bodies, error = FrameDecoder().feed(HEADER.pack(length))
    assert bodies == []
    assert (error is not None) is refused


def test_frames_before_an_overlong_one_are_delivered_and_nothing_of_it_is_kept() -> None:
    decoder = FrameDecoder()
    decoder.feed(HEADER.pack(3)[:2])
    bodies, error = decoder.feed(HEADER.pack(3)[2:] + b"abc" + HEADER.pack(MAX_BODY_BYTES + 1) + b"y" * 1000)
    assert bodies == [b"abc"]
    assert error is not None and error.code == ErrorCode.BAD_FRAME
    assert str(MAX_BODY_BYTES + 1) in error.message and error.hint
    assert not decoder.unfinished
    with pytest.raises(ValueError, match="must be closed"):
        decoder.feed(b"")


def test_a_body_of_the_limit_passes_and_one_byte_more_is_not_even_sent() -> None:
    body = b"x" * MAX_BODY_BYTES
    assert FrameDecoder().feed(encode(body)) == ([body], None)
    with pytest.raises(FrameTooLongError, match="the limit is 2097152"):
        encode(body + b"x")


def test_a_body_does_not_change_when_the_buffer_it_came_in_is_used_again() -> None:
    buffer = bytearray(encode(b"first"))
    (body,), _ = FrameDecoder().feed(memoryview(buffer))
    buffer[4:] = b"later"
    assert body == b"first"
