"""The first answers of a version that has just begun to serve: an end of one of its workers sends the line back.

begun -> 10 good answers -> proven
      -> a worker ended  -> the version before serves again, when there is one (spec.md §10.44)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from procvision_sdk.wire.calls import Result
from runner.routing.catalog import Deployment

GOOD_ANSWERS = 10


@dataclass(slots=True)
class VersionTrial:
    """`back_to` is what served each product before, None where nothing did. `over` and `failed` are told once."""

    label: str
    over: Callable[[VersionTrial], None]
    failed: Callable[[VersionTrial, str], None]
    back_to: dict[str, Deployment | None] = field(default_factory=dict)
    left: int = GOOD_ANSWERS

    def answered(self, _result: Result) -> None:
        """A good answer of this version."""
        self.left -= 1
        if self.left == 0:
            self.over(self)

    def ended(self, why: str) -> None:
        """A worker of this version ended that nobody asked to end."""
        self.failed(self, why)

    def to_json(self) -> dict[str, object]:
        """What `status` shows of it."""
        back = {pid: before.label if before is not None else "" for pid, before in sorted(self.back_to.items())}
        return {"package": self.label, "answers_left": self.left, "back_to": back}
