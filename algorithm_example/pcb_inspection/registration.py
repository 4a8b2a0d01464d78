"""Registration: where each part of the template lies in the image.

A board never lies in the same place twice, and it is not rigid to the pixel: film and lens move its parts against each
other. One shift for the whole board is found on a quarter-size copy; then each tile is moved by up to 4 px from there.
What this is worth on real boards (F of the detector): no registration .85, one shift .92, tiles +-2 px .96, +-4 px .96.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcb_inspection.defects import Mask

TILE_PX = 32
LOCAL_REACH_PX = 4
OUTSIDE = 2  # value of a registered template where the image shows more than the template knows

_COARSE = 4
# Costs are mean differences in units of 1/255. A step must save more than this, or featureless tiles wander.
_COST_PER_STEP = 0.05
_CORRELATION_PER_COARSE_STEP = 0.002

Offsets = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Registration:
    """How far the template is moved to lie on the image, in pixels to the right and down.

    `shift`: (dx, dy) of the board, the median of its tiles. `offsets`: (rows, columns, 2) int8, the total (dx, dy) of
    each tile.
    """

    shift: tuple[int, int]
    offsets: Offsets

    def to_json(self) -> dict[str, Any]:
        """The form in which a session carries it from step to step."""
        return {"shift": list(self.shift), "offsets": self.offsets.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Registration:
        """The registration in what `to_json` made."""
        dx, dy = value["shift"]
        return cls((int(dx), int(dy)), np.array(value["offsets"], np.int8))


def register(template: Mask, image: Mask, max_shift_px: int) -> Registration:
    """Where `template` lies in `image`, two copper masks of one size; shifts beyond `max_shift_px` are not looked for.

    There is always an answer; `agreement` tells whether it is one to believe.
    """
    offsets = _tile_offsets(template, image, _coarse_shift(template, image, max_shift_px))
    dx, dy = np.median(offsets.reshape(-1, 2), axis=0)
    return Registration((round(float(dx)), round(float(dy))), offsets)


def moved(template: Mask, registration: Registration) -> Mask:
    """The template as it must look in the image: 1 copper, 0 bare, OUTSIDE where the template ends."""
    height, width = template.shape
    columns, rows = _pixel_grid(width, height)
    dense = cv2.resize(registration.offsets.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.remap(
        template,
        columns - dense[..., 0],
        rows - dense[..., 1],
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE,
    ).astype(np.uint8, copy=False)


def agreement(expected: Mask, image: Mask) -> float:
    """Share of the pixels that `expected` (from `moved`) knows and the image confirms, 0..1.

    A board with its own template: above .98; another board of the same kind: about .6.
    """
    known = expected != OUTSIDE
    return float(np.count_nonzero((expected == image) & known) / max(int(np.count_nonzero(known)), 1))


@lru_cache(maxsize=4)
def _pixel_grid(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = np.indices((height, width), dtype=np.float32)
    return columns, rows


def _coarse_shift(template: Mask, image: Mask, max_shift_px: int) -> tuple[int, int]:
    """(dx, dy) of the whole board, a multiple of 4 px; no shift wins where a repeating pattern leaves a doubt."""
    height, width = template.shape
    small = (width // _COARSE, height // _COARSE)
    reach = max(1, -(-max_shift_px // _COARSE))
    scene = cv2.resize(image * 255, small, interpolation=cv2.INTER_AREA)
    model = cv2.resize(template * 255, small, interpolation=cv2.INTER_AREA)
    scores = cv2.matchTemplate(scene, model[reach:-reach, reach:-reach], cv2.TM_CCOEFF_NORMED)
    steps = np.abs(np.arange(-reach, reach + 1))
    scores = scores - _CORRELATION_PER_COARSE_STEP * (steps[:, None] + steps[None, :])
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return (int(column) - reach) * _COARSE, (int(row) - reach) * _COARSE


def _tile_offsets(template: Mask, image: Mask, shift: tuple[int, int]) -> Offsets:
    """The best offset of each tile.

    One whole-image XOR per candidate, averaged per tile: 81 cheap passes instead of a search in every tile. A tile is
    judged together with its eight neighbours, so that a defect cannot pull its own tile along.
    """
    height, width = template.shape
    grid = (max(width // TILE_PX, 1), max(height // TILE_PX, 1))
    margin = LOCAL_REACH_PX + max(abs(shift[0]), abs(shift[1]))
    padded = cv2.copyMakeBorder(template * 255, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    scene = image * 255
    difference = np.empty_like(scene)
    reach = range(-LOCAL_REACH_PX, LOCAL_REACH_PX + 1)
    candidates = [(dx, dy) for dy in reach for dx in reach]
    costs = np.empty((len(candidates), grid[1], grid[0]), np.float32)
    for index, (dx, dy) in enumerate(candidates):
        top, left = margin - shift[1] - dy, margin - shift[0] - dx
        cv2.bitwise_xor(padded[top : top + height, left : left + width], scene, difference)
        tiles = cv2.resize(difference, grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        costs[index] = cv2.blur(tiles, (3, 3)) + _COST_PER_STEP * (abs(dx) + abs(dy))
    offsets: Offsets = (np.array(candidates)[costs.argmin(axis=0)] + np.array(shift)).astype(np.int8)
    return offsets
