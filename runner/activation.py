"""Which version serves a product, changed under a running line (spec.md §10.40 to §10.44).

    check -> start what is new -> READY -> one transaction -> new requests go there -> trial -> proven
                     |                                                                  |
                     '- cannot boot: nothing has changed                                '- a worker ends: back at once

One change at a time. The registry is the truth: a runner that is ended between the transaction and the switch serves
what the transaction said from its next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from procvision_sdk.errors import PackageError, ProcVisionError, StationError
from runner.background import begin
from runner.crew import Crew, Duty
from runner.logs import runner_log
from runner.package_desk import Fields, Told
from runner.packages.environment import interpreter
from runner.packages.ledger import Deed
from runner.packages.places import ENVIRONMENT
from runner.packages.registry import Active, Registry
from runner.routing.catalog import ActivePackage, Deployment, Launch, deployment_of, moved
from runner.station import Station
from runner.trial import VersionTrial

WHO = "station"
# From a switch, or the end of a trial, to the start of the standbys: what waited is served until then.
COMPLETE_AFTER_S = 1.0
Check = Callable[[str, str, Fields], Awaitable[Told]]
"""`(who, operation, fields)`: the registry's check, made where it costs the line nothing."""


def product_problem(pid: str) -> str:
    """The key under which a station's problems say why a product is not served."""
    return f"product {pid}"


