"""The plot: one request becomes exactly one result (architecture.md, the house).

    admit (product, steps, slot, session) -> each step on a worker -> report -> settle the slot

Protects: one result per admitted request, the slot is settled on every path, deadlines only shrink, and nothing but a
validated OK of the last step makes the answer OK.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from procvision_sdk.errors import ErrorCode, ErrorReport, InvalidParamsError, ProcVisionError, StationError, report_of
from procvision_sdk.image import ImageMeta
from procvision_sdk.parameters import apply, did_you_mean
from procvision_sdk.wire.host_messages import Inspect
from procvision_sdk.wire.messages import Result
from runner.attempt import StepPlan, StepRunner
from runner.clock import monotonic_s, wall_ms
from runner.config import StationConfig
from runner.results.report import DeploymentName, InspectionResult, LeaseData, failure_fields
from runner.routing.catalog import Catalog, Deployment
from runner.routing.router import route, steps
from runner.sessions import OpenSession, SessionBook
from runner.slots.pool import SlotPool
from runner.ticket import Ticket
from runner.workers.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that will be inspected: from here on there is a slot to settle."""

    deployment: Deployment
    session: OpenSession
    plans: tuple[StepPlan, ...]
    slot: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What a journey passes through. `end_session` tells the workers of a session that it is over."""

    slots: SlotPool
    sessions: SessionBook
    pools: Mapping[str, WorkerPool]
    end_session: Callable[[OpenSession], None]


class Journey:
    """All parts an inspection passes through; `inspect` is the way."""

    def __init__(self, config: StationConfig, catalog: Catalog, parts: Parts) -> None:
        self.open = True
        self._config = config
        self._catalog = catalog
        self._slots = parts.slots
        self._sessions = parts.sessions
        self._end_session = parts.end_session
        self._runners = {
            deployment.name: StepRunner(deployment, parts.pools[deployment.name], config.timeouts)
            for deployment in catalog.deployments
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
            return self._report(ticket, None, [], report_of(error), None), False
        results: list[tuple[StepPlan, Result]] = []
        failure: ErrorReport | None = None
        try:
            async with admitted.session.lock:
                for plan in admitted.plans:
                    result = await self._runners[admitted.deployment.name].run(ticket, admitted.session, plan)
                    results.append((plan, result))
                    ticket.refuse_if_cancelled()
                    if result.status == "ERROR" or result.data.get("result_status") == "NG":
                        break
        except ProcVisionError as error:
            failure = report_of(error)
        except asyncio.CancelledError:
            if not ticket.cancelled:
                raise
            failure = ErrorReport(ErrorCode.CANCELLED, "the host cancelled this inspection")
        finally:
            self._slots.settle(admitted.slot, ticket.readers)
            self._leave_session(admitted, results)
        return self._report(ticket, admitted, results, failure, self._renew(owner, ticket.request)), True

    def _admit(self, owner: Hashable, request: Inspect) -> Admitted:
        if not self.open:
            raise StationError("the station is stopping", hint="ask again when it is back", code=ErrorCode.DEGRADED)
        deployment = route(self._catalog, request.pid)
        indices = steps(deployment, request.step_index)
        if request.phases != "both" and (request.step_index is None or request.session_id is None):
            needed = "a step_index and the session_id of an open session"
            raise InvalidParamsError(f"phases {request.phases!r} needs {needed}")
        plans = _plans(deployment, indices, request)
        meta = ImageMeta.of(request.image_meta)
        session = (
            self._sessions.for_one_inspection(request.pid, request.context)
            if request.session_id is None
            else self._sessions.find(request.session_id, request.pid)
        )
        size = meta.nbytes if meta.encoding == "array" else meta.length_bytes or 1
        slot = self._slots.hand_over(owner, request.shared_mem_id, size)
        if not request.keep:
            self._slots.consume(slot)
        return Admitted(deployment, session, plans, slot)

    def _leave_session(self, admitted: Admitted, results: list[tuple[StepPlan, Result]]) -> None:
        """A one-shot session that the last call did not end is ended now, on the workers that saw it."""
        session = admitted.session
        if session.one_shot and session.seen and not (results and results[-1][0].ends_session):
            self._end_session(session)

    def _renew(self, owner: Hashable, request: Inspect) -> LeaseData | None:
        """The next lease in the answer of this one; none when all slots are taken: the host asks for it then."""
        if not request.renew or request.keep or not self._slots.free:
            return None
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
        lease: LeaseData | None,
    ) -> InspectionResult:
        request = ticket.request
        fields: dict[str, Any] = _verdict(results, request.step_index is None)
        if failure is not None:
            fields |= failure_fields(failure)
            if failure.traceback and failure.code == ErrorCode.UNKNOWN_ERROR:
                fields["diagnostics"] = {"traceback": failure.traceback}
        deployment = None
        if admitted is not None:
            deployment = DeploymentName(name=admitted.deployment.name, version=admitted.deployment.version)
        return InspectionResult(
            request_id=request.request_id,
            timestamp_ms=wall_ms(),
            session_id=admitted.session.id if admitted is not None else request.session_id or "",
            pid=request.pid,
            step_index=results[-1][0].index if results else request.step_index,
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
    if not results:
        return {"status": "ERROR"}
    last = results[-1][1]
    data = dict(last.data)
    if all_steps:
        data["steps"] = [
            {"step_index": plan.index, "status": result.status, "error_code": result.error_code, "data": result.data}
            for plan, result in results
        ]
    return {
        "status": last.status,
        "message": last.message,
        "error_code": last.error_code,
        "error_name": last.error_name,
        "hint": last.hint,
        "data": data,
        "diagnostics": last.diagnostics,
    }
