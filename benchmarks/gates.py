"""Does the gate itself hold? Twenty gates of a checkout against itself, twenty against itself made slower.

    python -m benchmarks.gates [--gates 20] [--slower 15] [--pairs 40] [--calls 30] [--json]

Held to: at most 1 of 20 false alarms, at least 19 of 20 caught. The slowed checkout is a copy whose algorithm works
for that share of an inspection before each verdict: processor time, so that it costs what slower code would cost,
whoever else is on the machine. How much that is is found by measuring both, and told.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from runner.dev.bench_checkout import Checkout, Side
from runner.dev.bench_document import Ending, ending_of
from runner.dev.bench_gate import CALLS, PAIRS, GatePlan, gate, on_one_core
from runner.dev.bench_statistics import Interval, quantile, ratio_interval

ROOT = Path(__file__).parents[1]
COPIED = ("procvision_sdk", "runner", "benchmarks", "pyproject.toml")
ALGORITHM = Path("benchmarks", "null_algorithm", "null_algorithm.py")
SLOWED = """

from functools import wraps
from time import thread_time

_execute_at_full_speed = NullAlgorithm.execute


@wraps(_execute_at_full_speed)
def _execute_slower(*given: Any, **named: Any) -> Any:
    until_s = thread_time() + {seconds!r}
    while thread_time() < until_s:
        continue
    return _execute_at_full_speed(*given, **named)


NullAlgorithm.execute = _execute_slower
"""
# To tell 15 percent to within 1 on a quiet machine.
TRIAL_PAIRS = 60


def copy_of(folder: Path, name: str) -> Checkout:
    """A checkout that is this one."""
    for part in COPIED:
        source, target = ROOT / part, folder / name / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return Checkout.at(folder / name, sys.executable)


def slowed(base: Checkout, checkout: Checkout, share: float) -> Checkout:
    """`checkout` made slower by `share` of an inspection of `base`: tried once, and set right by what that took."""
    algorithm = checkout.folder / ALGORITHM
    text = algorithm.read_text("utf-8")
    with on_one_core(), Side(base) as side:
        side.ready()
        seconds = share * quantile(side.samples("inspection", 500), 0.5) / 1e6
    algorithm.write_text(text + SLOWED.format(seconds=seconds), "utf-8")
    tried = inspections_of(base, checkout)
    if tried.low <= 1:
        raise SystemExit(f"{share:.0%} cannot be told from nothing here: {tried}; the machine is too busy")
    seconds *= share / (tried.median - 1)
    algorithm.write_text(text + SLOWED.format(seconds=seconds), "utf-8")
    print(f"{seconds * 1e6:.0f} us injected, {inspections_of(base, checkout).median:.3f} times", file=sys.stderr)
    return checkout


def inspections_of(base: Checkout, other: Checkout) -> Interval:
    """How much longer inspections of `other` take."""
    took: tuple[list[float], list[float]] = ([], [])
    with on_one_core(), Side(base) as before, Side(other) as after:
        before.ready()
        after.ready()
        for _ in range(TRIAL_PAIRS):
            for side, kept in zip((before, after), took, strict=True):
                kept.append(quantile(side.samples("inspection", CALLS), 0.5))
    return ratio_interval(*took)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description="Does the gate hold?")
    parser.add_argument("--gates", type=int, default=20)
    parser.add_argument("--slower", type=float, default=15.0, help="percent of an inspection")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    told: dict[str, list[str]] = {"same": [], "slower": []}
    with tempfile.TemporaryDirectory(prefix="procvision-gates-") as name:
        base, same = copy_of(Path(name), "base"), copy_of(Path(name), "same")
        slower = slowed(base, copy_of(Path(name), "slower"), given.slower / 100)
        for number in range(given.gates):
            plan = GatePlan(pairs=given.pairs, calls=given.calls, seed=number)
            for kind, other in (("same", same), ("slower", slower)):
                found = gate(base, other, plan)
                told[kind].append(ending_of(found).name.lower())
                words = "; ".join(f"{one.name} {one.told}" for one in found if one.name.startswith("inspection"))
                print(f"gate {number + 1} {kind}: {told[kind][-1]}; {words}", file=sys.stderr)
    regression = Ending.REGRESSION.name.lower()
    alarms, caught = sum(one != "good" for one in told["same"]), told["slower"].count(regression)
    if given.json:
        print(json.dumps({"gates": given.gates, "false_alarms": alarms, "caught": caught, "endings": told}))
    else:
        print(f"{given.gates} gates of the same code: {alarms} false alarms; with +{given.slower} %: {caught} caught")
    return 0 if alarms * 20 <= given.gates and caught * 20 >= 19 * given.gates else 1


if __name__ == "__main__":
    sys.exit(main())
