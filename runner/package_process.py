"""One operation on packages in a process of its own: the line shares no interpreter and few cycles with it.

The daemon starts it with its order on standard input and reads the answer from standard output, one JSON document each.
It runs behind the line (packages/behind.py), ends with the daemon, and may be ended at any moment (spec.md §10.30).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from procvision_sdk.adapter.boot import die_with_parent
from procvision_sdk.errors import ErrorCode, PackageError, ProcVisionError, StationError
from runner.config import StationConfig
from runner.home import Home
from runner.logs import runner_log
from runner.package_desk import PackageDesk, Told
from runner.packages.behind import behind, creation, keep_to_one_core, put_session_behind, read_and_write_last


class PackageProcesses:
    """Those of one daemon."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._closed = False
        self.spawning = False

    @property
    def os_pids(self) -> frozenset[int]:
        """Of those that run now."""
        return frozenset(self._running)

    async def perform(self, config: StationConfig, who: str, operation: str, asked: Mapping[str, str]) -> Told:
        """The answer of PackageDesk; PackageError or StationError as it raised them."""
        order = {
            "home": str(self._home.folder), "config": config.model_dump(mode="json"), "parent": os.getpid(),
            "who": who, "operation": operation, "asked": dict(asked),
        }  # fmt: skip
        process = await self._start()
        try:
            out, errors = await process.communicate(json.dumps(order).encode())
        except asyncio.CancelledError:
            await self._end(process)
            raise
        finally:
            self._running.pop(process.pid, None)
        return _answer(operation, out, errors)

    async def close(self) -> None:
        """End what runs: it is the old state or the new one."""
        self._closed = True
        for process in list(self._running.values()):
            await self._end(process)

    async def _start(self) -> asyncio.subprocess.Process:
        if self._closed:
            raise StationError("the station is stopping", hint="ask again when it is back", code=ErrorCode.DEGRADED)
        self.spawning = True
        try:
            process = await asyncio.create_subprocess_exec(
                *behind((sys.executable, "-P", "-m", "runner.package_process")),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=sys.platform != "win32", creationflags=creation(),
            )  # fmt: skip
            self._running[process.pid] = process
            read_and_write_last(process.pid)
            put_session_behind(process.pid)
            keep_to_one_core(process.pid)
            return process
        finally:
            self.spawning = False

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _answer(operation: str, out: bytes, errors: bytes) -> Told:
    try:
        told: Told = json.loads(out)
    except ValueError:
        said = errors.decode("utf-8", "replace")[-2000:]
        runner_log.error("%s: its process ended without an answer: %s", operation, said)
        raise StationError(
            f"{operation} ended without an answer: {said[-200:].strip() or 'it was ended'}",
            hint="nothing has changed; the log says more",
            code=ErrorCode.UNKNOWN_ERROR,
        ) from None
    if "told" in told:
        answer: Told = told["told"]
        return answer
    kind = PackageError if told["of_package"] else StationError
    raise kind(told["message"], hint=told["hint"], code=told["code"])


def perform(order: Told) -> Told:
    """What the daemon is told of an order."""
    config = StationConfig.model_validate_json(json.dumps(order["config"]))
    try:
        desk = PackageDesk(Home(Path(order["home"])), config, order["who"])
        return {"told": desk.perform(order["operation"], order["asked"])}
    except ProcVisionError as error:
        of_package = isinstance(error, PackageError)
        return {"code": error.code, "message": error.message, "hint": error.hint, "of_package": of_package}


def main() -> None:
    """Read an order, carry it out, answer."""
    order = json.loads(sys.stdin.buffer.read())
    die_with_parent(order["parent"])
    sys.stdout.write(json.dumps(perform(order)))


if __name__ == "__main__":
    main()
