"""The core of the inspection: (template, image, recipe) -> defects. Pure; the hooks and the benchmark both call it."""

from __future__ import annotations

from pcb_inspection.classification import classify, merged
from pcb_inspection.defects import Defect, Grey, Mask
from pcb_inspection.differences import differences
from pcb_inspection.recipe import Recipe
from pcb_inspection.registration import moved, register

DEFAULT_MAX_SHIFT_PX = 24


def find_defects(template: Grey, image: Grey, recipe: Recipe) -> list[Defect]:
    """The defects of `image` against a defect-free `template` of the same size, best score first.

    Both are (height, width) uint8 grey and are not written to; boxes are in image coordinates, inside the image.
    """
    if template.shape != image.shape:
        raise ValueError(f"template {template.shape} and image {image.shape} must have one (height, width)")
    golden, copper = recipe.copper_of(template), recipe.copper_of(image)
    return compare(moved(golden, register(golden, copper, DEFAULT_MAX_SHIFT_PX)), copper, recipe)


def compare(expected: Mask, copper: Mask, recipe: Recipe) -> list[Defect]:
    """The defects of a copper mask against the registered template (`registration.moved`), best score first."""
    called = (classify(difference, expected, recipe) for difference in differences(expected, copper, recipe))
    return merged([defect for defect in called if defect is not None])
