"""`procvision bench`: documents and their verdicts, each with its exit code, and the commands on a real checkout
(spec.md §11.30 to §11.33).
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from runner.dev.bench_checkout import Checkout, NoCheckoutError, RaisedError, Side
from runner.dev.bench_document import (
    EXPECTED_COUNTS,
    Document,
    Ending,
    Finding,
    Fingerprint,
    Measured,
    compare,
    counted,
    ending_of,
    read,
)
from runner.dev.bench_gate import GatePlan, gate, gate_counts
from tests.doubles.author import make_picture, make_project, procvision

ROOT = Path(__file__).parents[3]
ROUNDS = [100.0, 101.0, 99.0, 100.0, 102.0, 98.0, 100.0, 101.0]


def document(
    rounds: dict[str, list[float]],
    cores: int = 2,
    counts: dict[str, int] = EXPECTED_COUNTS,
    raised: dict[str, str] | None = None,
) -> Document:
    fingerprint = Fingerprint.here().model_copy(update={"cores": cores})
    measured = {name: Measured(unit="us", better="lower", rounds=found) for name, found in rounds.items()}
    return Document(fingerprint=fingerprint, scenarios=measured, counts=counts, raised=raised or {})


def times(factor: float) -> list[float]:
    return [factor * one for one in ROUNDS]


BASE = document({"inspection": ROUNDS})
ENDINGS: list[tuple[Document, Ending]] = [
    (document({"inspection": ROUNDS}), Ending.GOOD),
    (document({"inspection": ROUNDS, "new": ROUNDS}), Ending.GOOD),
    (document({"inspection": times(1.05)}), Ending.GOOD),
    (document({"inspection": times(1.3)}), Ending.REGRESSION),
    (document({"inspection": times(0.5)}), Ending.GOOD),
    (document({}), Ending.VANISHED),
    (document({}, raised={"inspection": "ValueError: no"}), Ending.RAISED),
    (document({"inspection": ROUNDS}, cores=3), Ending.FOREIGN),
    (document({"inspection": times(1.3)}, cores=3), Ending.FOREIGN),
    (document({"inspection": [*ROUNDS, math.nan]}), Ending.UNUSABLE),
    (document({"inspection": [*ROUNDS, 0.0]}), Ending.UNUSABLE),
    (document({"inspection": []}), Ending.UNUSABLE),
    (document({"inspection": ROUNDS}, counts={**EXPECTED_COUNTS, "copies": 1}), Ending.COUNTS),
    (document({"inspection": ROUNDS}, counts={"copies": 0}), Ending.COUNTS),
    (document({"inspection": times(1.3)}, counts={}), Ending.COUNTS),
]


@pytest.mark.parametrize(("other", "expected"), ENDINGS)
def test_each_way_to_be_worse_has_its_own_exit_code(other: Document, expected: Ending) -> None:
    assert ending_of(compare(BASE, other)) is expected


def test_no_two_endings_share_an_exit_code_with_each_other_or_with_other_commands() -> None:
    codes = [ending.value for ending in Ending]
    assert len(set(codes)) == len(Ending) == 7
    assert set(codes) & {*range(1, 8), 70, 75, 130} == set()


def test_of_several_findings_the_gravest_decides() -> None:
    found = [Finding(name="x", ending=one, told="") for one in (Ending.GOOD, Ending.REGRESSION, Ending.RAISED)]
    assert ending_of(found) is Ending.RAISED
    assert ending_of([]) is Ending.GOOD


@pytest.mark.parametrize(
    ("counts", "expected"), [({"copies": 0}, Ending.GOOD), ({"copies": 1}, Ending.COUNTS), ({}, Ending.COUNTS)]
)
def test_a_count_is_exact_or_wrong(counts: dict[str, int], expected: Ending) -> None:
    assert ending_of(counted(counts, {"copies": 0})) is expected


def test_a_document_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(BASE.model_dump_json(), "utf-8")
    assert read(tmp_path / "run.json") == BASE


@pytest.mark.parametrize(
    ("text", "expected"), [("", "is no measurement"), ("{}", "is no measurement: fingerprint"), (None, "No such file")]
)
def test_what_is_no_document_is_told_so(tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text, "utf-8")
    ended = procvision(tmp_path, "bench", "compare", path, path)
    assert ended.code == 3
    assert expected in ended.err


@pytest.mark.parametrize(("other", "expected"), ENDINGS)
def test_compare_ends_with_the_code_of_its_verdict(tmp_path: Path, other: Document, expected: Ending) -> None:
    for name, told in (("before", BASE), ("after", other)):
        (tmp_path / name).write_text(told.model_dump_json(), "utf-8")
    ended = procvision(tmp_path, "bench", "compare", tmp_path / "before", tmp_path / "after", "--json")
    assert (ended.code, ended.document()["verdict"]) == (expected, expected.name.lower()), ended.err


@pytest.mark.parametrize("missing", ["pyproject.toml", "runner", "benchmarks"])
def test_what_needs_a_checkout_says_what_is_missing(tmp_path: Path, missing: str) -> None:
    for name in ("pyproject.toml", "runner/dev/bench_scenarios.py", "benchmarks/null_algorithm/manifest.json"):
        if not name.startswith(missing):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    with pytest.raises(NoCheckoutError, match=missing):
        Checkout.at(tmp_path)


def test_gate_and_accept_refuse_a_folder_that_is_no_checkout_and_a_gate_without_a_question(tmp_path: Path) -> None:
    ended = procvision(tmp_path, "bench", "gate", "--against", tmp_path)
    assert (ended.code, "is no checkout" in ended.err) == (3, True)
    assert procvision(tmp_path, "bench", "gate").code == 2


def test_nothing_that_raised_or_was_measured_elsewhere_is_accepted(tmp_path: Path) -> None:
    for other in (document({}), document({"inspection": ROUNDS}, cores=99), document({"inspection": [math.nan]})):
        (tmp_path / "run.json").write_text(other.model_dump_json(), "utf-8")
        assert procvision(tmp_path, "bench", "accept", tmp_path / "run.json").code == 3
    assert not (ROOT / "benchmarks" / "baseline.json").exists()


def test_nothing_is_copied_and_no_segment_is_made_after_the_start() -> None:
    found = gate_counts(Checkout.own())
    assert ending_of(found) is Ending.GOOD, found


SCENARIOS = """
import json, sys
print(json.dumps({{"scenarios": {{name: {{"unit": "us", "better": "lower"}} for name in {names}}}}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "counts" in asked:
        told = {{"counts": {counts}}}
    elif asked["scenario"] == {raising!r}:
        told = {{"raised": "ValueError: it broke"}}
    else:
        told = {{"samples": [{sample}] * asked["calls"]}}
    print(json.dumps(told), flush=True)
"""


def checkout(folder: Path, names: tuple[str, ...] = ("inspection",), **fields: object) -> Checkout:
    """A checkout whose scenarios take what they are told to take."""
    told = {"names": names, "counts": EXPECTED_COUNTS, "raising": "", "sample": 100.0, **fields}
    for name in (
        "pyproject.toml",
        "benchmarks/null_algorithm/manifest.json",
        "runner/__init__.py",
        "runner/dev/__init__.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "runner" / "dev" / "bench_scenarios.py").write_text(SCENARIOS.format(**told), "utf-8")
    return Checkout.at(folder)


GATES: list[tuple[dict[str, object], Ending]] = [
    ({}, Ending.GOOD),
    ({"sample": 105.0}, Ending.GOOD),
    ({"sample": 115.0}, Ending.REGRESSION),
    ({"sample": 0.0}, Ending.UNUSABLE),
    ({"sample": "float('nan')"}, Ending.UNUSABLE),
    ({"raising": "inspection"}, Ending.RAISED),
    ({"names": ("another",)}, Ending.VANISHED),
    ({"counts": {"copies": 1, "segments created after start": 0}}, Ending.COUNTS),
    ({"counts": "1 / 0"}, Ending.RAISED),
    ({"names": "1 / 0"}, Ending.RAISED),
]


@pytest.mark.parametrize(("fields", "expected"), GATES)
def test_a_gate_of_two_checkouts_ends_as_the_worse_one_deserves(
    tmp_path: Path, fields: dict[str, object], expected: Ending
) -> None:
    plan = GatePlan(lives=2, pairs=3, calls=2)
    found = gate(checkout(tmp_path / "a"), checkout(tmp_path / "b", **fields), plan)  # type: ignore[arg-type]
    assert ending_of(found) is expected, found


def test_a_scenario_that_raises_is_told_with_what_it_raised(tmp_path: Path) -> None:
    with Side(checkout(tmp_path, raising="inspection")) as side:
        side.ready()
        with pytest.raises(RaisedError, match="it broke"):
            side.samples("inspection", 1)


def test_an_authors_algorithm_is_measured_where_a_station_would_run_it(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    make_picture(tmp_path / "parts.png")
    ended = procvision(tmp_path, "bench", "algorithm", project, "--images", tmp_path / "parts.png", "--json")
    assert (ended.code, ended.left) == (0, ()), ended.err
    told = ended.document()
    assert (told["pid"], told["inspections"]) == ("A01", 5)
    assert 0 < told["image_ms"]["p50"] <= told["image_ms"]["p99"]
    assert told["execute_ms"]["p50"] < told["image_ms"]["p50"]
    assert told["images_per_s"] > 0 and told["peak_memory_mb"] > 1


@pytest.mark.parametrize(("algorithm", "code"), [("cli_raises", 5), ("cli_dies_at_import", 5), ("cli_refuses", 5)])
def test_figures_of_an_error_are_no_figures(tmp_path: Path, algorithm: str, code: int) -> None:
    project = make_project(tmp_path, algorithm)
    make_picture(tmp_path / "part.png")
    ended = procvision(tmp_path, "bench", "algorithm", project, "--images", tmp_path / "part.png", "--json")
    assert (ended.code, ended.out, ended.left) == (code, "", ()), ended.err
