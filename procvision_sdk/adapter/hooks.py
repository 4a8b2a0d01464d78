"""One call: open the session, lend the image, run the hooks, validate, turn exceptions into an error (spec.md §1).

    setup once -> ( [reset] on_step_start -> pre_execute -> execute -> on_step_finish )* -> teardown once

Protects: never two hooks at a time, a verdict only out of a validated execute, and after each call nothing is left
lent, bound or collected for the next one. Everything here runs on the main thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from procvision_sdk import logger, shared_memory
from procvision_sdk.adapter.session_memory import Held, SessionMemory, begin_attempt, commit, end_attempt, roll_back
from procvision_sdk.algorithm import BaseAlgorithm
from procvision_sdk.diagnostics import Diagnostics
from procvision_sdk.errors import (
    CannotBootError,
    ErrorCode,
    ErrorReport,
    FatalError,
    InvalidParamsError,
    InvalidPidError,
    InvalidResultError,
    ProcVisionError,
    error_word,
    report_of,
)
from procvision_sdk.json_value import normalise
from procvision_sdk.logger import StructuredLogger
from procvision_sdk.parameters import Parameter, apply
from procvision_sdk.result import HookAnswer, accept_execute, accept_pre_execute
from procvision_sdk.session import Session
from procvision_sdk.wire.messages import Call, PhaseTimings, Result, SessionDelta

READ_ONLY_HINT = "images are read-only views of shared memory: to draw on one or change it, work on image.copy()"


@dataclass(slots=True)
class Outcome:
    """What one call came to, gathered hook by hook."""

    status: str = "OK"
    message: str = ""
    code: str = ""
    hint: str = ""
    data: dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    delta: SessionDelta | None = None
    timings: PhaseTimings | None = None
    fatal: bool = False

    def note(self, key: str, value: Any) -> None:
        self.diagnostics = {**(self.diagnostics or {}), key: value}

    def fail(self, report: ErrorReport) -> None:
        self.status, self.message, self.code, self.hint = "ERROR", report.message, report.code, report.hint
        if report.traceback:
            self.note("traceback", report.traceback)

    def take(self, answer: HookAnswer) -> None:
        self.status, self.message, self.code = answer.status, answer.message, answer.error_code
        self.data = dict(answer.data)
        for key, value in answer.diagnostics.items():
            self.note(key, value)

    def as_author_sees_it(self) -> dict[str, Any]:
        return {"status": self.status, "message": self.message, "error_code": self.code, "data": self.data or {}}


class Hooks:
    """The algorithm and what it has been told so far."""

    def __init__(self, algorithm: BaseAlgorithm, color_space_default: str = "RGB") -> None:
        self._algorithm = algorithm
        self._color_space_default = color_space_default
        self._sessions = SessionMemory()
        self._parameters: dict[int, tuple[Parameter, ...] | None] = {}
        self._pids: frozenset[str] = frozenset()
        self.is_set_up = False
        for name, fresh in (("logger", StructuredLogger), ("diagnostics", Diagnostics)):
            if not hasattr(algorithm, name):  # a subclass that does not call super().__init__()
                setattr(algorithm, name, fresh())

    def setup(self) -> Mapping[str, Any]:
        """Run setup and ask for get_info once; raises what they raised. Does nothing when it is set up already."""
        if not self.is_set_up:
            self._algorithm.setup()
            self.is_set_up = True
        info = self.info()
        self._pids = frozenset(str(pid) for pid in info.get("supported_pids", ()))
        self._parameters = {
            step["index"]: tuple(map(Parameter.model_validate, step["params"])) if "params" in step else None
            for step in info.get("steps", ())
        }
        return info

    def info(self) -> dict[str, Any]:
        info = normalise(self._algorithm.get_info(), "get_info()")
        if not isinstance(info, dict):
            raise InvalidResultError(f"get_info(): expected a dict, got {type(info).__name__}")
        return info

    def teardown(self) -> None:
        """Exactly once per setup; a raise is logged, the process ends all the same."""
        if not self.is_set_up:
            return
        self.is_set_up = False
        try:
            self._algorithm.teardown()
        except BaseException as error:  # noqa: BLE001 - the author's code: its failure is told, the end goes on
            self._algorithm.logger.error("teardown raised", error=report_of(error).message)

    def answer(self, call: Call) -> Result:
        """Exactly one result for a call, whatever the hooks do."""
        began = time.perf_counter()
        trace_id = call.trace_id or call.session.context.get("trace_id")
        logger.bind(
            pid=call.pid,
            step_index=call.step_index,
            session_id=call.session.id,
            request_id=call.request_id,
            trace_id=trace_id if isinstance(trace_id, str) else None,
        )
        self._algorithm.diagnostics.collect()
        outcome = Outcome()
        try:
            self._run(call, outcome)
        except BaseException as error:  # noqa: BLE001 - the author's code, SystemExit included, becomes an answer
            self._fail(outcome, error)
        settlement = shared_memory.reader.settle()
        self._judge(outcome, settlement)
        logger.unbind()
        return self._result(call, outcome, settlement, (time.perf_counter() - began) * 1000)

    def _run(self, call: Call, outcome: Outcome) -> None:
        if call.phase == "setup":
            self.setup()
        elif call.phase == "teardown":
            self.teardown()
        elif call.phase == "info":
            outcome.data = self.info()
        elif not self.is_set_up:
            raise CannotBootError("the algorithm was torn down", hint="send phase setup before the next step")
        elif call.phase == "reset":
            session, held = self._sessions.open(call.session)
            held.attempted_steps.clear()
            self._algorithm.reset(session)
            outcome.delta = commit(session, held)
        else:
            self._step(call, outcome)

    def _step(self, call: Call, outcome: Outcome) -> None:
        session, held = self._sessions.open(call.session)
        if call.phase == "on_step_start":
            self._algorithm.on_step_start(call.step_index, session, _context(call))
            outcome.delta = commit(session, held)
        elif call.phase == "on_step_finish":
            self._algorithm.on_step_finish(call.step_index, session, {})
            outcome.delta = commit(session, held)
        else:
            self._inspect(call, outcome, session, held)

    def _inspect(self, call: Call, outcome: Outcome, session: Session, held: Held) -> None:
        if self._pids and call.pid not in self._pids:
            raise InvalidPidError(f"pid: expected one of {', '.join(sorted(self._pids))}, got {call.pid!r:.80}")
        if self._parameters and call.step_index not in self._parameters:
            raise InvalidParamsError(f"step_index: expected one of {sorted(self._parameters)}, got {call.step_index}")
        declared = self._parameters.get(call.step_index)
        user_params = dict(call.user_params) if declared is None else apply(declared, call.user_params)
        if call.phase != "execute" or held.open_step != call.step_index:
            self._start(call, outcome, session, held)
        try:
            finished = self._phases(call, outcome, session, user_params)
        except BaseException as error:  # noqa: BLE001 - the author's code, SystemExit included, becomes an answer
            self._fail(outcome, error)
            finished = True
        if not finished:
            outcome.delta = commit(session, held)
            return
        self._quietly("on_step_finish", outcome, lambda: self._finish(call, session, outcome))
        if outcome.status == "OK":
            outcome.delta = commit(session, held)
            end_attempt(held)
        else:
            roll_back(session, held)

    def _start(self, call: Call, outcome: Outcome, session: Session, held: Held) -> None:
        if call.step_index in held.attempted_steps:
            self._quietly("reset", outcome, lambda: self._algorithm.reset(session))
        begin_attempt(held, call.step_index)
        context = _context(call)
        self._quietly(
            "on_step_start", outcome, lambda: self._algorithm.on_step_start(call.step_index, session, context)
        )

    def _phases(self, call: Call, outcome: Outcome, session: Session, user_params: dict[str, Any]) -> bool:
        """Run what the phase asks for; True when the attempt is finished, False when execute is still to come."""
        size = _image_size(call.image_meta)
        meta = {"color_space": self._color_space_default, **call.image_meta}
        before: dict[str, Any] | None = None
        prepared = began = time.perf_counter()
        if call.phase != "execute":
            answer = accept_pre_execute(
                self._algorithm.pre_execute(
                    call.step_index, call.pid, session, user_params, call.shared_mem_id, dict(meta)
                ),
                size,
            )
            prepared = time.perf_counter()
            outcome.timings = PhaseTimings(pre_execute=(prepared - began) * 1000)
            outcome.take(answer)
            before = {"message": answer.message, **answer.data}
            if answer.status != "OK" or call.phase == "pre":
                if call.phase == "step":
                    outcome.data = {"pre_execute": before}
                return answer.status != "OK"
        try:
            returned = self._algorithm.execute(
                call.step_index, call.pid, session, user_params, call.shared_mem_id, meta
            )
        finally:
            outcome.timings = PhaseTimings(
                pre_execute=(prepared - began) * 1000, execute=(time.perf_counter() - prepared) * 1000
            )
        outcome.take(accept_execute(returned, size))
        if before is not None and outcome.data is not None:
            outcome.data["pre_execute"] = before
        return True

    def _finish(self, call: Call, session: Session, outcome: Outcome) -> None:
        self._algorithm.on_step_finish(call.step_index, session, outcome.as_author_sees_it())

    def _quietly(self, hook: str, outcome: Outcome, run: Callable[[], None]) -> None:
        """Run a hook whose raise is logged and reported but aborts nothing."""
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - spec.md §1: reported, never aborts
            report = report_of(error)
            self._algorithm.logger.error(f"{hook} raised", error=report.message)
            known = (outcome.diagnostics or {}).get("hook_errors", [])
            outcome.note("hook_errors", [*known, {"hook": hook, "message": report.message}])

    def _fail(self, outcome: Outcome, error: BaseException) -> None:
        report = report_of(error)
        if not isinstance(error, ProcVisionError) and not report.hint and shared_memory.reader.has_lent():
            report = replace(report, hint=READ_ONLY_HINT)
        outcome.data = None
        outcome.delta = None
        outcome.fatal = isinstance(error, FatalError)
        outcome.fail(report)

    def _judge(self, outcome: Outcome, settlement: shared_memory.Settlement) -> None:
        if settlement.substituted:
            outcome.note("image_substituted", True)
            if (outcome.data or {}).get("result_status") == "OK":
                self._refuse(outcome, "the image was missing and zeros stood in for it: such a part cannot be OK")
        if settlement.stale:
            self._refuse(outcome, "the slot was given away while the hook ran: what it saw is not this image")

    def _refuse(self, outcome: Outcome, reason: str) -> None:
        outcome.data = outcome.delta = None
        outcome.fail(ErrorReport(ErrorCode.IMAGE_LOAD_FAILED, reason))

    def _result(self, call: Call, outcome: Outcome, settlement: shared_memory.Settlement, latency_ms: float) -> Result:
        data = outcome.data or {}
        own = {"phase": call.phase, "latency_ms": round(latency_ms, 3)}
        return Result(
            request_id=call.request_id,
            status="OK" if outcome.status == "OK" else "ERROR",
            message=outcome.message,
            error_code=outcome.code,
            error_name=error_word(outcome.code),
            hint=outcome.hint,
            data={**data, **own, "step_index": call.step_index},
            diagnostics={**self._algorithm.diagnostics.collect(), **(outcome.diagnostics or {})},
            session=outcome.delta,
            timings=outcome.timings,
            kept_view=settlement.kept_view,
            copies=settlement.copies,
            decodes=settlement.decodes,
            fatal=outcome.fatal,
        )


def _context(call: Call) -> dict[str, Any]:
    return {"pid": call.pid, "trace_id": call.trace_id or call.session.context.get("trace_id")}


def _image_size(image_meta: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image_meta.get("width"), image_meta.get("height")
    return (width, height) if type(width) is int and type(height) is int else None
