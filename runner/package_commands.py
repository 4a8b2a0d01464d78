"""The commands that bring packages onto a station, choose which serve, and tell what happened (spec.md §10, §11)."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from procvision_sdk.errors import ErrorCode, PackageError
from runner.config import read_config
from runner.home import Home, StationLock, StationTakenError
from runner.host.client import Client, RefusedError, RunnerUnreachableError
from runner.maintenance import HomeOption, JsonOption
from runner.terminal import err, out

if TYPE_CHECKING:
    # Brings the installer with it, which `status` and `health` do without.
    from runner.package_desk import Told

packages = typer.Typer()
trust = typer.Typer(no_args_is_help=True, help="The keys of publishers whose packages are let in.")
packages.add_typer(trust, name="trust")

PidArgument = Annotated[str, typer.Argument(metavar="PID", help="A product.")]
PackageArgument = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="An installed version.")]
# These change nothing: they need neither a runner nor the lock.
_LOOKING = frozenset({"list", "history", "trust_list"})
# A runner that serves knows more of these than what lies in the station's folder.
_SERVED = frozenset({"list"})


@packages.command()
def install(
    package: Annotated[
        Path, typer.Argument(metavar="ZIP", exists=True, dir_okay=False, help="What `procvision package` made.")
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a package, build its environment without a network, start it once, and keep it ready to be activated."""
    told = _through_daemon_or_locally(home, "install", path=str(package.resolve()))
    for warning in told["warnings"]:
        err.print(f"[yellow]warning[/] {escape(warning)}", highlight=False, soft_wrap=True)
    products = ", ".join(told["pids"])
    _tell(told, as_json, f"{told['package']} {told['outcome']} ({told['digest'][:12]}); for the products {products}")


