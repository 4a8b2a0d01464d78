"""What a JPEG of 1920x1200 costs beside the same pixels raw, for an algorithm that reads the image four times.

    python -m benchmarks.encoded [--rounds 7] [--calls 20] [--json]

Held to: one decode for each image, whatever the number of readers and phases, and no other difference from the raw
path. Both rows put the next image into the slot they have just got, in interleaved rounds; `decode` is the SDK's
decoder alone, `difference` what a JPEG costs more than the raw image when the decode is taken off.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.station import connect, start_daemon
from procvision_sdk.image import ImageMeta, decode
from runner.host.client import Client

SHAPE = (1200, 1920, 3)


class Host:
    """Inspects images both ways, and counts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lease = client.lease()
        ramp = np.linspace(0, 200, SHAPE[1], dtype=np.uint8)
        noise = np.random.default_rng(1).integers(0, 40, SHAPE[:2], np.uint8)
        self.image = np.repeat((noise + ramp)[:, :, None], 3, axis=2)
        encoded = io.BytesIO()
        Image.fromarray(self.image).save(encoded, "jpeg", quality=90)
        self.jpeg = encoded.getvalue()
        meta = {"width": SHAPE[1], "height": SHAPE[0], "timestamp_ms": 1, "camera_id": "bench", "encoding": "jpeg"}
        self.meta = {**meta, "length_bytes": len(self.jpeg)}
        self.decodes: list[int] = []

    def raw(self) -> None:
        self._inspect(self._lease.put(self.image, camera_id="bench"), 0)

    def encoded(self) -> None:
        self._inspect(self._lease.put_encoded(self.jpeg, self.meta), 1)

    def decode(self) -> None:
        decode(self.jpeg, ImageMeta.of(self.meta), "jpeg")

    def _inspect(self, meta: dict[str, object], decodes: int) -> None:
        result = self._client.inspect("TWICE", self._lease, meta, step_index=1)
        if (result["status"], result["copies"], result["decodes"]) != ("OK", 0, decodes):
            raise AssertionError(f"expected OK, no copy and {decodes} decodes; got {result}")


def rounds_ms(trips: dict[str, Callable[[], None]], rounds: int, calls: int) -> dict[str, list[float]]:
    """The median of each round, milliseconds."""
    found: dict[str, list[float]] = {name: [] for name in trips}
    for _ in range(rounds):
        for name, trip in trips.items():
            took = []
            for _ in range(calls):
                began = time.perf_counter()
                trip()
                took.append((time.perf_counter() - began) * 1000)
            found[name].append(median(took))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoded", description="The price of a JPEG.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        settings = {"store.durability": '"none"', "slots.capacity_bytes": str(int(np.prod(SHAPE)))}
        home, _ = start_daemon(stack, settings, Path(__file__).parent / "two_readers")
        host = Host(connect(stack, home))
        trips = {"raw": host.raw, "encoded": host.encoded, "decode": host.decode}
        found = rounds_ms(trips, given.rounds, given.calls)
    told = {f"{name}_ms": median(each) for name, each in found.items()}
    apart = [encoded - raw - alone for raw, encoded, alone in zip(*found.values(), strict=True)]
    told |= {"difference_ms": median(apart), "decodes_per_image": 1.0}
    if given.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name:20}{value:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
