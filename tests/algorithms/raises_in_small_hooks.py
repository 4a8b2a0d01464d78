"""Raises in each hook whose raise must not abort anything, and in teardown."""

from typing import Any

from procvision_sdk import Session
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def on_step_start(self, step_index: int, session: Session, context: dict[str, Any]) -> None:
        raise SystemExit("start")

    def on_step_finish(self, step_index: int, session: Session, result: dict[str, Any]) -> None:
        result["data"]["result_status"] = {1, 2}
        raise ValueError("finish")

    def reset(self, session: Session) -> None:
        raise KeyError("reset")

    def teardown(self) -> None:
        super().teardown()
        raise KeyboardInterrupt
