"""One image through the steps of a local station, hook by hook, as a host that lights in between would ask (spec.md §4).

Each step is asked for twice, `pre` and then `execute`, on one session: so what each hook said, and what it took, is
known. An ERROR or an NG ends the image; after a pre_execute that answered ERROR nobody calls execute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from procvision_sdk.arena import SlotReference
from procvision_sdk.errors import ErrorReport, InvalidParamsError, ProcVisionError, error_word, report_of
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import JsonValue
from procvision_sdk.manifest import Manifest, Step
from procvision_sdk.parameters import did_you_mean
from runner.clock import monotonic_s
from runner.dev.images import ImageFile
from runner.dev.local import LocalStation
from runner.results.report import InspectionResult
from runner.slots.pool import Granted

Verdict = Literal["OK", "NG", "ERROR"]
_OWNER = "procvision"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of each image. Without `step_index` all steps; of `user_params` each step gets what it declares."""

    pid: str
    step_index: int | None
    user_params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HookRun:
    """What one hook answered, or why it could not; `latency_ms` is the time inside the hook."""

    status: Literal["OK", "ERROR"]
    message: str = ""
    error_code: str = ""
    hint: str = ""
    data: dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    latency_ms: float = 0.0

    @classmethod
    def of(cls, result: InspectionResult) -> HookRun:
        latency_ms = result.timings.pre_execute + result.timings.execute
        return cls(
            result.status, result.message, result.error_code, result.hint, result.data, result.diagnostics, latency_ms
        )

    @classmethod
    def failed(cls, report: ErrorReport) -> HookRun:
        diagnostics = {"traceback": report.traceback} if report.traceback else {}
        return cls("ERROR", report.message, report.code, report.hint, {}, diagnostics)

    @property
    def verdict(self) -> Verdict:
        """OK for a pre_execute that is ready, too."""
        if self.status == "ERROR":
            return "ERROR"
        return "NG" if (self.data or {}).get("result_status") == "NG" else "OK"

    def rects(self, kind: str) -> tuple[Rect, ...]:
        """`defect_rects`, `position_rects` or `calibration_rects` of the answer."""
        found = (self.data or {}).get(kind) or ()
        return tuple(Rect.parse(one, kind) for one in found)

    def document(self) -> dict[str, JsonValue]:
        return {
            "status": self.status,
            "message": self.message,
            "error_code": self.error_code,
            "error_name": error_word(self.error_code),
            "hint": self.hint,
            "data": self.data or {},
            "diagnostics": self.diagnostics or {},
            "latency_ms": round(self.latency_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of one image; `execute` is None when it was not called."""

    index: int
    name: str
    user_params: dict[str, Any]
    pre_execute: HookRun
    execute: HookRun | None = None

    @property
    def last(self) -> HookRun:
        return self.execute or self.pre_execute


@dataclass(frozen=True, slots=True)
class ImageRun:
    """One image's way; at least one step. `total_ms` from the first request to the last answer."""

    image: ImageFile | None
    file: str
    steps: tuple[StepRun, ...]
    total_ms: float = 0.0

    @property
    def last(self) -> HookRun:
        return self.steps[-1].last

    @property
    def verdict(self) -> Verdict:
        return self.last.verdict


def plan(local_manifest: Manifest, request: Request) -> tuple[tuple[Step, dict[str, Any]], ...]:
    """The steps to run with their parameters; InvalidParamsError (1006) for a step or key that nobody declares."""
    asked = [one for one in local_manifest.steps if request.step_index in (None, one.index)]
    if not asked:
        known = [one.index for one in local_manifest.steps]
        raise InvalidParamsError(f"--step: {local_manifest.name} has the steps {known}, got {request.step_index}")
    declared = {parameter.key for one in asked for parameter in one.params}
    for key in request.user_params:
        if key not in declared:
            raise InvalidParamsError(
                f"--params: {key!r:.60} is no parameter of step {', '.join(str(one.index) for one in asked)}; "
                f"known are {', '.join(sorted(declared)) or 'none'}",
                hint=did_you_mean(key, declared),
            )
    return tuple((one, _declared_by(one, request.user_params)) for one in asked)


def _declared_by(step: Step, user_params: dict[str, Any]) -> dict[str, Any]:
    keys = {parameter.key for parameter in step.params}
    return {key: value for key, value in user_params.items() if key in keys}


async def inspect_image(local: LocalStation, image: ImageFile, request: Request) -> ImageRun:
    """The image through the steps. Whatever goes wrong is an ERROR of the hook it happened in."""
    began_s = monotonic_s()
    station = local.station
    lease = station.slots.lease(_OWNER)
    session = station.sessions.open(request.pid, None, {"product_code": request.pid})
    done: list[StepRun] = []
    try:
        _fill(local, lease, image)
        for step, user_params in plan(local.deployment.manifest, request):
            asked = _Asked(local, image, session, lease, request.pid)
            done.append(await asked.step(step, user_params))
            if done[-1].last.verdict != "OK":
                break
    except ProcVisionError as error:
        done.append(failed_step(report_of(error)))
    finally:
        station.slots.release(_OWNER, lease.shared_mem_id)
        station.tell_session_ended(station.sessions.end(session.id))
    return ImageRun(image, str(image.path), tuple(done), (monotonic_s() - began_s) * 1000)


def refusal(local_catalog: Any, request: Request) -> ErrorReport | None:
    raise NotImplementedError


def failed_step(report: ErrorReport) -> StepRun:
    """A step that never began."""
    return StepRun(0, "", {}, HookRun.failed(report))


def _fill(local: LocalStation, lease: Granted, image: ImageFile) -> None:
    reference = SlotReference.parse(lease.shared_mem_id)
    assert reference is not None
    image.write_to(local.station.segment.arena.slot(reference.slot))
