"""What can be asked about packages, in one place for commands and daemon: fields in, JSON out (spec.md §10).

Nothing here waits for a host or the event loop; installing blocks for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from procvision_sdk.errors import ProcVisionError, StationError
from runner.config import StationConfig
from runner.home import Home
from runner.packages.incoming import Found, PackageState, judged, look
from runner.packages.installer import Installer
from runner.packages.ledger import Deed, first_break
from runner.packages.places import MARKER, Places
from runner.packages.registry import Active, Installed, Registry
from runner.packages.signing import key_id
from runner.packages.tree import Look, differences
from runner.packages.trust import Trust
from runner.probe import probe_of

Fields = Mapping[str, str]
Told = dict[str, Any]
# What is written down when it is refused too, by its name in the audit.
_TRIED = {"activate": "activate", "rollback": "rollback", "may_activate": "activate", "may_roll_back": "rollback"}


class PackageDesk:
    """The packages of one station, for one who asks (`who` goes into the audit)."""

    def __init__(self, home: Home, config: StationConfig, who: str) -> None:
        self._who = who
        self._registry = Registry(Places(home.folder))
        self._installer = Installer(self._registry, config.packages.signatures, probe_of(config))
        self._asked: dict[str, Callable[[Fields], Told]] = {
            "install": self._install,
            "activate": lambda asked: active_json(self._registry.activate(asked["pid"], asked["package"], self._who)),
            "rollback": lambda asked: active_json(self._registry.rollback(asked["pid"], asked.get("to"), self._who)),
            "may_activate": lambda asked: _installed(self._registry.may_activate(asked["pid"], asked["package"])),
            "may_roll_back": lambda asked: _installed(self._registry.may_roll_back(asked["pid"], asked.get("to"))),
            "scan": lambda asked: self._scan(Look(asked["look"])),
            "deactivate": self._deactivate,
            "uninstall": self._uninstall,
            "verify": self._verify,
            "list": lambda _: self._list(),
            "judge": self._judge,
            "history": lambda _: self._history(),
            "trust_add": self._trust_add,
            "trust_remove": self._trust_remove,
            "trust_list": lambda _: self._trust_list(),
        }

    def perform(self, operation: str, asked: Fields) -> Told:
        """The answer to one operation; PackageError or StationError when it is refused, and then nothing changed."""
        try:
            return self._asked[operation](asked)
        except ProcVisionError as error:
            if operation in _TRIED:
                subject = " ".join(filter(None, (asked["pid"], asked.get("package") or asked.get("to"))))
                with suppress(StationError):  # the refusal is told also where it cannot be written down
                    refused = Deed(self._who, _TRIED[operation], subject, outcome=f"{error.code} {error.message}")
                    self._registry.ledger.note(refused)
            raise

    def _install(self, asked: Fields) -> Told:
        outcome = self._installer.install(Path(asked["path"]), self._who)
        state = "installed" if outcome.fresh else "was installed already"
        return {**_installed(outcome.installed), "outcome": state, "warnings": list(outcome.warnings)}

    def _deactivate(self, asked: Fields) -> Told:
        self._registry.deactivate(asked["pid"], self._who)
        return {"pid": asked["pid"], "outcome": "deactivated"}

    def _uninstall(self, asked: Fields) -> Told:
        self._installer.uninstall(asked["package"], self._who)
        return {"package": asked["package"], "outcome": "uninstalled"}

    def _verify(self, asked: Fields) -> Told:
        if asked.get("rebuild"):
            self._installer.rebuild(asked["package"], self._who)
        found = {}
        for one in self._registry.installed():
            if asked.get("package") in (None, str(one)):
                found[str(one)] = list(differences(self._registry.folder(one), one.tree_sha256, Look.THOROUGH))
        if asked.get("package") is not None:
            self._registry.find(asked["package"])
        return {"packages": found, "changed": sum(map(bool, found.values()))}

    def _scan(self, look: Look) -> Told:
        """The versions that serve a product and were changed, each with its first difference."""
        serving = {str(one) for one in self._registry.active()}
        whole = [one for one in self._registry.installed() if str(one) in serving]
        found = {str(one): differences(self._registry.folder(one), one.tree_sha256, look) for one in whole}
        return {"changed": {label: list(told[:20]) for label, told in found.items() if told}}

    def _list(self) -> Told:
        """Of a station that does not serve: what lies in incoming/ is judged as it lies there now."""
        policy = self._installer.policy()
        found = [judged(one, policy).to_json() for one in look(self._registry.places.incoming, {}).values()]
        return {**standing(self._registry), "incoming": found}

    def _judge(self, asked: Fields) -> Told:
        """One zip in incoming/, by its name."""
        return judged(Found(self._registry.places.incoming / asked["file"]), self._installer.policy()).to_json()

    def _history(self) -> Told:
        deeds = self._registry.ledger.deeds()
        return {"deeds": [asdict(deed) for deed in deeds], "first_break": first_break(deeds)}

    def _trust_add(self, asked: Fields) -> Told:
        known = Trust(self._registry.ledger).add(Path(asked["path"]).read_bytes(), self._who)
        return {"key_id": known, "outcome": "trusted"}

    def _trust_remove(self, asked: Fields) -> Told:
        path = Path(asked["key"])
        known = key_id(path.read_bytes()) if path.is_file() else asked["key"]
        Trust(self._registry.ledger).remove(known, self._who)
        return {"key_id": known, "outcome": "not trusted any more"}

    def _trust_list(self) -> Told:
        keys = Trust(self._registry.ledger).keys()
        told = [{"key_id": one.key_id, "at_ms": one.at_ms, "who": one.who} for one in keys]
        return {"policy": self._installer.policy().effective, "keys": told}


def standing(registry: Registry) -> Told:
    """The installed versions as they stand in a station that does not serve, and which are active."""
    active = registry.active()
    packages = []
    for one in registry.installed():
        pids = [each.pid for each in active if str(each) == str(one)]
        whole = (registry.folder(one) / MARKER).exists()
        state = (PackageState.STOPPED if pids else PackageState.DEPLOYED) if whole else PackageState.INVALID
        reason = "" if whole else "its folder is not complete: uninstall it and install it again"
        packages.append({**_installed(one), "state": state.value, "active_for": pids, "reason": reason})
    return {"packages": packages, "active": [active_json(one) for one in active]}


def _installed(one: Installed) -> Told:
    told = {key: value for key, value in asdict(one).items() if key != "tree_sha256"}
    return {"package": str(one), **told, "pids": list(one.pids)}


def active_json(one: Active) -> Told:
    """What activate and rollback tell."""
    return {**asdict(one), "package": str(one), "previous": list(one.previous)}
