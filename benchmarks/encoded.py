"""What a JPEG of 1920x1200 costs beside the same pixels raw, for an algorithm that reads the image many times.

    python -m benchmarks.encoded [--rounds 7] [--calls 20] [--json]

Held to: one decode for each image, whatever the number of readers and phases, and no other difference from the raw
path. The image lies in its slot when the clock starts; both kinds are inspected in turn. `decode` is what the phase
takes longer in which the image is read first, on the worker's clock; `other` is what a JPEG costs more than the raw
image when that is taken off. Another count of decodes or copies than 1 and 0 ends the benchmark with exit code 1.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.station import connect, start_daemon
from procvision_sdk.image import ImageMeta, decode
from runner.host.client import Client

SHAPE = (1200, 1920, 3)
# In each of two phases.
READERS = (1, 2, 16)


class WrongCountError(Exception):
    """An image was decoded or copied another number of times than it should be."""


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds of one inspection: on the host's clock, and in the phase that reads the image first."""

    total: float
    first_phase: float


@dataclass(frozen=True, slots=True)
class Row:
    """The medians for one number of readers. `other_ms` has the least and the most of the rounds beside it."""

    readers: int
    raw_ms: float
    encoded_ms: float
    decode_ms: float
    other_ms: float
    other_ms_least: float
    other_ms_most: float
    images: int
    decodes: int


class Host:
    """Inspects the same picture both ways, and counts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lease = client.lease()
        ramp = np.linspace(0, 200, SHAPE[1], dtype=np.uint8)
        noise = np.random.default_rng(1).integers(0, 40, SHAPE[:2], np.uint8)
        encoded = io.BytesIO()
        Image.fromarray(np.repeat((noise + ramp)[:, :, None], 3, axis=2)).save(encoded, "jpeg", quality=90)
        self._jpeg = encoded.getvalue()
        meta = {"width": SHAPE[1], "height": SHAPE[0], "timestamp_ms": 1, "camera_id": "bench", "encoding": "jpeg"}
        self._meta = {**meta, "length_bytes": len(self._jpeg)}
        # What the JPEG holds: both ways must see the same.
        self._image = decode(self._jpeg, ImageMeta.of(self._meta), "jpeg")
        self.images = self.decodes = 0

    def raw(self, readers: int) -> Took:
        return self._inspect(self._lease.put(self._image, camera_id="bench"), readers, 0)

    def encoded(self, readers: int) -> Took:
        self.images += 1
        return self._inspect(self._lease.put_encoded(self._jpeg, self._meta), readers, 1)

    def _inspect(self, meta: dict[str, Any], readers: int, decodes: int) -> Took:
        began = time.perf_counter()
        result = self._client.inspect("MANY", self._lease, meta, user_params={"readers": readers}, step_index=1)
        took = Took((time.perf_counter() - began) * 1000, result["timings"]["pre_execute"])
        seen = [int(self._image[:64, :64].sum())] * readers
        if (result["status"], result["copies"], result["decodes"]) != ("OK", 0, decodes):
            raise WrongCountError(f"expected OK, no copy and {decodes} decodes with {readers} readers; got {result}")
        if result["data"]["patches"] != seen:
            raise WrongCountError(f"expected {readers} readers of one image to see {seen[0]}; got {result['data']}")
        self.decodes += result["decodes"]
        return took


def rounds(host: Host, readers: int, count: int, calls: int) -> Iterator[tuple[float, float, float]]:
    """Of each round the median of raw, encoded, and the decode; both kinds in turn."""
    for _ in range(count):
        pairs = [(host.raw(readers), host.encoded(readers)) for _ in range(calls)]
        raw, encoded = (median(each.total for each in side) for side in zip(*pairs, strict=True))
        decoding = median(there.first_phase - here.first_phase for here, there in pairs)
        yield raw, encoded, decoding


def row(host: Host, readers: int, count: int, calls: int) -> Row:
    before = host.images, host.decodes
    found = list(rounds(host, readers, count, calls))
    raw, encoded, decoding = (median(each) for each in zip(*found, strict=True))
    others = [there - here - one for here, there, one in found]
    counted = host.images - before[0], host.decodes - before[1]
    return Row(readers, raw, encoded, decoding, median(others), min(others), max(others), *counted)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoded", description="The price of a JPEG.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        settings = {"store.durability": '"none"', "slots.capacity_bytes": str(int(np.prod(SHAPE)))}
        home, _ = start_daemon(stack, settings, Path(__file__).parent / "many_readers")
        host = Host(connect(stack, home))
        try:
            rows = [row(host, readers, given.rounds, given.calls) for readers in READERS]
        except WrongCountError as error:
            print(error, file=sys.stderr)
            return 1
    if given.json:
        print(json.dumps([asdict(one) for one in rows]))
    else:
        print("readers a phase    raw ms  encoded ms  decode ms  other ms (least-most)  images  decodes")
        for one in rows:
            apart = f"{one.other_ms:.2f} ({one.other_ms_least:.2f}-{one.other_ms_most:.2f})"
            print(f"{one.readers:15}{one.raw_ms:10.2f}{one.encoded_ms:12.2f}{one.decode_ms:11.2f}{apart:>23}"
                  f"{one.images:8}{one.decodes:9}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
