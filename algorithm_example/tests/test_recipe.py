"""Recipes: read from JSON, and refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pcb_inspection.recipe import Recipe, load_recipe


def test_a_recipe_keeps_the_defaults_of_what_it_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"threshold": 90, "min_depth_px": 5}', encoding="utf-8")
    assert load_recipe(path) == Recipe(threshold=90, min_depth_px=5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"treshold": 90}', r"recipe.json: unknown key 'treshold'; a recipe has: bridge_px, "),
        ('{"threshold": "90"}', r"recipe.json: threshold: expected int, got '90'"),
        ('{"threshold": true}', r"recipe.json: threshold: expected int, got True"),
        ('{"copper": "green"}', r"recipe.json: copper: expected 'bright' or 'dark', got 'green'"),
        ("[]", r"recipe.json: expected an object, got list"),
    ],
)
def test_a_wrong_recipe_is_refused_by_file_key_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        load_recipe(path)


def test_high_sensitivity_calls_smaller_and_low_only_larger_differences() -> None:
    low, normal, high = (Recipe().with_sensitivity(word) for word in ("low", "normal", "high"))
    assert normal == Recipe()
    assert low.min_area_px > normal.min_area_px > high.min_area_px
    assert low.min_depth_px > normal.min_depth_px > high.min_depth_px


@pytest.mark.parametrize(("copper", "expected"), [("bright", [0, 0, 1]), ("dark", [1, 1, 0])])
def test_copper_is_what_lies_beyond_the_threshold(copper: str, expected: list[int]) -> None:
    recipe = Recipe(threshold=100, copper=copper, smoothing_px=1)  # type: ignore[arg-type]
    mask = recipe.copper_of(np.array([[0, 100, 101]], np.uint8))
    assert mask.dtype == np.uint8
    assert mask.tolist() == [expected]
