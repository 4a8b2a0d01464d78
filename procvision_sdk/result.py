"""What an algorithm answers, and the only place where a verdict is believed (spec.md §5).

    what a hook returned  --normalise-->  plain JSON  --status, verdict, rectangles-->  HookAnswer
    (dict, or PreExecuteResult / ExecuteResult: both take the same way)

Nothing defaults to OK: a missing status or verdict is an invalid result (1010), never a good part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

import msgspec

from procvision_sdk.errors import (
    MAX_MESSAGE_BYTES,
    CoordinateInvalidError,
    ErrorCode,
    InvalidResultError,
    cut,
)
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import JsonValue, normalise, type_name

MAX_RECTS: Final = 20
MAX_CODE_CHARACTERS: Final = 64

_KNOWN: Final = ("status", "message", "error_code", "data", "debug")
_VERDICT_KEYS: Final = ("result_status", "defect_rects")
_RECT_FIELDS: Final = ("x", "y", "width", "height", "label", "score")

RectLike = Rect | dict[str, Any]


@dataclass(frozen=True)
class _TypedResult:
    """The four parts of spec.md §5; nothing is checked before the hook returned, so that both forms meet one check."""

    status: str
    message: str = ""
    error_code: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def error(cls, code: str, message: str) -> Self:
        """No answer about the part: the host gets `code` and `message`; out of pre_execute, execute is not called."""
        return cls("ERROR", message, code)

    def to_dict(self) -> dict[str, Any]:
        """The plain form of spec.md §5."""
        return {"status": self.status, "message": self.message, "error_code": self.error_code, "data": self.data}


@dataclass(frozen=True)
class PreExecuteResult(_TypedResult):
    """What `pre_execute` may return instead of a dict; make one with `ready` or `error`."""

    @classmethod
    def ready(cls, message: str = "ready", calibration_rects: Iterable[RectLike] = (), **data: Any) -> Self:
        """Prepared: execute may follow. `data` is kept for the host; a verdict has no place here."""
        return cls("OK", message, "", {"calibration_rects": _plain_rects(calibration_rects), **data})


@dataclass(frozen=True)
class ExecuteResult(_TypedResult):
    """What `execute` may return instead of a dict; make one with `ok`, `ng` or `error`."""

    @classmethod
    def ok(cls, defect_rects: Iterable[RectLike] = (), position_rects: Iterable[RectLike] = (), **data: Any) -> Self:
        """A good part. `data` (`debug` among it) is kept for the host."""
        return cls("OK", "", "", {"result_status": "OK", **_both(defect_rects, position_rects), **data})

    @classmethod
    def ng(
        cls, reason: str, defect_rects: Iterable[RectLike], position_rects: Iterable[RectLike] = (), **data: Any
    ) -> Self:
        """A bad part and why; `defect_rects` may be empty when there is no place to point at."""
        verdict = {"result_status": "NG", "ng_reason": reason}
        return cls("OK", "", "", {**verdict, **_both(defect_rects, position_rects), **data})


class HookAnswer(msgspec.Struct, frozen=True):
    """A validated return of a hook: plain JSON, bounded, every rectangle inside the image.

    `diagnostics` tells what validation had to leave out: `defects_truncated`, `positions_truncated` (counts) and
    `ignored_keys` (names).
    """

    status: str
    message: str
    error_code: str
    data: dict[str, JsonValue]
    diagnostics: dict[str, JsonValue]


def accept_pre_execute(returned: object, image_size: tuple[int, int] | None) -> HookAnswer:
    """The answer in a value that `pre_execute` returned; `image_size` is (width, height), None when there is no image.

    Raises InvalidResultError (1010), CoordinateInvalidError (1007) or ResultTooLargeError (1011). Source: spec.md §5.
    """
    answer = _answer("pre_execute", PreExecuteResult, returned)
    if answer.status == "OK":
        for key in _VERDICT_KEYS:
            if key in answer.data:
                raise InvalidResultError(
                    f"data.{key}: pre_execute gives no verdict", hint="return it from execute instead"
                )
        _check_rects(answer.data, "calibration_rects", image_size)
    return answer


def accept_execute(returned: object, image_size: tuple[int, int] | None) -> HookAnswer:
    """The answer in a value that `execute` returned; with status OK its data has a verdict.

    Raises as `accept_pre_execute` does. Source: spec.md §5.
    """
    answer = _answer("execute", ExecuteResult, returned)
    if answer.status == "OK":
        _check_verdict(answer.data)
        for key, counter in (("defect_rects", "defects_truncated"), ("position_rects", "positions_truncated")):
            _check_rects(answer.data, key, image_size)
            _keep_best(answer, key, counter)
    return answer


def _answer(hook: str, typed: type[PreExecuteResult] | type[ExecuteResult], returned: object) -> HookAnswer:
    """Status, message and data of a return, in plain JSON; says nothing about a verdict."""
    plain = _plain_tree(hook, typed, returned)
    status = plain.get("status")
    if status not in ("OK", "ERROR"):
        raise InvalidResultError(
            f"status: expected 'OK' or 'ERROR' from {hook}, got {_shown(plain, 'status')}",
            hint="an NG part has status OK and data.result_status NG" if status == "NG" else "",
        )
    diagnostics: dict[str, JsonValue] = {}
    ignored = [key for key in plain if key not in _KNOWN]
    code = _text_of(plain, "error_code")
    if status == "OK" and code:
        ignored.append("error_code")
        code = ""
    data = _data_of(plain)
    if status == "ERROR":
        code = _checked_code(code)
        if "result_status" in data:
            # Not inspected is neither good nor bad: a host that only reads the verdict must not find one.
            del data["result_status"]
            ignored.append("data.result_status")
    if ignored:
        diagnostics["ignored_keys"] = [key[:MAX_CODE_CHARACTERS] for key in ignored[:MAX_RECTS]]
    return HookAnswer(str(status), cut(_text_of(plain, "message"), MAX_MESSAGE_BYTES), code, data, diagnostics)


def _plain_tree(
    hook: str, typed: type[PreExecuteResult] | type[ExecuteResult], returned: object
) -> dict[str, JsonValue]:
    if type(returned) is typed:
        returned = returned.to_dict()
    plain = normalise(returned, "") if issubclass(type(returned), dict) else None
    if not isinstance(plain, dict):
        raise InvalidResultError(
            f"{hook}: expected a dict or {typed.__name__}, got {type_name(returned)}",
            hint=_RETURN_HINTS.get(type_name(returned), ""),
        )
    return plain


_RETURN_HINTS: Final = {
    "NoneType": "a path through the hook ends without return",
    "coroutine": "hooks are plain functions: def, not async def",
    "generator": "hooks return one result: return, not yield",
}


def _plain_rects(rects: Iterable[Any]) -> list[Any]:
    return [rect.to_json() if type(rect) is Rect else rect for rect in rects]


def _both(defect_rects: Iterable[RectLike], position_rects: Iterable[RectLike]) -> dict[str, Any]:
    return {"defect_rects": _plain_rects(defect_rects), "position_rects": _plain_rects(position_rects)}


def _text_of(plain: dict[str, JsonValue], key: str) -> str:
    value = plain.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidResultError(f"{key}: expected text, got {_shown(plain, key)}")
    return value


def _checked_code(code: str) -> str:
    if len(code) > MAX_CODE_CHARACTERS:
        raise InvalidResultError(
            f"error_code: expected at most {MAX_CODE_CHARACTERS} characters, got {len(code)}",
            hint="the explanation belongs in message",
        )
    return code or str(ErrorCode.UNKNOWN_ERROR)


def _data_of(plain: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The author's data with a top-level `debug` moved into it; data.debug wins where both name a thing."""
    data = plain.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InvalidResultError(f"data: expected a dict, got {_shown(plain, 'data')}")
    if plain.get("debug") is not None:
        above, inside = plain["debug"], data.get("debug")
        if inside is None:
            data["debug"] = above
        elif isinstance(above, dict) and isinstance(inside, dict):
            data["debug"] = {**above, **inside}
        else:
            raise InvalidResultError("debug: stands both at top level and in data; give it once")
    return data


