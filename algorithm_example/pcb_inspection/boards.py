"""Board: a picture of a manufactured board with known defects, made from a seed. Nothing is downloaded or stored.

    design -> planted defects -> grey levels -> where the camera sees it -> light and sensor noise

The camera sees each board a little shifted and a little warped, with rough edges, so that the detector has to register.
`python -m pcb_inspection.boards FOLDER` writes the templates: the same designs, straight, clean and without noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pcb_inspection.defects import BOX_MARGIN_PX, Defect, DefectKind, Grey, Mask, grown
from pcb_inspection.designs import DESIGNS, IMAGE_PX, PANEL_MARGIN_PX, Design, design
from pcb_inspection.planting import Site, choose, plant, sites_of
from procvision_sdk import Rect

ColorSpace = Literal["GRAY", "RGB"]

# How far a board lies from where the template has it, either way. The panel's margin must be larger.
MAX_SHIFT_PX = 12.0
# Slow warp of film and lens, and the roughness of etched edges, in pixels (one standard deviation).
_WARP_PX, _ROUGHNESS_PX = 0.5, 0.3
_NOISE_LEVELS = 4.0
# Textures are drawn once from this seed and cut at random places: noise for a board costs a cut, not 400 000 draws.
_TEXTURE_SEED, _TEXTURE_PX = 20240229, 1024


@dataclass(frozen=True, slots=True)
class Board:
    """`image`: (640, 640) or (640, 640, 3) RGB uint8, the caller's own. `truth`: the planted defects, in its pixels."""

    design: str
    seed: int
    image: NDArray[np.uint8]
    truth: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """Where the camera sees each panel pixel: float32 (640, 640) panel columns and rows."""

    columns: NDArray[np.float32]
    rows: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Textures:
    warp: tuple[NDArray[np.float32], NDArray[np.float32]]
    noise: NDArray[np.int16]


def make_board(
    name: str, seed: int, kinds: Sequence[DefectKind] | None = None, color_space: ColorSpace = "GRAY"
) -> Board:
    """One board of a design, the same for the same arguments on every machine with the same OpenCV.

    `kinds` are the defects to plant: () makes a clean board, None lets the seed choose three to six. A kind that finds
    no free place any more is left out, so `truth` and not `kinds` says what is there.
    """
    rng = np.random.default_rng((DESIGNS.index(design(name).name), seed))
    wanted = _any_kinds(rng) if kinds is None else tuple(kinds)
    copper = design(name).copper.copy()
    planted = _plant_all(name, copper, wanted, rng)
    view = _view(rng)
    grey = _light(_seen(_levels(design(name), copper), view), rng)
    truth = tuple(Defect(kind, _seen_box(box, view)) for kind, box in planted)
    return Board(name, seed, grey if color_space == "GRAY" else _coloured(grey), truth)


def template(name: str) -> Grey:
    """The golden picture of a design: (640, 640) uint8, straight, without defects or noise."""
    drawn = design(name)
    inside = slice(PANEL_MARGIN_PX, PANEL_MARGIN_PX + IMAGE_PX)
    return _levels(drawn, drawn.copper)[inside, inside].copy()


def _any_kinds(rng: Generator) -> tuple[DefectKind, ...]:
    kinds = tuple(DefectKind)
    return tuple(kinds[int(index)] for index in rng.integers(len(kinds), size=int(rng.integers(3, 7))))


def _plant_all(name: str, copper: Mask, kinds: Sequence[DefectKind], rng: Generator) -> list[tuple[DefectKind, Rect]]:
    """Plants into `copper`; answers what was planted, with tight boxes on the panel."""
    taken: list[Site] = []
    planted = []
    for kind in kinds:
        site = choose(sites_of(name), kind, taken, rng)
        if site is not None:
            taken.append(site)
            planted.append((kind, plant(copper, kind, site, rng)))
    return planted


def _levels(drawn: Design, copper: Mask) -> Grey:
    """The panel in grey levels, its edges as soft as a lens makes them."""
    levels = drawn.laminate.copy()
    cv2.copyTo(drawn.metal, copper, levels)
    return cv2.GaussianBlur(levels, (3, 3), 0).astype(np.uint8, copy=False)


