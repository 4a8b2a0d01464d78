"""What `bench compare`, `gate` and `accept` show and write (spec.md §11.32)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from rich.markup import escape
from rich.table import Table

from procvision_sdk.errors import StationError
from runner.dev.bench_checkout import Checkout
from runner.dev.bench_document import EXPECTED_COUNTS, Ending, Finding, Fingerprint, counted, ending_of, read
from runner.dev.bench_statistics import UnusableError, checked
from runner.terminal import out

BASELINE = Path("benchmarks", "baseline.json")
Form = Literal["table", "json"]


def show(findings: list[Finding], form: Form) -> int:
    """Print what was found; the exit code."""
    ending = ending_of(findings)
    if form == "json":
        told = {"verdict": ending.name.lower(), "findings": [one.model_dump(mode="json") for one in findings]}
        print(json.dumps(told, indent=2))
        return ending
    table = Table("what", "verdict", "told")
    for one in findings:
        good = one.ending is Ending.GOOD
        table.add_row(escape(one.name), "[green]good[/]" if good else f"[red]{one.ending.name.lower()}[/]", one.told)
    out.print(table)
    return ending


def accepted(checkout: Checkout, document: Path) -> Path:
    """Where the baseline now is; StationError when the document is not one that others may be measured by."""
    found = read(document)
    if found.fingerprint != Fingerprint.here():
        raise StationError(f"{document} was measured elsewhere", hint="measure here: procvision bench run --out FILE")
    problems = [f"{name} raised" for name in found.raised]
    problems += [one.told for one in counted(found.counts, EXPECTED_COUNTS) if one.ending is not Ending.GOOD]
    for name, measured in found.scenarios.items():
        try:
            checked(measured.rounds)
        except UnusableError as error:
            problems.append(f"{name}: {error}")
    if problems or not found.scenarios:
        why = "; ".join(problems) or "it measures nothing"
        raise StationError(f"{document} is not accepted: {why}", hint="mend that, measure again, then accept")
    baseline = checkout.folder / BASELINE
    baseline.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return baseline
