"""A package as an author opens it: by a station's own rules, for the machine that it is made for (spec.md §11.6)."""

from __future__ import annotations

from pathlib import Path

from procvision_sdk.errors import PackageError
from runner.packages import extraction, targets
from runner.packages.admission import Contents
from runner.packages.listing import LISTING, Listing, digest
from runner.packages.locked import WHEELS
from runner.packages.targets import Machine


def is_for_here(listing: Listing) -> bool:
    """Whether this machine is of the kind that the package is made for."""
    try:
        here = targets.here()
    except PackageError:  # nothing is ever made for this one
        return False
    return (listing.target, listing.python) == (here.name, here.python)


def machine_of(listing: Listing) -> Machine:
    """This machine where the package is for it, else any machine of its target; PackageError 2003 when nobody has it.

    How old the systems of another target are is not listed: what fits some machine of it is let through.
    """
    return targets.this_machine() if is_for_here(listing) else targets.any_machine(listing.target, listing.python)


def has_wheels(listing: Listing) -> bool:
    """Whether it was packaged with its dependencies."""
    return any(one.path.startswith(WHEELS) for one in listing.files)


def unpack(package: Contents, folder: Path) -> None:
    """Everything in it, each file as it is listed. PackageError 2001, 2009 or 2010; what was written stays."""
    digests = {one.path: one.sha256 for one in package.listing.files} | {LISTING: digest(package.listing_bytes)}
    with package.path.open("rb") as file:
        extraction.extract(file, package.entries, digests, folder)
