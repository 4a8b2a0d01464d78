"""What can go wrong, whose fault it is, and the form in which it travels.

    ProcVisionError                  anything this project raises on purpose; carries code, message, hint
    |- AlgorithmError                the author's code, its model or the parameters and images it was given
    |  |- RecoverableError           1009  the host may ask again; out of setup: booting is retried with back-off
    |  |- FatalError                 1009  this worker ends after the answer
    |  |- InvalidPidError            1001
    |  |- ImageLoadError             1002
    |  |- ModelNotFoundError         1003
    |  |- GPUOutOfMemoryError        1004
    |  |- InvalidParamsError         1006
    |  |- CoordinateInvalidError     1007
    |  |- InvalidResultError         1010
    |  `- ResultTooLargeError        1011
    |- PackageError                  the package: manifest, entry point, import
    |  |- ManifestError              2002
    |  |- EntryPointNotFoundError    1004  (the code older hosts expect, spec.md §4)
    |  `- CannotBootError            1014
    |- HostError                     what a host sent
    |  |- BadFrameError              4001
    |  |- SchemaError                4002
    |  |- SharedMemoryError          4003
    |  |- IdReuseError               4004
    |  `- NotAllowedError            4005
    `- StationError                  the station: busy, stopping, a worker that ended; carries its own code

Across processes no exception travels, only an ErrorReport (spec.md §6).
"""

from __future__ import annotations

import traceback as traceback_module
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

# spec.md §1: a traceback in an answer is cut to this many bytes of UTF-8; its end says where it broke.
MAX_TRACEBACK_BYTES = 8 * 1024
MAX_MESSAGE_BYTES = 2 * 1024
MAX_CODE_BYTES = 64


class ErrorCode(StrEnum):
    """The four digits on the wire; `.word` is the `error_name` beside them (spec.md §6)."""

    INVALID_PID = "1001"
    IMAGE_LOAD_FAILED = "1002"
    MODEL_NOT_FOUND = "1003"
    GPU_OOM = "1004"
    TIMEOUT = "1005"
    INVALID_PARAMS = "1006"
    COORDINATE_INVALID = "1007"
    UNSUPPORTED_COLOR_SPACE = "1008"
    EXECUTE_EXCEPTION = "1009"
    INVALID_RESULT = "1010"
    RESULT_TOO_LARGE = "1011"
    MEMORY_EXCEEDED = "1012"
    WORKER_CRASHED = "1013"
    CANNOT_BOOT = "1014"
    INVALID_ZIP = "2001"
    MANIFEST_MISSING = "2002"
    INCOMPATIBLE_PYTHON = "2003"
    WHEELS_MISSING = "2004"
    INSTALL_FAILED = "2005"
    ACTIVATION_CONFLICT = "2006"
    UNSAFE_UNINSTALL = "2007"
    SIGNATURE = "2008"
    HASH_MISMATCH = "2009"
    UNSAFE_ARCHIVE = "2010"
    DOWNGRADE_REFUSED = "2011"
    BUSY = "3001"
    DEGRADED = "3002"
    FATAL = "3003"
    RUNNER_RESTART = "3004"
    POISON = "3005"
    CANCELLED = "3006"
    DISK = "3007"
    STORE = "3008"
    STATE_UNKNOWN = "3009"
    BAD_FRAME = "4001"
    SCHEMA = "4002"
    SHARED_MEMORY = "4003"
    ID_REUSE = "4004"
    NOT_ALLOWED = "4005"
    UNKNOWN_ERROR = "9999"

    @property
    def word(self) -> str:
        return self.name.lower()


def error_word(code: str) -> str:
    """The name of a code, also of one an author made up: those are `algorithm_error`, "" stays ""."""
    if not code:
        return ""
    try:
        return ErrorCode(code).word
    except ValueError:
        return "algorithm_error"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """One error as it crosses a process boundary: text only, bounded, never a pickle (spec.md §6)."""

    code: str
    message: str
    hint: str = ""
    traceback: str = ""

    @property
    def name(self) -> str:
        return error_word(self.code)


