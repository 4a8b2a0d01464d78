"""A station's packages as the runner serves them: active, whole, and with their interpreter (spec.md §10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.home import Home
from runner.logs import runner_log
from runner.packages import lock
from runner.packages.environment import interpreter
from runner.packages.places import ENVIRONMENT, Places
from runner.packages.recovery import recover
from runner.packages.registry import Installed, Registry
from runner.packages.tree import Look, differences
from runner.routing.catalog import ActivePackage

# What a killed runner had begun ends with it, almost at once.
_ENDED_S = 10.0


def tidy(home: Home) -> None:
    """Take away what an installation that was ended left; at the start of a station."""
    places = Places(home.folder)
    if places.registry.exists():
        with lock.held(places.lock, _ENDED_S):
            recover(Registry(places))


@dataclass(frozen=True, slots=True)
class ActivePackages:
    """What a station may serve, and by product why what is active for it may not be."""

    whole: tuple[ActivePackage, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def active_packages(home: Home) -> ActivePackages:
    """Each active version that is as it was installed, with its products; the others are logged and not served."""
    places = Places(home.folder)
    if not places.registry.exists():
        return ActivePackages()
    registry = Registry(places)
    installed = {str(one): one for one in registry.installed()}
    served: dict[str, list[str]] = {}
    for active in registry.active():
        served.setdefault(str(active), []).append(active.pid)
    whole: list[ActivePackage] = []
    refused: dict[str, str] = {}
    for label, pids in served.items():
        folder = registry.folder(installed[label])
        why = _changed(folder, installed[label])
        if why:
            runner_log.error("%s; not served: %s", why, ", ".join(pids))
            refused |= dict.fromkeys(pids, why)
        else:
            whole.append(ActivePackage(folder, interpreter(folder / ENVIRONMENT), tuple(pids)))
    return ActivePackages(tuple(whole), refused)


def _changed(folder: Path, one: Installed) -> str:
    found = differences(folder, one.tree_sha256, Look.QUICK)
    if not found:
        return ""
    told = f"{found[0]}" + (f", and {len(found) - 1} more" if len(found) > 1 else "")
    mend = f"`procvision-runner verify {one} --rebuild`, then activate it"
    return f"{one} was changed after it was installed ({told}): {mend}"
