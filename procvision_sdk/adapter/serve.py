"""The adapter's life in one place: find the algorithm, set it up, answer calls until the end (spec.md §4).

discover -> import -> setup -> ready -> ( next call -> hooks -> result )* -> teardown -> exit code
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from procvision_sdk import logger
from procvision_sdk.adapter import entrypoint
from procvision_sdk.adapter.boot import EXIT_ENTRY_POINT, EXIT_IMPORT, EXIT_OK, EXIT_PROTOCOL, EXIT_SETUP
from procvision_sdk.adapter.channel import Channel
from procvision_sdk.adapter.hooks import Hooks
from procvision_sdk.adapter.options import Options, parse_options
from procvision_sdk.errors import (
    CannotBootError,
    EntryPointNotFoundError,
    ErrorCode,
    ErrorReport,
    RecoverableError,
    ResultTooLargeError,
    report_of,
)
from procvision_sdk.logger import StructuredLogger
from procvision_sdk.wire.dialogue import EndOfInput, ProtocolMismatch
from procvision_sdk.wire.framing import FrameTooLongError
from procvision_sdk.wire.messages import Call, ErrorMessage, Result, Shutdown, refusal

log = StructuredLogger()


def serve(reading: int, writing: int, arguments: Sequence[str]) -> int:
    """Serve one algorithm on two claimed descriptors; the process's exit code."""
    options = parse_options(arguments)
    logger.set_level(options.log_level)
    channel = Channel(reading, writing)
    channel.start_watcher()
    try:
        with channel.inside_hook():
            hooks, setup_ms = _boot(options)
    except BaseException as error:  # noqa: BLE001 - the author's import and setup: told to the runner, then the end
        return _cannot_boot(channel, error)
    channel.send(channel.dialogue.setup_done(setup_ms))
    end = _answer_calls(channel, hooks)
    channel.limit_the_end()
    with channel.inside_hook():
        hooks.teardown()
    if isinstance(end, Shutdown):
        channel.send([Shutdown(request_id=end.request_id, status="OK")])
    return EXIT_PROTOCOL if isinstance(end, ProtocolMismatch) else EXIT_OK


def _boot(options: Options) -> tuple[Hooks, float]:
    folder = Path.cwd()
    entry = entrypoint.discover(options.entry, os.environ, folder)
    root = os.environ.get("PROC_ALGO_ROOT")
    algorithm = entrypoint.load(entry, [folder, Path(root)] if root else [folder])
    hooks = Hooks(algorithm, options.color_space_default)
    began = time.perf_counter()
    entrypoint.check_claims(hooks.setup(), entry)
    return hooks, round((time.perf_counter() - began) * 1000, 3)


def _answer_calls(channel: Channel, hooks: Hooks) -> Shutdown | EndOfInput | ProtocolMismatch | None:
    while True:
        asked = channel.next()
        if not isinstance(asked, Call):
            return asked
        with channel.inside_hook():
            result = hooks.answer(asked)
        _send_result(channel, result)
        if result.fatal:
            return None


def _send_result(channel: Channel, result: Result) -> None:
    try:
        channel.send([result])
    except FrameTooLongError as error:
        reason = f"the result is too large to be sent: {error.message}"
        channel.send([refusal(result.request_id, ResultTooLargeError.default_code, reason, "return less")])


def _cannot_boot(channel: Channel, error: BaseException) -> int:
    """Tell why, answer every call that waits already, and end with the exit code of the failed stage."""
    report = report_of(error)
    code, exit_code = report.code, EXIT_SETUP
    if isinstance(error, EntryPointNotFoundError):
        exit_code = EXIT_ENTRY_POINT
    elif isinstance(error, CannotBootError) and error.__cause__ is not None:
        exit_code = EXIT_IMPORT
    else:
        code = str(ErrorCode.CANNOT_BOOT)
    report = ErrorReport(code, report.message, report.hint, report.traceback)
    log.error("cannot boot", reason=report.message, hint=report.hint, traceback=report.traceback)
    told = ErrorMessage(
        message=report.message,
        error_code=report.code,
        error_name=report.name,
        hint=report.hint,
        diagnostics={"traceback": report.traceback},
        recoverable=isinstance(error, RecoverableError),
    )
    channel.send([told])
    while isinstance(waiting := channel.dialogue.take(), Call):
        channel.send([refusal(waiting.request_id, report.code, report.message, report.hint)])
    return exit_code
