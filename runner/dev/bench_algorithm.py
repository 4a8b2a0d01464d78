"""`procvision bench algorithm`: an author's algorithm, measured where a station would run it (spec.md §11.33).

project -> image headers -> local station -> every image, again and again -> percentiles, images a second, memory
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.table import Table

from procvision_sdk.errors import ErrorReport
from procvision_sdk.json_value import JsonValue
from runner.dev import document, tables
from runner.dev.bench_statistics import quantile
from runner.dev.image_files import ImageFile, read_headers
from runner.dev.inspection import ImageRun, Request, inspect_image, plan
from runner.dev.local import LocalStation, local_station, run_interruptible
from runner.dev.log_lines import shown_logs
from runner.dev.project import Project, UsageError, open_project
from runner.terminal import err, fail_report

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class AlgorithmPlan:
    """What was typed."""

    project: Path
    images: Path
    pid: str | None
    repeat: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured; milliseconds. `image`: all steps of one image, asked and answered; hooks: inside them."""

    project: Project
    pid: str
    image_ms: tuple[float, ...]
    pre_execute_ms: tuple[float, ...]
    execute_ms: tuple[float, ...]
    setup_ms: float
    peak_bytes: int

    @property
    def per_s(self) -> float:
        """Images a second, one after the other."""
        return len(self.image_ms) / (sum(self.image_ms) / 1000)

    def document(self) -> dict[str, JsonValue]:
        hooks = (("image_ms", self.image_ms), ("pre_execute_ms", self.pre_execute_ms), ("execute_ms", self.execute_ms))
        return {
            "project": {"name": self.project.manifest.name, "version": self.project.manifest.version},
            "pid": self.pid,
            "inspections": len(self.image_ms),
            **{name: _percentiles(found) for name, found in hooks},
            "images_per_s": round(self.per_s, 3),
            "setup_ms": round(self.setup_ms, 1),
            "peak_memory_mb": round(self.peak_bytes / _MIB, 1),
        }

    def table(self) -> Table:
        table = Table("", "p50 ms", "p99 ms", title=f"{self.project}, {self.pid}: {len(self.image_ms)} inspections")
        rows = (("image", self.image_ms), ("pre_execute", self.pre_execute_ms), ("execute", self.execute_ms))
        for name, found in rows:
            table.add_row(name, *(f"{value:.2f}" for value in _percentiles(found).values()))
        table.caption = (
            f"{self.per_s:.1f} images a second, setup {self.setup_ms:.0f} ms, {self.peak_bytes / _MIB:.0f} MiB"
        )
        return table


def _percentiles(found: tuple[float, ...]) -> dict[str, JsonValue]:
    """0 for a hook that took no measurable time."""
    if not found or min(found) <= 0:
        found = tuple(max(one, 1e-6) for one in found) or (1e-6,)
    return {"p50": round(quantile(found, 0.5), 4), "p99": round(quantile(found, 0.99), 4)}


def measure(asked: AlgorithmPlan) -> tuple[int, Measured | None]:
    """The exit code, and the figures unless an inspection ended in ERROR: those would be figures of an error."""
    project = open_project(asked.project)
    pid = asked.pid or project.manifest.supported_pids[0]
    images = [one for one in read_headers(asked.images) if isinstance(one, ImageFile)]
    if not images:
        raise UsageError(f"--images: {asked.images} has no image that can be read", hint="give png, jpeg, bmp or tiff")
    found: list[Measured] = []
    with shown_logs():
        code = run_interruptible(lambda: _run(project, Request(pid, None, {}), (images, asked.repeat), found))
    return code, found[0] if found else None


async def _run(project: Project, request: Request, material: tuple[list[ImageFile], int], found: list[Measured]) -> int:
    images, repeat = material
    planned = plan(project.manifest, request)
    async with local_station(project, max(image.nbytes for image in images)) as local:
        with err.status("starting the algorithm"):
            failure = await local.boot()
        if failure is not None:
            return _not_booted(failure)
        runs = [await inspect_image(local, image, request.pid, planned) for image in images]  # to warm up
        if not _failed(runs):
            runs = [await inspect_image(local, one, request.pid, planned) for _ in range(repeat) for one in images]
        if _failed(runs):
            tables.show_failure(next(run for run in runs if run.verdict == "ERROR"))
            return document.exit_code(runs)
        found.append(_measured(project, request.pid, runs, local))
    return 0


def _failed(runs: list[ImageRun]) -> bool:
    return any(run.verdict == "ERROR" for run in runs)


def _not_booted(failure: ErrorReport) -> int:
    fail_report(failure)
    return document.EXIT_ALGORITHM


def _measured(project: Project, pid: str, runs: list[ImageRun], local: LocalStation) -> Measured:
    steps = [step for run in runs for step in run.steps]
    return Measured(
        project=project,
        pid=pid,
        image_ms=tuple(run.total_ms for run in runs),
        pre_execute_ms=tuple(step.pre_execute.latency_ms for step in steps),
        execute_ms=tuple(step.execute.latency_ms for step in steps if step.execute is not None),
        setup_ms=local.supervisor.setup_ms,
        peak_bytes=peak_bytes(local.supervisor.os_pid),
    )


def peak_bytes(os_pid: int) -> int:
    """The most memory a living process had resident, slots that it has looked at included."""
    told = Path(f"/proc/{os_pid}/status")
    if told.exists():
        for line in told.read_text("ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    memory = psutil.Process(os_pid).memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))
