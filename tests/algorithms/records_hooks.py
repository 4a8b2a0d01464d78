"""Notes every hook, keeps a counter in the session, fails where it is told to."""

from typing import Any

from procvision_sdk import Session
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def on_step_start(self, step_index: int, session: Session, context: dict[str, Any]) -> None:
        quiet.note(f"start:{step_index}:{context['pid']}:{context['trace_id']}")
        session.set("started", session.get("started", 0) + 1)

    def on_step_finish(self, step_index: int, session: Session, result: dict[str, Any]) -> None:
        quiet.note(f"finish:{step_index}:{result['status']}:{result['error_code']}")
        session.set("finished", session.get("finished", 0) + 1)

    def reset(self, session: Session) -> None:
        quiet.note(f"reset:{session.get('count', 0)}")

    def pre_execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        quiet.note(f"pre:{step_index}")
        session.set("count", session.get("count", 0) + 1)
        user_params["changed"] = True
        image_meta.clear()
        if user_params.get("fail") == "pre":
            return {"status": "ERROR", "message": "no light", "error_code": "5001", "data": {"lux": 3}}
        return {"status": "OK", "data": {"count": session.get("count")}}

    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        quiet.note(f"execute:{step_index}")
        assert "changed" not in user_params and image_meta["camera_id"] == "cam"
        session.set("count", session.get("count", 0) + 10)
        if user_params.get("fail") == "execute":
            raise RuntimeError("blind")
        seen = {key: session.get(key) for key in ("count", "started", "finished")}
        return {"status": "OK", "data": {"result_status": "OK", **seen}}
