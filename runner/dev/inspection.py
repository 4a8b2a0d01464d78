"""One image through the steps of a local station, hook by hook: as a host asks that lights in between (spec.md §4).

Each step is asked for twice, `pre` and then `execute`, on one session: so what each hook said, and what it took, is
known. An ERROR or an NG ends the image; after a pre_execute that answered ERROR nobody calls execute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from procvision_sdk.errors import (
    ErrorReport,
    ImageLoadError,
    InvalidParamsError,
    InvalidPidError,
    error_word,
    report_of,
)
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import JsonValue
from procvision_sdk.manifest import Manifest, Step
from procvision_sdk.parameters import did_you_mean
from procvision_sdk.wire.host_messages import Inspect
from runner.clock import monotonic_s
from runner.dev.image_files import ImageFile
from runner.dev.local import LocalStation
from runner.results.report import InspectionResult
from runner.slots.pool import Granted
from runner.workers.lifecycle import State

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

    path: Path
    steps: tuple[StepRun, ...]
    total_ms: float = 0.0

    @property
    def last(self) -> HookRun:
        return self.steps[-1].last

    @property
    def verdict(self) -> Verdict:
        return self.last.verdict


Planned = tuple[tuple[Step, dict[str, Any]], ...]


def plan(project: Manifest, request: Request) -> Planned:
    """The steps to run, each with its parameters; InvalidPidError or InvalidParamsError for what nobody declares."""
    if request.pid not in project.supported_pids:
        served = ", ".join(project.supported_pids)
        hint = did_you_mean(request.pid, project.supported_pids)
        raise InvalidPidError(f"--pid: expected one of {served}, got {request.pid!r:.80}", hint=hint)
    asked = [one for one in project.steps if request.step_index in (None, one.index)]
    if not asked:
        known = ", ".join(str(one.index) for one in project.steps)
        raise InvalidParamsError(f"--step: expected one of {known}, got {request.step_index}")
    declared = {parameter.key for one in asked for parameter in one.params}
    for key in request.user_params:
        if key not in declared:
            raise InvalidParamsError(
                f"--params: expected one of {', '.join(sorted(declared)) or 'no key at all'}, got {key!r:.60}",
                hint=did_you_mean(key, declared),
            )
    return tuple((one, _declared_by(one, request.user_params)) for one in asked)


def _declared_by(step: Step, user_params: dict[str, Any]) -> dict[str, Any]:
    keys = {parameter.key for parameter in step.params}
    return {key: value for key, value in user_params.items() if key in keys}


async def inspect_image(local: LocalStation, image: ImageFile, pid: str, planned: Planned) -> ImageRun:
    """The image through the steps. Whatever goes wrong is an ERROR of the hook it happened in."""
    began_s = monotonic_s()
    station = local.station
    lease = station.slots.lease(_OWNER)
    session = station.sessions.open(pid, local.deployment.label, None, {"product_code": pid})
    done: list[StepRun] = []
    try:
        _fill(local, lease, image)
        for step, user_params in planned:
            asked = Inspect(
                request_id=f"{session.id}.{step.index}",
                pid=pid,
                shared_mem_id=lease.shared_mem_id,
                image_meta=image.meta(),
                session_id=session.id,
                step_index=step.index,
                user_params=user_params,
                keep=True,
            )
            done.append(await _step(local, step, asked))
            if done[-1].last.verdict != "OK":
                break
    except ImageLoadError as error:
        done.append(never_began(planned[0][0], report_of(error)))
    finally:
        station.slots.release(_OWNER, lease.shared_mem_id)
        ended = station.sessions.end(session.id)
    total_ms = (monotonic_s() - began_s) * 1000
    worker = local.supervisor
    if worker.state is State.READY and worker.identity in ended.seen:
        await station.reset(ended)
    return ImageRun(image.path, tuple(done), total_ms)


async def _step(local: LocalStation, step: Step, asked: Inspect) -> StepRun:
    prepared = await _hook(local, asked.model_copy(update={"phases": "pre"}))
    executed = None
    if prepared.status == "OK":
        executed = await _hook(local, asked.model_copy(update={"phases": "execute"}))
    return StepRun(step.index, step.name, asked.user_params, prepared, executed)


async def _hook(local: LocalStation, asked: Inspect) -> HookRun:
    journey = local.station.journey
    result, _ = await local.station.inspect(_OWNER, journey.ticket(asked, monotonic_s()))
    return HookRun.of(result)


def _fill(local: LocalStation, lease: Granted, image: ImageFile) -> None:
    arena = local.station.segment.arena
    first = lease.offset - arena.layout.data_offset
    image.write_to(arena.slot(first // arena.layout.slot_stride))


def never_began(step: Step, report: ErrorReport) -> StepRun:
    """A step that ended before its first hook: the image could not be read, or the algorithm cannot boot."""
    return StepRun(step.index, step.name, {}, HookRun.failed(report))
