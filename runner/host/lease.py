"""A slot as a host fills it: a writable view for a camera driver, or one copy (spec.md §3, Host link)."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from procvision_sdk.image import ImageMeta, Pixels, view
from runner.clock import wall_ms


@dataclass(slots=True)
class Lease:
    """The right to fill one slot, until it is inspected or released. `renewed` by each inspection that says so."""

    shared_mem_id: str
    offset: int
    capacity: int
    mapping: mmap.mmap | memoryview

    def buffer(self) -> memoryview:
        """The slot's bytes, writable."""
        return memoryview(self.mapping)[self.offset : self.offset + self.capacity]

    def array(self, meta: Mapping[str, Any]) -> Pixels:
        """A writable view of the slot in the shape of `meta`: a camera driver may write straight into it."""
        pixels, _ = view(self.buffer(), ImageMeta.of(meta))
        return pixels

    def put(self, image: NDArray[Any], camera_id: str = "host", color_space: str = "RGB") -> dict[str, Any]:
        """Copy an image into the slot, once; the image_meta for it. uint8 or uint16, (h, w) or (h, w, 3 or 4)."""
        if image.ndim not in (2, 3) or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"expected a (h, w[, 3 or 4]) array of uint8 or uint16, got {image.shape} {image.dtype}")
        meta = {
            "width": image.shape[1],
            "height": image.shape[0],
            "timestamp_ms": wall_ms(),
            "camera_id": camera_id,
            "color_space": "GRAY" if image.ndim == 2 else color_space,
            "dtype": str(image.dtype),
            "channels": 1 if image.ndim == 2 else image.shape[2],
        }
        np.copyto(self.array(meta), image, casting="no")
        return meta

    def put_encoded(self, data: bytes, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Copy a jpeg or png file into the slot; `meta` with its `length_bytes`."""
        self.buffer()[: len(data)] = data
        return {**meta, "length_bytes": len(data)}
