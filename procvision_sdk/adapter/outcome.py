"""What one call came to, gathered hook by hook, and how it becomes a result message (spec.md §4, §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from procvision_sdk import shared_memory
from procvision_sdk.errors import ErrorReport, FatalError, ProcVisionError, error_word, report_of
from procvision_sdk.json_value import JsonValue, clone
from procvision_sdk.logger import StructuredLogger
from procvision_sdk.result import HookAnswer
from procvision_sdk.wire.calls import Call, PhaseTimings, Result, SessionDelta

READ_ONLY_HINT = "if it was to change the image: images are read-only views of shared memory, work on image.copy()"

log = StructuredLogger()


class Outcome(msgspec.Struct):
    """The answer to one call while its hooks run."""

    status: str = "OK"
    message: str = ""
    code: str = ""
    hint: str = ""
    data: dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    delta: SessionDelta | None = None
    pre_execute_ms: float | None = None
    execute_ms: float | None = None
    fatal: bool = False

    @property
    def is_ok(self) -> bool:
        return self.status == "OK"

    @property
    def verdict_is_ok(self) -> bool:
        """Whether this says of a part that it is good."""
        return self.is_ok and (self.data or {}).get("result_status") == "OK"

    def note(self, key: str, value: Any) -> None:
        self.diagnostics = {**(self.diagnostics or {}), key: value}

    def take(self, answer: HookAnswer) -> None:
        """A validated return of a hook."""
        self.status, self.message, self.code = answer.status, answer.message, answer.error_code
        self.data = dict(answer.data)
        if answer.diagnostics:
            log.warning("parts of a result were left out", **answer.diagnostics)
            for key, value in answer.diagnostics.items():
                self.note(key, value)

    def refuse(self, code: str, reason: str) -> None:
        """An error instead of what the hooks said."""
        self._fail(ErrorReport(code, reason))

    def fail_with(self, error: BaseException) -> None:
        """A raise of the author, or a refusal of ours: no data, no changes of the session."""
        report = report_of(error)
        own = isinstance(error, ProcVisionError) or report.hint
        if not own and shared_memory.reader.has_lent and _may_be_a_write(error):
            report = replace(report, hint=READ_ONLY_HINT)
        self.fatal = self.fatal or isinstance(error, FatalError)
        self._fail(report)
        if report.traceback:
            self.note("traceback", report.traceback)

    def quietly(self, hook: str, run: Callable[[], None]) -> None:
        """Run a hook whose raise is logged and reported but aborts nothing (spec.md §1)."""
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - the author's code: reported, never aborts
            report = report_of(error)
            log.error(f"{hook} raised", reason=report.message, traceback=report.traceback)
            known = (self.diagnostics or {}).get("hook_errors", [])
            self.note("hook_errors", [*known, {"hook": hook, "code": report.code, "message": report.message}])

    def as_author_sees_it(self) -> dict[str, Any]:
        """The result for on_step_finish: a copy, so that the answer stays what it is."""
        data = clone(self.data or {})
        return {"status": self.status, "message": self.message, "error_code": self.code, "data": data}

    def to_result(
        self,
        call: Call,
        settlement: shared_memory.Settlement,
        collected: dict[str, JsonValue],
        latency_ms: float,
    ) -> Result:
        """The message that answers `call`; the algorithm cannot overwrite phase, step_index and latency_ms."""
        own = {"phase": call.phase, "step_index": call.step_index, "latency_ms": round(latency_ms, 3)}
        return Result(
            request_id=msgspec.UNSET if call.request_id is None else call.request_id,
            status="OK" if self.is_ok else "ERROR",
            message=self.message,
            error_code=self.code,
            error_name=error_word(self.code),
            hint=self.hint,
            data={**(self.data or {}), **own},
            diagnostics={**collected, **(self.diagnostics or {})},
            session=self.delta or msgspec.UNSET,
            timings=self._timings(),
            kept_view=settlement.kept_view,
            copies=settlement.copies,
            decodes=settlement.decodes,
            fatal=self.fatal,
        )

    def _timings(self) -> PhaseTimings | msgspec.UnsetType:
        if self.pre_execute_ms is None and self.execute_ms is None:
            return msgspec.UNSET
        return PhaseTimings(pre_execute=self.pre_execute_ms or 0.0, execute=self.execute_ms or 0.0)

    def _fail(self, report: ErrorReport) -> None:
        self.status, self.message, self.code, self.hint = "ERROR", report.message, report.code, report.hint
        self.data = self.delta = None


def _may_be_a_write(error: BaseException) -> bool:
    """The types that numpy, OpenCV and buffers raise for a write to a read-only array."""
    return isinstance(error, ValueError | TypeError | BufferError) or type(error).__module__.partition(".")[0] == "cv2"