class ProcVisionError(Exception):
    """An expected failure: `code` for programs, the message for people, `hint` for the next step."""

    default_code: ClassVar[ErrorCode] = ErrorCode.UNKNOWN_ERROR

    def __init__(self, message: str = "", *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code: str = code if code is not None else str(self.default_code)


class AlgorithmError(ProcVisionError):
    """The author's side: the algorithm, its model, or the image and parameters it was given."""

    default_code = ErrorCode.EXECUTE_EXCEPTION


class RecoverableError(AlgorithmError):
    """The host may ask again. Raised out of setup, booting is retried with back-off (spec.md §1)."""


class FatalError(AlgorithmError):
    """This worker must end: the answer is sent, then the process is replaced (spec.md §1)."""


class InvalidPidError(AlgorithmError):
    default_code = ErrorCode.INVALID_PID


class ImageLoadError(AlgorithmError):
    """The image is not what image_meta says, or not there at all. A black picture is never invented (spec.md §3)."""

    default_code = ErrorCode.IMAGE_LOAD_FAILED


class ModelNotFoundError(AlgorithmError):
    default_code = ErrorCode.MODEL_NOT_FOUND


class GPUOutOfMemoryError(AlgorithmError):
    default_code = ErrorCode.GPU_OOM


class InvalidParamsError(AlgorithmError):
    """A parameter or a call field is wrong: the message names key, expectation and what came."""

    default_code = ErrorCode.INVALID_PARAMS


class CoordinateInvalidError(AlgorithmError):
    """A rectangle leaves the image or is not whole pixels."""

    default_code = ErrorCode.COORDINATE_INVALID


class InvalidResultError(AlgorithmError):
    """A hook returned something that is not a result; the message carries the path (`data.defect_rects[3].score`)."""

    default_code = ErrorCode.INVALID_RESULT


class ResultTooLargeError(AlgorithmError):
    default_code = ErrorCode.RESULT_TOO_LARGE


class PackageError(ProcVisionError):
    """The package cannot be used as it is."""

    default_code = ErrorCode.CANNOT_BOOT


class ManifestError(PackageError):
    default_code = ErrorCode.MANIFEST_MISSING


class EntryPointNotFoundError(PackageError):
    """No entry point in any of the documented places; 1004 is what older hosts test for (spec.md §4)."""

    default_code = ErrorCode.GPU_OOM


class CannotBootError(PackageError):
    """Import, constructor or setup failed: this package serves nothing until somebody acts."""


class HostError(ProcVisionError):
    """The host sent something that cannot be served."""

    default_code = ErrorCode.SCHEMA


class BadFrameError(HostError):
    default_code = ErrorCode.BAD_FRAME


class SchemaError(HostError):
    default_code = ErrorCode.SCHEMA


class SharedMemoryError(HostError):
    default_code = ErrorCode.SHARED_MEMORY


class IdReuseError(HostError):
    default_code = ErrorCode.ID_REUSE


class NotAllowedError(HostError):
    default_code = ErrorCode.NOT_ALLOWED


class StationError(ProcVisionError):
    """The station cannot serve now; give the code: `StationError("...", code=ErrorCode.BUSY)`."""


def cut(text: str, limit_bytes: int) -> str:
    """Text within a byte limit, both ends kept: where it began and where it broke."""
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= limit_bytes:
        return raw.decode("utf-8")
    half = (limit_bytes - 32) // 2
    return raw[:half].decode("utf-8", "ignore") + "\n... cut ...\n" + raw[-half:].decode("utf-8", "ignore")


def report_of(error: BaseException) -> ErrorReport:
    """Any exception as an ErrorReport; survives exceptions whose own text or fields raise (fault A5)."""
    code = str(ErrorCode.MEMORY_EXCEEDED if isinstance(error, MemoryError) else ErrorCode.EXECUTE_EXCEPTION)
    hint = ""
    try:
        if isinstance(error, ProcVisionError):
            # A subclass that does not call super().__init__() has neither code nor hint of its own.
            code = cut(str(getattr(error, "code", error.default_code)), MAX_CODE_BYTES)
            hint = str(getattr(error, "hint", ""))
        text = str(error)
        trace = "".join(traceback_module.format_exception(error))
    except BaseException as broken:  # noqa: BLE001 - an exception that cannot even be printed is still answered
        text = f"its text could not be made: {type(broken).__name__}"
        trace = "".join(traceback_module.format_tb(error.__traceback__))
    message = text if isinstance(error, ProcVisionError) and text else f"{type(error).__name__}: {text}"
    return ErrorReport(
        code, cut(message, MAX_MESSAGE_BYTES), cut(hint, MAX_MESSAGE_BYTES), cut(trace, MAX_TRACEBACK_BYTES)
    )
