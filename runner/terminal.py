"""What both commands show in a terminal: failures on stderr, tables on stdout."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from procvision_sdk.errors import ErrorReport, ProcVisionError, error_word

out = Console()
err = Console(stderr=True)

_COLOURS = {"READY": "green", "BUSY": "green", "DEGRADED": "yellow", "FATAL": "red", "OK": "green", "NG": "yellow"}


def coloured(word: str) -> str:
    """A state or verdict in its colour."""
    colour = _COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else escape(word)


def fail(error: ProcVisionError) -> None:
    """One line what, one line what to do."""
    fail_report(ErrorReport(error.code, error.message, error.hint))


def fail_report(report: ErrorReport) -> None:
    """The same for what another process reported."""
    told = f"[red]error[/] {report.code} {error_word(report.code)}: {escape(report.message)}"
    err.print(told, highlight=False, soft_wrap=True)
    if report.hint:
        err.print(f"  hint: {escape(report.hint)}", highlight=False, soft_wrap=True)


def results_table(rows: list[dict[str, Any]]) -> None:
    """Recorded inspections, one line each."""
    table = Table("seq", "received", "product", "host", "request", "result")
    for row in rows:
        received = datetime.fromtimestamp(row["received_at_ms"] / 1000).isoformat(" ", "milliseconds")
        told = row["verdict"] or row["status"] or "open"
        result = coloured(told) + escape(f" {row['error_code']} {row['error_name']}".rstrip())
        table.add_row(
            str(row["seq"]), received, *map(escape, (row["pid"], row["client_id"], row["request_id"])), result
        )
    out.print(table)


def _changes(packages: dict[str, Any]) -> None:
    for trial in packages["trials"]:
        out.print(f"{trial['package']} is on trial: {trial['answers_left']} good answers to go", soft_wrap=True)
    for told in packages["went_back"]:
        why = f"{told['pid']} from {told['from']} to {told['to']}: {told['why']}"
        out.print(f"[red]went back by itself[/]: {escape(why)}", soft_wrap=True)


def status_tables(status: dict[str, Any]) -> None:
    """The station at a glance."""
    slots, counts = status["slots"], status["inspections"]
    out.print(f"station {status['station']}: {coloured(status['health'])}, up {status['uptime_s']:.0f} s")
    for problem in status["problems"].values():
        out.print(f"[yellow]DEGRADED[/]: {escape(problem)}", soft_wrap=True)
    table = Table("deployment", "products", "worker", "restarts", "answered", "memory", "slots held")
    for one in status["deployments"]:
        products = " ".join(pid for pid, name in status["products"].items() if name == one["name"])
        for worker in one["workers"]:
            table.add_row(
                f"{one['name']}\n{one['version']}" + ("" if one["duty"] == "serving" else f" {one['duty']}"),
                products,
                f"{coloured(worker['state'])} #{worker['incarnation']}",
                str(worker["restarts"]),
                str(worker["answered"]),
                f"{worker['memory_bytes'] / 1e6:.0f} MB",
                str(worker["slots_held"]),
            )
    out.print(table)
    for one in status["deployments"]:
        if one["reason"]:
            out.print(f"[red]{one['name']} is {one['health']}[/]: {escape(one['reason'])}", soft_wrap=True)
    _changes(status["packages"])
    store = status["store"]
    if store["state"] == "failing":
        out.print(f"[red]results are not recorded[/]: {escape(store['reason'])}", soft_wrap=True)
    elif store["state"] == "good":
        size = f"{store['rows']} rows, {store['bytes'] / 1e6:.1f} MB, {store['failures']} failures"
        out.print(f"results: {store['durability']}, {size}; disk {store['disk']['level']}", soft_wrap=True)
    for name in store.get("set_aside", ()):
        out.print(f"[yellow]a damaged store was set aside[/]: {escape(name)}", soft_wrap=True)
    if store.get("restored"):
        out.print("[yellow]the store is its last backup[/]: answers since that was made are not in it", soft_wrap=True)
    out.print(
        f"slots: {slots['free']} of {slots['count']} free, {slots['quarantined']} in quarantine; inspections: "
        f"{counts['submitted']} = {counts['ok']} OK + {counts['ng']} NG + {counts['error']} ERROR + "
        f"{counts['refused']} refused + {counts['in_flight']} in flight",
        soft_wrap=True,
    )
