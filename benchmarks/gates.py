"""Does the gate itself hold? Twenty gates of a checkout against itself, twenty against itself made slower.

    python -m benchmarks.gates [--gates 20] [--slower 15] [--pairs 40] [--calls 60] [--json]

Held to: at most 1 of 20 false alarms, at least 19 of 20 caught. The slowed checkout is a copy whose journey waits
that share of an inspection's own time before each inspection, in a busy loop: it costs what slower code would cost.
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
from runner.dev.bench_statistics import quantile

ROOT = Path(__file__).parents[1]
COPIED = ("procvision_sdk", "runner", "benchmarks", "pyproject.toml")
SLOWED = """

_inspect_at_full_speed = Journey.inspect


def _inspect_slower(self: Journey, owner: Hashable, ticket: Ticket) -> Any:
    until_s = monotonic_s() + {seconds!r}
    while monotonic_s() < until_s:
        continue
    return _inspect_at_full_speed(self, owner, ticket)


Journey.inspect = _inspect_slower  # type: ignore[method-assign]
"""


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


def slowed(checkout: Checkout, share: float) -> Checkout:
    """The same made slower by `share` of its inspection, as measured now."""
    with on_one_core(), Side(checkout) as side:
        side.ready()
        inspection_us = quantile(side.samples("inspection", 500), 0.5)
    journey = checkout.folder / "runner" / "journey.py"
    with journey.open("a", encoding="utf-8") as file:
        file.write(SLOWED.format(seconds=share * inspection_us / 1e6))
    return checkout


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
        slower = slowed(copy_of(Path(name), "slower"), given.slower / 100)
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
