"""One inspection's way into the store: accepted, then answered, then told what was kept (docs/decisions/0016).

Protects: no answer says `power` or `process` before its commit, and with `power` no verdict leaves unrecorded.
"""

from __future__ import annotations

import msgspec

from procvision_sdk.errors import ErrorCode, ErrorReport
from runner.clock import monotonic_s, wall_ms
from runner.results.report import InspectionResult, encode, failed
from runner.results.rows import Accepted, Answered
from runner.results.store import ResultStore


class Keeping:
    """`until_s` is when the answer has to leave, on the monotonic clock; None: there is no deadline."""

    def __init__(self, store: ResultStore, row: Accepted, until_s: float | None) -> None:
        self.encoded = b""
        self._store, self._row, self._until_s = store, row, until_s

    def accepted(self) -> None:
        """The inspection is admitted: write that down, and do not wait."""
        self._store.accept(self._row)

    async def settle(self, result: InspectionResult) -> InspectionResult:
        """The result as the host gets it; `encoded` holds its bytes. Returns when it is recorded, or cannot be."""
        promised, self.encoded = encode(msgspec.structs.replace(result, recorded=self._store.durability))
        limit_s = float("inf") if self._until_s is None else self._until_s - monotonic_s()
        if await self._store.record(self._answered(promised), limit_s):
            return promised
        may_go = self._store.durability == "process" or result.status == "ERROR"
        told, self.encoded = encode(result if may_go else _unrecorded(result))
        self._store.amend(self._answered(told))
        return told

    def _answered(self, result: InspectionResult) -> Answered:
        verdict = str(result.data.get("result_status", "")) if result.status == "OK" else ""
        return Answered(self._row, result.status, verdict, result.error_code, self.encoded, wall_ms())


def _unrecorded(result: InspectionResult) -> InspectionResult:
    """An error in place of a verdict that was not recorded: acted upon, it would be lost with the power."""
    report = ErrorReport(
        ErrorCode.STORE,
        "the inspection came to a verdict, which could not be recorded",
        "see status of the station; the part counts as not inspected",
    )
    return failed(result, report)
