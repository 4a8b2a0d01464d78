"""What `procvision validate` says: one Check for each thing that was looked at (spec.md §11.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from procvision_sdk.errors import ProcVisionError
from procvision_sdk.json_value import JsonValue


class Outcome(Enum):
    """SKIP: it could not be looked at, because something before it failed or was not asked for."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what came of it, where, how to mend it; `code` of a refusal, else ""."""

    name: str
    result: Outcome
    message: str
    place: str = ""
    hint: str = ""
    code: str = ""

    @classmethod
    def passed(cls, name: str, message: str, place: str = "") -> Check:
        return cls(name, Outcome.PASS, message, place)

    @classmethod
    def skipped(cls, name: str, why: str) -> Check:
        return cls(name, Outcome.SKIP, why)

    @classmethod
    def failed(cls, name: str, error: ProcVisionError, place: str = "") -> Check:
        """A refusal of the SDK as the check's failure."""
        return cls(name, Outcome.FAIL, error.message, place, error.hint, error.code)

    def document(self) -> dict[str, JsonValue]:
        return {
            "name": self.name,
            "result": self.result.value,
            "message": self.message,
            "place": self.place,
            "hint": self.hint,
            "code": self.code,
        }


def document(checks: Sequence[Check]) -> dict[str, JsonValue]:
    """What `validate --json` prints; status is FAIL when one check failed."""
    count = {outcome: sum(1 for one in checks if one.result is outcome) for outcome in Outcome}
    return {
        "summary": {
            "status": (Outcome.FAIL if count[Outcome.FAIL] else Outcome.PASS).value,
            "passed": count[Outcome.PASS],
            "failed": count[Outcome.FAIL],
            "warnings": count[Outcome.WARN],
            "skipped": count[Outcome.SKIP],
        },
        "checks": [one.document() for one in checks],
    }
