"""The boards of the demo's camera: made by the example's generator, with known truth."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import runner
from procvision_sdk.errors import StationError
from procvision_sdk.geometry import Rect


class ExampleMissingError(StationError):
    """The example lies in the project's checkout, not in an installed wheel."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of one board: defects planted, planted ones found, and finds that were none."""

    planted: int
    found: int
    false_calls: int


@dataclass(frozen=True, slots=True)
class Board:
    """One picture: (640, 640) uint8 grey, the product on it, and what is wrong with it."""

    product: str
    image: NDArray[np.uint8]
    truth: Sequence[Any]
    scoring: Any
    defects: Any

    def score(self, rects: Sequence[Mapping[str, Any]]) -> Score:
        """Rectangles of a result against the truth, by the example's own criterion."""
        found = []
        for rect in rects:
            box = Rect(rect["x"], rect["y"], rect["width"], rect["height"])
            kind = self.defects.DefectKind(rect["label"])
            found.append(self.defects.Defect(kind, box, rect.get("score", 0.0)))
        tally = self.scoring.tally(self.truth, found)
        return Score(len(self.truth), tally.hits, tally.false_calls)


@dataclass(frozen=True, slots=True)
class BoardSource:
    """The example's project folder and its generator."""

    project: Path
    products: tuple[str, ...]
    generator: Any

    @classmethod
    def find(cls) -> BoardSource:
        """The example beside the runner's package; ExampleMissingError when this is no checkout."""
        project = Path(runner.__file__).resolve().parent.parent / "algorithm_example"
        if not (project / "manifest.json").is_file():
            raise ExampleMissingError(
                f"the demo needs the project's checkout: there is no {project}",
                hint="clone the project and install it with pip install -e '.[runner]'",
            )
        sys.path.insert(0, str(project))
        generator = importlib.import_module("pcb_inspection.boards")
        return cls(project, ("PCB-A", "PCB-B"), generator)

    def board(self, number: int, seed: int) -> Board:
        """Board `number` of a line: the products take turns, every third has defects."""
        product = self.products[number % len(self.products)]
        made = self.generator.make_board(product, seed * 100_000 + number, None if number % 3 == 2 else ())
        scoring = importlib.import_module("pcb_inspection.scoring")
        defects = importlib.import_module("pcb_inspection.defects")
        return Board(product, made.image, made.truth, scoring, defects)
