"""Texts of others in a terminal."""

from __future__ import annotations

import pytest

from runner.dev.log_lines import printable

TEXTS = [
    ("plain", "plain"),
    ("划痕\u3000A\xa0é", "划痕\u3000A\xa0é"),
    ("two\nlines\tof", "two\nlines\tof"),
    ("\x1b[31mred\x07\r", "\\x1b[31mred\\x07\\x0d"),
    ("\u202eturned", "\\x202eturned"),
    ("\ud800", "\\xd800"),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
