"""The adapter's life in one place: find the algorithm, set it up, answer calls until the end (spec.md §4).

discover -> import -> setup -> ready -> ( next call -> hooks -> result )* -> teardown -> exit code
"""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from pathlib import Path
from time import monotonic, perf_counter
from typing import Literal

from procvision_sdk import logger
from procvision_sdk.adapter import entrypoint
from procvision_sdk.adapter.boot import EXIT_ENTRY_POINT, EXIT_IMPORT, EXIT_OK, EXIT_PROTOCOL, EXIT_SETUP
from procvision_sdk.adapter.channel import Channel
from procvision_sdk.adapter.entrypoint import EntryPoint
from procvision_sdk.adapter.hooks import Hooks
from procvision_sdk.adapter.options import Options
from procvision_sdk.adapter.outcome import log
from procvision_sdk.errors import (
    BadFrameError,
    EntryPointNotFoundError,
    ErrorCode,
    ErrorReport,
    RecoverableError,
    report_of,
)
from procvision_sdk.wire.calls import Result
from procvision_sdk.wire.dialogue import Asked, End, EndOfInput, ProtocolFailure
from procvision_sdk.wire.messages import ErrorMessage, Shutdown, refusal


def serve(reading: int, writing: int, options: Options) -> int:
    """Serve one algorithm on two claimed descriptors; the process's exit code."""
    logger.set_level(options.log_level)
    channel = Channel(reading, writing)
    channel.start()
    hooks: Hooks | None = None
    exit_code = EXIT_OK
    try:
        with channel.inside_hook():
            entry, hooks = _load(options)
            # What imports made lives as long as the process: a collection during a call walks 40 000 objects less,
            # 4 to 19 ms with numpy and OpenCV (2026-11-28). What setup makes may go again, and stays to be collected.
            gc.freeze()
            setup_ms = _set_up(hooks, entry)
    except BaseException as error:  # noqa: BLE001 - the author's import and setup: told to the runner, then the end
        exit_code, report = _boot_failure(error)
        _tell(channel, report, "recoverable" if isinstance(error, RecoverableError) else "final")
        end = _refuse_what_waits(channel, report)
    else:
        channel.send(channel.dialogue.setup_done(setup_ms))
        end = _answer_calls(channel, hooks)
    return _end(channel, hooks, end) or exit_code


def _load(options: Options) -> tuple[EntryPoint, Hooks]:
    folder = Path.cwd()
    root = os.environ.get("PROC_ALGO_ROOT")
    folders = [folder, Path(root)] if root else [folder]
    entry = entrypoint.discover(options.entry, os.environ.get("PROC_ENTRY_POINT"), folders)
    return entry, Hooks(entrypoint.load(entry, folders), options.color_space_default)


def _set_up(hooks: Hooks, entry: EntryPoint) -> float:
    began_s = perf_counter()
    entrypoint.check_claims(hooks.setup(), entry)
    return round((perf_counter() - began_s) * 1000, 3)


def _answer_calls(channel: Channel, hooks: Hooks) -> End:
    while isinstance(asked := channel.next(), Asked):
        if asked.is_too_late(monotonic()):
            reason = f"its {asked.call.deadline_ms:g} ms had passed before its turn came"
            channel.send([refusal(asked.call.request_id, ErrorCode.TIMEOUT, reason, "it was not run: ask again")])
            continue
        with channel.inside_hook():
            result = hooks.answer(asked.call)
        _send_result(channel, result)
        if result.fatal:
            reason = "this process ends: a call before this one raised FatalError"
            return _refuse_what_waits(channel, ErrorReport(str(ErrorCode.BUSY), reason, "ask again"))
    return asked


def _send_result(channel: Channel, result: Result) -> None:
    try:
        channel.send([result])
    except (BadFrameError, ValueError, TypeError) as error:
        reason = f"the result cannot be sent: {error}"
        channel.send([refusal(result.request_id, ErrorCode.RESULT_TOO_LARGE, reason, "return less")])


def _end(channel: Channel, hooks: Hooks | None, end: End) -> int:
    """Teardown within its limit, then the polite last word; 13 when the link broke the protocol."""
    channel.limit_the_end()
    if hooks is not None:
        with channel.inside_hook():
            hooks.teardown()
    if isinstance(end, Shutdown):
        channel.send([Shutdown(request_id=end.request_id, status="OK")])
    if channel.broken:
        log.error("the protocol's descriptors do not work any more: did the algorithm close them?")
    return EXIT_PROTOCOL if channel.broken or isinstance(end, ProtocolFailure) else EXIT_OK


def _boot_failure(error: BaseException) -> tuple[int, ErrorReport]:
    """The exit code of the failed stage, and the error as older hosts know it: 1004 not found, 1014 cannot boot."""
    report = report_of(error)
    if isinstance(error, EntryPointNotFoundError):
        return EXIT_ENTRY_POINT, report
    exit_code = EXIT_IMPORT if isinstance(error, entrypoint.AlgorithmImportError) else EXIT_SETUP
    return exit_code, replace(report, code=str(ErrorCode.CANNOT_BOOT))


def _tell(channel: Channel, report: ErrorReport, kind: Literal["recoverable", "final"]) -> None:
    """Say that booting failed, with the traceback, to the log and to the runner."""
    log.error("cannot boot", reason=report.message, hint=report.hint, traceback=report.traceback)
    error = ErrorMessage(
        message=report.message,
        error_code=report.code,
        error_name=report.name,
        hint=report.hint,
        diagnostics={"traceback": report.traceback},
        recoverable=kind == "recoverable",
    )
    channel.send([error])


def _refuse_what_waits(channel: Channel, report: ErrorReport) -> End:
    """Each call that has arrived gets its answer too: hosts that say no hello wait for nothing else."""
    channel.limit_the_end()
    channel.drain()
    while isinstance(asked := channel.dialogue.take(), Asked):
        channel.send([refusal(asked.call.request_id, report.code, report.message, report.hint)])
    return asked or EndOfInput()
