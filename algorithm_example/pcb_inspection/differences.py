"""Difference: a patch of copper that is there and should not be, or should be there and is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from pcb_inspection.defects import Mask
from pcb_inspection.recipe import Recipe
from procvision_sdk import Rect

# A 2 x 2 opening removes lines of one pixel, which registration to whole pixels leaves along every edge.
_OPENING = np.ones((2, 2), np.uint8)


class Polarity(Enum):
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """`box` is tight, in image coordinates; `patch` is the mask inside it, `area_px` its ones."""

    polarity: Polarity
    box: Rect
    patch: Mask
    area_px: int


def differences(expected: Mask, image: Mask, recipe: Recipe) -> list[Difference]:
    """Patches of at least `recipe.min_area_px`, fragments joined; `expected` as made by registration.moved."""
    missing = cv2.bitwise_and(cv2.inRange(expected, 1, 1), 1 - image)
    extra = cv2.bitwise_and(cv2.inRange(expected, 0, 0), image)
    return [
        *_patches(missing.astype(np.uint8, copy=False), Polarity.MISSING, recipe),
        *_patches(extra.astype(np.uint8, copy=False), Polarity.EXTRA, recipe),
    ]


def _patches(mask: Mask, polarity: Polarity, recipe: Recipe) -> list[Difference]:
    # Not MORPH_OPEN: with an even kernel OpenCV anchors both halves alike and moves the result by a pixel.
    clean = cv2.dilate(cv2.erode(mask, _OPENING, anchor=(0, 0)), _OPENING, anchor=(1, 1))
    joined = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((recipe.join_px, recipe.join_px), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label, :4])
        window = np.s_[y : y + height, x : x + width]
        patch = ((labels[window] == label) & (clean[window] > 0)).astype(np.uint8)
        area = int(np.count_nonzero(patch))
        if area >= recipe.min_area_px:
            found.append(Difference(polarity, Rect(x, y, width, height), patch, area))
    return found
