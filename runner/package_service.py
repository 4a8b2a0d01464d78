"""What a host may ask about packages while the station serves: nothing of it stops the line (spec.md §10.40 to §10.46).

activate, rollback, deactivate     here, one at a time (runner/activation.py)
list                               here, in a thread; what lies in incoming/ is known from runner/arrivals.py
the rest                           in a process of its own (runner/package_process.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from procvision_sdk.errors import ErrorCode, InvalidParamsError, PackageError, ProcVisionError
from procvision_sdk.wire.host_messages import Packages
from runner.activation import Activation, product_problem
from runner.arrivals import Arrivals
from runner.background import begin
from runner.crew import Duty
from runner.home import Home
from runner.logs import runner_log
from runner.orphans import Known
from runner.package_desk import Told, active_json, standing
from runner.package_process import PackageProcesses
from runner.packages.incoming import PackageState
from runner.packages.places import Places
from runner.packages.registry import Registry
from runner.packages.tree import Look
from runner.station import Station

THOROUGH_EVERY_S = 86400.0
_LOOKING = frozenset({"list", "history", "trust_list", "verify"})
# What each operation must be told, and may be told.
_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "install": (frozenset({"path"}), frozenset()),
    "activate": (frozenset({"pid", "package"}), frozenset()),
    "rollback": (frozenset({"pid"}), frozenset({"to"})),
    "deactivate": (frozenset({"pid"}), frozenset()),
    "uninstall": (frozenset({"package"}), frozenset()),
    "verify": (frozenset(), frozenset({"package", "rebuild"})),
    "list": (frozenset(), frozenset()),
    "history": (frozenset(), frozenset()),
    "trust_add": (frozenset({"path"}), frozenset()),
    "trust_remove": (frozenset({"key"}), frozenset()),
    "trust_list": (frozenset(), frozenset()),
}


class PackageService:
    """Belongs to one running station."""

    def __init__(self, station: Station, home: Home) -> None:
        self._station = station
        self._registry = Registry(Places(home.folder))
        self._processes = PackageProcesses(home)
        self._activation = Activation(station, self._registry, self._in_a_process)
        self._arrivals = Arrivals(
            self._registry.places.incoming,
            lambda name: self._in_a_process("station", "judge", {"file": name}),
            lambda one: station.events.publish("workers", {"incoming": one}),
        )
        self._tasks: set[asyncio.Task[Told]] = set()
        self._watching: list[asyncio.Task[None]] = []

    def begin(self, request: Packages, who: str) -> asyncio.Task[Told]:
        """The answer to come; InvalidParamsError (1006) for fields that the operation does not have or lacks."""
        asked = _asked(request)
        task = asyncio.create_task(self._perform(request.operation, asked, who))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def status(self) -> Told:
        """What `status` shows of versions that come and go."""
        trials = [one.to_json() for one in self._activation.trials.values()]
        return {"packages": {"trials": trials, "went_back": self._activation.went_back}}

    def known_processes(self) -> Known:
        """The processes that are the station's own: workers, and those that work on packages."""
        workers, own = self._station.known_processes(), self._processes
        return replace(workers, os_pids=workers.os_pids | own.os_pids, spawning=workers.spawning or own.spawning)

    def watch(self) -> None:
        """From now on look at the files of what serves and at what lies in incoming/, now and then."""
        config = self._station.config.packages
        for work in (self._watch_files(config.scan_s), self._arrivals.watch(config.incoming_s)):
            self._watching.append(begin(work))

    async def close(self) -> None:
        """End what was begun: each is the old state or the new one."""
        begun = [*self._watching, *self._tasks]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        await self._processes.close()
        await self._activation.close()

    async def _watch_files(self, every_s: float) -> None:
        passed_s = 0.0
        while every_s:
            await asyncio.sleep(every_s)
            passed_s += every_s
            look = Look.THOROUGH if passed_s >= THOROUGH_EVERY_S else Look.QUICK
            passed_s = 0.0 if look is Look.THOROUGH else passed_s
            if any("@" in label for label in self._station.crews):
                await self._scan(look)

    async def _perform(self, operation: str, asked: Mapping[str, str], who: str) -> Told:
        try:
            return await self._performed(operation, asked, who)
        finally:
            if operation not in _LOOKING:
                self._arrivals.rules_changed()

    async def _performed(self, operation: str, asked: Mapping[str, str], who: str) -> Told:
        match operation:
            case "list":
                return await self._list()
            case "activate":
                return active_json(await self._activation.activate(asked["pid"], asked["package"], who))
            case "rollback":
                return active_json(await self._activation.rollback(asked["pid"], asked.get("to"), who))
            case "deactivate":
                await self._activation.deactivate(asked["pid"], who)
                return {"pid": asked["pid"], "outcome": "deactivated"}
        if operation == "uninstall" or asked.get("rebuild"):
            self._refuse_what_runs(asked["package"], operation)
        return await self._in_a_process(who, operation, asked)

    async def _list(self) -> Told:
        told = await asyncio.to_thread(standing, self._registry)
        packages = [{**one, **self._as_it_serves(one)} for one in told["packages"]]
        return {**told, "packages": packages, "incoming": await self._arrivals.listed()}

    def _as_it_serves(self, one: Told) -> Told:
        """State and reason of an installed version while the station serves."""
        crew = self._station.crews.get(one["package"])
        if crew is not None and not crew.leaving and one["state"] != PackageState.INVALID.value:
            duty = self._station.duty_of(crew)
            state = PackageState.EXECUTING if crew.pool.inspecting else PackageState.RUNNING
            return {"state": state.value, "reason": "" if duty is Duty.SERVING else duty.value}
        problems = [self._station.problems.get(product_problem(pid), "") for pid in one["active_for"]]
        if any(problems):
            return {"state": PackageState.INVALID.value, "reason": next(filter(None, problems))}
        return {}

    def _refuse_what_runs(self, package: str, operation: str) -> None:
        crew = self._station.crews.get(package)
        duty = self._station.duty_of(crew) if crew is not None else None
        # What serves a product is refused by the registry, in the words that a station that does not run has.
        if duty is not None and (operation != "uninstall" or duty is not Duty.SERVING):
            raise PackageError(
                f"{operation}: {package} runs ({duty.value})",
                hint="activate another version and wait until no session is open on this one",
                code=ErrorCode.UNSAFE_UNINSTALL,
            )

    async def _in_a_process(self, who: str, operation: str, asked: Mapping[str, str]) -> Told:
        return await self._processes.perform(self._station.config, who, operation, asked)

    async def _scan(self, look: Look) -> None:
        try:
            changed = (await self._in_a_process("station", "scan", {"look": look.value}))["changed"]
        except ProcVisionError as error:
            runner_log.warning("the files of packages could not be looked at: %s", error.message)
            return
        told = "; ".join(f"{label}: {found[0]} (and {len(found) - 1} more)" for label, found in changed.items())
        problems = self._station.problems
        if told == problems.get("files", ""):
            return
        problems.pop("files", None)
        if told:
            problems["files"] = told
            runner_log.error("files of packages were changed: %s", told)
        self._station.events.publish("workers", {"problem": "files", "why": told})


def _asked(request: Packages) -> dict[str, str]:
    needed, possible = _FIELDS[request.operation]
    asked = request.model_dump(exclude={"type", "request_id", "timestamp_ms", "operation"}, exclude_none=True)
    missing, unknown = sorted(needed - asked.keys()), sorted(asked.keys() - needed - possible)
    if missing or unknown:
        wrong = f"{missing[0]} is missing" if missing else f"{unknown[0]} is not one of its fields"
        raise InvalidParamsError(f"packages {request.operation}: {wrong}", hint="spec.md §4.69 lists the fields")
    if "rebuild" in asked and "package" not in asked:
        raise InvalidParamsError("packages verify: rebuild needs a package", hint="spec.md §4.69 lists the fields")
    return asked
