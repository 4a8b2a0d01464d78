"""What an installation that was ended left behind is taken away, or taken in when it was complete (spec.md §10).

Runs with the lock of lock.py held: before each installation, after each failure, and when a station starts.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from procvision_sdk.errors import PackageError
from runner.packages.listing import LISTING, parse_listing
from runner.packages.locked import WHEELS
from runner.packages.places import MARKER, Places
from runner.packages.registry import Installed, Registry

WHO = "runner"


def recover(registry: Registry) -> None:
    """Bring folders and registry together. A version that serves a product is never taken out."""
    places = registry.places
    for left in (*places.staging.glob("*"), *places.trash.glob("*")):
        places.delete(left)
    rows = {registry.folder(one): one for one in registry.installed()}
    begun = {deed.digest for deed in registry.ledger.deeds() if deed.outcome == "started"}
    for folder in places.installed_folders():
        if folder in rows:
            continue
        complete = _marked(folder)
        if complete is None:
            places.throw_away(folder)
        elif complete.digest in begun and registry.folder(complete) == folder:
            registry.add(complete, "adopt")
    serving = {(one.name, one.version) for one in registry.active()}
    for folder, one in rows.items():
        if not (folder / MARKER).exists() and (one.name, one.version) not in serving:
            registry.remove(str(one), WHO, "forget")
    _drop_wheels(places)
    for name in places.deployed.glob("[!.]*"):
        with suppress(OSError):  # it holds versions
            name.rmdir()


def _marked(folder: Path) -> Installed | None:
    """What the marker of a complete folder says; None when there is none, or none that can be read."""
    try:
        raw = json.loads((folder / MARKER).read_bytes())
        return Installed(**{**raw, "pids": tuple(raw["pids"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _drop_wheels(places: Places) -> None:
    """Wheels that no installed version names; none goes while one version does not say what it needs."""
    needed: set[str] = set()
    for folder in places.installed_folders():
        try:
            listing = parse_listing((folder / LISTING).read_bytes())
        except (OSError, PackageError):
            return
        needed |= {file.sha256 for file in listing.files if file.path.startswith(WHEELS)}
    for wheel in places.wheels.glob("*"):
        if wheel.name not in needed:
            places.delete(wheel)
