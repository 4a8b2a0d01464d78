"""normalise and json_copy on values whose own code lies, raises or changes underneath (spec.md §5)."""

from __future__ import annotations

import json
import sys
import threading
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procvision_sdk.errors import InvalidResultError
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import (
    JsonValue,
    clone,
    encoded_bytes,
    json_copy,
    normalise,
    type_name,
)


def explode(*_: object) -> NoReturn:
    raise RuntimeError("the author's code ran")


class EvilText(str):
    __slots__ = ()
    __str__ = __repr__ = __len__ = __hash__ = isascii = explode


class EvilInt(int):
    __int__ = __index__ = __repr__ = __str__ = __lt__ = __le__ = __hash__ = explode


class EvilFloat(float):
    __float__ = __repr__ = __str__ = __lt__ = __hash__ = explode


class EvilDict(dict[str, Any]):
    items = keys = values = __iter__ = __len__ = __repr__ = explode


class EvilList(list[Any]):
    __iter__ = __len__ = __getitem__ = __repr__ = explode


def evil_object() -> object:
    """An object that raises whatever it is asked, its class too; made here, since pytest asks module attributes."""

    class EvilMeta(type):
        __name__ = property(explode)
        __hash__ = __eq__ = __repr__ = explode

    class EvilObject(metaclass=EvilMeta):
        __class__ = property(explode)
        __repr__ = __str__ = __getattribute__ = __eq__ = __hash__ = explode

    return EvilObject()


def assert_plain(value: JsonValue) -> None:
    assert type(value) in (type(None), bool, int, float, str, list, dict)
    if isinstance(value, list):
        for item in value:
            assert_plain(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            assert type(key) is str
            assert_plain(item)


def test_subclasses_of_text_and_numbers_are_read_without_running_their_code() -> None:
    made = normalise([EvilText("t"), EvilInt(7), EvilFloat(0.5), {"k": (EvilText("u"),)}], "data")
    assert made == ["t", 7, 0.5, {"k": ["u"]}]
    assert_plain(made)


@pytest.mark.parametrize("kind", ["dict", "list", "object", "class"])
def test_an_object_whose_own_methods_raise_is_refused_and_its_text_does_not_escape(kind: str) -> None:
    evil = evil_object()
    zoo: dict[str, object] = {"dict": EvilDict(a=1), "list": EvilList([1]), "object": evil, "class": type(evil)}
    with pytest.raises(InvalidResultError) as caught:
        normalise({"a": zoo[kind]}, "data")
    assert str(caught.value).startswith("data.a: expected a JSON value, got ")
    assert "author's code" not in str(caught.value)


def test_two_keys_that_become_the_same_text_are_refused() -> None:
    class Key(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 1

    with pytest.raises(InvalidResultError, match=r"^data\.a: two of its keys are the same text"):
        normalise({"a": {Key("k"): 1, "k": 2}}, "data")


def test_a_dict_that_another_thread_changes_is_copied_without_an_error() -> None:
    shared: dict[str, int] = {str(i): i for i in range(2000)}
    stop = threading.Event()

    def churn() -> None:
        n = 0
        while not stop.is_set():
            shared[f"new{n % 50}"] = n
            shared.pop(f"new{(n + 25) % 50}", None)
            n += 1

    author = threading.Thread(target=churn)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    author.start()
    try:
        for _ in range(100):
            made = normalise(shared, "data")
            assert isinstance(made, dict)
            assert made["7"] == 7
    finally:
        stop.set()
        author.join()
        sys.setswitchinterval(interval_s)


plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children),
    max_leaves=30,
)
anything = st.recursive(
    plain_json
    | st.floats()
    | st.integers()
    | st.text(st.characters())
    | st.binary()
    | st.sampled_from([np.float32(1), np.float64("nan"), Decimal(1), Rect(1, 2, 3, 4)])
    | st.builds(lambda: np.zeros((2, 3)))
    | st.builds(lambda: EvilText("t"))
    | st.builds(lambda: EvilDict(a=1)),
    lambda children: (
        st.lists(children) | st.tuples(children, children) | st.dictionaries(st.text() | st.integers(), children)
    ),
    max_leaves=20,
)


@given(plain_json)
def test_plain_json_comes_out_equal_and_survives_the_wire(value: JsonValue) -> None:
    made = normalise(value, "data")
    assert made == value
    assert json_copy(value) == value
    assert clone(made) == made
    text = json.dumps(made, allow_nan=False)
    assert json.loads(text) == made


@given(anything)
def test_any_tree_ends_in_encodable_json_or_in_an_error_that_begins_with_its_place(value: object) -> None:
    try:
        made = normalise(value, "data")
    except InvalidResultError as error:
        assert error.message.startswith("data")
        assert len(error.message) < 2000
    else:
        assert_plain(made)
        assert encoded_bytes(made) == len(
            json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        )


def test_a_session_value_that_raises_when_asked_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"^value: expected plain JSON, got EvilObject"):
        json_copy(evil_object())


def test_a_type_is_named_even_when_its_metaclass_raises() -> None:
    assert type_name(evil_object()) == "EvilObject"
    assert type_name(type("x" * 500, (), {})()) == "x" * 80
