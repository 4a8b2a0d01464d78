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
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "algorithm_example"))

from pcb_inspection.defects import Box, Defect, DefectKind, Grey
from pcb_inspection.detection import find_defects
from pcb_inspection.recipe import Recipe
from pcb_inspection.scoring import Tally, average_precision, confirmed

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


def measure(folder: Path) -> dict[str, object]:
    """Precision, recall, F, mAP and milliseconds per image over every pair of index.csv."""
    outcomes: dict[DefectKind, list[tuple[Defect, bool]]] = defaultdict(list)
    known: dict[DefectKind, int] = defaultdict(int)
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
    return {"images": len(rows), **_figures(outcomes, known), **_milliseconds(durations_ms)}


def _figures(outcomes: dict[DefectKind, list[tuple[Defect, bool]]], known: dict[DefectKind, int]) -> dict[str, object]:
    whole = Tally()
    per_kind: dict[str, dict[str, float]] = {}
    for kind in DefectKind:
        hits = sum(hit for _, hit in outcomes[kind])
        counts = Tally(hits, known[kind] - hits, len(outcomes[kind]) - hits)
        whole += counts
        average = average_precision(outcomes[kind], known[kind])
        per_kind[str(kind)] = {
            "known": known[kind],
            "precision": counts.precision,
            "recall": counts.recall,
            "f": counts.f_score,
            "ap": average,
        }
    mean = sum(row["ap"] for row in per_kind.values()) / len(per_kind)
    return {
        "precision": whole.precision,
        "recall": whole.recall,
        "f": whole.f_score,
        "map": mean,
        "kinds": per_kind,
    }


def _milliseconds(durations_ms: list[float]) -> dict[str, object]:
    return {"ms_p50": float(np.percentile(durations_ms, 50)), "ms_p99": float(np.percentile(durations_ms, 99))}


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
        box = Box(int(left), int(top), int(right) - int(left), int(bottom) - int(top))
        truth.append(Defect(_KINDS[kind], box))
    return truth


def _table(figures: dict[str, object]) -> str:
    lines = [
        "{images} images: precision {precision:.4f}  recall {recall:.4f}  F {f:.4f}  mAP {map:.4f}".format(**figures),
        "{ms_p50:.1f} ms per image (p50), {ms_p99:.1f} ms (p99), one core".format(**figures),
    ]
    kinds = figures["kinds"]
    if isinstance(kinds, dict):
        for kind, row in kinds.items():
            lines.append(
                f"  {kind:10} known {row['known']:4}  precision {row['precision']:.3f}  recall {row['recall']:.3f}"
                f"  F {row['f']:.3f}  AP {row['ap']:.3f}"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deeppcb", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder that holds index.csv of DeepPCB")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if not (arguments.folder / "index.csv").is_file():
        print(f"skipped: no DeepPCB data in {arguments.folder} (index.csv not found); nothing measured", file=sys.stderr)
        return 3
    cv2.setNumThreads(1)
    figures = measure(arguments.folder)
    print(json.dumps(figures) if arguments.json else _table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
