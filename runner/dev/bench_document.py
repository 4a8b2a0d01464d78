"""What a measurement is as a document, where it was made, and what two of them say (spec.md §11.30, §11.32)."""

from __future__ import annotations

import os
import platform
from enum import IntEnum
from pathlib import Path

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from procvision_sdk.errors import StationError
from runner.dev.bench_statistics import Better, Interval, UnusableError, Verdict, independent_ratio, judge

# Whatever the machine does: nobody copies a resident image, and nobody makes a segment after the start.
EXPECTED_COUNTS = {"copies": 0, "segments created after start": 0}
LIMIT = 0.10


class Ending(IntEnum):
    """The exit codes of `bench`; of several findings the first in this order decides."""

    RAISED = 22
    VANISHED = 21
    UNUSABLE = 24
    COUNTS = 25
    FOREIGN = 23
    REGRESSION = 20
    GOOD = 0


_GRAVEST = tuple(Ending)


class Measured(BaseModel):
    """One scenario: the median of each round."""

    # A NaN that became null would be no measurement at all, where it has to be an unusable one.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    unit: str
    better: Better
    rounds: list[float]


class Fingerprint(BaseModel):
    """Where it was measured: figures of two places are no comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    processor: str
    cores: int
    python: str
    numpy: str
    pydantic: str

    @classmethod
    def here(cls) -> Fingerprint:
        return cls(
            system=f"{platform.system()} {platform.release()}",
            processor=_processor(),
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
            numpy=np.__version__,
            pydantic=pydantic.VERSION,
        )


def _processor() -> str:
    """As /proc names it: platform.processor() is empty on most of Linux."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


class Document(BaseModel):
    """What `bench run` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    fingerprint: Fingerprint
    scenarios: dict[str, Measured]
    raised: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, int]


class Finding(BaseModel):
    """One line of a comparison."""

    model_config = ConfigDict(frozen=True)

    name: str
    ending: Ending
    told: str


def read(path: Path) -> Document:
    """The document in a file; StationError says what is wrong with it."""
    try:
        return Document.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StationError(
            f"{path}: {error.strerror}", hint="write one with: procvision bench run --out FILE"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StationError(f"{path} is no measurement: {where}: {first['msg']}", hint="write it anew") from None


def compare(base: Document, other: Document, limit: float = LIMIT) -> list[Finding]:
    """A finding for each scenario and count. Absolute figures are compared for the same fingerprint only."""
    found = [Finding(name=name, ending=Ending.RAISED, told=why) for name, why in other.raised.items()]
    found += counted(other.counts, base.counts)
    gone = sorted(set(base.scenarios) - set(other.scenarios) - set(other.raised))
    found += [Finding(name=name, ending=Ending.VANISHED, told="it is not measured any more") for name in gone]
    if base.fingerprint != other.fingerprint:
        there, here = base.fingerprint.model_dump(), other.fingerprint.model_dump()
        told = "; ".join(f"{key}: {there[key]} and {here[key]}" for key in there if there[key] != here[key])
        return [*found, Finding(name="fingerprint", ending=Ending.FOREIGN, told=f"measured elsewhere: {told}")]
    for name in (name for name in base.scenarios if name in other.scenarios):
        before, after = base.scenarios[name], other.scenarios[name]
        try:
            found.append(judged(name, independent_ratio(before.rounds, after.rounds), after.better, limit))
        except UnusableError as error:
            found.append(Finding(name=name, ending=Ending.UNUSABLE, told=str(error)))
    return found


def judged(name: str, ratio: Interval, better: Better, limit: float) -> Finding:
    """What a ratio says of a scenario."""
    verdict = judge(ratio, better, limit)
    told = f"{verdict.value}: {ratio.median:.3f} times ({ratio.low:.3f} to {ratio.high:.3f}), limit {1 + limit:.2f}"
    return Finding(name=name, ending=Ending.REGRESSION if verdict is Verdict.WORSE else Ending.GOOD, told=told)


def counted(counts: dict[str, int], expected: dict[str, int]) -> list[Finding]:
    """Counts have no interval: they are as expected or they are not; one that is not counted any more is not."""
    findings = []
    for name, number in expected.items():
        ending = Ending.GOOD if counts.get(name) == number else Ending.COUNTS
        findings.append(Finding(name=name, ending=ending, told=f"{counts.get(name, 'not counted')}, expected {number}"))
    return findings


def ending_of(findings: list[Finding]) -> Ending:
    """The gravest."""
    return min((one.ending for one in findings), key=_GRAVEST.index, default=Ending.GOOD)
