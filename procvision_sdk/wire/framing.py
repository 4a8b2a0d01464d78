"""Frames: a 4-byte big-endian length, then that many bytes of body (spec.md §4).

    bytes in -> FrameDecoder.feed() -> whole bodies out, once each, in order

Protects: a length above the limit ends the link before a byte of that body is buffered.
"""

from __future__ import annotations

import struct

from procvision_sdk.errors import BadFrameError

# spec.md §4: JSON amplifies 25x in memory and costs 80 ms of interpreter time per MiB, so no body may be larger.
MAX_BODY_BYTES = 2 * 1024 * 1024
HEADER = struct.Struct(">I")


class FrameTooLongError(BadFrameError):
    """The announced length is above the limit: the stream cannot be resynchronised, the link must close."""


def encode(body: bytes) -> bytes:
    """The frame around a body; BadFrameError when the body is too long to be sent."""
    if len(body) > MAX_BODY_BYTES:
        raise FrameTooLongError(f"a message of {len(body)} bytes was to be sent; the limit is {MAX_BODY_BYTES}")
    return HEADER.pack(len(body)) + body


def _is_one_whole_frame(data: bytes | memoryview) -> bool:
    """Whether a piece of the stream is what it nearly always is: one frame, no more and no less."""
    size = len(data) - HEADER.size
    return 0 <= size <= MAX_BODY_BYTES and HEADER.unpack_from(data)[0] == size


class FrameDecoder:
    """Turns a byte stream, cut anywhere, back into bodies.

    At most one unfinished frame is kept: MAX_BODY_BYTES + 4. After FrameTooLongError the decoder is spent.
    """

    __slots__ = ("_pending", "_spent")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._spent = False

    @property
    def unfinished(self) -> bool:
        """True while part of a frame is waiting for its rest."""
        return bool(self._pending)

    def feed(self, data: bytes | memoryview) -> tuple[list[bytes], FrameTooLongError | None]:
        """All bodies that are complete now, and the error that ends the link when a length is above the limit."""
        if self._spent:
            raise ValueError("this decoder has seen an over-long frame; the link must be closed")
        if not self._pending and _is_one_whole_frame(data):
            return [bytes(data[HEADER.size :])], None
        if self._pending:
            self._pending += data
            source: bytes | memoryview | bytearray = self._pending
        else:
            source = data
        bodies: list[bytes] = []
        at, end = 0, len(source)
        while end - at >= HEADER.size:
            (length,) = HEADER.unpack_from(source, at)
            if length > MAX_BODY_BYTES:
                self._spent = True
                self._pending.clear()
                return bodies, FrameTooLongError(
                    f"a frame announced {length} bytes; expected at most {MAX_BODY_BYTES}",
                    hint="check that both sides send a 4-byte big-endian length before each JSON body",
                )
            if end - at - HEADER.size < length:
                break
            at += HEADER.size + length
            bodies.append(bytes(source[at - length : at]))
        if source is self._pending:
            del self._pending[:at]
        elif at < end:
            self._pending += source[at:]
        return bodies, None
