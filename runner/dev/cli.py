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
    project: Annotated[Path, typer.Argument(help="The project's folder, or a package.")] = Path(),
    image: Annotated[
        Path | None, typer.Option("--image", help="A real image, or a folder of them; else the project's samples.")
    ] = None,
    as_json: JsonOption = False,
    full: Annotated[bool, typer.Option("--full", help="Repeat the hooks and look for leaks.")] = False,
    key: Annotated[Path | None, typer.Option("--key", help="The publisher's public key: check the signature.")] = None,
) -> None:
    """Check a project or a package: manifest, source, and its hooks in the real worker."""
    from runner.dev.project_checks import ValidatePlan
    from runner.dev.validate import validate as check

    raise typer.Exit(check(ValidatePlan(project, image, full, as_json, key)))


@app.command()
def package(
    project: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    target: Annotated[list[str] | None, typer.Option("--target", help="linux-x86_64, win-amd64, ...; again.")] = None,
    sign: Annotated[Path | None, typer.Option("--sign", help="Sign with this private key.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file, or a folder that is there.")] = None,
    requirements: Annotated[Path | None, typer.Option("-r", "--requirements", help="Else requirements.txt.")] = None,
    auto_freeze: Annotated[bool, typer.Option("-a", "--auto-freeze", help="The versions installed here.")] = False,
    platform: Annotated[str | None, typer.Option("-w", "--wheels-platform", help="Such as win_amd64.")] = None,
    python: Annotated[str | None, typer.Option("-p", "--python-version", help="Such as 3.11.")] = None,
    implementation: Annotated[str | None, typer.Option("-i", "--implementation", help="cp.")] = None,
    abi: Annotated[str | None, typer.Option("-b", "--abi", help="Such as cp311.")] = None,
    skip_download: Annotated[bool, typer.Option("-s", "--skip-download", help="No wheels: to look at only.")] = False,
    embed_python: Annotated[
        bool, typer.Option("--embed-python/--no-embed-python", help="Not supported: a station has its own Python.")
    ] = False,
    find_links: Annotated[list[Path] | None, typer.Option("--find-links", help="A folder of wheels; again.")] = None,
    no_index: Annotated[bool, typer.Option("--no-index", help="Only the folders of --find-links.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make one file that a station installs without a network: sources, assets, every dependency, list of hashes."""
    from runner.dev.package import PackagePlan, show
    from runner.dev.package import package as make
    from runner.dev.package_target import TargetOptions
    from runner.dev.package_wheels import Index

    if embed_python:
        raise UsageError("--embed-python: packages hold no Python", hint="install Python on the station; leave it out")
    targets = TargetOptions(tuple(target or ()), platform, python, implementation, abi)
    index = Index(tuple(find_links or ()), no_index)
    plan = PackagePlan(project, targets, index, requirements, auto_freeze, not skip_download, output, sign)
    show(make(plan), "json" if as_json else "text")


@app.command()
def keygen(
    output: Annotated[Path, typer.Option("-o", "--output", help="The private key; the public: .pub.")] = Path(
        "procvision.key"
    ),
    as_json: JsonOption = False,
) -> None:
    """Make the pair of keys that packages are signed with; overwrites nothing."""
    from runner.dev.keygen import keygen as make_keys
    from runner.dev.keygen import show

    show(make_keys(output), "json" if as_json else "text")


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
