"""What a supervisor is given: what its worker is made of, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from procvision_sdk.wire.calls import Call, Result
from procvision_sdk.wire.messages import RunnerHello
from runner.workers.lifecycle import State
from runner.workers.worker import WorkerId


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What one worker is made of: where its package and interpreter are, and its limits in seconds.

    `margin_s` before the deadline of its request a call ends; what is left is for the answer.
    """

    deployment: str
    folder: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    scratch_root: Path
    boot_s: float
    teardown_s: float
    write_s: float = 2.0
    kill_s: float = 5.0
    margin_s: float = 0.05
    hello: RunnerHello = field(default_factory=RunnerHello)
    heartbeat_misses: int = 3

    def scratch_of(self, worker: WorkerId) -> Path:
        """Its private HOME and TMPDIR."""
        return self.scratch_root / f"{worker.deployment}-{worker.replica}-{worker.incarnation}"


@dataclass(frozen=True, slots=True)
class Reporting:
    """Whom a supervisor tells and asks; none may block.

    `succeeded` gives what to warn of, else ""; `warned` is told what an operator should know. `number`
    counts the incarnations of a deployment, `failed` spends its restart budget and says how long to wait.
    """

    number: Callable[[], int]
    available: Callable[[], None]
    failed: Callable[[], float]
    succeeded: Callable[[Call, Result], str]
    gone: Callable[[WorkerId], None]
    log: Callable[[WorkerId, bytes, Call | None], None]
    changed: Callable[[WorkerId, State, str], None]
    warned: Callable[[WorkerId, str], None]
