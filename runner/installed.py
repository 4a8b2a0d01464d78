"""A station's packages as the runner serves them: active, whole, and with their interpreter (spec.md §10)."""

from __future__ import annotations

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


def active_packages(home: Home) -> tuple[ActivePackage, ...]:
    """Each active version that is as it was installed, with its products; the others are logged and not served."""
    places = Places(home.folder)
    if not places.registry.exists():
        return ()
    registry = Registry(places)
    installed = {str(one): one for one in registry.installed()}
    served: dict[str, list[str]] = {}
    for active in registry.active():
        served.setdefault(str(active), []).append(active.pid)
    return tuple(
        ActivePackage(registry.folder(one), interpreter(registry.folder(one) / ENVIRONMENT), tuple(pids))
        for label, pids in served.items()
        if _is_whole(registry, one := installed[label], pids)
    )


def _is_whole(registry: Registry, one: Installed, pids: list[str]) -> bool:
    found = differences(registry.folder(one), one.tree_sha256, Look.QUICK)
    if found:
        text = "%s was changed after it was installed (%s and %d more): %s is not served; verify it with --rebuild"
        runner_log.error(text, one, found[0], len(found) - 1, ", ".join(pids))
    return not found
