"""The algorithm that does nothing wrong: base of the others, which misbehave in one way each."""

import os
from pathlib import Path
from typing import Any

from procvision_sdk import BaseAlgorithm, Session

FOLDER = Path(os.environ["PROC_TEST_FOLDER"])


def note(text: str) -> None:
    """Leave a word for the test to read."""
    with (FOLDER / "notes").open("a", encoding="utf-8") as notes:
        notes.write(f"{text}\n")


def wait_at(gate: str) -> None:
    """Block until the test lets it through."""
    (FOLDER / gate).read_bytes()


class Algorithm(BaseAlgorithm):
    def setup(self) -> None:
        note("setup")

    def teardown(self) -> None:
        note("teardown")

    def get_info(self) -> dict[str, Any]:
        return {"name": "quiet", "version": "1", "supported_pids": ["p"], "steps": [{"index": 1}, {"index": 2}]}

    def pre_execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        return {"status": "OK", "message": "ready"}

    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        return {"status": "OK", "data": {"result_status": "OK"}}
