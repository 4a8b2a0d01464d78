"""Everything `procvision validate` looks at in a package (spec.md §11.6).

archive, listing -> signature -> wheels against requirements and target -> its files -> on its own target: install, run
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

from procvision_sdk.errors import ErrorCode, PackageError, ProcVisionError
from procvision_sdk.manifest import FILE_NAME, Manifest
from runner.dev.checks import Check, Outcome
from runner.dev.keygen import read_public_key
from runner.dev.log_lines import LogLines
from runner.dev.project_checks import ValidatePlan, check_project, read_project, skipped_running
from runner.dev.zip_opening import Unpacked, unpack
from runner.packages import locked, signing, targets
from runner.packages.listing import SIGNATURE, Listing, digest
from runner.packages.locked import REQUIREMENTS, SDK, WHEELS, Locked
from runner.packages.targets import Target

_SIGN = "procvision package --sign KEY signs; procvision keygen makes the keys"


async def check_zip(path: Path, asked: ValidatePlan, logs: LogLines) -> list[Check]:
    """All checks in order; what needs something that failed is skipped."""
    key = read_public_key(asked.key) if asked.key is not None else None
    with tempfile.TemporaryDirectory(prefix="procvision-package-") as scratch:
        try:
            package = unpack(path, _real(scratch))
        except PackageError as error:
            return [Check.failed("archive", error, path.name), *skipped_running("the package cannot be read")]
        said = f"{len(package.listing.files)} files, all as listed; digest {digest(package.listing_bytes)}"
        checks = [Check.passed("archive", said), check_signature(package, key), check_identity(package)]
        checks.append(check_wheels(package))
        if any(one.result is Outcome.FAIL for one in checks[2:]):
            return [*checks, *skipped_running("the package cannot be installed")]
        return [*checks, *await _check_content(package, asked, logs)]


def _real(folder: str) -> Path:
    """Without links on the way, which a temporary folder may have."""
    return Path(folder).resolve()


def check_signature(package: Unpacked, key: bytes | None) -> Check:
    """Whether it is signed, and with `key`, by the publisher who has that key."""
    name = "signature"
    if package.signature is None:
        if key is None:
            return Check(name, Outcome.WARN, "not signed: a station that trusts keys refuses it (2008)", "", _SIGN)
        error = PackageError(f"expected a signature of key {signing.key_id(key)}, it is not signed", hint=_SIGN)
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


def check_identity(package: Unpacked) -> Check:
    """Name and version are the manifest's; the listing repeats them."""
    name, listing = "identity", package.listing
    try:
        manifest = Manifest.parse((package.folder / FILE_NAME).read_bytes(), FILE_NAME)
    except PackageError as error:
        return Check.failed(name, error, FILE_NAME)
    if (manifest.name, manifest.version) != (listing.name, listing.version):
        told = f"the manifest says {manifest.name} {manifest.version}, the listing {listing.name} {listing.version}"
        return Check(name, Outcome.FAIL, told, FILE_NAME, "build it again with procvision package")
    return Check.passed(name, f"{listing.name} {listing.version} for {listing.target}, Python {listing.python}")


def check_wheels(package: Unpacked) -> Check:
    """Each requirement has its wheel, each wheel its requirement, and all fit the target."""
    name = "wheels"
    try:
        needed = {one.name: one for one in locked.parse((package.folder / REQUIREMENTS).read_bytes())}
        target = targets.named(package.listing.target, package.listing.python)
        found = _wheels(package.listing)
        if not found:
            said = "there are none: not installable on a station (2004)"
            return Check(name, Outcome.WARN, said, WHEELS, "package it without --skip-download")
        _compare(needed, found)
        _check_tags(package.listing, target)
    except PackageError as error:
        return Check.failed(name, error, WHEELS)
    return Check.passed(name, f"one for each of {len(needed)} requirements, all for {target.name}", WHEELS)


def _wheels(listing: Listing) -> dict[str, Locked]:
    """By name: what each wheel is, by its file's name and hash."""
    found: dict[str, Locked] = {}
    for one in listing.files:
        if one.path.startswith(WHEELS):
            wheel = locked.of_wheel(Path(one.path), one.sha256)
            if wheel.name in found:
                raise _refused(f"two wheels are of {wheel.name}")
            found[wheel.name] = wheel
    return found


def _compare(needed: dict[str, Locked], found: dict[str, Locked]) -> None:
    absent = sorted({SDK, *needed} - found.keys())
    if absent:
        raise _refused(f"no wheel for {', '.join(absent):.500}")
    if unasked := sorted(found.keys() - needed.keys()):
        raise _refused(f"not in {REQUIREMENTS}: {', '.join(unasked):.500}")
    for name, wheel in found.items():
        if wheel.version != needed[name].version or wheel.sha256[0] not in needed[name].sha256:
            raise _refused(f"{REQUIREMENTS} names another wheel of {name} than {wheel}")


def _check_tags(listing: Listing, target: Target) -> None:
    """The oldest platform is not listed: what fits some machine of the target is let through."""
    newest = targets.newest(target)
    for one in listing.files:
        if one.path.startswith(WHEELS) and parse_wheel_filename(Path(one.path).name)[3].isdisjoint(newest.tags):
            raise _refused(f"{one.path} does not fit {target.name}, Python {target.python}")


def _refused(what: str) -> PackageError:
    return PackageError(what, hint="build it again with procvision package", code=ErrorCode.WHEELS_MISSING)


async def _check_content(package: Unpacked, asked: ValidatePlan, logs: LogLines) -> list[Check]:
    listing, folder = package.listing, package.folder
    here = targets.here()
    if (listing.target, listing.python) != (here.name, here.python):
        why = f"made for {listing.target}, Python {listing.python}; this is {here.name}, Python {here.python}"
        read = read_project(folder)
        return [*read.checks, *(Check.skipped(name, why) for name in ("installation", "stdout")), *skipped_running(why)]
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
