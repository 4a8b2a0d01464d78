"""Defect: one fault of the copper, the same type whether planted by the generator or found by the detector."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# (height, width) uint8. A *grey* image holds 0..255, a *mask* holds 0 or 1 (1 = copper, or "belongs to the set").
Grey = NDArray[np.uint8]
Mask = NDArray[np.uint8]

# Clear pixels around the faulty copper, on each side: enough to see in an overlay what the copper should have been.
BOX_MARGIN_PX = 10


class DefectKind(StrEnum):
    """The six classes of bare-board inspection; the value is the label of the rectangle."""

    OPEN = "open"
    SHORT = "short"
    MOUSEBITE = "mousebite"
    SPUR = "spur"
    COPPER = "copper"
    PIN_HOLE = "pin-hole"


@dataclass(frozen=True, slots=True)
class Box:
    """Whole pixels, origin top left; `width` and `height` are at least 1 for every box made here."""

    x: int
    y: int
    width: int
    height: int

    def grown(self, pixels: int) -> Box:
        return Box(self.x - pixels, self.y - pixels, self.width + 2 * pixels, self.height + 2 * pixels)

    def clipped(self, width: int, height: int) -> Box:
        """The part inside an image of that size; a box wholly outside keeps one pixel at the nearest border."""
        left, top = min(max(self.x, 0), width - 1), min(max(self.y, 0), height - 1)
        right, bottom = min(self.x + self.width, width), min(self.y + self.height, height)
        return Box(left, top, max(right - left, 1), max(bottom - top, 1))

    def iou(self, other: Box) -> float:
        """Intersection over union, 0..1."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect in image coordinates; `box` includes BOX_MARGIN_PX and lies inside the image, `score` is 0..1."""

    kind: DefectKind
    box: Box
    score: float = 1.0
