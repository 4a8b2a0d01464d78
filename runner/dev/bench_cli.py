"""`procvision bench`: of the project's own checkout, and of an author's algorithm (spec.md §11.30 to §11.33)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from runner.terminal import err, out

bench = typer.Typer(no_args_is_help=True, help="Measure: this checkout, two of them in turn, or your algorithm.")
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Rounds = Annotated[int, typer.Option("--pairs", min=1, help="Rounds in each of three lives of the process.")]
Calls = Annotated[int, typer.Option("--calls", min=1, help="Calls of a round.")]
Limit = Annotated[float, typer.Option("--limit", min=0.1, help="Percent that are no regression yet.")]


@bench.command()
def run(
    out_file: Annotated[Path | None, typer.Option("--out", help="Write the document there.")] = None,
    pairs: Rounds = 40,
    calls: Calls = 30,
) -> None:
    """Measure this checkout; the document, on stdout or in a file."""
    from runner.dev.bench_checkout import Checkout
    from runner.dev.bench_document import Ending
    from runner.dev.bench_gate import GatePlan, measure

    document = measure(Checkout.own(), GatePlan(pairs=pairs, calls=calls))
    told = document.model_dump_json(indent=2)
    if out_file is None:
        print(told)
    else:
        out_file.write_text(told + "\n", encoding="utf-8")
    for name, why in document.raised.items():
        err.print(f"{name} raised: {why}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Ending.RAISED if document.raised else Ending.GOOD)


@bench.command()
def compare(
    base: Annotated[Path, typer.Argument(help="What it was: a document of `bench run`.")],
    other: Annotated[Path, typer.Argument(help="What it is.")],
    limit: Limit = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Compare two documents of the same machine."""
    from runner.dev.bench_document import compare as compared
    from runner.dev.bench_document import read
    from runner.dev.bench_report import show

    raise typer.Exit(show(compared(read(base), read(other), limit / 100), "json" if as_json else "table"))


@bench.command()
def gate(
    against: Annotated[Path | None, typer.Option("--against", help="Another checkout: what it was.")] = None,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Only what is counted; seconds.")] = False,
    pairs: Rounds = 40,
    calls: Calls = 30,
    limit: Limit = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Measure another checkout and this one in turn; not 0 when this one is worse."""
    from runner.dev import bench_gate
    from runner.dev.bench_checkout import Checkout
    from runner.dev.bench_report import show
    from runner.dev.project import UsageError

    own = Checkout.own()
    if counts_only:
        raise typer.Exit(show(bench_gate.gate_counts(own), "json" if as_json else "table"))
    if against is None:
        raise UsageError("gate: expected --against CHECKOUT or --counts-only", hint="git worktree makes a checkout")
    plan = bench_gate.GatePlan(pairs=pairs, calls=calls, limit=limit / 100)
    raise typer.Exit(show(bench_gate.gate(Checkout.at(against), own, plan), "json" if as_json else "table"))


@bench.command()
def accept(
    document: Annotated[Path, typer.Argument(help="A document of `bench run`, made on this machine.")],
) -> None:
    """Make a document this checkout's baseline: benchmarks/baseline.json. Nothing else writes it."""
    from runner.dev.bench_checkout import Checkout
    from runner.dev.bench_report import accepted

    out.print(str(accepted(Checkout.own(), document)), markup=False, highlight=False, soft_wrap=True)


@bench.command()
def algorithm(
    project: Annotated[Path, typer.Argument(help="The project's folder.")],
    images: Annotated[Path, typer.Option("--images", help="An image file, or a folder of them.")],
    pid: Annotated[str | None, typer.Option("--pid", help="The product; else the first of the manifest.")] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="How often all images are inspected.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Measure an algorithm on images, in the process a station would run it in."""
    from runner.dev.bench_algorithm import AlgorithmPlan, measure

    code, told = measure(AlgorithmPlan(project, images, pid, repeat))
    if told is not None and as_json:
        print(json.dumps(told.document(), indent=2))
    elif told is not None:
        out.print(told.table())
    raise typer.Exit(code)
