"""Rectangles of a result drawn on a copy of its image, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_COLOUR = (255, 64, 64)
_BEHIND = (24, 24, 24)


def overlay(pixels: NDArray[Any], rects: Iterable[Mapping[str, Any]]) -> Image.Image:
    """An RGB picture of (h, w) or (h, w, 3) uint8 pixels with each rectangle, its label and its score."""
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for rect in rects:
        left, top = rect["x"], rect["y"]
        right, bottom = left + rect["width"] - 1, top + rect["height"] - 1
        draw.rectangle((left, top, right, bottom), outline=_COLOUR, width=2)
        score = f" {rect['score']:.2f}" if "score" in rect else ""
        place, label = (left, max(top - 13, 0)), f" {rect.get('label', '')}{score} "
        draw.rectangle(draw.textbbox(place, label), fill=_BEHIND)
        draw.text(place, label, fill=_COLOUR)
    return picture
