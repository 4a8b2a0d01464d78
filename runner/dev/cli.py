"""`procvision`: what an algorithm author types (spec.md §11).

stdout is the result, everything else goes to stderr. Exit codes: 0 done, 1 checks failed (or NG with --fail-on-ng),
2 usage, 3 environment or configuration, 4 package refused, 5 algorithm error, 6 timeout, 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from procvision_sdk.errors import PackageError, ProcVisionError
from runner import __version__
from runner.cli import EXIT_ENVIRONMENT, EXIT_PACKAGE, run_command
from runner.dev.bench_cli import bench
from runner.dev.project import UsageError
from runner.terminal import out

EXIT_USAGE = 2
_EXITS: tuple[tuple[type[ProcVisionError], int], ...] = (
    (UsageError, EXIT_USAGE),
    (PackageError, EXIT_PACKAGE),
    (ProcVisionError, EXIT_ENVIRONMENT),
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Write, try and check an inspection algorithm.")
app.add_typer(bench, name="bench")
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits, dash, underscore.")],
    folder: Annotated[Path | None, typer.Option("-d", "--dir", help="The project's folder; else ./NAME.")] = None,
    pids: Annotated[str, typer.Option("--pids", help="Product ids, separated by commas.")] = "A01",
    version: Annotated[str, typer.Option("-v", "--version")] = "0.1.0",
    description: Annotated[str, typer.Option("-e", "--desc")] = "",
) -> None:
    """Make a project that runs and validates as written; overwrites nothing."""
    from runner.dev.init import InitPlan
    from runner.dev.init import init as write_project

    products = tuple(one.strip() for one in pids.split(",") if one.strip())
    asked = InitPlan(name, folder or Path(name), products, version, description)
    for path in write_project(asked):
        out.print(str(path), highlight=False, soft_wrap=True, markup=False)
    samples = asked.folder / "samples"
    print(f"\nnext:\n  procvision run {asked.folder} --pid {asked.pids[0]} --image {samples}")
    print(f"  procvision validate {asked.folder}")


@app.command()
def run(
    project: Annotated[Path, typer.Argument(help="The project's folder.")],
    pid: Annotated[str, typer.Option("--pid", help="The product.")],
    image: Annotated[Path, typer.Option("--image", help="An image file, or a folder of them.")],
    step: Annotated[int | None, typer.Option("--step", help="One step; else all in order.")] = None,
    params: Annotated[str | None, typer.Option("--params", help="""Parameters: '{"threshold": 200}'.""")] = None,
    as_json: JsonOption = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write one HTML file with overlays.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again whenever a file changes, until Ctrl-C.")] = False,
    fail_on_ng: Annotated[bool, typer.Option("--fail-on-ng", help="Exit 1 when a part is NG.")] = False,
) -> None:
    """Inspect images as a station would: the same process, slots and checks."""
    from runner.dev.document import EXIT_NG
    from runner.dev.inspection import Request
    from runner.dev.run import RunPlan, parse_params
    from runner.dev.run import run as run_images

    if watch and as_json:
        raise UsageError("--watch and --json: one document is one run", hint="leave one of them out")
    request = Request(pid, step, parse_params(params))
    asked = RunPlan(project, image, request, as_json, report, watch, EXIT_NG if fail_on_ng else 0)
    raise typer.Exit(run_images(asked))


@app.command()
def validate(
    project: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    image: Annotated[
        Path | None, typer.Option("--image", help="A real image, or a folder of them; else the project's samples.")
    ] = None,
    as_json: JsonOption = False,
    full: Annotated[bool, typer.Option("--full", help="Repeat the hooks and look for leaks.")] = False,
) -> None:
    """Check a project: manifest, source, and its hooks in the real worker."""
    from runner.dev.validate import ValidatePlan
    from runner.dev.validate import validate as check

    raise typer.Exit(check(ValidatePlan(project, image, full, as_json)))


@app.command()
def demo(
    images: Annotated[int, typer.Option("--images", min=1, help="Boards to inspect.")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other boards.")] = 1,
    as_json: JsonOption = False,
    report: Annotated[Path | None, typer.Option("--report", help="Folder for overlays of the NG boards.")] = None,
) -> None:
    """Watch a station inspect generated circuit boards and survive a misbehaving algorithm."""
    from runner.dev.demo import DemoPlan, run_demo

    raise typer.Exit(run_demo(DemoPlan(images=images, seed=seed, json=as_json, report=report)))


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Look at this machine: interpreter, libraries, shared memory, limits, leftovers; exit 1 when one must change."""
    from runner import doctor as examining

    raise typer.Exit(examining.show(examining.of_author(), "json" if as_json else "table"))


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Entry point of `procvision` and `procvision-cli`."""
    run_command(app, _EXITS)


if __name__ == "__main__":
    main()
