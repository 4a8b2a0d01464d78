"""Diagnostics: collected per call, bounded, never an exception into the algorithm (spec.md §12)."""

from __future__ import annotations

import json
import math
import threading
from typing import Any, NoReturn

import numpy as np
import pytest

from procvision_sdk.diagnostics import MAX_KEYS, MAX_TOTAL_BYTES, Diagnostics


class Unprintable:
    def __repr__(self) -> NoReturn:
        raise RuntimeError("the author's code ran")

    __str__ = __repr__


def test_what_was_published_is_collected_once() -> None:
    diagnostics = Diagnostics()
    diagnostics.publish("step_ms", np.float32(1.5))
    diagnostics.publish("step_ms", 2.5)
    diagnostics.publish("shift", (1, np.int64(2)))
    assert diagnostics.collect() == {"step_ms": 2.5, "shift": [1, 2]}
    assert diagnostics.collect() == {}


def test_counters_add_up_and_begin_anew_with_each_call() -> None:
    diagnostics = Diagnostics()
    diagnostics.count("blobs")
    diagnostics.count("blobs", 4)
    assert diagnostics.collect() == {"blobs": 5}
    diagnostics.count("blobs", np.int64(2))  # type: ignore[arg-type]
    assert diagnostics.collect() == {"blobs": 2}


def test_spans_of_one_name_add_their_milliseconds() -> None:
    diagnostics = Diagnostics()
    with diagnostics.span("decode"):
        pass
    first = diagnostics.collect()["decode_ms"]
    assert isinstance(first, float)
    assert first >= 0.0
    diagnostics.publish("decode_ms", 1e6)
    with diagnostics.span("decode"):
        pass
    second = diagnostics.collect()["decode_ms"]
    assert isinstance(second, float)
    assert second > 1e6


def test_a_span_is_recorded_when_its_body_raises_and_the_error_goes_on() -> None:
    diagnostics = Diagnostics()
    with pytest.raises(ZeroDivisionError), diagnostics.span("divide"):
        raise ZeroDivisionError
    assert list(diagnostics.collect()) == ["divide_ms"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "value: expected a finite number, got nan"),
        ({"a": [b"x"]}, "value.a[0]: expected a JSON value, got bytes"),
        (Unprintable(), "value: expected a JSON value, got Unprintable"),
        (np.zeros((64, 65)), "value: expected an array of at most 4096 elements, got shape (64, 65)"),
        ("x" * 2_000_000, "value: more than 1572864 bytes of text up to here"),
    ],
)
def test_a_value_that_cannot_be_sent_says_so_in_its_place(value: object, reason: str) -> None:
    diagnostics = Diagnostics()
    diagnostics.publish("k", value)
    assert diagnostics.collect() == {"k": {"unpublishable": reason}}


@pytest.mark.parametrize("amount", ["2", None, True, math.inf, Unprintable()])
def test_a_count_by_what_is_no_number_says_so(amount: Any) -> None:
    diagnostics = Diagnostics()
    diagnostics.count("n", amount)
    assert diagnostics.collect() == {"n": {"unpublishable": "count: expected a number, got " + type(amount).__name__}}


@pytest.mark.parametrize(
    ("key", "name"),
    [(7, "<int>"), (None, "<NoneType>"), (Unprintable(), "<Unprintable>"), ("\ud800", "<str>"), ("k" * 200, "k" * 128)],
)
def test_a_key_that_cannot_be_sent_is_replaced(key: Any, name: str) -> None:
    diagnostics = Diagnostics()
    diagnostics.publish(key, 1)
    assert diagnostics.collect() == {name: 1}
    diagnostics.count(key)
    with diagnostics.span(key):
        pass
    assert set(diagnostics.collect()) == {name, f"{name}_ms"}


def test_keys_beyond_the_limit_are_counted_not_kept() -> None:
    diagnostics = Diagnostics()
    for n in range(MAX_KEYS + 3):
        diagnostics.publish(f"k{n}", n)
    diagnostics.publish("k0", "still replaceable")
    collected = diagnostics.collect()
    assert len(collected) == MAX_KEYS + 1
    assert (collected["k0"], collected["dropped"]) == ("still replaceable", 3)
    assert diagnostics.collect() == {}


def test_bytes_beyond_the_limit_are_counted_not_kept() -> None:
    diagnostics = Diagnostics()
    half = "x" * (MAX_TOTAL_BYTES // 2 - 20)
    diagnostics.publish("a", half)
    diagnostics.publish("b", half)
    diagnostics.publish("c", half)
    diagnostics.publish("a", "small")
    diagnostics.publish("d", half)
    collected = diagnostics.collect()
    assert (list(collected), collected["dropped"]) == (["a", "b", "d", "dropped"], 1)
    assert len(json.dumps(collected)) <= MAX_TOTAL_BYTES + 100


def test_a_sum_that_leaves_the_range_of_json_says_so() -> None:
    diagnostics = Diagnostics()
    diagnostics.count("n", 2**63)
    diagnostics.count("n", 2**63)
    assert diagnostics.collect() == {
        "n": {"unpublishable": "value: expected an integer of at most 64 bits, got one of 65"}
    }


def test_what_is_collected_shares_nothing_with_what_was_published() -> None:
    diagnostics = Diagnostics()
    mine = [1]
    diagnostics.publish("k", mine)
    mine.append(2)
    assert diagnostics.collect() == {"k": [1]}


def test_counts_from_several_threads_are_all_there() -> None:
    diagnostics = Diagnostics()

    def work() -> None:
        for _ in range(500):
            diagnostics.count("n")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert diagnostics.collect() == {"n": 2000}
