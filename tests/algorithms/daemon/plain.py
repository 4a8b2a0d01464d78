"""Base of the projects in these folders: says what its manifest says, waits where a test wants it to, judges OK."""

import json
import os
from contextlib import suppress
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
    with suppress(FileExistsError):
        os.mkfifo(FOLDER / gate)
    (FOLDER / gate).read_bytes()


def happens_first_time(what: str) -> bool:
    """Whether nobody asked this before, in whatever process."""
    try:
        (FOLDER / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Plain(BaseAlgorithm):
    def get_info(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(Path("manifest.json").read_text("utf-8"))
        return {key: manifest[key] for key in ("name", "version", "supported_pids", "steps")}

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
        return self.act(user_params.get("how", ""), shared_mem_id, image_meta) or judged_ok()

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        """What this algorithm does, and what it answers if not OK."""
        return None


def judged_ok(**data: Any) -> dict[str, Any]:
    return {"status": "OK", "data": {"result_status": "OK", "os_pid": os.getpid(), **data}}
