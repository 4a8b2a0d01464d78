"""Inputs that ended two workers, kept for whoever has to find out why: the newest 20 (spec.md §7).

Each is a folder `<time>-<pid>-<request>`: request.json, and image.bin, the bytes of the slot as the algorithm saw them.
It is written after the verdict is known and off the event loop; the slot is settled when it is done.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from procvision_sdk.wire.host_messages import Inspect
from runner.clock import wall_ms

KEPT = 20


def keep(folder: Path, request: Inspect, pixels: memoryview) -> Path:
    """Write one input and forget the oldest ones; OSError when the disk cannot take it."""
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in request.request_id)
    own = folder / f"{wall_ms()}-{request.pid.replace(':', '_')}-{safe}"
    own.mkdir(parents=True)
    (own / "request.json").write_text(json.dumps(request.model_dump(mode="json"), indent=2), encoding="utf-8")
    with open(own / "image.bin", "wb") as file:
        file.write(pixels)
    for old in sorted(folder.iterdir())[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return own
