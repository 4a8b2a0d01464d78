"""One inspection in flight: its deadline, its timeline, and whether somebody still wants it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.wire.host_messages import Inspect
from runner.clock import monotonic_s
from runner.eager import EagerTask
from runner.results.report import InspectionResult, Timeline
from runner.workers.worker import WorkerId

if TYPE_CHECKING:
    # Brings the database with it, which stations inside an author's command do not have.
    from runner.results.keeping import Keeping


class Stage(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class Ticket(msgspec.Struct):
    """`give_up_at_s` is the deadline less the answer margin, on the monotonic clock; None without a deadline."""

    request: Inspect
    received_at_s: float
    give_up_at_s: float | None
    queue_s: float
    stage: Stage = Stage.WAITING
    cancelled: bool = False
    step_index: int | None = None
    attempts: int = 0
    copies: int = 0
    decodes: int = 0
    served_by: WorkerId | None = None
    readers: set[WorkerId] = set()
    timeline: Timeline = msgspec.field(default_factory=Timeline)
    task: EagerTask[bytes] | None = None
    keeping: Keeping | None = None

    def admitted(self) -> None:
        """The inspection will be made: where results are kept, that is written down."""
        if self.keeping is not None:
            self.keeping.accepted()

    async def settle(self, result: InspectionResult) -> InspectionResult:
        """The result as the host gets it, recorded where results are; from here on nobody can cancel it."""
        self.stage = Stage.DONE
        return result if self.keeping is None else await self.keeping.settle(result)

    def patience_s(self) -> float:
        """How long it may wait for a worker; StationError 1005 when its time is up, 3006 when nobody wants it."""
        self.refuse_if_cancelled()
        if self.give_up_at_s is None:
            return self.queue_s
        left_s = self.give_up_at_s - monotonic_s()
        if left_s <= 0:
            raise StationError(
                f"deadline_ms {self.request.deadline_ms:g} was over before a worker could begin", code=ErrorCode.TIMEOUT
            )
        return left_s

    def limit_s(self, hooks_s: float) -> float:
        """How long a call may take: its hooks' limits, or less when the deadline comes first."""
        return hooks_s if self.give_up_at_s is None else min(hooks_s, self.give_up_at_s - monotonic_s())

    def has_time(self) -> bool:
        return self.give_up_at_s is None or self.give_up_at_s > monotonic_s()

    def cancel(self) -> Stage:
        """Stop it: at once while it waits, after the running hook otherwise. The stage it was in."""
        self.cancelled = True
        if self.stage is Stage.WAITING and self.task is not None:
            self.task.cancel()
        return self.stage

    def refuse_if_cancelled(self) -> None:
        if self.cancelled:
            raise StationError("the host cancelled this inspection", code=ErrorCode.CANCELLED)
