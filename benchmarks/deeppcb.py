"""How well the example's detector does on real boards: `python -m benchmarks.deeppcb FOLDER [--json]`.

FOLDER holds the DeepPCB data (index.csv with the columns template, test, annotation; 640 x 640 pairs). The data set is
for research use only: it is measured with, and no part of it belongs in this project. The criterion is the data set's
own: a detection counts when its IoU with a box of the same class exceeds 0.33.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "algorithm_example"))

from pcb_inspection.defects import Defect, DefectKind, Grey
from pcb_inspection.detection import find_defects
from pcb_inspection.recipe import Recipe
from pcb_inspection.scoring import Tally, average_precision, confirmed

from procvision_sdk import Rect

# Class numbers of the annotation files.
_KINDS = {
    "1": DefectKind.OPEN,
    "2": DefectKind.SHORT,
    "3": DefectKind.MOUSEBITE,
    "4": DefectKind.SPUR,
    "5": DefectKind.COPPER,
    "6": DefectKind.PIN_HOLE,
}
# The images are binarised already, copper is dark: nothing to smooth.
RECIPE = Recipe(copper="dark", smoothing_px=1)


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One class over the whole folder; all but `known` (boxes in the annotations) are 0..1."""

    known: int
    precision: float
    recall: float
    f: float
    ap: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Every pair of the folder: micro-averaged precision, recall and F, mean AP of the classes, time on one core."""

    images: int
    precision: float
    recall: float
    f: float
    map: float
    ms_p50: float
    ms_p99: float
    kinds: dict[str, KindFigures]


def measure(folder: Path) -> Figures:
    """The detector over every row of index.csv, the pairs one after the other."""
    outcomes: dict[DefectKind, list[tuple[Defect, bool]]] = {kind: [] for kind in DefectKind}
    known = dict.fromkeys(DefectKind, 0)
    durations_ms = []
    with (folder / "index.csv").open(newline="", encoding="utf-8") as index:
        rows = list(csv.DictReader(index))
    for row in rows:
        template, image = _grey(folder / row["template"]), _grey(folder / row["test"])
        started = time.perf_counter()
        found = find_defects(template, image, RECIPE)
        durations_ms.append((time.perf_counter() - started) * 1000)
        truth = _annotation(folder / row["annotation"])
        for defect in truth:
            known[defect.kind] += 1
        for defect, hit in confirmed(truth, found):
            outcomes[defect.kind].append((defect, hit))
    tallies = {kind: _tally(outcomes[kind], known[kind]) for kind in DefectKind}
    whole = sum(tallies.values(), Tally())
    kinds = {
        str(kind): KindFigures(
            known[kind], one.precision, one.recall, one.f_score, average_precision(outcomes[kind], known[kind])
        )
        for kind, one in tallies.items()
    }
    mean_ap = sum(row.ap for row in kinds.values()) / len(kinds)
    p50, p99 = (float(value) for value in np.percentile(durations_ms, (50, 99)))
    return Figures(len(rows), whole.precision, whole.recall, whole.f_score, mean_ap, p50, p99, kinds)


def _tally(outcome: list[tuple[Defect, bool]], known: int) -> Tally:
    hits = sum(hit for _, hit in outcome)
    return Tally(hits, known - hits, len(outcome) - hits)


def _grey(path: Path) -> Grey:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise FileNotFoundError(f"{path} is named by index.csv but cannot be read as an image")
    return image.astype(np.uint8, copy=False)


def _annotation(path: Path) -> list[Defect]:
    """The boxes of one file, each line `x1 y1 x2 y2 class` or the same with commas."""
    truth = []
    for line in path.read_text(encoding="utf-8").splitlines():
        left, top, right, bottom, kind = line.replace(",", " ").split()
        box = Rect(int(left), int(top), int(right) - int(left), int(bottom) - int(top))
        truth.append(Defect(_KINDS[kind], box))
    return truth


def _table(figures: Figures) -> str:
    lines = [
        f"{figures.images} images: precision {figures.precision:.4f}  recall {figures.recall:.4f}"
        f"  F {figures.f:.4f}  mAP {figures.map:.4f}",
        f"{figures.ms_p50:.1f} ms per image (p50), {figures.ms_p99:.1f} ms (p99), one core",
    ]
    for kind, row in figures.kinds.items():
        lines.append(
            f"  {kind:10} known {row.known:4}  precision {row.precision:.3f}  recall {row.recall:.3f}"
            f"  F {row.f:.3f}  AP {row.ap:.3f}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deeppcb", description="Measure the detector on DeepPCB."
    )
    parser.add_argument("folder", type=Path, help="folder that holds index.csv of DeepPCB")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if not (arguments.folder / "index.csv").is_file():
        print(f"skipped: {arguments.folder} holds no index.csv of DeepPCB; nothing was measured", file=sys.stderr)
        return 3
    cv2.setNumThreads(1)
    figures = measure(arguments.folder)
    print(json.dumps(asdict(figures)) if arguments.json else _table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
