"""Planting: putting one defect of a kind into copper, where such a defect is possible and its truth is certain.

A *site* is such a place. Sites are looked up once per design: along the tracks by walking sideways until the copper and
then the gap end, in the open and inside pours by their distance from the nearest edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pcb_inspection.defects import DefectKind, Mask
from pcb_inspection.designs import PANEL_MARGIN_PX, PANEL_PX, Design, Segment, design
from procvision_sdk import Rect

# Nearer than this to the image's edge, or to each other, two defects are not planted: their boxes must not touch.
_BORDER_PX = PANEL_MARGIN_PX + 36
SPACING_PX = 64
_STEP_PX = 8
_CLEAR_OF_ENDS_PX = 22
_SIGHT_PX = 44
_BLOB_CORNERS = 12


@dataclass(frozen=True, slots=True)
class Site:
    """`x, y`: centre of the track, or of the free place; `across`: unit vector to one side (0, 0 without a track).

    `half_px`: half the track's width, or the radius of the free place; `gap_px`: bare board beyond the track's edge.
    """

    x: float
    y: float
    across: tuple[float, float]
    half_px: float
    gap_px: float


Sites = dict[DefectKind, tuple[Site, ...]]


@cache
def sites_of(name: str) -> Sites:
    """Every place of a design where a defect of each kind can be planted, in a fixed order."""
    drawn = design(name)
    beside = tuple(_beside_tracks(drawn))
    return {
        DefectKind.OPEN: tuple(site for site in beside if site.gap_px >= 8),
        DefectKind.SHORT: tuple(site for site in beside if 8 <= site.gap_px <= 30),
        DefectKind.MOUSEBITE: tuple(site for site in beside if site.half_px >= 7 and site.gap_px >= 8),
        DefectKind.SPUR: tuple(site for site in beside if site.gap_px >= 14),
        DefectKind.COPPER: tuple(_free_places(1 - drawn.copper, clear_px=12)),
        DefectKind.PIN_HOLE: tuple(_free_places(drawn.copper, clear_px=13)),
    }


def _beside_tracks(drawn: Design) -> Iterator[Site]:
    for segment in drawn.segments:
        (x0, y0), (x1, y1) = segment.start, segment.end
        length = float(np.hypot(x1 - x0, y1 - y0))
        along = ((x1 - x0) / max(length, 1.0), (y1 - y0) / max(length, 1.0))
        for distance in np.arange(_CLEAR_OF_ENDS_PX, length - _CLEAR_OF_ENDS_PX, _STEP_PX):
            x, y = x0 + along[0] * float(distance), y0 + along[1] * float(distance)
            if not _in_view(x, y):
                continue
            for across in ((along[1], -along[0]), (-along[1], along[0])):
                yield from _site(drawn.copper, segment, (x, y), across)


def _site(copper: Mask, segment: Segment, centre: tuple[float, float], across: tuple[float, float]) -> Iterator[Site]:
    """One site when the track looks the same a little before and after it: no pad, no bend, no neighbour's end."""
    along = (-across[1], across[0])
    profiles = [
        _profile(copper, (centre[0] + along[0] * offset, centre[1] + along[1] * offset), across)
        for offset in (-14, -7, 0, 7, 14)
    ]
    halves, gaps = [half for half, _ in profiles], [gap for _, gap in profiles]
    if max(halves) > segment.width / 2 + 2 or max(halves) - min(halves) > 2 or max(gaps) - min(gaps) > 2:
        return
    yield Site(*centre, across, halves[2], min(gaps))


def _profile(copper: Mask, centre: tuple[float, float], across: tuple[float, float]) -> tuple[int, int]:
    """Pixels of copper from the centre outwards, then pixels of bare board; both end at _SIGHT_PX."""
    reach = np.arange(_SIGHT_PX)
    columns = np.clip(np.rint(centre[0] + across[0] * reach), 0, PANEL_PX - 1).astype(np.intp)
    rows = np.clip(np.rint(centre[1] + across[1] * reach), 0, PANEL_PX - 1).astype(np.intp)
    line = copper[rows, columns]
    half = int(np.argmin(line)) if not line.all() else _SIGHT_PX
    beyond = line[half:]
    gap = int(np.argmax(beyond)) if beyond.any() else _SIGHT_PX
    return half, gap


def _free_places(material: Mask, clear_px: int) -> Iterator[Site]:
    distance = cv2.distanceTransform(material, cv2.DIST_L2, 5)
    for y in range(_BORDER_PX, PANEL_PX - _BORDER_PX, _STEP_PX):
        for x in range(_BORDER_PX, PANEL_PX - _BORDER_PX, _STEP_PX):
            radius = float(distance[y, x])
            if radius >= clear_px:
                yield Site(x, y, (0.0, 0.0), radius, 0.0)


