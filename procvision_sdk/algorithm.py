"""BaseAlgorithm: the hooks an author fills in, and what each one promises (spec.md §1).

All hooks run on the process's main thread, one at a time, on one instance that serves every supported pid:

    __init__ -> setup -> ( on_step_start -> pre_execute -> execute -> on_step_finish )* -> teardown
                              `- reset before a repeated step, after a cancel, at the end of a session
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from procvision_sdk.diagnostics import Diagnostics
from procvision_sdk.logger import StructuredLogger
from procvision_sdk.result import ExecuteResult, PreExecuteResult
from procvision_sdk.session import Session


class BaseAlgorithm(ABC):
    """Subclass this; `get_info`, `pre_execute` and `execute` must be written, the other hooks may be.

    `self.logger` writes structured lines to the station's log, `self.diagnostics` collects values that travel with
    the result of the running call. Both are safe to use in every hook and never raise into the algorithm.
    """

    logger: StructuredLogger
    diagnostics: Diagnostics

    def __init__(self) -> None:
        """Light things only: models and pools belong in `setup`. A subclass calls `super().__init__()`."""
        self.logger = StructuredLogger()
        self.diagnostics = Diagnostics()

    def setup(self) -> None:
        """Load models, open pools; once, before any step. A raise means that the worker cannot boot (1014)."""
        return

    @abstractmethod
    def get_info(self) -> dict[str, Any]:
        """Name, version, description, supported_pids, steps: they must equal the manifest (spec.md §1)."""

    def on_step_start(self, step_index: int, session: Session, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Once per step attempt, first; `context` is {pid, trace_id}. A raise is reported, never aborts."""
        return

    @abstractmethod
    def pre_execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any] | PreExecuteResult:
        """Prepare: lighting, calibration, reference regions. No verdict here. ERROR means execute is not called."""

    @abstractmethod
    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any] | ExecuteResult:
        """Inspect: `data.result_status` must say OK or NG; nothing defaults to OK (spec.md §5)."""

    def on_step_finish(self, step_index: int, session: Session, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Once per step attempt with the outcome; changes to the session made here count. A raise never aborts."""
        return

    def reset(self, session: Session) -> None:  # noqa: ARG002
        """Free what belongs to this session, never models; the session keeps its state."""
        return

    def teardown(self) -> None:
        """Exactly once per setup when the process ends politely; 3 s, then the process is ended (spec.md §1)."""
        return
