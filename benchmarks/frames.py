"""The bare messages: the frames, the JSON and the sizes of ours, with no service behind them.

The request is an `inspect` of the host link, the answer the result of it, byte for byte of the same length; whoever
looks at the patch parses the one and writes the other, a relay between them only cuts the stream.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.stage import PATCH
from procvision_sdk import segment

HEADER = struct.Struct(">I")
_REQUEST: dict[str, Any] = {
    "type": "inspect", "request_id": "db8ecad9-600000", "pid": "NULL",
    "shared_mem_id": "pv1.pv-bench-4323-436f9443-4325-1219022.0.1",
    "image_meta": {"width": 640, "height": 640, "timestamp_ms": 1795215869492, "camera_id": "bench",
                   "color_space": "RGB", "dtype": "uint8", "channels": 3},
    "step_index": 1, "keep": True, "renew": False,
}  # fmt: skip
_RESULT: dict[str, Any] = {
    "type": "result", "request_id": "db8ecad9-6", "timestamp_ms": 1795215869494, "status": "OK", "message": "",
    "error_code": "", "error_name": "", "hint": "",
    "data": {"result_status": "OK", "patch": 0, "pre_execute": {"message": ""}, "phase": "step", "step_index": 1,
             "latency_ms": 0.651},
    "diagnostics": {}, "session_id": "once-53734bd2a8e6", "pid": "NULL", "step_index": 1,
    "deployment": {"name": "null_algorithm", "version": "1.0.0"}, "incarnation": 1,
    "timings": {"queue": 0.042, "pre_execute": 0.008, "execute": 0.47, "total": 1.515},
    "attempts": 1, "copies": 0, "decodes": 0, "recorded": "none",
}  # fmt: skip
_encode = json.JSONEncoder(separators=(",", ":")).encode


def request(place: int) -> bytes:
    """The frame that asks about image number `place`."""
    return _frame({**_REQUEST, "step_index": place})


def result(patch: int) -> bytes:
    """The frame that says what was seen."""
    return _frame({**_RESULT, "data": {**_RESULT["data"], "patch": patch}})


def _frame(message: dict[str, Any]) -> bytes:
    body = _encode(message).encode()
    return HEADER.pack(len(body)) + body


class Cutter:
    """Cuts a stream into bodies; no limits, no checks."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are whole now."""
        data = self._pending + data if self._pending else data
        bodies, at = [], 0
        while len(data) - at >= HEADER.size:
            end = at + HEADER.size + HEADER.unpack_from(data, at)[0]
            if end > len(data):
                break
            bodies.append(data[at + HEADER.size : end])
            at = end
        self._pending = data[at:]
        return bodies


def patch_of(body: bytes) -> int:
    """What the answer saw."""
    seen: int = json.loads(body)["data"]["patch"]
    return seen


def images(buffer: memoryview, shape: tuple[int, int, int], count: int) -> list[NDArray[np.uint8]]:
    """The images that lie in a segment one after the other."""
    size = shape[0] * shape[1] * shape[2]
    return [np.frombuffer(buffer, np.uint8, size, place * size).reshape(shape) for place in range(count)]


def look(image: NDArray[np.uint8]) -> int:
    """The work: the sum of the patch."""
    return int(image[:PATCH, :PATCH].sum())


def bodies_from(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Body after body until the end of the stream."""
    cutter = Cutter()
    while data := read(65_536):
        yield from cutter.feed(data)


def worker() -> None:
    """A process that looks: `python -m benchmarks.frames SEGMENT HEIGHT WIDTH CHANNELS COUNT`, frames on its pipes."""
    name, *numbers = sys.argv[1:]
    height, width, channels, count = map(int, numbers)
    found = images(segment.attach(name), (height, width, channels), count)
    for body in bodies_from(lambda size: os.read(0, size)):
        place = json.loads(body)["step_index"]
        os.write(1, result(look(found[place])))


if __name__ == "__main__":
    worker()
