"""One step on one worker: wait for it, call it, keep or drop the session's changes; once more after a crash.

A step attempt stays on one incarnation. A retry begins with the state before the attempt, and happens once, only for
a crash, only when the manifest says idempotent and the deadline allows (spec.md §7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from procvision_sdk.errors import ErrorCode, ProcVisionError, StationError
from procvision_sdk.wire.calls import Call, Phase, Result
from runner.clock import monotonic_s
from runner.config import TimeoutsConfig
from runner.routing.catalog import Deployment
from runner.sessions import OpenSession
from runner.ticket import Stage, Ticket
from runner.workers.limit import EndedError
from runner.workers.pool import WithdrawnError, WorkerPool
from runner.workers.supervisor import Supervisor

_PHASE: dict[str, Phase] = {"both": "step", "pre": "pre", "execute": "execute"}
# A crash may be repeated once; a state the worker does not hold is sent in full once.
_MAX_TRIES = 3
_CRASHES_OF_A_POISON = 2


class PoisonError(EndedError):
    """The same input ended two workers: it is not tried again, and kept for diagnosis."""

    default_code = ErrorCode.POISON


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step is asked for. `ends_session`: it is the last call of a one-shot session."""

    index: int
    phases: Literal["both", "pre", "execute"]
    user_params: dict[str, Any]
    ends_session: bool


def hooks_limit_s(deployment: Deployment, defaults: TimeoutsConfig, phases: str) -> float:
    """The limit of a call: the sum of the limits of the hooks it runs."""
    own = deployment.manifest.timeouts
    pre_s = own.pre_execute_s or defaults.pre_execute_s
    execute_s = own.execute_s or defaults.execute_s
    return {"both": pre_s + execute_s, "pre": pre_s, "execute": execute_s}[phases]


class StepRunner:
    """Runs single steps of one deployment."""

    def __init__(self, deployment: Deployment, pool: WorkerPool, timeouts: TimeoutsConfig) -> None:
        self.deployment = deployment
        self.pool = pool
        self._timeouts = timeouts

    async def run(self, ticket: Ticket, session: OpenSession, step: StepPlan) -> Result:
        """The worker's result, whose changes to the session are applied when it is good.

        WithdrawnError: the deployment was withdrawn, and the session is for this inspection alone.

        StationError: 1005 at the limit, 1013 when the worker crashed, 3005 when the repetition did too, or why none
        could be had. Then the session is what it was before the attempt.
        """
        crashes = 0
        for number in range(_MAX_TRIES):
            supervisor = await self._worker(ticket, session, again=number > 0)
            self._continue_or_begin(session, step, supervisor)
            try:
                result = await self._call(ticket, session, step, supervisor)
            except ProcVisionError as error:
                session.drop_attempt()
                crashes += error.code == ErrorCode.WORKER_CRASHED
                if crashes == _CRASHES_OF_A_POISON:
                    self.pool.forgive()
                    stack = error.stack if isinstance(error, EndedError) else ""
                    raise PoisonError(f"two workers in a row ended over this input: {error.message}", stack) from None
                repeatable = error.code == ErrorCode.WORKER_CRASHED and self.deployment.manifest.idempotent
                if repeatable and crashes == 1 and step.phases == "both" and ticket.has_time():
                    self.pool.retries += 1
                    continue
                raise
            if result.error_code == ErrorCode.STATE_UNKNOWN:
                session.seen.pop(supervisor.identity, None)
                continue
            return result
        raise StationError(f"{self.deployment}: no worker could take the session over", code=ErrorCode.STATE_UNKNOWN)

    async def _worker(self, ticket: Ticket, session: OpenSession, *, again: bool) -> Supervisor:
        ticket.stage = Stage.WAITING
        began_s = monotonic_s()
        try:
            while True:
                if self.pool.withdrawn and session.one_shot:
                    raise WithdrawnError(f"{self.deployment} was withdrawn")
                try:
                    return await self.pool.acquire(ticket.patience_s(), again=again)
                except WithdrawnError:
                    continue  # a session stays on the version that it began with
        finally:
            ticket.stage = Stage.RUNNING
            ticket.timeline.queue += (monotonic_s() - began_s) * 1000

    def _continue_or_begin(self, session: OpenSession, step: StepPlan, supervisor: Supervisor) -> None:
        if step.phases != "execute" or session.before_attempt is None:
            session.begin_attempt(supervisor.identity)
        elif session.attempt_by != supervisor.identity:
            session.drop_attempt()
            raise StationError(
                f"pre_execute of step {step.index} ran on {session.attempt_by}, which is gone",
                hint="ask for phases pre again, then execute",
                code=ErrorCode.WORKER_CRASHED,
            )

    async def _call(self, ticket: Ticket, session: OpenSession, step: StepPlan, supervisor: Supervisor) -> Result:
        request = ticket.request
        worker = supervisor.identity
        limit_s = ticket.limit_s(hooks_limit_s(self.deployment, self._timeouts, step.phases))
        ticket.attempts += 1
        ticket.served_by = worker
        call = Call(
            request_id=f"{request.request_id}/{step.index}.{ticket.attempts}",
            phase=_PHASE[step.phases],
            step_index=step.index,
            pid=request.pid,
            session=session.reference(worker),
            user_params=step.user_params,
            shared_mem_id=request.shared_mem_id,
            image_meta=request.image_meta,
            deadline_ms=max(0.0, limit_s * 1000),
            trace_id=request.trace_id,
            ends_session=step.ends_session,
        )
        ticket.readers.add(worker)
        result = await supervisor.run(call, limit_s)
        if not result.kept_view:
            ticket.readers.discard(worker)
        ticket.timeline.add(result)
        ticket.copies += result.copies
        ticket.decodes += result.decodes
        if result.status == "ERROR" or ticket.cancelled:
            session.drop_attempt()
        else:
            session.apply(worker, result.session)
            if step.phases != "pre":
                session.end_attempt()
        return result


async def take_turn(ticket: Ticket, session: OpenSession) -> None:
    """One request of a session at a time; StationError 1005 when the request's time is up before its turn."""
    if session.turns.take_if_free():
        return
    began_s = monotonic_s()
    try:
        await session.turns.take(ticket.patience_s())
    except TimeoutError:
        message = f"session {session.id}: an earlier request of it did not end in time"
        raise StationError(message, hint="wait for its answer", code=ErrorCode.TIMEOUT) from None
    ticket.timeline.queue += (monotonic_s() - began_s) * 1000
