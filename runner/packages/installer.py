"""From a zip to a version that can be activated; ended anywhere, it is the old state or the new one (spec.md §10).

    admit -> room -> unpack to staging -> wheels to the store, folder to its place -> environment -> list of files
          -> read-only -> probe -> marker -> registry

A folder without its marker is not installed: the next installation, or the next start, takes it away.
"""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from procvision_sdk import manifest
from procvision_sdk.errors import ErrorCode, PackageError, ProcVisionError, StationError
from procvision_sdk.manifest import Manifest
from runner.clock import wall_ms
from runner.packages import environment, extraction, lock, tree
from runner.packages.admission import Admitted, admit, named
from runner.packages.environment import Builder, StoredWheel
from runner.packages.ledger import Deed
from runner.packages.listing import LISTING, Listing, digest, parse_listing
from runner.packages.locked import WHEELS
from runner.packages.places import ENVIRONMENT, MARKER, Places, sync_folder, write_whole
from runner.packages.policy import Policy, Signatures
from runner.packages.recovery import recover
from runner.packages.registry import Installed, Registry
from runner.packages.targets import this_machine
from runner.packages.trust import Trust
from runner.packages.wheels import Wheel

# Unpacked once, installed once, and once to spare.
_ROOM = 3
LOCK_WAIT_S = 900.0
Probe = Callable[[Path, Path, Manifest], None]
"""Start the algorithm in this folder with this interpreter once; PackageError when it is not what its manifest says."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an installation came to; `fresh` is false when the very same package was there already."""

    installed: Installed
    fresh: bool
    warnings: tuple[str, ...]


