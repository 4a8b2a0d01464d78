"""`procvision validate`: what an author can know about a project or a package before a station does (spec.md §11.6)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from procvision_sdk.json_value import JsonValue
from runner.dev.checks import Check, Outcome, document
from runner.dev.local import run_interruptible
from runner.dev.log_lines import printable, shown_logs
from runner.dev.project import UsageError, folder_of
from runner.dev.project_checks import ValidatePlan, check_project
from runner.terminal import out

EXIT_FAILED = 1
_COLOURS = {Outcome.PASS: "green", Outcome.WARN: "yellow", Outcome.FAIL: "red", Outcome.SKIP: "dim"}


def validate(asked: ValidatePlan) -> int:
    """Check, print, and the exit code: 0 when no check failed."""
    from runner.dev.zip_checks import check_zip

    is_file = asked.project.is_file()
    if asked.key is not None and not is_file:
        raise UsageError("--key: only packages are signed", hint="give the ZIP, or leave --key out")
    place = asked.project.resolve() if is_file else folder_of(asked.project)
    check = check_zip if is_file else check_project
    checks: list[Check] = []

    async def work() -> int:
        checks.extend(await check(place, asked, logs))
        return EXIT_FAILED if any(one.result is Outcome.FAIL for one in checks) else 0

    with shown_logs() as logs:
        code = run_interruptible(work)
    if not checks:  # a signal came first
        return code
    told = document(checks)
    if asked.json:
        out.file.write(json.dumps(told, indent=2) + "\n")
    else:
        show(checks, told["summary"])
    return code


def show(checks: Sequence[Check], summary: JsonValue) -> None:
    """A row for each check, then the counts."""
    table = Table("check", "result", "what", "where", highlight=False)
    for one in checks:
        hint = f"\n[dim]{escape(printable(one.hint))}[/]" if one.hint and one.result is not Outcome.PASS else ""
        result = f"[{_COLOURS[one.result]}]{one.result.value}[/]"
        table.add_row(one.name, result, escape(printable(one.message)) + hint, escape(printable(one.place)))
    out.print(table)
    assert isinstance(summary, dict)
    status = summary["status"]
    colour = "green" if status == Outcome.PASS.value else "red"
    out.print(
        f"[{colour}]{status}[/]: {summary['passed']} passed, {summary['failed']} failed, "
        f"{summary['warnings']} warnings, {summary['skipped']} skipped"
    )
