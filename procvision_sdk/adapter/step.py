"""One attempt at one step: on_step_start, pre_execute, execute, on_step_finish, in this order and once (spec.md §1).

An attempt may come as one call (phase step) or as several (pre, then execute); a host that drives on_step_start and
on_step_finish itself gets exactly the hooks it asks for. A verdict is believed only out of a validated execute that
saw its own image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from procvision_sdk.adapter.outcome import Outcome
from procvision_sdk.adapter.session_memory import Attempt, Held
from procvision_sdk.algorithm import BaseAlgorithm
from procvision_sdk.errors import ErrorCode, InvalidParamsError, InvalidPidError, ProcVisionError
from procvision_sdk.json_value import clone
from procvision_sdk.result import accept_execute, accept_pre_execute
from procvision_sdk.session import Session
from procvision_sdk.shared_memory import reader
from procvision_sdk.wire.calls import Call

# The parameters of one call: what the host gave, checked, and defaults for the rest.
FillIn = Callable[[dict[str, Any]], dict[str, Any]]


class StepHooks:
    """The hooks of a step on one algorithm; `pids` and `parameters` are what get_info declared, empty for anything."""

    def __init__(self, algorithm: BaseAlgorithm, color_space_default: str) -> None:
        self._algorithm = algorithm
        self._color_space_default = color_space_default
        self._starts, self._finishes, self._resets = (
            is_written(algorithm, hook) for hook in ("on_step_start", "on_step_finish", "reset")
        )
        self.pids: frozenset[str] = frozenset()
        self.parameters: Mapping[int, FillIn | None] = {}

    def run(self, call: Call, outcome: Outcome, session: Session, held: Held) -> None:
        """Phases pre, execute and step; raises only when nothing of an attempt has begun."""
        attempt = held.attempt
        begins = attempt is None or _begins_anew(call, attempt)
        try:
            user_params = self._parameters_of(call)
        except ProcVisionError as error:
            if begins:
                raise
            outcome.fail_with(error)
        else:
            if begins:
                self._start(call, outcome, session, held)
            self._hooks(call, outcome, session, user_params)
        assert held.attempt is not None
        self._judge(outcome, held.attempt)
        if call.phase == "pre" and outcome.is_ok:
            outcome.delta = held.commit(session)
        else:
            self._finish(call, outcome, session, held)

    def start_by_host(self, call: Call, outcome: Outcome, session: Session, held: Held) -> None:
        """Phase on_step_start: that hook, and no other of the two for the rest of this attempt."""
        self._start(call, outcome, session, held).host_driven = True
        outcome.delta = held.commit(session)

    def finish_by_host(self, call: Call, outcome: Outcome, session: Session, held: Held) -> None:
        """Phase on_step_finish: that hook, with what the attempt came to."""
        attempt = held.attempt
        result = attempt.result if attempt is not None and attempt.step_index == call.step_index else None
        shown = Outcome().as_author_sees_it() if result is None else result
        outcome.quietly("on_step_finish", lambda: self._algorithm.on_step_finish(call.step_index, session, shown))
        held.attempt = None
        outcome.delta = held.commit(session)

    def _parameters_of(self, call: Call) -> dict[str, Any]:
        if self.pids and call.pid not in self.pids:
            raise InvalidPidError(f"pid: expected one of {', '.join(sorted(self.pids))}, got {call.pid!r:.80}")
        if self.parameters and call.step_index not in self.parameters:
            raise InvalidParamsError(f"step_index: expected one of {sorted(self.parameters)}, got {call.step_index}")
        fill_in = self.parameters.get(call.step_index)
        return call.user_params if fill_in is None else fill_in(call.user_params)

    def _start(self, call: Call, outcome: Outcome, session: Session, held: Held) -> Attempt:
        if call.step_index in held.attempted_steps:
            self.reset(outcome, session)
        attempt = held.begin(call.step_index)
        if self._starts:
            context = {"pid": call.pid, "trace_id": call.trace_id or call.session.context.get("trace_id")}
            outcome.quietly("on_step_start", lambda: self._algorithm.on_step_start(call.step_index, session, context))
        return attempt

    def reset(self, outcome: Outcome, session: Session) -> None:
        """Free what the algorithm holds for this session; a raise is reported and aborts nothing."""
        if self._resets:
            outcome.quietly("reset", lambda: self._algorithm.reset(session))

    def _hooks(self, call: Call, outcome: Outcome, session: Session, user_params: dict[str, Any]) -> None:
        prepared: dict[str, Any] | None = None
        try:
            if call.phase != "execute":
                self._pre_execute(call, outcome, session, user_params)
                prepared = {**(outcome.data or {}), "message": outcome.message}
            if call.phase == "pre":
                return
            if outcome.is_ok:
                self._execute(call, outcome, session, user_params)
            else:
                outcome.data = {}
            if prepared is not None:
                outcome.data = {**(outcome.data or {}), "pre_execute": prepared}
        except BaseException as error:  # noqa: BLE001 - the author's code, SystemExit included, becomes an answer
            outcome.fail_with(error)

    def _pre_execute(self, call: Call, outcome: Outcome, session: Session, user_params: dict[str, Any]) -> None:
        began_s = perf_counter()
        try:
            returned = self._algorithm.pre_execute(
                call.step_index, call.pid, session, _own(user_params), call.shared_mem_id, self._meta(call)
            )
        finally:
            outcome.pre_execute_ms = (perf_counter() - began_s) * 1000
        outcome.take(accept_pre_execute(returned, _image_size(call.image_meta)))

    def _execute(self, call: Call, outcome: Outcome, session: Session, user_params: dict[str, Any]) -> None:
        began_s = perf_counter()
        try:
            returned = self._algorithm.execute(
                call.step_index, call.pid, session, _own(user_params), call.shared_mem_id, self._meta(call)
            )
        finally:
            outcome.execute_ms = (perf_counter() - began_s) * 1000
        outcome.take(accept_execute(returned, _image_size(call.image_meta)))

    def _judge(self, outcome: Outcome, attempt: Attempt) -> None:
        """Take back a verdict that rests on no image, or on another part's."""
        attempt.substituted = attempt.substituted or reader.has_substituted
        if attempt.substituted:
            outcome.note("image_substituted", True)
            if outcome.verdict_is_ok:
                reason = "the image was missing and zeros stood in for it: such a part cannot be OK"
                outcome.refuse(ErrorCode.IMAGE_LOAD_FAILED, reason)
        lost = reader.given_away()
        if lost is not None and outcome.is_ok:
            reason = f"slot {lost.slot} was given away while the hooks ran: what they saw is not this image"
            outcome.refuse(ErrorCode.IMAGE_LOAD_FAILED, reason)

    def _finish(self, call: Call, outcome: Outcome, session: Session, held: Held) -> None:
        attempt = held.attempt
        assert attempt is not None
        if attempt.host_driven or self._finishes:
            attempt.result = result = outcome.as_author_sees_it()
        if self._finishes and not attempt.host_driven:
            outcome.quietly("on_step_finish", lambda: self._algorithm.on_step_finish(call.step_index, session, result))
        if outcome.is_ok:
            outcome.delta = held.commit(session)
        else:
            held.roll_back(session)
        if not attempt.host_driven:
            held.attempt = None

    def _meta(self, call: Call) -> dict[str, Any]:
        return {"color_space": self._color_space_default, **_own(call.image_meta)}


def is_written(algorithm: BaseAlgorithm, hook: str) -> bool:
    """Whether the author wrote this hook: what BaseAlgorithm has of it does nothing."""
    return hook in vars(algorithm) or getattr(type(algorithm), hook) is not getattr(BaseAlgorithm, hook)


def _begins_anew(call: Call, attempt: Attempt) -> bool:
    """Whether a call is another attempt than the one that is open."""
    if attempt.step_index != call.step_index or attempt.result is not None:
        return True
    return call.phase != "execute" and not attempt.host_driven


def _own(values: dict[str, Any]) -> dict[str, Any]:
    """A copy for one hook: what it changes, the next hook does not see."""
    return clone(values)  # type: ignore[return-value]


def _image_size(image_meta: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image_meta.get("width"), image_meta.get("height")
    return (width, height) if type(width) is int and type(height) is int else None