def _in_view(x: float, y: float) -> bool:
    return _BORDER_PX <= x < PANEL_PX - _BORDER_PX and _BORDER_PX <= y < PANEL_PX - _BORDER_PX


def choose(sites: Sites, kind: DefectKind, taken: Sequence[Site], rng: Generator) -> Site | None:
    """A site of that kind at least SPACING_PX from all that are taken; None when the board is full."""
    candidates = sites[kind]
    for index in rng.permutation(len(candidates))[:40]:
        site = candidates[int(index)]
        if all(max(abs(site.x - other.x), abs(site.y - other.y)) >= SPACING_PX for other in taken):
            return site
    return None


def plant(copper: Mask, kind: DefectKind, site: Site, rng: Generator) -> Rect:
    """Draw the defect into `copper` (a panel mask, changed in place); the answer is the tight box of what changed."""
    shape, value = _OUTLINES[kind](site, rng)
    left, top = (np.floor(shape.min(axis=0)) - 2).astype(int)
    right, bottom = (np.ceil(shape.max(axis=0)) + 3).astype(int)
    before = copper[top:bottom, left:right].copy()
    cv2.fillPoly(copper, [np.rint(shape).astype(np.int32)], value)
    rows, columns = np.nonzero(before != copper[top:bottom, left:right])
    width, height = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    return Rect(int(left + columns.min()), int(top + rows.min()), width, height)


Outline = tuple[NDArray[np.float64], int]


def _open(site: Site, rng: Generator) -> Outline:
    """A ragged gap across the whole track, a little askew."""
    return _strip(site, (-site.half_px - 3, site.half_px + 3), float(rng.uniform(5, 10)), rng), 0


def _short(site: Site, rng: Generator) -> Outline:
    """A bridge from this track to its neighbour."""
    return _strip(site, (site.half_px - 3, site.half_px + site.gap_px + 3), float(rng.uniform(6, 11)), rng), 1


def _mousebite(site: Site, rng: Generator) -> Outline:
    """A bite out of the edge that leaves at least 4 px of a track; deeper than the roughness of etching."""
    depth = float(rng.uniform(6.5, max(min(2 * site.half_px - 5, 11.0), 7.0)))
    return _blob(_at(site, site.half_px), depth, rng), 0


def _spur(site: Site, rng: Generator) -> Outline:
    """Copper growing out of the edge, ending at least 5 px before the next track."""
    reach = float(rng.uniform(8.0, max(min(site.gap_px - 5, 13.0), 8.5)))
    return _blob(_at(site, site.half_px - 1), reach, rng), 1


def _copper(site: Site, rng: Generator) -> Outline:
    """An island that touches nothing."""
    return _blob((site.x, site.y), float(rng.uniform(4.5, min(site.half_px - 6, 11.0))), rng), 1


def _pin_hole(site: Site, rng: Generator) -> Outline:
    """A hole with copper all around."""
    return _blob((site.x, site.y), float(rng.uniform(4.5, min(site.half_px - 6, 9.0))), rng), 0


_OUTLINES = {
    DefectKind.OPEN: _open,
    DefectKind.SHORT: _short,
    DefectKind.MOUSEBITE: _mousebite,
    DefectKind.SPUR: _spur,
    DefectKind.COPPER: _copper,
    DefectKind.PIN_HOLE: _pin_hole,
}


def _at(site: Site, distance: float) -> tuple[float, float]:
    return site.x + site.across[0] * distance, site.y + site.across[1] * distance


def _blob(centre: tuple[float, float], radius: float, rng: Generator) -> NDArray[np.float64]:
    """An irregular round outline, (corners, 2) x and y; nowhere farther than `radius` from the centre."""
    angles = np.arange(_BLOB_CORNERS) * (2 * np.pi / _BLOB_CORNERS)
    radii = radius * rng.uniform(0.85, 1.0, _BLOB_CORNERS)
    return np.column_stack((centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)))


def _strip(site: Site, span: tuple[float, float], width: float, rng: Generator) -> NDArray[np.float64]:
    """A ragged band across the track from span[0] to span[1] (distance from its centre), (corners, 2)."""
    across, along = np.array(site.across), np.array((-site.across[1], site.across[0]))
    places = np.linspace(*span, 5)
    lean = rng.uniform(-0.25, 0.25) * (places - places.mean())
    edges = []
    for side in (-0.5, 0.5):
        offsets = lean + side * width + rng.uniform(-1.0, 1.0, places.size)
        edges.append(np.array((site.x, site.y)) + places[:, None] * across + offsets[:, None] * along)
    return np.vstack((edges[0], edges[1][::-1]))
