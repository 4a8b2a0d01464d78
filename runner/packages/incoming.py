"""The watched folder: every zip that lies in it, and whether it could be installed (spec.md §10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from procvision_sdk.errors import PackageError
from runner.packages.admission import admit
from runner.packages.policy import Policy


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
    """One zip: `label` and `digest` are known once it was validated, `code` and `reason` when it is invalid."""

    path: Path
    state: PackageState
    seen: tuple[int, int, int]
    label: str = ""
    digest: str = ""
    code: str = ""
    reason: str = ""


def look(folder: Path, policy: Policy, known: Mapping[Path, Found]) -> dict[Path, Found]:
    """What lies in the folder now. `known` is the last look: a zip that is being copied is `discovered` until two
    looks see the same size and time; one that was judged is judged again only when it changed.
    """
    found: dict[Path, Found] = {}
    for path in sorted(folder.glob("*.zip")):
        try:
            status = path.stat()
        except OSError:  # taken away between two glances
            continue
        seen = (status.st_size, status.st_mtime_ns, status.st_ino)
        before = known.get(path)
        if before is None or before.seen != seen:
            found[path] = Found(path, PackageState.DISCOVERED, seen)
        elif before.state is PackageState.DISCOVERED:
            found[path] = judged(path, policy, seen)
        else:
            found[path] = before
    return found


def judged(path: Path, policy: Policy, seen: tuple[int, int, int] = (0, 0, 0)) -> Found:
    """One zip, admitted or not; nothing is unpacked."""
    try:
        admitted = admit(path, policy)
    except PackageError as error:
        return Found(path, PackageState.INVALID, seen, code=error.code, reason=error.message)
    return Found(path, PackageState.VALIDATED, seen, str(admitted), admitted.digest)
