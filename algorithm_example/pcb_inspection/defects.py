"""Defect: one fault of the copper, the same type whether planted by the generator or found by the detector."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from procvision_sdk import Rect

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
class Defect:
    """One defect in image coordinates; `box` includes BOX_MARGIN_PX and lies inside the image, `score` is 0..1."""

    kind: DefectKind
    box: Rect
    score: float = 1.0

    def rect(self) -> Rect:
        """The form in which a result carries it: the box with the kind as its label."""
        return Rect(self.box.x, self.box.y, self.box.width, self.box.height, str(self.kind), self.score)


def grown(box: Rect, pixels: int, size: tuple[int, int]) -> Rect:
    """The box with `pixels` more on each side, cut to an image of `size` (width, height); at least one pixel stays."""
    left = min(max(box.x - pixels, 0), size[0] - 1)
    top = min(max(box.y - pixels, 0), size[1] - 1)
    right = min(box.x + box.width + pixels, size[0])
    bottom = min(box.y + box.height + pixels, size[1])
    return Rect(left, top, max(right - left, 1), max(bottom - top, 1))
