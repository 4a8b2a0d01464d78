"""The algorithm, and one result for each call to it, whatever its hooks do (spec.md §1).

    setup once -> ( [reset] on_step_start -> pre_execute -> execute -> on_step_finish )* -> teardown once

Protects: never two hooks at a time, and after each call nothing is left lent, bound or collected for the next one.
Everything here runs on the main thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Any

from procvision_sdk import logger
from procvision_sdk.adapter.outcome import Outcome, log
from procvision_sdk.adapter.session_memory import SessionMemory
from procvision_sdk.adapter.step import FillIn, StepHooks
from procvision_sdk.algorithm import BaseAlgorithm
from procvision_sdk.diagnostics import Diagnostics
from procvision_sdk.errors import CannotBootError, ErrorCode, InvalidResultError, report_of
from procvision_sdk.json_value import JsonValue, normalise, type_name
from procvision_sdk.logger import StructuredLogger
from procvision_sdk.shared_memory import reader
from procvision_sdk.wire.calls import Call, Result


class Hooks:
    """One algorithm and what it has been told so far."""

    def __init__(self, algorithm: BaseAlgorithm, color_space_default: str = "RGB") -> None:
        self._algorithm = algorithm
        self._steps = StepHooks(algorithm, color_space_default)
        self._sessions = SessionMemory()
        self.is_set_up = False
        # For a subclass that does not call super().__init__().
        if not hasattr(algorithm, "logger"):
            algorithm.logger = StructuredLogger()
        if not hasattr(algorithm, "diagnostics"):
            algorithm.diagnostics = Diagnostics()

    def setup(self) -> Mapping[str, Any]:
        """Run setup, unless that was done, and ask what the algorithm is; raises what they raised."""
        if not self.is_set_up:
            self._algorithm.setup()
            self.is_set_up = True
        info = self.info()
        self._steps.pids = frozenset(str(pid) for pid in _list(info, "supported_pids", "get_info()"))
        self._steps.parameters = dict(map(_step, enumerate(_list(info, "steps", "get_info()"))))
        return info

    def info(self) -> dict[str, Any]:
        """What get_info returned, as JSON."""
        info = normalise(self._algorithm.get_info(), "get_info()")
        if not isinstance(info, dict):
            raise InvalidResultError(f"get_info(): expected a dict, got {type_name(info)}")
        return info

    def teardown(self) -> None:
        """Exactly once per setup that succeeded; a raise is logged, the process ends all the same."""
        if not self.is_set_up:
            return
        self.is_set_up = False
        try:
            self._algorithm.teardown()
        except BaseException as error:  # noqa: BLE001 - the author's code: its failure is told, the end goes on
            report = report_of(error)
            log.error("teardown raised", reason=report.message, traceback=report.traceback)

    def answer(self, call: Call) -> Result:
        """Exactly one result for a call."""
        began_s = perf_counter()
        trace_id = call.trace_id or call.session.context.get("trace_id")
        logger.bind(
            pid=call.pid,
            step_index=call.step_index,
            session_id=call.session.id,
            request_id=call.request_id,
            trace_id=trace_id if isinstance(trace_id, str) else None,
        )
        self._collect()
        outcome = Outcome()
        try:
            self._run(call, outcome)
        except BaseException as error:  # noqa: BLE001 - the author's code, SystemExit included, becomes an answer
            outcome.fail_with(error)
        if call.ends_session and outcome.code != ErrorCode.STATE_UNKNOWN:
            self._steps.reset(outcome, self._sessions.close(call.session))
        logger.unbind()
        return outcome.to_result(call, reader.settle(), self._collect(), (perf_counter() - began_s) * 1000)

    def _run(self, call: Call, outcome: Outcome) -> None:
        if call.phase == "setup":
            self._set_up_again(outcome)
        elif call.phase == "teardown":
            self.teardown()
        elif call.phase == "info":
            outcome.data = self.info()
        elif not self.is_set_up:
            raise CannotBootError("the algorithm was torn down", hint="send phase setup before the next step")
        else:
            self._run_in_session(call, outcome)

    def _run_in_session(self, call: Call, outcome: Outcome) -> None:
        session, held = self._sessions.open(call.session)
        match call.phase:
            case "reset":
                held.attempted_steps.clear()
                held.attempt = None
                self._algorithm.reset(session)
                outcome.delta = held.commit(session)
            case "on_step_start":
                self._steps.start_by_host(call, outcome, session, held)
            case "on_step_finish":
                self._steps.finish_by_host(call, outcome, session, held)
            case _:
                self._steps.run(call, outcome, session, held)

    def _set_up_again(self, outcome: Outcome) -> None:
        try:
            self.setup()
        except BaseException as error:  # noqa: BLE001 - the author's setup: without it nothing can be served
            outcome.fail_with(error)
            outcome.code = str(ErrorCode.CANNOT_BOOT)

    def _collect(self) -> dict[str, JsonValue]:
        # An author may have put something of another kind under this name; then there is nothing to collect.
        diagnostics: object = getattr(self._algorithm, "diagnostics", None)
        return diagnostics.collect() if isinstance(diagnostics, Diagnostics) else {}


def _list(holder: Mapping[str, Any], key: str, where: str) -> list[Any]:
    values = holder.get(key, [])
    if not isinstance(values, list):
        raise InvalidResultError(f"{where}.{key}: expected a list, got {type_name(values)}")
    return values


def _step(numbered: tuple[int, Any]) -> tuple[int, FillIn | None]:
    """The index of a step and how its parameters are filled in; None where it declares none: anything may be given."""
    where = f"get_info().steps[{numbered[0]}]"
    step = numbered[1]
    index = step.get("index") if isinstance(step, dict) else None
    if type(index) is not int or index < 1:
        raise InvalidResultError(f"{where}.index: expected a whole number of 1 or more, got {index!r:.60}")
    if "params" not in step:
        return index, None
    # Brings pydantic with it: 7 MB that an algorithm without parameters does without.
    from procvision_sdk.parameters import apply, declared

    return index, partial(apply, declared(_list(step, "params", where), f"{where}.params"))
