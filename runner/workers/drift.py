"""Whether the calls of a step take much longer than they did: pure, durations come in as numbers (spec.md §7.24).

The first WINDOW calls of a step are what it usually takes. Of each later WINDOW calls the median is compared with
that: a single slow call says nothing, and a slow drift ends nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

WINDOW = 20
FACTOR = 3.0
# Below this the clock and the machine's other work drift more than any algorithm does.
LEAST_MS = 1.0


@dataclass(slots=True)
class _Step:
    usual_ms: float | None = None
    recent_ms: list[float] = field(default_factory=list)
    slow: bool = False


class Drift:
    """The steps of one deployment; `warnings` counts how often one became slow."""

    def __init__(self) -> None:
        self.warnings = 0
        self._steps: dict[int, _Step] = {}

    @property
    def slow_steps(self) -> list[int]:
        """The steps that take FACTOR times what they did, or more."""
        return sorted(index for index, step in self._steps.items() if step.slow)

    def take(self, step_index: int, took_ms: float) -> str:
        """One more good call; what to warn of when the step just became slow, else ""."""
        step = self._steps.setdefault(step_index, _Step())
        step.recent_ms.append(took_ms)
        if len(step.recent_ms) < WINDOW:
            return ""
        now_ms, step.recent_ms = median(step.recent_ms), []
        if step.usual_ms is None:
            step.usual_ms = max(now_ms, LEAST_MS)
            return ""
        was_slow, step.slow = step.slow, now_ms >= FACTOR * step.usual_ms
        if was_slow or not step.slow:
            return ""
        self.warnings += 1
        return f"step {step_index} takes {now_ms:.1f} ms, {step.usual_ms:.1f} ms at first (medians of {WINDOW} calls)"
