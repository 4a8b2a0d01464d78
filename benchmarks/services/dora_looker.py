"""A dora node that looks at each image: `python -m benchmarks.services.dora_looker HEIGHT WIDTH CHANNELS`."""

from __future__ import annotations

import sys

import pyarrow as pa
from dora import Node

from benchmarks.frames import look


def main() -> None:
    shape = tuple(map(int, sys.argv[1:]))
    node = Node()
    for event in node:
        if event["type"] == "STOP":
            return
        if event["type"] == "INPUT":
            image = event["value"].to_numpy(zero_copy_only=True).reshape(shape)
            node.send_output("answer", pa.array([look(image)]))


if __name__ == "__main__":
    main()