@packages.command()
def activate(pid: PidArgument, package: PackageArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Let an installed version serve a product."""
    told = _through_daemon_or_locally(home, "activate", pid=pid, package=package)
    _tell(told, as_json, f"{pid} is served by {told['package']}")


@packages.command()
def rollback(
    pid: PidArgument,
    to: Annotated[str | None, typer.Option("--to", metavar="NAME@VERSION", help="One of the versions before.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the version before serve a product again; again: the one before that."""
    told = _through_daemon_or_locally(home, "rollback", pid=pid, **({"to": to} if to is not None else {}))
    _tell(told, as_json, f"{pid} is served by {told['package']}")


@packages.command()
def deactivate(pid: PidArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Let no package serve a product any more."""
    _tell(_through_daemon_or_locally(home, "deactivate", pid=pid), as_json, f"{pid} is served by no package")


@packages.command()
def uninstall(package: PackageArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Take a version off the station; refused while it serves a product."""
    told = _through_daemon_or_locally(home, "uninstall", package=package)
    _tell(told, as_json, f"{package} is uninstalled")


@packages.command()
def verify(
    package: Annotated[str | None, typer.Argument(metavar="[NAME@VERSION]", help="Only this version.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make its environment anew first.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every file of installed packages with what was installed; exit 1 when one differs."""
    if rebuild and package is None:
        raise typer.BadParameter("--rebuild needs NAME@VERSION")
    asked = {"package": package} if package is not None else {}
    told = _through_daemon_or_locally(home, "verify", **asked, **({"rebuild": "yes"} if rebuild else {}))
    lines = [
        f"{name}: {len(found)} differences" if found else f"{name}: whole" for name, found in told["packages"].items()
    ]
    lines += [f"  {one}" for found in told["packages"].values() for one in found[:20]]
    _tell(told, as_json, "\n".join(lines) or "nothing is installed")
    raise typer.Exit(1 if told["changed"] else 0)


@packages.command("list")
def list_packages(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show installed versions, the products they serve, and what lies in incoming/."""
    told = _through_daemon_or_locally(home, "list")
    rows = [("package", "state", "serves", "of products", "signed by", "digest", "reason")]
    for one in told["packages"]:
        serves, pids = " ".join(one["active_for"]), " ".join(one["pids"])
        row = (one["package"], one["state"], serves, pids, one["signed_by"], one["digest"][:12], one["reason"])
        rows.append(row)
    for one in told["incoming"]:
        reason = f"{one['error_code']} {one['reason']}".strip() or one["package"]
        rows.append((f"incoming/{one['file']}", one["state"], "", "", "", one["digest"][:12], reason))
    _tell(told, as_json, _columns(rows))


@packages.command()
def history(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show who did what to the station's packages, the newest last; exit 1 when a record was changed."""
    told = _through_daemon_or_locally(home, "history")
    rows = [("no.", "when", "who", "what", "package", "digest", "outcome")]
    for deed in told["deeds"]:
        when = datetime.fromtimestamp(deed["at_ms"] / 1000).isoformat(" ", "seconds")
        row = (deed["who"], deed["operation"], deed["subject"], deed["digest"][:12], deed["outcome"])
        rows.append((str(deed["seq"]), when, *row))
    _tell(told, as_json, _columns(rows))
    if told["first_break"]:
        err.print(f"[red]record {told['first_break']} was changed or taken out[/]", highlight=False)
        raise typer.Exit(1)


@trust.command("add")
def trust_add(
    key: Annotated[Path, typer.Argument(metavar="KEYFILE", exists=True, dir_okay=False, help="A public key in PEM.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let in packages signed with this key; from the first key on, others are refused."""
    told = _through_daemon_or_locally(home, "trust_add", path=str(key.resolve()))
    _tell(told, as_json, f"{told['key_id']} is trusted")


@trust.command("remove")
def trust_remove(
    key: Annotated[str, typer.Argument(metavar="KEYFILE|ID", help="A public key in PEM, or the id of one.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let in packages signed with this key no more; those installed stay."""
    told = _through_daemon_or_locally(home, "trust_remove", key=key)
    _tell(told, as_json, f"{told['key_id']} is not trusted any more")


@trust.command("list")
def trust_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the trusted keys, and what happens to packages without one of them."""
    told = _through_daemon_or_locally(home, "trust_list")
    lines = [f"{one['key_id']}  by {one['who']}" for one in told["keys"]]
    _tell(told, as_json, "\n".join([f"signatures: {told['policy']}", *lines]))


def _through_daemon_or_locally(option: Path | None, operation: str, **asked: str) -> Told:
    """The answer to an operation on the station's packages: of the runner that serves it, else made here with the
    station's lock held.
    """
    from runner.package_desk import PackageDesk

    home = Home.choose(option, os.environ)
    config = read_config(home.config, os.environ)
    desk = PackageDesk(home, config, f"{getpass.getuser()}@local")
    if operation in _SERVED:
        with suppress(RunnerUnreachableError), Client.at(home.folder) as client:
            return client.ask("packages", operation=operation, **asked)
    if operation in _LOOKING:
        return desk.perform(operation, asked)
    home.create()
    lock = StationLock(home)
    try:
        lock.take()
    except StationTakenError as taken:
        return _by_the_runner(home, taken, operation, asked)
    try:
        return desk.perform(operation, asked)
    finally:
        lock.release()


def _by_the_runner(home: Home, taken: StationTakenError, operation: str, asked: dict[str, str]) -> Told:
    try:
        with Client.at(home.folder) as client:
            return client.ask("packages", operation=operation, **asked)
    except RunnerUnreachableError:  # it starts, it stops, or it is another command
        raise taken from None
    except RefusedError as refused:
        if refused.code.startswith("2") or refused.code == ErrorCode.CANNOT_BOOT:
            raise PackageError(refused.message, hint=refused.hint, code=refused.code) from None
        raise


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """One line each, however narrow the terminal is: names and digests are there to be typed again."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in padded)


def _tell(told: Told, as_json: bool, text: str) -> None:
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        out.print(text, highlight=False, soft_wrap=True, markup=False)
