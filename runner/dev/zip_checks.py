"""Everything `procvision validate` looks at in a package (spec.md §11.6).

archive, listing -> signature -> manifest, target -> requirements, wheels: as a station admits it
    -> its files -> on its own target: install, run
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from procvision_sdk.errors import ErrorCode, PackageError, ProcVisionError
from procvision_sdk.manifest import FILE_NAME, Manifest
from runner.dev.checks import Check, Outcome
from runner.dev.keygen import read_public_key
from runner.dev.log_lines import LogLines
from runner.dev.project_checks import ValidatePlan, check_project, read_project, skipped_running
from runner.dev.zip_opening import has_wheels, is_for_here, machine_of, unpack
from runner.packages import admission, locked, signing, wheels
from runner.packages.admission import Contents
from runner.packages.listing import SIGNATURE, Listing, digest
from runner.packages.locked import REQUIREMENTS, WHEELS

_SIGN = "procvision package --sign KEY signs; procvision keygen makes the keys"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in a package without running it; `listing` None: it cannot be opened."""

    listing: Listing | None
    checks: list[Check]

    @property
    def refused(self) -> bool:
        """Whether no station installs it, whoever signed it."""
        return any(one.result is Outcome.FAIL and one.name != "signature" for one in self.checks)


async def check_zip(path: Path, asked: ValidatePlan, logs: LogLines) -> list[Check]:
    """All checks in order; what needs something that failed is skipped."""
    key = read_public_key(asked.key) if asked.key is not None else None
    with tempfile.TemporaryDirectory(prefix="procvision-package-") as scratch:
        folder = _real(scratch)
        looked = look(path, key, folder)
        if looked.listing is None:
            return [*looked.checks, *skipped_running("the package cannot be read")]
        if looked.refused:
            return [*looked.checks, *skipped_running("the package cannot be installed")]
        return [*looked.checks, *await _check_content(looked.listing, folder, asked, logs)]


def _real(folder: str) -> Path:
    """Without links on the way, which a temporary folder may have."""
    return Path(folder).resolve()


def look(path: Path, key: bytes | None, folder: Path) -> Looked:
    """The checks that run nothing; its files lie in the empty folder afterwards, where none of them failed."""
    try:
        package = admission.contents(path)
        unpack(package, folder)
    except PackageError as error:
        return Looked(None, [Check.failed("archive", error, path.name)])
    said = f"{len(package.listing.files)} files, all as listed; digest {digest(package.listing_bytes)}"
    checks = [Check.passed("archive", said), check_signature(package, key)]
    manifest, identity = check_identity(package)
    checks.append(identity)
    checks.append(
        Check.skipped("wheels", "the manifest or the target failed")
        if manifest is None
        else check_wheels(package, manifest, folder)
    )
    return Looked(package.listing, checks)


def check_signature(package: Contents, key: bytes | None) -> Check:
    """Whether it is signed, and with `key`, by the publisher who has that key."""
    name = "signature"
    if package.signature is None:
        if key is None:
            return Check(name, Outcome.WARN, "not signed: a station that trusts keys refuses it (2008)", "", _SIGN)
        error = PackageError(
            f"expected a signature of key {signing.key_id(key)}, it is not signed", hint=_SIGN, code=ErrorCode.SIGNATURE
        )
        return Check.failed(name, error)
    try:
        signature = signing.parse_signature(package.signature)
        if key is None:
            said = f"signed with key {signature.key_id}; not checked: --key FILE.pub does that"
            return Check(name, Outcome.WARN, said, SIGNATURE, "give the publisher's public key with --key")
        signing.verify(package.listing_bytes, signature, key)
    except PackageError as error:
        return Check.failed(name, error, SIGNATURE)
    return Check.passed(name, f"key {signature.key_id} signed exactly this package", SIGNATURE)


def check_identity(package: Contents) -> tuple[Manifest | None, Check]:
    """The manifest when it is that of the listing, and Python and SDK are in its ranges."""
    name, listing = "identity", package.listing
    try:
        manifest = admission.identity(package, machine_of(listing))
    except PackageError as error:
        return None, Check.failed(name, error, FILE_NAME)
    said = f"{listing.name} {listing.version} for {listing.target}, Python {listing.python}"
    return manifest, Check.passed(name, said)


def check_wheels(package: Contents, manifest: Manifest, folder: Path) -> Check:
    """Each requirement has its wheel, each wheel its requirement; all fit the target, and each keeps to its own."""
    name, listing = "wheels", package.listing
    try:
        if not has_wheels(listing):
            locked.parse(package.requirements)
            said = "there are none: not installable on a station (2004)"
            return Check(name, Outcome.WARN, said, WHEELS, "package it without --skip-download")
        found = admission.wheels(package, manifest, machine_of(listing))
        wheels.inspect_all(folder / one.file.path for one in found)
    except PackageError as error:
        return Check.failed(name, error, WHEELS)
    return Check.passed(name, f"one for each of {len(found)} requirements, all for {listing.target}", WHEELS)


async def _check_content(listing: Listing, folder: Path, asked: ValidatePlan, logs: LogLines) -> list[Check]:
    if not is_for_here(listing):
        here = f"{sys.platform} {platform.machine()}, Python {sys.version_info.major}.{sys.version_info.minor}"
        why = f"made for {listing.target}, Python {listing.python}; this is {here}"
        exact = Check.skipped("platform", f"{why}: which Python 3.N.x and how old a system runs there is not known")
        skipped = (Check.skipped(name, why) for name in ("installation", "stdout"))
        return [*read_project(folder).checks, exact, *skipped, *skipped_running(why)]
    if not (folder / WHEELS).is_dir():
        why = "there are no wheels; it runs with what is installed here"
        return [Check.skipped("installation", why), *await check_project(folder, asked, logs)]
    installed = _install(folder)
    if installed.result is Outcome.FAIL:
        return [*read_project(folder).checks, installed, *skipped_running("its environment cannot be built")]
    return [installed, *await check_project(folder, asked, logs)]


def _install(folder: Path) -> Check:
    """Its own environment out of its own wheels, as on a station: without a network."""
    own = folder / ".venv"
    make = [find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(own)]
    fill = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(own), "--no-index", "--offline", "--no-deps"]
    fill += ["--require-hashes", "--find-links", str(folder / WHEELS), "--link-mode", "copy"]
    fill += ["--requirement", str(folder / REQUIREMENTS)]
    for command in (make, fill):
        ended = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )
        if ended.returncode != 0:
            error = ProcVisionError(f"its environment cannot be built: {' '.join(ended.stderr.split()):.600}")
            return Check.failed("installation", error, WHEELS)
    return Check.passed("installation", "its environment was built out of its wheels, without a network", WHEELS)