def _check_verdict(data: dict[str, JsonValue]) -> None:
    verdict = data.get("result_status")
    if verdict not in ("OK", "NG"):
        raise InvalidResultError(
            f"data.result_status: expected 'OK' or 'NG', got {_shown(data, 'result_status')}",
            hint="execute must give a verdict, or status ERROR with an error_code",
        )
    if verdict == "OK":
        return
    reason = data.get("ng_reason")
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidResultError(f"data.ng_reason: expected text that says why, got {_shown(data, 'ng_reason')}")
    if "defect_rects" not in data:
        raise InvalidResultError("data.defect_rects: expected a list with an NG, got nothing", hint="it may be empty")


def _check_rects(data: dict[str, JsonValue], key: str, image_size: tuple[int, int] | None) -> None:
    if key not in data:
        return
    rects = data[key]
    if not isinstance(rects, list):
        raise InvalidResultError(f"data.{key}: expected a list of rectangles, got {_shown(data, key)}")
    for index, rect in enumerate(rects):
        _check_rect(rect, f"data.{key}[{index}]", image_size)


def _check_rect(rect: JsonValue, path: str, image_size: tuple[int, int] | None) -> None:
    """Check one rectangle where it stands; further keys of the author (area, class ...) stay with it."""
    if not isinstance(rect, dict):
        raise InvalidResultError(f"{path}: expected {{x, y, width, height, label, score}}, got {type_name(rect)}")
    checked = Rect.parse({key: rect[key] for key in _RECT_FIELDS if key in rect}, path)
    width, height = image_size or (checked.x + checked.width, checked.y + checked.height)
    if not checked.inside(width, height):
        place = f"inside the image of {width} x {height}" if image_size else "with x and y of 0 or more"
        raise CoordinateInvalidError(
            f"{path}: expected a rectangle {place}, "
            f"got x={checked.x} y={checked.y} width={checked.width} height={checked.height}",
            hint="clip it to the image",
        )


def _keep_best(answer: HookAnswer, key: str, counter: str) -> None:
    """Cut a list of rectangles to the 20 with the highest score, in the order they came."""
    rects = answer.data.get(key)
    if not isinstance(rects, list) or len(rects) <= MAX_RECTS:
        return
    ranked = sorted(range(len(rects)), key=lambda index: -_rank(rects[index]))
    answer.data[key] = [rects[index] for index in sorted(ranked[:MAX_RECTS])]
    answer.diagnostics[counter] = len(rects) - MAX_RECTS


def _rank(rect: JsonValue) -> float:
    """The score; below every score when there is none."""
    score = rect.get("score") if isinstance(rect, dict) else None
    return float(score) if isinstance(score, (int, float)) else -1.0


def _shown(holder: dict[str, JsonValue], key: str) -> str:
    if key not in holder:
        return "nothing"
    value = holder[key]
    if isinstance(value, (list, dict)):
        return type_name(value)
    return f"{value!a:.60} ({type_name(value)})"