class Installer:
    """Installs into one station. Blocks for seconds to minutes: a daemon calls it in a thread."""

    def __init__(self, registry: Registry, signatures: Signatures, probe: Probe) -> None:
        self._registry = registry
        self._places: Places = registry.places
        self._signatures: Signatures = signatures
        self._probe = probe
        self._builder = Builder.found(self._places.cache)

    def policy(self) -> Policy:
        """What the station lets in now."""
        trusted = Trust(self._registry.ledger).keys()
        publishers = {one.name: one.signed_by for one in self._registry.installed() if one.signed_by}
        return Policy(
            self._signatures,
            this_machine(),
            {one.key_id: one.pem for one in trusted},
            self._registry.floors(),
            publishers,
        )

    def install(self, path: Path, who: str) -> Outcome:
        """Install a package; PackageError or StationError says why not; then all is as it was."""
        with failures_told(), lock.held(self._places.lock, LOCK_WAIT_S):
            recover(self._registry)
            self._places.create()
            try:
                return self._install(admit(path, self.policy()), who)
            except ProcVisionError as error:
                with suppress(StationError):  # the refusal counts, and is told, also where it cannot be written down
                    refused = Deed(who, "install", path.name, outcome=f"{error.code} {error.message}")
                    self._registry.ledger.note(refused)
                raise

    def uninstall(self, label: str, who: str) -> None:
        """Take a version and what only it needed off the station; PackageError 2007 while it serves a product."""
        with failures_told(), lock.held(self._places.lock, LOCK_WAIT_S):
            thrown = self._registry.remove(label, who)
            if thrown is not None:
                self._places.delete(thrown)
            recover(self._registry)

    def rebuild(self, label: str, who: str) -> Installed:
        """Make a version's environment anew from the wheels that the station kept; its own files must be whole."""
        with failures_told(), lock.held(self._places.lock, LOCK_WAIT_S):
            return self._rebuild(self._registry.find(label), who)

    def _install(self, admitted: Admitted, who: str) -> Outcome:
        told = admitted.manifest
        same = [one for one in self._registry.installed() if str(one) == str(admitted)]
        if same and same[0].digest == admitted.digest:
            return Outcome(same[0], False, admitted.warnings)
        if same:
            raise PackageError(
                f"{admitted} is installed with other content ({same[0].digest[:12]}, not {admitted.digest[:12]})",
                hint="give changed content another version",
                code=ErrorCode.HASH_MISMATCH,
            )
        self._check_room(admitted)
        self._registry.ledger.note(Deed(who, "install", str(admitted), admitted.digest, "started"))
        folder = self._places.of(told.name, told.version, admitted.digest)
        staged = self._places.staging / secrets.token_hex(8)
        try:
            stored = self._unpack(admitted, staged)
            folder.parent.mkdir(exist_ok=True)
            (staged / "package").rename(folder)
            tree_sha256 = self._build(folder, stored, staged, told)
            pids, by = told.supported_pids, admitted.signed_by
            key = (told.name, told.version, admitted.digest)
            one = Installed(*key, tree_sha256, pids, by, wall_ms(), who)
            self._complete(folder, one)
            self._registry.add(one, "install")
        except (ProcVisionError, OSError):
            self._undo(folder)
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return Outcome(one, True, admitted.warnings)

    def _check_room(self, admitted: Admitted) -> None:
        free, needed = shutil.disk_usage(self._places.station).free, _ROOM * admitted.size_bytes
        if free < needed:
            raise StationError(
                f"{admitted} needs {needed / 1e6:.0f} MB while it is installed, {free / 1e6:.0f} MB are free",
                hint="free disk space, or uninstall versions that are not needed",
                code=ErrorCode.DISK,
            )

    def _unpack(self, admitted: Admitted, staged: Path) -> tuple[StoredWheel, ...]:
        """The package's own files to staged/package, its wheels to the store."""
        (staged / "package").mkdir(parents=True)
        digests = {one.path: one.sha256 for one in admitted.listing.files} | {LISTING: admitted.digest}
        own = [one for one in admitted.entries if not one.name.startswith(WHEELS)]
        missing = []
        stored = []
        for wheel in admitted.wheels:
            place = self._places.wheels / wheel.file.sha256 / wheel.filename
            stored.append(StoredWheel(wheel.name, place, wheel.file.sha256))
            missing += [] if place.exists() else [wheel.file.path]
        with admitted.path.open("rb") as file:
            extraction.extract(file, own, digests, staged / "package")
            extraction.extract(file, (one for one in admitted.entries if one.name in missing), digests, staged)
        for one in stored:
            if not one.path.exists():
                one.path.parent.mkdir(exist_ok=True)
                (staged / WHEELS / one.path.name).rename(one.path)
        return tuple(stored)

    def _build(self, folder: Path, stored: tuple[StoredWheel, ...], work: Path, claims: Manifest) -> str:
        """The environment, the list of files, and the probe; the SHA-256 of the list."""
        self._check_stored(stored)
        lenders = [(self._registry.folder(one), one.tree_sha256) for one in self._registry.installed()]
        found = self._builder.build(folder, stored, work, lenders)
        tree_sha256 = self._seal(folder, found)
        self._probe(folder, environment.interpreter(folder / ENVIRONMENT), claims)
        changed = tree.differences(folder, tree_sha256, tree.Look.THOROUGH)
        if changed:
            raise PackageError(
                f"its first start changed its own files: {changed[0]} (and {len(changed) - 1} more)",
                hint="an installed package is read-only; write to the temp folder",
                code=ErrorCode.INSTALL_FAILED,
            )
        return tree_sha256

    def _check_stored(self, stored: tuple[StoredWheel, ...]) -> None:
        """A wheel that came with an earlier package is still the one that it was."""
        for one in stored:
            if tree.sha256(one.path) != one.sha256:
                shutil.rmtree(one.path.parent, ignore_errors=True)
                raise PackageError(
                    f"{one.path.name} was changed in the station's store and is taken out of it",
                    hint="install the package again",
                    code=ErrorCode.HASH_MISMATCH,
                )

    def _seal(self, folder: Path, found: tuple[Wheel, ...]) -> str:
        """List the files, compare them with what the wheels hold, and make them read-only."""
        python = environment.interpreter(folder / ENVIRONMENT)
        tree_sha256 = tree.record(folder, python)
        try:
            environment.check(folder, tree_sha256, found)
        except PackageError:
            shutil.rmtree(self._places.cache, ignore_errors=True)
            raise
        tree.protect(folder)
        return tree_sha256

    def _complete(self, folder: Path, one: Installed) -> None:
        write_whole(folder / MARKER, json.dumps(asdict(one)).encode())
        sync_folder(folder.parent)

    def _undo(self, folder: Path) -> None:
        """Take back what was begun; what cannot be taken away now has no marker, and goes at the next start."""
        with suppress(OSError, StationError):
            if folder.exists():
                self._places.throw_away(folder)
            recover(self._registry)

    def _rebuild(self, one: Installed, who: str) -> Installed:
        folder, work = self._registry.folder(one), self._places.staging / secrets.token_hex(8)
        listing, tags = own_files(folder, one), this_machine().tags
        stored = tuple(
            StoredWheel(wheel.name, self._places.wheels / wheel.file.sha256 / wheel.filename, wheel.file.sha256)
            for wheel in (named(file, tags) for file in listing.files if file.path.startswith(WHEELS))
        )
        work.mkdir(parents=True)
        try:
            # Environments share their files with the cache: what was changed in one may be wrong there too.
            shutil.rmtree(self._places.cache, ignore_errors=True)
            if (folder / ENVIRONMENT).exists():
                self._places.throw_away(folder / ENVIRONMENT)
            tree_sha256 = self._build(folder, stored, work, manifest.load(folder))
            made = replace(one, tree_sha256=tree_sha256)
            self._complete(folder, made)
            self._registry.renew(one, tree_sha256, who)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return made


def own_files(folder: Path, one: Installed) -> Listing:
    """What the package consists of, once its own files were found to be as they came; PackageError 2009 otherwise."""
    raw = (folder / LISTING).read_bytes()
    if digest(raw) != one.digest:
        raise _changed(f"{folder / LISTING} was changed")
    listing = parse_listing(raw)
    for file in listing.files:
        if not file.path.startswith(WHEELS) and tree.sha256(folder / file.path) != file.sha256:
            raise _changed(f"{folder / file.path} was changed")
    return listing


def _changed(text: str) -> PackageError:
    return PackageError(text, hint="uninstall the package and install it again", code=ErrorCode.HASH_MISMATCH)


@contextmanager
def failures_told() -> Iterator[None]:
    """An operating system that says no becomes an error with its code: 3007 for a full disk, 2005 for the rest."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = f"the disk is full{place}"
            raise StationError(told, hint="free disk space and try again", code=ErrorCode.DISK) from error
        raise PackageError(
            f"{error.strerror or error}{place}",
            hint="the versions installed before are untouched; try again",
            code=ErrorCode.INSTALL_FAILED,
        ) from error
