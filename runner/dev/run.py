"""`procvision run`: images through a project's algorithm, as on a station (spec.md §11.3).

project -> parameters -> image headers -> local station -> each image -> table, document or report -> exit code
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from procvision_sdk.errors import AlgorithmError, ErrorCode, ErrorReport, ProcVisionError
from procvision_sdk.json_value import JsonValue
from runner.dev import document, html_report, tables, watch
from runner.dev.image_files import ImageFile, Unreadable, read_headers
from runner.dev.inspection import ImageRun, Request, inspect_image, never_began, plan
from runner.dev.local import local_station, run_interruptible
from runner.dev.log_lines import shown_logs
from runner.dev.project import Project, UsageError, folder_of, open_project
from runner.terminal import err, fail, out

# After this many images in a row that cost the algorithm its process, the rest would tell nothing new.
MAX_LOST_IN_A_ROW = 3
_LOST = (ErrorCode.TIMEOUT, ErrorCode.WORKER_CRASHED, ErrorCode.CANNOT_BOOT)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What was typed. `ng_exit`: the exit code of an NG."""

    project: Path
    image: Path
    request: Request
    json: bool = False
    report: Path | None = None
    watch: bool = False
    ng_exit: int = 0


def parse_params(text: str | None) -> dict[str, JsonValue]:
    """`--params` as an object; UsageError says where the JSON breaks."""
    if text is None:
        return {}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--params: expected JSON, got {text!r:.80}: {error}", hint=_PARAMS_HINT) from None
    if not isinstance(given, dict):
        raise UsageError(f"--params: expected a JSON object, got {text!r:.80}", hint=_PARAMS_HINT)
    return given


_PARAMS_HINT = """write it as --params '{"threshold": 200}'"""


def run(asked: RunPlan) -> int:
    """Do it; the exit code."""
    if asked.report is not None and not asked.report.parent.is_dir():
        raise UsageError(f"--report: there is no folder {asked.report.parent}", hint="make it first")
    with shown_logs():
        return run_interruptible(lambda: _watch(asked) if asked.watch else _once(asked))


async def _once(asked: RunPlan) -> int:
    project = open_project(asked.project)
    images = read_headers(asked.image)
    runs = await _inspect(project, asked.request, images)
    if asked.json:
        one = asked.image.is_file()
        told = (
            document.of_file(project, asked.request, runs[0])
            if one
            else document.of_folder(project, asked.request, runs, len(images))
        )
        out.file.write(json.dumps(told, indent=2) + "\n")
    else:
        tables.show(runs)
    if asked.report is not None:
        html_report.write(asked.report, html_report.Inspected(project, asked.request, runs))
        err.print(f"report: {asked.report}", highlight=False, soft_wrap=True)
    if len(runs) < len(images):
        err.print(f"[red]stopped[/]: {len(images) - len(runs)} images were not inspected", highlight=False)
    return document.exit_code(runs, asked.ng_exit)


async def _watch(asked: RunPlan) -> int:
    """Again and again, until a signal."""
    folder = folder_of(asked.project)
    while True:
        before = watch.snapshot(folder, watch.images_under(asked.image))
        try:
            await _once(asked)
        except ProcVisionError as error:
            fail(error)
        err.print("[dim]watching; Ctrl-C ends it[/]")
        path = await watch.changed(folder, asked.image, before)
        err.print(f"[dim]{path.name} changed[/]", highlight=False)


async def _inspect(project: Project, request: Request, images: Sequence[ImageFile | Unreadable]) -> list[ImageRun]:
    """The runs of all images; fewer than images when the algorithm was lost again and again."""
    try:
        planned = plan(project.manifest, request)
    except AlgorithmError as error:
        why = ErrorReport(error.code, error.message, error.hint)
        return [_refused(project, image, why) for image in images]
    needed = max((image.nbytes for image in images if isinstance(image, ImageFile)), default=0)
    async with local_station(project, needed) as local:
        with err.status("starting the algorithm"):
            failure = await local.boot()
        if failure is not None:
            return [_refused(project, image, failure) for image in images]
        runs: list[ImageRun] = []
        with Progress(console=err, transient=True, disable=len(images) == 1 or not err.is_terminal) as progress:
            for image in progress.track(images, description=f"inspecting {request.pid}"):
                if isinstance(image, Unreadable):
                    runs.append(_refused(project, image, ErrorReport(ErrorCode.IMAGE_LOAD_FAILED, image.reason)))
                    continue
                runs.append(await inspect_image(local, image, request.pid, planned))
                if _is_lost(runs[-MAX_LOST_IN_A_ROW:]):
                    break
        return runs


def _is_lost(runs: Sequence[ImageRun]) -> bool:
    return len(runs) == MAX_LOST_IN_A_ROW and all(run.last.error_code in _LOST for run in runs)


def _refused(project: Project, image: ImageFile | Unreadable, why: ErrorReport) -> ImageRun:
    return ImageRun(image.path, (never_began(project.manifest.steps[0], why),))
