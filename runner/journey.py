"""The plot: one request becomes exactly one result.

    admit (product, steps, slot, session) -> each step on a worker -> report -> settle the slot

Protects: one result per admitted request, the slot is settled on every path, deadlines only shrink, and nothing but a
validated OK of the last step makes the answer OK.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from procvision_sdk.errors import ErrorCode, ErrorReport, InvalidParamsError, ProcVisionError, StationError, report_of
from procvision_sdk.image import ImageMeta
from procvision_sdk.parameters import apply, did_you_mean
from procvision_sdk.wire.calls import Result
from procvision_sdk.wire.host_messages import Inspect
from runner.attempt import StepPlan, StepRunner, take_turn
from runner.clock import monotonic_s, wall_ms
from runner.config import StationConfig
from runner.results.report import DeploymentName, InspectionResult, LeaseData, failure_fields
from runner.routing.catalog import Catalog, Deployment
from runner.routing.router import route, steps
from runner.sessions import OpenSession, SessionBook
from runner.slots.pool import SlotPool
from runner.ticket import Ticket
from runner.workers.limit import EndedError
from runner.workers.pool import WithdrawnError, WorkerPool


class Admitted(msgspec.Struct, frozen=True):
    """A request that will be inspected: from here on there is a slot to settle."""

    deployment: Deployment
    session: OpenSession
    plans: tuple[StepPlan, ...]
    slot: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What a journey passes through. `staff` is every deployment with its workers, those included that only finish what
    they began. `end_session` tells the workers of a session that it is over. `current` is the journey of new requests.

    `keep_poison` keeps the slot of a request that ended two workers, and settles it when it is done.
    """

    slots: SlotPool
    sessions: SessionBook
    staff: Iterable[tuple[Deployment, WorkerPool]]
    end_session: Callable[[OpenSession], None]
    keep_poison: Callable[[Inspect, int, Callable[[], None]], None]
    current: Callable[[], Journey]


