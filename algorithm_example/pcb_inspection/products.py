"""Product: what setup loads for one pid, so that an inspection reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pcb_inspection.defects import Mask
from pcb_inspection.recipe import Recipe, load_recipe
from procvision_sdk import ModelNotFoundError


@dataclass(frozen=True, slots=True)
class Product:
    """`golden` is the copper mask of the template, read-only, (height, width)."""

    pid: str
    golden: Mask
    recipe: Recipe

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) that an image of this product must have, in pixels."""
        height, width = self.golden.shape
        return width, height


def load_product(pid: str, root: Path, assets: Mapping[str, str]) -> Product:
    """The product behind `required_assets` of the manifest; ModelNotFoundError (1003) when a template is missing."""
    path = root / assets["template"]
    template = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if template is None:
        raise ModelNotFoundError(
            f"the template of {pid} cannot be read: {path}",
            hint="python -m pcb_inspection.boards assets/ draws the templates anew",
        )
    recipe = load_recipe(root / assets["recipe"])
    golden = recipe.copper_of(template.astype(np.uint8, copy=False))
    golden.setflags(write=False)
    return Product(pid, golden, recipe)
