"""The watched folder: every zip that lies in it, and whether it could be installed (spec.md §10.33)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from pathlib import Path

from procvision_sdk.errors import PackageError
from runner.packages.admission import admit
from runner.packages.policy import Policy

# More names than these are left alone: a folder that something fills up costs the station no more than that.
MOST_NAMES = 10_000
MOST_ZIPS = 500


class PackageState(Enum):
    """Where a package stands. `executing`: an inspection runs on it; `stopped`: active while the station is not."""

    DISCOVERED = "discovered"
    VALIDATED = "validated"
    DEPLOYED = "deployed"
    RUNNING = "running"
    EXECUTING = "executing"
    STOPPED = "stopped"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Found:
    """One zip: `label` and `digest` are known once it was validated, `code` and `reason` when it is invalid.

    `seen` is what a changed file cannot keep: size, times, inode. `still` says that two looks saw the same.
    """

    path: Path
    state: PackageState = PackageState.DISCOVERED
    seen: tuple[int, ...] = ()
    still: bool = False
    label: str = ""
    digest: str = ""
    code: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, str]:
        """What `list` and events tell of it."""
        told = {"file": self.path.name, "state": self.state.value, "package": self.label, "digest": self.digest}
        return {**told, "error_code": self.code, "reason": self.reason}


def look(folder: Path, known: Mapping[Path, Found]) -> dict[Path, Found]:
    """What lies in the folder now, in order of names; `known` is the last look. Nothing is opened.

    What has changed since is `discovered` again, so that a zip which is being copied is not judged by its beginning.
    """
    found: dict[Path, Found] = {}
    for path in _zips(folder):
        try:
            status = path.stat()
        except OSError:  # taken away between two glances
            continue
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        before = known.get(path)
        if before is None or before.seen != seen:
            found[path] = Found(path, seen=seen)
        else:
            found[path] = before if before.still else replace(before, still=True)
    return found


def _zips(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, MOST_NAMES)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if name.lower().endswith(".zip")][:MOST_ZIPS]


def judged(one: Found, policy: Policy) -> Found:
    """The same zip, admitted or not; nothing is unpacked."""
    try:
        admitted = admit(one.path, policy)
    except PackageError as error:
        return replace(one, state=PackageState.INVALID, code=error.code, reason=error.message)
    return replace(one, state=PackageState.VALIDATED, label=str(admitted), digest=admitted.digest)
