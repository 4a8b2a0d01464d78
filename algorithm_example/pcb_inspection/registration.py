"""Registration: where each part of the template lies in the image.

A board never lies in the same place twice, and it is not rigid to the pixel: film and lens move its parts against each
other. One shift for the whole board is found on a quarter-size copy; then each tile is moved by up to 4 px from there.
What this is worth on real boards (F of the detector): no registration .85, one shift .92, tiles +-2 px .96, +-4 px .96.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
    """How far the template is moved to lie on the image.

    `shift`: (dx, dy) of the whole board, pixels. `offsets`: (rows, columns, 2) int8, the total (dx, dy) of each tile.
    `agreement`: share of pixels, 0..1, in which the moved template and the image agree; below about 0.9 it is
    another board, or none.
    """

    shift: tuple[int, int]
    offsets: Offsets
    agreement: float


def register(template: Mask, image: Mask, max_shift_px: int) -> Registration:
    """Where `template` lies in `image`, two copper masks of one size; shifts beyond `max_shift_px` are not looked for."""
    shift = _coarse_shift(template, image, max_shift_px)
    offsets, cost = _tile_offsets(template, image, shift)
    return Registration(shift, offsets, 1.0 - cost)


def moved(template: Mask, offsets: Offsets) -> Mask:
    """The template as it must look in the image: 1 copper, 0 bare, OUTSIDE where the template ends."""
    height, width = template.shape
    columns, rows = _pixel_grid(width, height)
    dense = cv2.resize(offsets.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.remap(
        template,
        columns - dense[..., 0],
        rows - dense[..., 1],
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE,
    ).astype(np.uint8, copy=False)


def agreement(expected: Mask, image: Mask) -> float:
    """Share of the pixels that `expected` (from `moved`) knows and the image confirms, 0..1."""
    known = expected != OUTSIDE
    return float(np.count_nonzero((expected == image) & known) / max(np.count_nonzero(known), 1))


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


def _blank_rim(difference: Mask, shift: tuple[int, int]) -> None:
    """Forget what some candidate knows nothing about, for all alike: else the one that knows least would win."""
    for view, moved_by in ((difference, shift[1]), (difference.T, shift[0])):
        view[: max(moved_by + LOCAL_REACH_PX, 0)] = 0
        view[view.shape[0] + min(moved_by - LOCAL_REACH_PX, 0) :] = 0


def _tile_offsets(template: Mask, image: Mask, shift: tuple[int, int]) -> tuple[Offsets, float]:
    """The best offset of each tile and the mean cost there, 0..1.

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
        #_blank_rim(difference, shift)
        tiles = cv2.resize(difference, grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        costs[index] = cv2.blur(tiles, (3, 3)) + _COST_PER_STEP * (abs(dx) + abs(dy))
    best = costs.argmin(axis=0)
    offsets = (np.array(candidates)[best] + np.array(shift)).astype(np.int8)
    return offsets, float(costs.min(axis=0).mean()) / 255.0
