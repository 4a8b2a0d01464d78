"""An answer or an error, plus its timeline, as the one InspectionResult a host gets (spec.md §5)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from procvision_sdk.errors import ErrorCode, ErrorReport, ResultTooLargeError, error_word
from procvision_sdk.wire import framing
from procvision_sdk.wire.calls import Result
from runner.clock import wall_ms

Recorded = Literal["none", "process", "power"]


_encoder = msgspec.json.Encoder()


class DeploymentName(msgspec.Struct, frozen=True):
    name: str
    version: str


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds: waiting for a worker, inside each hook, and from receipt of the frame to this result."""

    queue: float = 0.0
    pre_execute: float = 0.0
    execute: float = 0.0
    total: float = 0.0


class LeaseData(msgspec.Struct, frozen=True):
    shared_mem_id: str
    segment: str
    offset: int
    capacity: int


class InspectionResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """`status` OK has a verdict in `data.result_status`; ERROR has a code and was not inspected: it is never an NG."""

    request_id: str
    timestamp_ms: int
    status: Literal["OK", "ERROR"]
    message: str = ""
    error_code: str = ""
    error_name: str = ""
    hint: str = ""
    data: dict[str, Any] = {}
    diagnostics: dict[str, Any] = {}
    session_id: str = ""
    pid: str
    step_index: int | msgspec.UnsetType = msgspec.UNSET
    deployment: DeploymentName | msgspec.UnsetType = msgspec.UNSET
    incarnation: int = 0
    timings: Timings = Timings()
    attempts: int = 0
    copies: int = 0
    decodes: int = 0
    recorded: Recorded = "none"
    lease: LeaseData | msgspec.UnsetType = msgspec.UNSET


class Timeline:
    """What one inspection took, added up over its steps and attempts, in milliseconds."""

    __slots__ = ("execute", "pre_execute", "queue")

    def __init__(self) -> None:
        self.queue = self.pre_execute = self.execute = 0.0

    def add(self, result: Result) -> None:
        if result.timings:
            self.pre_execute += result.timings.pre_execute
            self.execute += result.timings.execute

    def timings(self, total_ms: float) -> Timings:
        return Timings(
            queue=round(self.queue, 3),
            pre_execute=round(self.pre_execute, 3),
            execute=round(self.execute, 3),
            total=round(total_ms, 3),
        )


def failure_fields(report: ErrorReport) -> dict[str, Any]:
    """The fields of a result that was not inspected."""
    return {
        "status": "ERROR",
        "message": report.message,
        "error_code": report.code,
        "error_name": error_word(report.code),
        "hint": report.hint,
    }


def encode(result: InspectionResult) -> tuple[InspectionResult, bytes]:
    """The result and its message; when that is too long, an error 1011 with the same identity and timeline."""
    encoded = _encoder.encode(result)
    if len(encoded) <= framing.MAX_BODY_BYTES:
        return result, encoded
    message = f"the result takes {len(encoded)} bytes, a message holds {framing.MAX_BODY_BYTES}"
    report = ErrorReport(ResultTooLargeError.default_code, message, "return less in data")
    small = failed(result, report)
    return small, _encoder.encode(small)


def failed(result: InspectionResult, report: ErrorReport) -> InspectionResult:
    """The same inspection with an error in the place of what it came to."""
    return msgspec.structs.replace(result, **failure_fields(report), data={}, diagnostics={})


def after_restart(request_id: str, pid: str, recorded: Recorded) -> InspectionResult:
    """The answer to an inspection that was open when the runner ended."""
    report = ErrorReport(
        ErrorCode.RUNNER_RESTART,
        "the runner ended before this inspection was answered",
        "inspect the part again, with a new image and a new request_id",
    )
    return InspectionResult(
        request_id=request_id, timestamp_ms=wall_ms(), pid=pid, recorded=recorded, **failure_fields(report)
    )
