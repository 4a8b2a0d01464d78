"""Classification: what a difference means for the circuit, told by topology.

One rule serves both polarities, because bare board is to missing copper what copper is to extra copper (the *ground*):

    pieces of ground the patch reaches      missing copper      extra copper
    none                                    pin-hole            copper
    one                                     mousebite           spur
    two or more                             open *              short

* Missing copper is an open when the track falls apart without it, which also holds at the end of a track.
"Reaches" and "falls apart" allow for `bridge_px`: two pixels of copper left over are no connection.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pcb_inspection.defects import BOX_MARGIN_PX, Defect, DefectKind, Mask, grown
from pcb_inspection.differences import Difference, Polarity
from pcb_inspection.recipe import Recipe
from procvision_sdk import Rect

# How far around a patch the circuit is looked at. Wider, and the two sides of a cut meet again around a pad.
_WINDOW_PX = 14
# A piece of track smaller than this is a crumb of the same defect, not an end of the track.
_MIN_PIECE_PX = 20


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """Masks of one window: the patch, what should be there of its own material, and of the other one."""

    patch: Mask
    body: Mask
    ground: Mask


def classify(difference: Difference, expected: Mask, recipe: Recipe) -> Defect | None:
    """The defect this difference is, or None when it is the roughness of etching."""
    around = _surroundings(difference, expected)
    kind = _kind(difference.polarity, around, recipe.bridge_px)
    depth = _depth_px(around)
    if kind not in (DefectKind.OPEN, DefectKind.SHORT) and depth < recipe.min_depth_px:
        return None
    if kind is DefectKind.SHORT and difference.area_px < recipe.min_short_area_px:
        return None
    height, width = expected.shape
    box = grown(difference.box, BOX_MARGIN_PX, (width, height))
    return Defect(kind, box, _score(kind, difference.area_px, depth))


def _surroundings(difference: Difference, expected: Mask) -> _Surroundings:
    height, width = expected.shape
    tight = difference.box
    window = grown(tight, _WINDOW_PX, (width, height))
    patch = np.zeros((window.height, window.width), np.uint8)
    top, left = tight.y - window.y, tight.x - window.x
    patch[top : top + tight.height, left : left + tight.width] = difference.patch
    here = expected[window.y : window.y + window.height, window.x : window.x + window.width]
    copper = (here == 1).astype(np.uint8)
    if difference.polarity is Polarity.MISSING:
        return _Surroundings(patch, body=copper, ground=1 - copper)
    return _Surroundings(patch, body=1 - copper, ground=copper)


def _kind(polarity: Polarity, around: _Surroundings, bridge_px: int) -> DefectKind:
    size = 2 * bridge_px + 1
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    reached = cv2.dilate(around.patch, element).astype(np.uint8, copy=False)
    grounds = _pieces_touched(around.ground, reached, polarity)
    if polarity is Polarity.EXTRA:
        return (DefectKind.COPPER, DefectKind.SPUR, DefectKind.SHORT)[min(grounds, 2)]
    if _falls_apart(around.body, reached):
        return DefectKind.OPEN
    return DefectKind.MOUSEBITE if grounds else DefectKind.PIN_HOLE


def _pieces_touched(ground: Mask, reached: Mask, polarity: Polarity) -> int:
    """Pieces of ground under `reached`; copper that meets only at a corner does not conduct, so board there is one."""
    connectivity = 8 if polarity is Polarity.MISSING else 4
    labels = cv2.connectedComponents(ground, connectivity=connectivity)[1]
    return int(np.unique(labels[(ground > 0) & (reached > 0)]).size)


def _falls_apart(body: Mask, reached: Mask) -> bool:
    """True when taking `reached` away leaves two or more real pieces of copper beside it."""
    left = body * (1 - reached)
    labels, stats = cv2.connectedComponentsWithStats(left, connectivity=4)[1:3]
    rim = cv2.dilate(reached, np.ones((3, 3), np.uint8))
    beside = np.unique(labels[(rim > 0) & (left > 0)])
    return sum(1 for label in beside if stats[label, cv2.CC_STAT_AREA] >= _MIN_PIECE_PX) >= 2


def _depth_px(around: _Surroundings) -> float:
    """How far the patch reaches into the body from the nearest ground; there may be ground just outside the image."""
    framed = cv2.copyMakeBorder(around.body, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return float(distance[around.patch > 0].max())


def _score(kind: DefectKind, area_px: int, depth_px: float) -> float:
    """0..1, growing with size: s / (s + 1), s the area in dozens of pixels, for bites and spurs at most the depth."""
    size = area_px / 12.0
    if kind in (DefectKind.MOUSEBITE, DefectKind.SPUR):
        size = min(size, depth_px)
    return round(size / (size + 1.0), 4)


def merged(defects: list[Defect]) -> list[Defect]:
    """The defects, best first, without those that repeat a better one of the same kind at the same place."""
    kept: list[Defect] = []
    for defect in sorted(defects, key=lambda one: (-one.score, one.box.y, one.box.x)):
        if all(defect.kind is not other.kind or _covered(defect.box, other.box) < 0.5 for other in kept):
            kept.append(defect)
    return kept


def _covered(box: Rect, other: Rect) -> float:
    """The share of the smaller box that the other one covers, 0..1."""
    across = min(box.x + box.width, other.x + other.width) - max(box.x, other.x)
    down = min(box.y + box.height, other.y + other.height) - max(box.y, other.y)
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / min(box.width * box.height, other.width * other.height)
