"""Design: the copper of one board as its layout says, drawn once and never written to again.

A design is drawn on a panel larger than the image, so that a shifted board shows more board at its edge, not a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np

from pcb_inspection.defects import Grey, Mask

IMAGE_PX = 640
PANEL_MARGIN_PX = 32
PANEL_PX = IMAGE_PX + 2 * PANEL_MARGIN_PX

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight piece of track on the panel, ends and width in pixels."""

    start: Point
    end: Point
    width: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Grey levels of the materials: the board under solder mask, copper under it, bare pads, drilled holes."""

    bare: int
    copper: int
    pad: int
    hole: int


@dataclass(frozen=True, slots=True)
class Design:
    """`copper`: panel mask. `metal`, `laminate`: panel grey levels to show where there is copper, and where not.

    The arrays are read-only and (PANEL_PX, PANEL_PX); `segments` are the tracks that defects may be planted on.
    """

    name: str
    copper: Mask
    metal: Grey
    laminate: Grey
    segments: tuple[Segment, ...]


class _Pen:
    """Draws on the three layers of one panel; coordinates are those of the panel."""

    def __init__(self, finish: Finish) -> None:
        self.finish = finish
        self.copper = np.zeros((PANEL_PX, PANEL_PX), np.uint8)
        self.metal = np.full((PANEL_PX, PANEL_PX), finish.copper, np.uint8)
        self.laminate = np.full((PANEL_PX, PANEL_PX), finish.bare, np.uint8)
        self.segments: list[Segment] = []

    def track(self, points: list[Point], width: int) -> None:
        for start, end in pairwise(points):
            cv2.line(self.copper, start, end, 1, width, cv2.LINE_8)
            self.segments.append(Segment(start, end, width))

    def round_pad(self, centre: Point, radius: int, hole: int) -> None:
        cv2.circle(self.copper, centre, radius, 1, -1)
        cv2.circle(self.metal, centre, radius - 2, self.finish.pad, -1)
        if hole:
            cv2.circle(self.copper, centre, hole, 0, -1)
            cv2.circle(self.laminate, centre, hole, self.finish.hole, -1)

    def area(self, top_left: Point, size: Point, level: int) -> None:
        """A rectangle of copper, shown in that grey level."""
        bottom_right = (top_left[0] + size[0] - 1, top_left[1] + size[1] - 1)
        cv2.rectangle(self.copper, top_left, bottom_right, 1, -1)
        inner = (top_left[0] + 2, top_left[1] + 2), (bottom_right[0] - 2, bottom_right[1] - 2)
        cv2.rectangle(self.metal, *inner, level, -1)

    def pad(self, top_left: Point, size: Point) -> None:
        self.area(top_left, size, self.finish.pad)

    def pour(self, top_left: Point, size: Point) -> None:
        self.area(top_left, size, self.finish.copper)

    def text(self, words: str, origin: Point) -> None:
        cv2.putText(self.copper, words, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 1, 4)

    def design(self, name: str) -> Design:
        weave = _weave()
        laminate = cv2.add(self.laminate, weave).astype(np.uint8, copy=False)
        layers = (self.copper, self.metal, laminate)
        for layer in layers:
            layer.setflags(write=False)
        return Design(name, *layers, tuple(self.segments))


def _weave() -> Grey:
    """The glass fabric that shows through the solder mask: a faint grid of 0..6 grey levels."""
    wave = 1.5 + 1.5 * np.sin(np.arange(PANEL_PX) * (2 * np.pi / 9))
    weave: Grey = np.add.outer(wave, wave).astype(np.uint8)
    return weave


def _power_board() -> Design:
    """Wide tracks, drilled pads in two rows, a ground pour: the board behind PCB-A."""
    pen = _Pen(Finish(bare=52, copper=142, pad=205, hole=18))
    for lane in range(6):
        x, bend = 60 + 34 * lane, 330 - 14 * lane
        turn = 90 + 14 * lane
        pen.track([(x, 0), (x, bend), (x + turn, bend + turn), (x + turn, 560)], 16)
        pen.round_pad((x + turn, 580), 20, 8)
        pen.track([(x + turn, 600), (x + turn, PANEL_PX)], 12)
    for row in range(4):
        y = 70 + 52 * row
        pen.round_pad((320, y), 21, 8)
        pen.track([(340, y), (500, y), (530, y + 30), (640, y + 30)], 14)
        pen.pad((632, y + 12), (38, 36))
    pen.pour((470, 320), (180, 110))
    pen.track([(560, 430), (560, 500)], 20)
    pen.pour((500, 490), (150, 90))
    for x in (500, 560, 620):
        pen.round_pad((x, 350), 12, 6)
    pen.track([(36, 300), (36, 520), (96, 580), (96, PANEL_PX)], 18)
    pen.round_pad((36, 300), 22, 9)
    pen.text("PCB-A r2", (520, 640))
    return pen.design("PCB-A")


def _logic_board() -> Design:
    """Fine tracks in a bus, a quad package with its pads, vias: the board behind PCB-B."""
    pen = _Pen(Finish(bare=40, copper=118, pad=188, hole=14))
    for pin in range(9):
        offset = 26 * pin
        pen.pad((230 + offset, 196), (13, 36))
        pen.track([(236 + offset, 200), (236 + offset, 150 - 8 * abs(pin - 4)), (236 + offset, 0)], 10)
        pen.pad((230 + offset, 472), (13, 36))
        pen.track([(236 + offset, 500), (236 + offset, 560), (206 + offset, 590), (206 + offset, PANEL_PX)], 10)
        pen.pad((196, 240 + offset), (36, 13))
        pen.track([(200, 246 + offset), (130, 246 + offset), (90, 286 + offset), (0, 286 + offset)], 10)
        pen.pad((472, 240 + offset), (36, 13))
    for pin in range(9):
        y = 246 + 26 * pin
        if pin % 2:
            pen.track([(500, y), (580, y)], 10)
            pen.round_pad((590, y), 15, 6)
        else:
            pen.track([(500, y), (PANEL_PX, y)], 10)
    pen.pour((276, 286), (152, 152))
    for x in (310, 352, 394):
        for y in (320, 362, 404):
            pen.round_pad((x, y), 9, 5)
    for lane in range(4):
        x = 60 + 34 * lane
        pen.track([(x, 0), (x, 140)], 12)
        pen.round_pad((x, 140), 15, 6)
        pen.track([(x, 590), (x, PANEL_PX)], 12)
        pen.round_pad((x, 590), 15, 6)
    for lane in range(4):
        y = 60 + 36 * lane
        pen.track([(510, y), (PANEL_PX, y)], 12)
        pen.round_pad((500, y), 15, 6)
    pen.pour((500, 530), (120, 80))
    pen.text("PCB-B r1", (510, 660))
    return pen.design("PCB-B")


_DRAWN_BY = {"PCB-A": _power_board, "PCB-B": _logic_board}
DESIGNS = tuple(_DRAWN_BY)


@cache
def design(name: str) -> Design:
    """The design of that product, drawn at the first call; ValueError for a name that is not in DESIGNS."""
    if name not in _DRAWN_BY:
        raise ValueError(f"no design is called {name!r}; there are: {', '.join(DESIGNS)}")
    return _DRAWN_BY[name]()
