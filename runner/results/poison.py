"""Inputs that ended two workers, kept for whoever has to find out why: the newest 20 (spec.md §7).

Each is a folder `<time>-<pid>-<request>`: request.json, and image.bin, the bytes of the slot as the algorithm saw them.
It is written after the verdict is known and off the event loop; the slot is settled when it is done.
"""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from procvision_sdk.wire.host_messages import Inspect
from runner.clock import wall_ms
from runner.logs import runner_log
from runner.results import disk

KEPT = 20
FOLDER = "poison"


def keep(folder: Path, request: Inspect, pixels: memoryview) -> Path:
    """Write one input and forget the oldest ones; OSError when the disk cannot take it, or is `low` already."""
    found = disk.look(folder, 0)
    if found.level != "good":
        raise OSError(errno.ENOSPC, f"the disk is {found.level}, {found.free_bytes} bytes are free", str(folder))
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in request.request_id)
    own = folder / f"{wall_ms()}-{request.pid.replace(':', '_')}-{safe}"
    own.mkdir(parents=True)
    try:
        (own / "request.json").write_text(json.dumps(request.model_dump(mode="json"), indent=2), encoding="utf-8")
        with open(own / "image.bin", "wb") as file:
            file.write(pixels)
    except OSError:
        shutil.rmtree(own, ignore_errors=True)
        raise
    for old in sorted(folder.iterdir())[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return own


async def keep_and_settle(folder: Path, request: Inspect, pixels: memoryview, settle: Callable[[], None]) -> None:
    """The same off the event loop, told in the log; `settle` is called when the pixels are needed no more."""
    try:
        kept = await asyncio.to_thread(keep, folder, request, pixels)
        runner_log.error("request %s ended two workers; kept in %s", request.request_id, kept)
    except OSError as error:
        runner_log.error("request %s ended two workers and could not be kept: %s", request.request_id, error)
    finally:
        settle()


def forget_oldest(folder: Path) -> Path | None:
    """Remove the oldest input; which, None when there was none."""
    oldest = min(folder.iterdir(), default=None) if folder.is_dir() else None
    if oldest is not None:
        shutil.rmtree(oldest, ignore_errors=True)
    return oldest