class Journey:
    """All parts an inspection passes through; `inspect` is the way."""

    def __init__(self, config: StationConfig, catalog: Catalog, parts: Parts) -> None:
        self.open = True
        self._config = config
        self._catalog = catalog
        self._slots = parts.slots
        self._sessions = parts.sessions
        self._end_session = parts.end_session
        self._keep_poison = parts.keep_poison
        self._current = parts.current
        self._without_params: dict[tuple[str, tuple[int, ...], str, bool], tuple[StepPlan, ...]] = {}
        self._runners = {
            deployment.label: StepRunner(deployment, pool, config.timeouts) for deployment, pool in parts.staff
        }

    def ticket(self, request: Inspect, received_at_s: float) -> Ticket:
        """The ticket of a request whose frame came at `received_at_s`."""
        give_up_at_s = None
        if request.deadline_ms is not None:
            margin_ms = min(self._config.answer_margin_ms, request.deadline_ms / 2)
            give_up_at_s = received_at_s + (request.deadline_ms - margin_ms) / 1000
        return Ticket(request, received_at_s, give_up_at_s, self._config.timeouts.queue_s)

    async def inspect(self, owner: Hashable, ticket: Ticket) -> tuple[InspectionResult, bool]:
        """The result of an inspection, and whether it was accepted: what was refused may be sent again.

        `open` set to False refuses what is not admitted yet.
        """
        try:
            admitted = self._admit(owner, ticket.request)
        except ProcVisionError as error:
            return self._report(ticket, None, [], report_of(error), msgspec.UNSET), False
        ticket.admitted()
        results: list[tuple[StepPlan, Result]] = []
        failure: ErrorReport | None = None
        try:
            try:
                await self._steps(ticket, admitted, results)
            except WithdrawnError:
                results.clear()
                admitted = self._admit_again(admitted, ticket.request)
                await self._current()._steps(ticket, admitted, results)
        except EndedError as error:
            failure = replace(report_of(error), traceback=error.stack)
        except ProcVisionError as error:
            failure = replace(report_of(error), traceback="")
        except asyncio.CancelledError:
            if not ticket.cancelled:
                raise
            failure = ErrorReport(ErrorCode.CANCELLED, "the host cancelled this inspection")
        finally:
            self._settle(ticket, admitted.slot, failure)
            self._leave_session(ticket, admitted.session, results)
        return self._report(ticket, admitted, results, failure, self._renew(owner, ticket.request)), True

    def _admit_again(self, admitted: Admitted, request: Inspect) -> Admitted:
        """From the first step by the deployment that serves the product now (spec.md §10.44)."""
        current = self._current()
        deployment = route(current._catalog, request.pid)
        plans = current._plans(deployment, steps(deployment, request.step_index), request)
        session = self._sessions.for_one_inspection(request.pid, deployment.label, request.context)
        return Admitted(deployment, session, plans, admitted.slot)

    async def _steps(self, ticket: Ticket, admitted: Admitted, results: list[tuple[StepPlan, Result]]) -> None:
        """Each step in order, in the session's turn; the first ERROR or NG is the last."""
        runner, session = self._runners[admitted.deployment.label], admitted.session
        runner.pool.inspecting += 1
        try:
            await take_turn(ticket, session)
            try:
                for plan in admitted.plans:
                    ticket.step_index = plan.index
                    result = await runner.run(ticket, session, plan)
                    ticket.refuse_if_cancelled()
                    results.append((plan, result))
                    if result.status == "ERROR" or result.data.get("result_status") == "NG":
                        break
            finally:
                session.turns.give_back()
        finally:
            runner.pool.inspecting -= 1

    def _admit(self, owner: Hashable, request: Inspect) -> Admitted:
        if not self.open:
            raise StationError("the station is stopping", hint="ask again when it is back", code=ErrorCode.DEGRADED)
        session = None
        if request.session_id is None:
            deployment = route(self._catalog, request.pid)
        else:
            session = self._sessions.find(request.session_id, request.pid)
            deployment = self._runners[session.deployment].deployment
        indices = steps(deployment, request.step_index)
        if request.phases != "both" and (request.step_index is None or request.session_id is None):
            needed = "a step_index and the session_id of an open session"
            raise InvalidParamsError(f"phases {request.phases!r} needs {needed}")
        plans = self._plans(deployment, indices, request)
        meta = ImageMeta.of(request.image_meta)
        if session is None:
            session = self._sessions.for_one_inspection(request.pid, deployment.label, request.context)
        size = meta.nbytes if meta.encoding == "array" else meta.length_bytes or 1
        slot = self._slots.hand_over(owner, request.shared_mem_id, size)
        if not request.keep:
            self._slots.consume(slot)
        return Admitted(deployment, session, plans, slot)

    def _plans(self, deployment: Deployment, indices: tuple[int, ...], request: Inspect) -> tuple[StepPlan, ...]:
        """What to ask of each step; made once for requests without parameters of their own."""
        if request.user_params:
            return _plans(deployment, indices, request)
        asked = (deployment.label, indices, request.phases, request.session_id is None)
        plans = self._without_params.get(asked)
        if plans is None:
            plans = self._without_params[asked] = _plans(deployment, indices, request)
        return plans

    def _leave_session(self, ticket: Ticket, session: OpenSession, results: list[tuple[StepPlan, Result]]) -> None:
        """The workers that saw it run reset: for a one-shot session that no call ended, and after a cancel."""
        unfinished = session.one_shot and not (results and results[-1][0].ends_session)
        if session.seen and (unfinished or ticket.cancelled):
            self._end_session(session)

    def _settle(self, ticket: Ticket, slot: int, failure: ErrorReport | None) -> None:
        def settle() -> None:
            self._slots.settle(slot, ticket.readers)

        if failure is not None and failure.code == ErrorCode.POISON:
            self._keep_poison(ticket.request, slot, settle)
        else:
            settle()

    def _renew(self, owner: Hashable, request: Inspect) -> LeaseData | msgspec.UnsetType:
        """The next lease in the answer of this one; none when all slots are taken: the host asks for it then."""
        if not request.renew or request.keep or not self._slots.free:
            return msgspec.UNSET
        granted = self._slots.lease(owner)
        return LeaseData(
            shared_mem_id=granted.shared_mem_id,
            segment=granted.segment,
            offset=granted.offset,
            capacity=granted.capacity,
        )

    def _report(
        self,
        ticket: Ticket,
        admitted: Admitted | None,
        results: list[tuple[StepPlan, Result]],
        failure: ErrorReport | None,
        lease: LeaseData | msgspec.UnsetType,
    ) -> InspectionResult:
        request = ticket.request
        all_steps = request.step_index is None
        fields = _verdict(results, all_steps) if failure is None else _failed(failure, results, all_steps)
        deployment: DeploymentName | msgspec.UnsetType = msgspec.UNSET
        if admitted is not None:
            deployment = DeploymentName(name=admitted.deployment.name, version=admitted.deployment.version)
        return InspectionResult(
            request_id=request.request_id,
            timestamp_ms=wall_ms(),
            session_id=admitted.session.id if admitted is not None else request.session_id or "",
            pid=request.pid,
            step_index=ticket.step_index or request.step_index or msgspec.UNSET,
            deployment=deployment,
            incarnation=ticket.served_by.incarnation if ticket.served_by is not None else 0,
            timings=ticket.timeline.timings((monotonic_s() - ticket.received_at_s) * 1000),
            attempts=ticket.attempts,
            copies=ticket.copies,
            decodes=ticket.decodes,
            lease=lease,
            **fields,
        )