def _view(rng: Generator) -> _View:
    left, top = (int(value) for value in rng.integers(_TEXTURE_PX - IMAGE_PX, size=2))
    cut = np.s_[top : top + IMAGE_PX, left : left + IMAGE_PX]
    shift_x, shift_y = (float(value) for value in rng.uniform(-MAX_SHIFT_PX, MAX_SHIFT_PX, 2))
    warp_x, warp_y = _textures().warp
    along = np.arange(IMAGE_PX, dtype=np.float32) + np.float32(PANEL_MARGIN_PX)
    return _View(warp_x[cut] + (along + np.float32(shift_x)), warp_y[cut] + (along + np.float32(shift_y))[:, None])


def _seen(panel: Grey, view: _View) -> Grey:
    return cv2.remap(panel, view.columns, view.rows, cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _seen_box(box: Rect, view: _View) -> Rect:
    """A panel box in the image's pixels, with the margin of all defect boxes."""
    x, y = box.x + box.width // 2 - PANEL_MARGIN_PX, box.y + box.height // 2 - PANEL_MARGIN_PX
    # The view says image -> panel. Stepping back by what it is off lands within the slow warp, twice within a pixel.
    for _ in range(2):
        row, column = min(max(y, 0), IMAGE_PX - 1), min(max(x, 0), IMAGE_PX - 1)
        x += round(box.x + box.width / 2 - float(view.columns[row, column]))
        y += round(box.y + box.height / 2 - float(view.rows[row, column]))
    tight = Rect(x - box.width // 2, y - box.height // 2, box.width, box.height)
    return grown(tight, BOX_MARGIN_PX, (IMAGE_PX, IMAGE_PX))


def _light(grey: Grey, rng: Generator) -> Grey:
    """A lamp that is a little brighter or darker today, and the noise of a sensor."""
    gain = float(rng.uniform(0.95, 1.05))
    left, top = (int(value) for value in rng.integers(_TEXTURE_PX - IMAGE_PX, size=2))
    noise = _textures().noise[top : top + IMAGE_PX, left : left + IMAGE_PX]
    lit = cv2.convertScaleAbs(grey, alpha=gain)
    return cv2.add(lit, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _coloured(grey: Grey) -> NDArray[np.uint8]:
    """RGB of the same luminance (ITU-R 601): green where solder mask covers, gold where a pad is bare."""
    return cv2.LUT(cv2.merge((grey, grey, grey)), _palette()).astype(np.uint8, copy=False)


@lru_cache(maxsize=1)
def _palette() -> NDArray[np.uint8]:
    """(1, 256, 3) RGB for each grey level; both tints keep 0.299 R + 0.587 G + 0.114 B at the level itself."""
    green, gold = np.array((0.55, 1.30, 0.64)), np.array((1.16, 1.02, 0.48))
    level = np.arange(256.0)[:, None]
    share = np.clip((level - 150) / 40, 0, 1)
    tint = green * (1 - share) + gold * share
    return np.clip(np.rint(level * tint), 0, 255).astype(np.uint8)[None]


@lru_cache(maxsize=1)
def _textures() -> _Textures:
    rng = np.random.default_rng(_TEXTURE_SEED)
    size = (_TEXTURE_PX, _TEXTURE_PX)
    noise = np.rint(rng.normal(0, _NOISE_LEVELS, size)).astype(np.int16)
    fields = [
        _smooth(rng, sigma_px=40, amplitude_px=_WARP_PX) + _smooth(rng, sigma_px=1.5, amplitude_px=_ROUGHNESS_PX)
        for _ in range(2)
    ]
    return _Textures((fields[0], fields[1]), noise)


def _smooth(rng: Generator, sigma_px: float, amplitude_px: float) -> NDArray[np.float32]:
    field = cv2.GaussianBlur(rng.standard_normal((_TEXTURE_PX, _TEXTURE_PX), dtype=np.float32), (0, 0), sigma_px)
    return (field * (amplitude_px / float(field.std()))).astype(np.float32)


def main() -> int:
    """Writes <design>.png for every design into the folder that is named."""
    parser = argparse.ArgumentParser(prog="python -m pcb_inspection.boards", description="Write the golden templates.")
    parser.add_argument("folder", type=Path, help="where the templates go, e.g. assets/")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in DESIGNS:
        path = folder / f"{name.lower()}.png"
        if not cv2.imwrite(str(path), template(name)):
            raise OSError(f"could not write {path}")
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
