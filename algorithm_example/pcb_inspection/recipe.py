"""Recipe: how one product is inspected. Kept as a JSON file beside the product's template."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import cv2

from pcb_inspection.defects import Grey, Mask

Sensitivity = Literal["low", "normal", "high"]

# Factors on the smallest area and depth that count as a defect. "high" reaches into the noise of good etching.
_SENSITIVITY: dict[Sensitivity, float] = {"low": 1.5, "normal": 1.0, "high": 0.8}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Thresholds of the detector, in grey levels (0..255) and pixels.

    `copper`: which side of `threshold` is copper. `smoothing_px`: side of the Gaussian before it, odd, 1 for none.
    `min_depth_px`: a bite or spur shallower than this is the roughness of etching (measured: 2-3 px).
    `join_px`: fragments of one defect nearer than this are one defect.
    `bridge_px`: what ends up to this far off still touches: a track with two pixels left is open.
    `min_agreement`: share of the pixels that must fit the template; less is another board or none.
    """

    threshold: int = 128
    copper: Literal["bright", "dark"] = "bright"
    smoothing_px: int = 3
    min_area_px: int = 16
    min_depth_px: float = 3.6
    min_short_area_px: int = 30
    join_px: int = 9
    bridge_px: int = 2
    min_agreement: float = 0.9

    def with_sensitivity(self, sensitivity: Sensitivity) -> Recipe:
        """The same recipe, calling smaller ("high") or only larger ("low") differences defects."""
        factor = _SENSITIVITY[sensitivity]
        return replace(
            self,
            min_area_px=round(self.min_area_px * factor),
            min_depth_px=self.min_depth_px * factor,
            min_short_area_px=round(self.min_short_area_px * factor),
        )

    def copper_of(self, grey: Grey) -> Mask:
        """1 where there is copper; the image is smoothed first, because sensor noise at an edge is not etching."""
        if self.smoothing_px > 1:
            grey = cv2.GaussianBlur(grey, (self.smoothing_px, self.smoothing_px), 0).astype("uint8", copy=False)
        kind = cv2.THRESH_BINARY if self.copper == "bright" else cv2.THRESH_BINARY_INV
        return cv2.threshold(grey, self.threshold, 1, kind)[1].astype("uint8", copy=False)


def load_recipe(path: Path) -> Recipe:
    """The recipe in a JSON file; ValueError naming file, key, what was expected and what came."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: expected an object, got {type(content).__name__}")
    defaults = {field.name: field.default for field in fields(Recipe)}
    for key, value in content.items():
        if key not in defaults:
            raise ValueError(f"{path.name}: unknown key {key!r}; a recipe has: {', '.join(sorted(defaults))}")
        expected = type(defaults[key])
        if type(value) is not expected and (expected, type(value)) != (float, int):
            raise ValueError(f"{path.name}: {key}: expected {expected.__name__}, got {value!r}")
    if content.get("copper", "bright") not in ("bright", "dark"):
        raise ValueError(f"{path.name}: copper: expected 'bright' or 'dark', got {content['copper']!r}")
    return Recipe(**content)