def _plans(deployment: Deployment, indices: tuple[int, ...], request: Inspect) -> tuple[StepPlan, ...]:
    """The steps with their parameters checked and filled in. Asked for all steps, each gets those it declares."""
    declared = {step.index: step.params for step in deployment.manifest.steps if step.index in indices}
    known = {parameter.key for parameters in declared.values() for parameter in parameters}
    for key in request.user_params:
        if key not in known:
            raise InvalidParamsError(
                f"user_params.{key:.60}: {deployment} declares no such parameter for step {list(indices)}; "
                f"known are {', '.join(sorted(known)) or 'none'}",
                hint=did_you_mean(key, known),
            )
    plans = []
    for index, parameters in declared.items():
        keys = {parameter.key for parameter in parameters}
        given = {key: value for key, value in request.user_params.items() if key in keys}
        last_of_its_session = request.session_id is None and index == indices[-1]
        plans.append(StepPlan(index, request.phases, apply(parameters, given), ends_session=last_of_its_session))
    return tuple(plans)


def _verdict(results: list[tuple[StepPlan, Result]], all_steps: bool) -> dict[str, Any]:
    """The last result's fields; asked for all steps, `data.steps` lists each."""
    last = results[-1][1]
    return {
        "status": last.status,
        "message": last.message,
        "error_code": last.error_code,
        "error_name": last.error_name,
        "hint": last.hint,
        "data": {**last.data, **_steps(results, all_steps)},
        "diagnostics": last.diagnostics,
    }


def _failed(failure: ErrorReport, results: list[tuple[StepPlan, Result]], all_steps: bool) -> dict[str, Any]:
    """An ERROR and no verdict: what earlier steps said stands in `data.steps` alone."""
    fields = {**failure_fields(failure), "data": _steps(results, all_steps) if results else {}}
    if failure.traceback:
        fields["diagnostics"] = {"stack": failure.traceback}
    return fields


def _steps(results: list[tuple[StepPlan, Result]], all_steps: bool) -> dict[str, Any]:
    if not all_steps:
        return {}
    listed = [
        {
            "step_index": plan.index,
            "status": result.status,
            "message": result.message,
            "error_code": result.error_code,
            "data": result.data,
            "diagnostics": result.diagnostics,
        }
        for plan, result in results
    ]
    return {"steps": listed}
