"""Writes far more to standard error than anybody wants to read."""

import os
from typing import Any

from tests.algorithms.daemon.plain import Plain

_CHUNKS = {
    "lines": b"a line of what nobody reads\n" * 2_000,
    "endless": b"x" * 65_536,
    "binary": bytes(range(256)) * 256,
    "ansi": b"\x1b[2J\x1b]0;title\x07 and a carriage return\r\n" * 1_500,
}
_MOST_BYTES = 6_000_000


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        written = 0
        while how != "no" and written < _MOST_BYTES:
            written += os.write(2, _CHUNKS[how])
        return None
