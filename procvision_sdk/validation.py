"""What is wrong with a value that somebody else wrote, in one line: where, what was expected, what came."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    # Not every process has it: an algorithm without parameters does without.
    from pydantic import ValidationError


def shown(value: object) -> str:
    """A value of a message for an error text: short, whatever its size."""
    return reprlib.repr(value)[:80]


def first_problem(error: ValidationError) -> str:
    """The first problem that a model of pydantic found."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the message"
    if problem["type"] == "missing":
        return f"{where}: {problem['msg']}"
    return f"{where}: {problem['msg']}, got {shown(problem.get('input'))}"


def told(error: msgspec.ValidationError) -> str:
    """The problem that a struct of msgspec found."""
    where, what = placed(error)
    return f"{where}: {what}" if where else what


def placed(error: msgspec.ValidationError) -> tuple[str, str]:
    """The same in two parts; no place for what the value itself lacks."""
    what, _, where = str(error).partition(" - at `$")
    return where.rstrip("`").lstrip("."), what
