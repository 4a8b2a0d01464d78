"""What `procvision run` shows of its results on stdout, and of failures on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from procvision_sdk.errors import error_word
from procvision_sdk.geometry import Rect
from runner.dev.document import summary
from runner.dev.inspection import ImageRun, StepRun
from runner.dev.log_lines import printable
from runner.terminal import coloured, err, out

# More rectangles than these make a row unreadable; the JSON document and the report have all.
_RECTS_SHOWN = 3


def show(runs: Sequence[ImageRun]) -> None:
    """A row for each step of each image, then the counts; why something failed goes to stderr."""
    table = Table(highlight=False)
    table.add_column("image", overflow="fold")
    table.add_column("step")
    table.add_column("verdict", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("defects: x,y size", overflow="fold")
    table.add_column("pre + execute ms", justify="right")
    for run in runs:
        for step in run.steps:
            first = step is run.steps[0]
            table.add_row(escape(printable(run.path.name)) if first else "", *_cells(step))
    out.print(table)
    counts = summary(runs)
    if len(runs) > 1:
        out.print(f"{counts['images']} images: {counts['ok']} OK, {counts['ng']} NG, {counts['errors']} ERROR")
    failed = [run for run in runs if run.verdict == "ERROR"]
    told: set[tuple[str, str]] = set()
    for run in failed:
        if (run.last.error_code, run.last.message) not in told:
            told.add((run.last.error_code, run.last.message))
            show_failure(run)


def _cells(step: StepRun) -> tuple[str, ...]:
    last = step.last
    data = last.data or {}
    what = data.get("ng_reason") or f"{last.error_code} {error_word(last.error_code)}".strip() or last.message
    return (
        escape(printable(f"{step.index} {step.name}")),
        coloured(last.verdict),
        escape(printable(str(what))),
        escape(printable(_rects(last.rects("defect_rects")))),
        f"{step.pre_execute.latency_ms:.1f} + {f'{step.execute.latency_ms:.1f}' if step.execute is not None else '-'}",
    )


def _rects(rects: Sequence[Rect]) -> str:
    shown = [f"{one.label or 'defect'} {one.x},{one.y} {one.width}x{one.height}" for one in rects[:_RECTS_SHOWN]]
    more = [f"and {len(rects) - _RECTS_SHOWN} more"] if len(rects) > _RECTS_SHOWN else []
    return "\n".join([*shown, *more])


def show_failure(run: ImageRun) -> None:
    """Why it ended in ERROR, on stderr."""
    last = run.last
    hook = "execute" if run.steps[-1].execute is not None else "pre_execute"
    where = f"{run.path.name}, step {run.steps[-1].index}, {hook}"
    told = f"[red]error[/] {last.error_code} {error_word(last.error_code)}: {escape(printable(last.message))}"
    err.print(f"{told} [dim]({escape(printable(where))})[/]", highlight=False, soft_wrap=True)
    if last.hint:
        err.print(f"  hint: {escape(printable(last.hint))}", highlight=False, soft_wrap=True)
    trace = (last.diagnostics or {}).get("traceback")
    if trace:
        err.print(f"[dim]{escape(printable(str(trace).rstrip()))}[/]", highlight=False, soft_wrap=True)
