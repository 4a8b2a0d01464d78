"""Answers the checksum of the image it was shown; ends its process, hangs or grows when the request asks for it."""

from __future__ import annotations

import itertools
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

from procvision_sdk import BaseAlgorithm, Session, read_image

STEP_BYTES = 32 * 1024 * 1024


class ChaosAlgorithm(BaseAlgorithm):
    def get_info(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(Path("manifest.json").read_text("utf-8"))
        return {key: manifest[key] for key in ("name", "version", "supported_pids", "steps")}

    def pre_execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,
        user_params: dict[str, Any],  # noqa: ARG002
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any]:
        session.set("before", _checksum(shared_mem_id, image_meta))
        return {"status": "OK"}

    def execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any]:
        nonce = user_params["nonce"]
        if user_params["act"] != "none":
            _misbehave(user_params["act"], nonce)
        image = read_image(shared_mem_id, image_meta)
        verdict: dict[str, Any] = {"result_status": "OK"}
        if image[-1, -1, -1] % 2:
            verdict = {"result_status": "NG", "ng_reason": "odd", "defect_rects": []}
        seen = {
            "checksums": [session.get("before"), _checksum(shared_mem_id, image_meta)],
            "nonce": nonce,
            "product": pid,
        }
        return {"status": "OK", "data": {**verdict, **seen, "os_pid": os.getpid()}}


def _checksum(shared_mem_id: str, image_meta: dict[str, Any]) -> int:
    return zlib.crc32(read_image(shared_mem_id, image_meta).data)


def _misbehave(act: str, nonce: str) -> None:
    """Once for each request: its repetition on another worker is a good one."""
    try:
        with (Path(os.environ["PROC_CHAOS_FOLDER"]) / nonce).open("x", encoding="ascii") as told:
            told.write(f"{time.monotonic()} {os.getpid()}")
    except FileExistsError:
        return
    match act:
        case "exit":
            os._exit(0)
        case "hang":
            # One call into C that never returns and never lets go of the interpreter.
            sum(itertools.repeat(0))
        case "grow":
            kept = []
            while True:
                kept.append(b"x" * STEP_BYTES)
                time.sleep(0.01)
