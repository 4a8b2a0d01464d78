"""Every hostile file there is; run as a program it installs each of them and prints what became of it.

python -m tests.runner.packages.hostile.corpus FOLDER      -> {name: {code, seconds, left}}, and the peak of memory
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from procvision_sdk.errors import ProcVisionError
from runner.clock import monotonic_s
from runner.packages.installer import Installer
from runner.packages.policy import Signatures
from runner.packages.registry import Registry
from tests.runner.packages.hostile import archives, contents, wheels
from tests.runner.packages.hostile.archives import Hostile

KINDS = (
    archives.names, archives.modes, archives.bombs, archives.doubles, contents.listings, contents.requirements,
    contents.dependencies, contents.signatures, wheels.running, wheels.lying,
)  # fmt: skip


def every() -> list[Hostile]:
    return [one for kind in KINDS for one in kind()]


def paths(home: Path) -> list[str]:
    """What lies in a station, the registry and its lock left out."""
    found = (path.relative_to(home).as_posix() for path in home.rglob("*"))
    return sorted(path for path in found if not path.startswith(("store/packages", "store/uv")))


def attacked(folder: Path, installers: dict[Signatures, Installer]) -> None:
    report: dict[str, object] = {}
    for number, one in enumerate(every()):
        path = folder / "in" / f"{number}.zip"
        station: Signatures = "require" if one.name.startswith("signed:") else "off"
        began = monotonic_s()
        try:
            installers[station].install(path, "mallory")
            code, told = "installed", ""
        except ProcVisionError as error:
            code, told = error.code, error.message
        report[one.name] = {
            "code": code,
            "seconds": monotonic_s() - began,
            "message": told,
            "left": paths(folder / "home"),
        }
    # Not ru_maxrss: that begins with what the process which started this one had.
    status = Path("/proc/self/status").read_text("ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0])
    print(json.dumps({"files": report, "peak_kib": peak}))


def _never(*_: object) -> None:
    raise AssertionError("a hostile package was started")


if __name__ == "__main__":
    from runner.packages.places import Places

    root = Path(sys.argv[1])
    registry = Registry(Places(root / "home"))
    policies: tuple[Signatures, ...] = ("require", "off")
    attacked(root, {policy: Installer(registry, policy, _never) for policy in policies})