class Activation:
    """Belongs to one running station. PackageError or StationError: refused, and nothing has changed."""

    def __init__(self, station: Station, registry: Registry, check: Check) -> None:
        self.trials: dict[str, VersionTrial] = {}
        self.went_back: list[dict[str, str]] = []
        self._station = station
        self._registry = registry
        self._check = check
        self._turn = asyncio.Lock()
        self._arriving = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def activate(self, pid: str, package: str, who: str) -> Active:
        """Let an installed version serve a product; returns when it does. 2006, 2009, 2011, 1014 as refusals."""
        async with self._turn:
            label = (await self._check(who, "may_activate", {"pid": pid, "package": package}))["package"]
            before = self._station.catalog.products.get(pid)
            deed = Deed(who, "activate", f"{pid} {label}")
            crew, active = await self._switch(pid, label, deed, self._registry.enter_activation)
            self._try(pid, crew, before)
            return active

    async def rollback(self, pid: str, to: str | None, who: str) -> Active:
        """Let an earlier version serve a product again; at once where it still is warm."""
        async with self._turn:
            asked = {"pid": pid, **({"to": to} if to is not None else {})}
            label = (await self._check(who, "may_roll_back", asked))["package"]
            deed = Deed(who, "rollback", f"{pid} {label}")
            _, active = await self._switch(pid, label, deed, self._registry.enter_rollback)
            return active

    async def deactivate(self, pid: str, who: str) -> None:
        """Let no package serve a product any more; sessions that are open go on."""
        async with self._turn:
            served = self._station.catalog.products.get(pid)
            await asyncio.to_thread(self._registry.deactivate, pid, who)
            if served is not None and served.launch is Launch.ISOLATED:
                self._station.use(moved(self._station.catalog, pid, None))
            self._chosen(pid)

    async def close(self) -> None:
        """Return when what was begun in the background is written down."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _switch(
        self, pid: str, label: str, deed: Deed, enter: Callable[[str, str, str], Active]
    ) -> tuple[Crew, Active]:
        """Start, wait until it is READY, commit, and let new requests go there in the same turn of the loop."""
        station = self._station
        fresh = label not in station.crews or station.crews[label].leaving
        try:
            deployment = await asyncio.to_thread(self._deployment, label, pid)
            moved(station.catalog, pid, deployment)
            self._arriving = label
            self._keep_warm()
            crew = await station.add(deployment)
            crew.alone = crew.alone or fresh
            await crew.first_ready()
            active = await asyncio.to_thread(enter, pid, label, deed.who)
        except ProcVisionError as error:
            self._arriving = ""
            self._keep_warm()
            if fresh:
                await station.remove(label)
            await self._note(Deed(deed.who, deed.operation, deed.subject, outcome=f"{error.code} {error.message}"))
            raise
        self._arriving = ""
        crew.pool.withdrawn = False
        station.use(moved(station.catalog, pid, deployment))
        self._chosen(pid)
        runner_log.info("%s is served by %s (%s by %s)", pid, label, deed.operation, deed.who)
        self._complete_later(crew)
        return crew, active

    def _complete_later(self, crew: Crew) -> None:
        asyncio.get_running_loop().call_later(COMPLETE_AFTER_S, self._complete, crew)

    def _complete(self, crew: Crew) -> None:
        """Its standbys, unless a version before stands by for it: then when it is proven."""
        trial = self.trials.get(crew.deployment.label)
        covered = trial is not None and any(trial.back_to.values())
        if not covered and self._station.duty_of(crew) is Duty.SERVING:
            crew.complete()

    def _deployment(self, label: str, pid: str) -> Deployment:
        folder = self._registry.folder(self._registry.find(label))
        return deployment_of(ActivePackage(folder, interpreter(folder / ENVIRONMENT), (pid,)))

    def _try(self, pid: str, crew: Crew, before: Deployment | None) -> None:
        """Follow the first answers of a version that did not serve this product before."""
        label = crew.deployment.label
        if before is not None and before.label == label:
            return
        trial = self.trials.get(label) or VersionTrial(label, self._proven, self._failed)
        trial.back_to[pid] = before
        self.trials[label] = trial
        crew.trial = trial
        self._keep_warm()

    def _proven(self, trial: VersionTrial) -> None:
        self._end_trial(trial)
        runner_log.info("%s is proven: its first answers were good", trial.label)

    def _failed(self, trial: VersionTrial, why: str) -> None:
        """Called in the middle of a worker's end: only the routing changes here."""
        back = {pid: before for pid, before in trial.back_to.items() if before is not None}
        if not back:
            self._station.problems[f"package {trial.label}"] = (
                f"{why}, in its first answers; there is no version before"
            )
            runner_log.error("%s: %s, in its first answers; there is no version to go back to", trial.label, why)
            return
        self._end_trial(trial)
        station = self._station
        for pid, before in back.items():
            served = station.catalog.products.get(pid)
            if served is not None and served.label == trial.label:
                station.use(moved(station.catalog, pid, before))
        if not any(one.label == trial.label for one in station.catalog.deployments):
            station.crews[trial.label].pool.withdraw()
        for pid, before in back.items():
            told = {"pid": pid, "from": trial.label, "to": before.label, "why": why}
            runner_log.error("%(pid)s goes back from %(from)s to %(to)s by itself: %(why)s", told)
            self.went_back = [*self.went_back[-9:], told]
            station.events.publish("workers", {"rolled_back": told})
        self._write_down_later(trial.label, {pid: before.label for pid, before in back.items()}, why)

    def _write_down_later(self, failed: str, back: Mapping[str, str], why: str) -> None:
        task = begin(self._write_down(failed, back, why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_down(self, failed: str, back: Mapping[str, str], why: str) -> None:
        """Bring the registry to where the line is; unless somebody chose another version meanwhile."""
        async with self._turn:
            for pid, label in back.items():
                try:
                    active = {one.pid: str(one) for one in await asyncio.to_thread(self._registry.active)}
                    if active.get(pid) == failed:
                        await asyncio.to_thread(self._registry.enter_rollback, pid, label, WHO, why)
                except (PackageError, StationError) as error:
                    told = f"{label} serves {pid}, but the next start would serve {failed}: {error.message}"
                    self._station.problems[f"package {failed}"] = told
                    runner_log.error("%s", told)

    def _chosen(self, pid: str) -> None:
        """Somebody chose what serves this product: what it was on trial for, and why it was not served, is over."""
        self._station.problems.pop(product_problem(pid), None)
        for trial in list(self.trials.values()):
            trial.back_to.pop(pid, None)
            if not trial.back_to:
                self._end_trial(trial)
        self._keep_warm()

    def _end_trial(self, trial: VersionTrial) -> None:
        del self.trials[trial.label]
        crew = self._station.crews.get(trial.label)
        if crew is not None:
            crew.trial = None
            self._complete_later(crew)
        self._station.problems.pop(f"package {trial.label}", None)
        self._keep_warm()

    def _keep_warm(self) -> None:
        before = (one.label for trial in self.trials.values() for one in trial.back_to.values() if one is not None)
        self._station.kept = frozenset((*before, self._arriving)) - {""}

    async def _note(self, deed: Deed) -> None:
        with suppress(StationError):  # the refusal is told also where it cannot be written down
            await asyncio.to_thread(self._registry.ledger.note, deed)
