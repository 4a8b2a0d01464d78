"""Bodies: RFC 8259 and nothing else, within limits that hold in both directions (spec.md §4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procvision_sdk import json_value
from procvision_sdk.errors import BadFrameError
from procvision_sdk.json_value import JsonValue
from procvision_sdk.wire import body

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int) -> dict[str, Any]:
    """An object of so many levels, itself the first."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@given(st.dictionaries(st.text(), JSON, max_size=5))
@settings(max_examples=200, deadline=None)
def test_what_was_encoded_is_decoded_to_the_same(message: dict[str, Any]) -> None:
    assert body.decode(body.encode(message)) == message


REFUSED = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff{}", "not UTF-8: byte 0 of 3"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
    (b"[]", "expected a JSON object, got list"),
    (b"null", "expected a JSON object, got NoneType"),
    (b"{} {}", "not JSON"),
    (b'{"a":NaN}', "NaN is not JSON"),
    (b'{"a":-Infinity}', "-Infinity is not JSON"),
    (b'{"a":1e999}', "1e999 is outside the range of a double"),
    (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
    (b'{"a":1,"b":2,"a":3}', "the key 'a' occurs twice"),
    (b'{"a":{"b":1,"b":1}}', "the key 'b' occurs twice"),
    (rb'{"a":"\ud800"}', "half of a surrogate pair"),
    (rb'{"\udc00":1}', "half of a surrogate pair"),
    (rb'{"a":["\ud800"]}', "half of a surrogate pair"),
    (b"{" + b'"a":[' * 200_000, "not JSON|deeper than 32"),
    (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeper than 32"),
    (json.dumps(nested(33)).encode(), "deeper than 32"),
    (json.dumps({"a": [0] * 50_000}).encode(), "more than 50000 values"),
    (json.dumps({str(i): 0 for i in range(50_001)}).encode(), "more than 50000 values"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED, ids=[f"{raw[:20]!r}" for raw, _ in REFUSED])
def test_what_is_no_json_object_within_the_limits_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(BadFrameError, match=reason) as caught:
        body.decode(raw)
    assert caught.value.code == "4001" and caught.value.hint


ACCEPTED = [
    (b'{"a":-0}', {"a": 0}),
    (b' {"a" : 1}\n', {"a": 1}),
    (rb'{"a":"\ud83d\ude00"}', {"a": "\U0001f600"}),
    (rb'{"a":"\\ud800"}', {"a": "\\ud800"}),
    (b'{"a":"' + b"[" * 60 + b'"}', {"a": "[" * 60}),
    (json.dumps(nested(32)).encode(), nested(32)),
    (json.dumps({"a": [0] * 49_999}).encode(), {"a": [0] * 49_999}),
    (json.dumps({str(i): 0 for i in range(50_000)}).encode(), {str(i): 0 for i in range(50_000)}),
    (b'{"a":"' + b"x" * 60_000 + b'"}', {"a": "x" * 60_000}),
]


@pytest.mark.parametrize(("raw", "value"), ACCEPTED, ids=[f"{raw[:20]!r}" for raw, _ in ACCEPTED])
def test_what_is_within_the_limits_is_read(raw: bytes, value: dict[str, Any]) -> None:
    assert body.decode(raw) == value


def test_a_key_that_comes_twice_among_very_many_is_found_in_one_pass() -> None:
    keys = ",".join(f'"{number}":0' for number in range(100_000))
    with pytest.raises(BadFrameError, match="the key '99999' occurs twice"):
        body.decode(f'{{{keys},"99999":0}}'.encode())


@pytest.mark.parametrize("message", [nested(33), {"a": [0] * 50_000}])
def test_what_the_other_side_would_refuse_is_not_encoded(message: dict[str, Any]) -> None:
    with pytest.raises(BadFrameError):
        body.encode(message)


@pytest.mark.parametrize(
    ("value", "error"),
    [(float("nan"), ValueError), (float("inf"), ValueError), ("\ud800", ValueError), (b"", TypeError)],
)
def test_what_is_no_json_is_not_encoded(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        body.encode({"a": value})


@pytest.mark.parametrize("data", [nested(json_value.MAX_DEPTH), [0] * (json_value.MAX_NODES - 1)])
def test_the_largest_data_an_algorithm_may_return_fits_into_a_frame_beside_the_rest(data: JsonValue) -> None:
    message = {"type": "result", "data": {"pre_execute": json_value.normalise(data, "data")}, "diagnostics": {}}
    assert body.decode(body.encode(message)) == message


def came_to(read: Callable[[bytes], dict[str, Any]], raw: bytes) -> tuple[str, str]:
    """What a reader makes of a body: its value in text, so that 1 is not 1.0, or the message of its refusal."""
    try:
        return "value", repr(read(raw))
    except BadFrameError as error:
        return "refused", error.message


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), ANY_JSON, max_size=4), st.booleans(), st.data())
@settings(max_examples=300, deadline=None)
def test_the_quick_reading_and_the_strict_one_agree_on_every_body(
    document: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    raw = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass")
    assert came_to(body.decode, raw) == came_to(body.decode_strictly, raw)
    at = data.draw(st.integers(0, len(raw)))
    changed = (
        raw[:at] + data.draw(st.sampled_from([b"", b'"a":1,"a":', b"1e999", b":", b"\xff", b"{", b" "])) + raw[at:]
    )
    assert came_to(body.decode, changed) == came_to(body.decode_strictly, changed)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a" :1,"a":2,"b":":"}',
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2},"c":":"}',
        b'{"a":[{"b" : 1e999}]}',
        b'{"a":-1e999,"b":1}',
        b'{"a":"\\ud800"}',
        b'{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}',
    ],
)
def test_what_breaks_a_rule_is_refused_by_the_quick_reading_too(raw: bytes) -> None:
    with pytest.raises(BadFrameError):
        body.decode(raw)
    assert came_to(body.decode, raw) == came_to(body.decode_strictly, raw)
