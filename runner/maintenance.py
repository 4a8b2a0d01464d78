"""The commands for somebody who stands before a station that does not do what it should.

logs, config show, reload, doctor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from runner.home import Home
from runner.terminal import out

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Station folder; else PROCVISION_HOME, else the user's data folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

maintenance = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="The station's configuration.")
maintenance.add_typer(config_app, name="config")


@maintenance.command()
def logs(
    pid: Annotated[str | None, typer.Option("--pid", help="Only records about this product.")] = None,
    worker: Annotated[str | None, typer.Option("--worker", help="Only this worker: NAME, NAME#0 or NAME#0.3.")] = None,
    last: Annotated[int, typer.Option("--last", min=0, help="At most so many, the newest.")] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until Ctrl-C; with --json a record per line.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what runner and algorithms logged; also of a station that does not run."""
    from runner import log_reader

    folder, wanted = Home.choose(home, os.environ).logs, log_reader.Wanted(pid, worker)
    records = log_reader.newest(folder, wanted, last)
    if as_json and not follow:
        print(json.dumps({"records": records}, indent=2))
        return
    line_of = json.dumps if as_json else log_reader.line_of
    try:
        _print_lines(line_of(record) for record in records)
        if follow:
            _print_lines(line_of(record) for record in log_reader.follow(folder, wanted))
    except BrokenPipeError:  # whoever read it has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


@config_app.command("show")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every setting with its value and where that came from."""
    from runner.settings import effective

    found = effective(Home.choose(home, os.environ).config, os.environ)
    if as_json:
        told: dict[str, Any] = {one.key: {"value": one.value, "source": one.source} for one in found}
        print(json.dumps({"settings": told}, indent=2))
        return
    table = Table("setting", "value", "source", "meaning", highlight=False)
    for one in found:
        table.add_row(*(escape(text) for text in (one.key, json.dumps(one.value), one.source, one.meaning)))
    out.print(table)


@maintenance.command()
def reload(
    pid: Annotated[str | None, typer.Argument(help="Only the deployment of this product.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the configuration anew, and boot again what could not boot or waits for its next try."""
    from runner.host.client import Client

    with Client.at(Home.choose(home, os.environ).folder) as client:
        told = client.ask("reload", pid=pid)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    print(f"applied: {', '.join(told['applied']) or 'nothing has changed'}")
    if told["needs_restart"]:
        print(f"waits for the next start of the station: {', '.join(told['needs_restart'])}")
    print(f"boots again: {', '.join(told['restarted']) or 'nothing had to'}")


@maintenance.command()
def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Look at machine, station folder, configuration and runner; exit 1 when something must be mended."""
    from runner import doctor as examining

    checks = examining.of_station(Home.choose(home, os.environ), os.environ)
    raise typer.Exit(examining.show(checks, "json" if as_json else "table"))
