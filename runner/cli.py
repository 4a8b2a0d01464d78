"""`procvision-runner`: what an integrator types on a station (spec.md §11).

stdout is the result, everything else goes to stderr. Exit codes: 0 done, 2 usage, 3 environment or configuration,
4 package refused, 7 runner not reachable, 70 internal, 75 station taken.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from procvision_sdk.errors import InvalidParamsError, PackageError, ProcVisionError
from runner import __version__
from runner.clock import wall_ms
from runner.config import ConfigError
from runner.health import Health
from runner.home import Home, StationTakenError
from runner.host.client import Client, RunnerUnreachableError
from runner.maintenance import HomeOption, JsonOption, maintenance
from runner.package_commands import packages
from runner.terminal import err, fail, results_table, status_tables

EXIT_ENVIRONMENT = 3
EXIT_PACKAGE = 4
EXIT_UNREACHABLE = 7
EXIT_INTERNAL = 70
EXIT_TAKEN = 75
_EXITS: tuple[tuple[type[ProcVisionError], int], ...] = (
    (StationTakenError, EXIT_TAKEN),
    (ConfigError, EXIT_ENVIRONMENT),
    (RunnerUnreachableError, EXIT_UNREACHABLE),
    (PackageError, EXIT_PACKAGE),
    (ProcVisionError, EXIT_ENVIRONMENT),
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The runner of an inspection station.")
app.add_typer(maintenance)
app.add_typer(packages)


@app.command()
def serve(
    projects: Annotated[
        list[Path] | None,
        typer.Option("--project", readable=False, help="A project folder under development to serve; repeatable."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Serve this station until SIGTERM or Ctrl-C."""
    from runner.daemon import ServePlan, serve

    plan = ServePlan(Home.choose(home, os.environ), tuple(projects or ()))
    code = serve(plan, lambda address: print(f"serving at {address}", flush=True))
    raise typer.Exit(code)


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show deployments, workers, slots and counts of the running station."""
    told = _ask_status(home)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    status_tables(told)


@app.command()
def health(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """READY, DEGRADED or FATAL; exit 0 only for READY."""
    told = _ask_status(home)
    deployments = {one["name"]: {"health": one["health"], "reason": one["reason"]} for one in told["deployments"]}
    if as_json:
        print(
            json.dumps({"health": told["health"], "problems": told["problems"], "deployments": deployments}, indent=2)
        )
    else:
        print(told["health"])
        for problem in told["problems"].values():
            print(f"  {problem}")
        for name, one in deployments.items():
            print(f"  {name}: {one['health']} {one['reason']}".rstrip())
    raise typer.Exit(0 if told["health"] == Health.READY.value else 1)


@app.command()
def results(
    pid: Annotated[str | None, typer.Option("--pid", help="Only this product.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="30m, 2h, 7d ago, or a date and time.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="At most so many, the newest.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show recorded inspections, the newest first; also of a station that does not run."""
    from runner.results.since import since_ms

    try:
        since_at_ms = since_ms(since, wall_ms()) if since is not None else 0
    except InvalidParamsError as error:
        raise typer.BadParameter(error.message) from None
    rows = _recorded(Home.choose(home, os.environ), pid, since_at_ms, last)
    if as_json:
        print(json.dumps({"rows": rows}, indent=2))
    else:
        results_table(rows)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _ask_status(home: Path | None) -> dict[str, Any]:
    with Client.at(Home.choose(home, os.environ).folder) as client:
        return client.status()


def _recorded(home: Home, pid: str | None, since_at_ms: int, last: int) -> list[dict[str, Any]]:
    """The rows as the runner tells them, or out of its file when none runs."""
    try:
        with Client.at(home.folder) as client:
            rows: list[dict[str, Any]] = client.ask("query", pid=pid, since_ms=since_at_ms, last=last)["rows"]
            return rows
    except RunnerUnreachableError:
        from runner.results.reading import listing
        from runner.results.rows import Selection
        from runner.results.store import FILE

        return [row.to_json() for row in listing(home.store / FILE, Selection(pid, since_at_ms, last))]


def run_command(command: Callable[[], Any], exits: tuple[tuple[type[ProcVisionError], int], ...]) -> None:
    """Run a typer app; an expected failure is two lines on stderr and its exit code, never a traceback."""
    try:
        command()
    except ProcVisionError as error:
        fail(error)
        sys.exit(next(code for kind, code in exits if isinstance(error, kind)))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - the process boundary: told in full, exit 70
        err.print_exception()
        sys.exit(EXIT_INTERNAL)


def main() -> None:
    """Entry point of `procvision-runner`."""
    run_command(app, _EXITS)


if __name__ == "__main__":
    main()
