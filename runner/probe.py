"""The first start of an installed algorithm: it must come up and say what its manifest says (spec.md §10).

In a process and an event loop of its own, isolated as it will be on the line; also called from a thread of the daemon,
which lives until the process has ended.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from procvision_sdk.errors import ErrorCode, ErrorReport, PackageError, ProcVisionError
from procvision_sdk.manifest import Manifest
from procvision_sdk.wire.calls import Call
from procvision_sdk.wire.messages import RunnerHello
from runner import __version__
from runner.config import StationConfig
from runner.dev.checks import Outcome
from runner.dev.info_check import compare
from runner.packages.installer import Probe
from runner.workers import launch
from runner.workers.lifecycle import State
from runner.workers.plan import Reporting, WorkerPlan
from runner.workers.process import LastingThread
from runner.workers.supervisor import Supervisor


def probe_of(config: StationConfig) -> Probe:
    """The probe with a station's limits and environment."""

    def probe(folder: Path, interpreter: Path, manifest: Manifest) -> None:
        scratch = Path(tempfile.mkdtemp(prefix="procvision-probe-"))
        try:
            _run(lambda: _probe(_plan(config, folder, interpreter, manifest, scratch), manifest, config))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    return probe


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a thread that outlives the process it starts, whichever thread asks."""
    ended: Future[None] = Future()

    def run() -> None:
        try:
            ended.set_result(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            ended.set_exception(error)

    thread = LastingThread(target=run, name="procvision-probe")
    thread.start()
    thread.join()
    ended.result()


def _plan(config: StationConfig, folder: Path, interpreter: Path, manifest: Manifest, scratch: Path) -> WorkerPlan:
    own, limits = manifest.timeouts, config.timeouts
    bounds = launch.ProcessLimits(manifest.memory_mb or config.workers.memory_mb, config.workers.max_processes)
    return WorkerPlan(
        deployment=manifest.name,
        folder=folder,
        command=launch.command(interpreter, True, bounds),
        environment={**config.environment, **manifest.environment},
        scratch_root=scratch,
        boot_s=own.boot_s or limits.boot_s,
        teardown_s=own.teardown_s or limits.teardown_s,
        hello=RunnerHello(runner_version=__version__),
    )


async def _probe(plan: WorkerPlan, manifest: Manifest, config: StationConfig) -> None:
    settled = asyncio.Event()
    log = bytearray()

    def changed(_worker: object, state: State, _why: str) -> None:
        if state not in (State.STARTING, State.ABORTING, State.FAILING):
            settled.set()

    def heard(_worker: object, data: bytes, _call: object) -> None:
        log.extend(data[: max(0, 4000 - len(log))])

    reporting = Reporting(
        number=lambda: 1, available=settled.set, failed=lambda: 60.0, succeeded=lambda _call, _result: "",
        gone=lambda _worker: None, log=heard, changed=changed, warned=lambda _worker, _why: None,
    )  # fmt: skip
    supervisor = Supervisor(plan, 0, reporting)
    try:
        supervisor.start()
        await settled.wait()
        if supervisor.state is not State.READY:
            raise _refused(supervisor.boot_failure, f"it ended: {supervisor.last_exit}", bytes(log))
        answer = await supervisor.run(Call(request_id="probe", phase="info"), config.timeouts.execute_s)
        _compare(manifest, answer.data)
    except ProcVisionError as error:
        if isinstance(error, PackageError):
            raise
        raise _refused(None, error.message, bytes(log)) from None
    finally:
        await supervisor.stop()


def _compare(manifest: Manifest, info: dict[str, Any]) -> None:
    said = {key: info.get(key) for key in ("name", "version", "supported_pids")}
    claimed = {"name": manifest.name, "version": manifest.version, "supported_pids": list(manifest.supported_pids)}
    for key, claim in claimed.items():
        if said[key] is not None and said[key] != claim:
            raise _refused(None, f"{key}: the manifest says {claim!r}, get_info() says {said[key]!r:.200}", b"")
    check = compare(manifest, info)
    if check.result is Outcome.FAIL:
        raise _refused(None, check.message, b"")


def _refused(report: ErrorReport | None, text: str, log: bytes) -> PackageError:
    said = log.decode("utf-8", "replace").strip()
    told = report.message if report is not None else f"{text}\n{said}".strip()
    hint = (report.hint if report is not None else "") or "try it with `procvision run` and mend it"
    return PackageError(f"its first start failed: {told}", hint=hint, code=ErrorCode.CANNOT_BOOT)
