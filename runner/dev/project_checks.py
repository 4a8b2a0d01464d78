"""Everything `procvision validate` looks at in a project, in order (spec.md §11.6).

manifest, assets -> source -> start the real worker -> get_info -> hooks on images -> what they left -> its end
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from procvision_sdk.errors import ErrorCode
from runner.dev import hook_checks, package_checks, source_checks
from runner.dev.checks import Check, Outcome
from runner.dev.image_files import ImageFile, has_images, read_headers
from runner.dev.info_check import check_info
from runner.dev.init import sample_image, with_bright_spot
from runner.dev.leak_check import REPEATS, check_leaks
from runner.dev.local import LocalStation, local_station
from runner.dev.log_lines import LogLines
from runner.dev.project import Project, UsageError
from runner.terminal import err

# Samples of a project that the hooks are tried on; --full goes round them as well.
_MAX_IMAGES = 4
_NEEDS_WORKER = ("get_info", "hooks", "other_hooks", "kept_views", "timing", "leaks", "teardown")


@dataclass(frozen=True, slots=True)
class ValidatePlan:
    """What was typed."""

    project: Path
    image: Path | None = None
    full: bool = False
    json: bool = False
    key: Path | None = None


async def check_project(folder: Path, asked: ValidatePlan, logs: LogLines) -> list[Check]:
    """All checks in order; what needs something that failed is skipped."""
    read = read_project(folder)
    if read.project is None:
        return [*read.checks, *skipped_running("the project cannot be started")]
    checks = [*read.checks, *await _check_running(read.project, asked)]
    return [*checks, hook_checks.check_stdout(logs.stray, source_checks.print_places(read.modules))]


@dataclass(frozen=True, slots=True)
class ReadProject:
    """What is known of a project before it runs; `project` None: it cannot be started."""

    project: Project | None
    modules: list[source_checks.Module]
    checks: list[Check]


def read_project(folder: Path) -> ReadProject:
    """The checks that run nothing."""
    manifest, checks = package_checks.check_manifest(folder)
    modules, parsed = source_checks.read_modules(folder)
    checks.append(parsed)
    if manifest is not None:
        checks += [package_checks.check_entry_point(folder, manifest), package_checks.check_parameters(manifest)]
    checks += [
        package_checks.check_requirements(folder),
        source_checks.check_imports(folder, modules),
        source_checks.check_shared_memory(modules),
    ]
    if manifest is None or any(one.name == "entry_point" and one.result is Outcome.FAIL for one in checks):
        return ReadProject(None, modules, checks)
    return ReadProject(Project(folder, manifest), modules, checks)


def skipped_running(why: str) -> list[Check]:
    """The checks that need the algorithm's process, none of them made."""
    return [Check.skipped(name, why) for name in ("boot", *_NEEDS_WORKER)]


async def _check_running(project: Project, asked: ValidatePlan) -> list[Check]:
    with tempfile.TemporaryDirectory(prefix="procvision-images-") as scratch:
        images = _images(project, asked.image, Path(scratch))
        async with local_station(project, max(image.nbytes for image in images)) as local:
            checks = await _check_worker(local, images, asked)
        ended = local.supervisor.last_exit
    if checks[0].result is Outcome.PASS:
        checks.append(_check_end(ended.code if ended is not None else 0, str(ended)))
    return checks


async def _check_worker(local: LocalStation, images: Sequence[ImageFile], asked: ValidatePlan) -> list[Check]:
    with err.status("starting the algorithm"):
        failure = await local.boot()
    if failure is not None:
        hint = failure.hint or "see its log above"
        boot = Check("boot", Outcome.FAIL, f"{failure.code} {failure.name}: {failure.message}", hint=hint)
        return [boot, *(Check.skipped(name, "the algorithm cannot boot") for name in _NEEDS_WORKER)]
    manifest = local.deployment.manifest
    checks = [Check.passed("boot", f"ready; setup took {local.supervisor.setup_ms:.0f} ms"), await check_info(local)]
    with err.status("inspecting"):
        seen = await hook_checks.inspect_all(local, images)
    checks += hook_checks.check_hooks(manifest, seen)
    checks += [
        hook_checks.check_quiet_hooks(seen),
        hook_checks.check_kept_views(seen),
        hook_checks.check_timing(local, seen),
    ]
    if not asked.full:
        return [*checks, Check.skipped("leaks", f"--full inspects {REPEATS} times and looks for growth")]
    if seen.stopped:
        return [*checks, Check.skipped("leaks", seen.stopped)]
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("looking for leaks", total=REPEATS)
        checks.append(await check_leaks(local, images, lambda: progress.advance(task)))
    return checks


def _check_end(code: int, how: str) -> Check:
    if code == 0:
        return Check.passed("teardown", "it ended when it was asked to")
    return Check("teardown", Outcome.WARN, f"the process ended by {how}", "", "teardown must return within its limit")


def _images(project: Project, given: Path | None, scratch: Path) -> list[ImageFile]:
    """What was given, else the project's samples, else two generated images: as arrays, so that views can be kept.

    Samples lie in `samples/` for all products, in `samples/<pid>/` for one.
    """
    samples = project.folder / "samples"
    folders = [samples, *(samples / pid for pid in project.manifest.supported_pids)]
    places = [given] if given is not None else [folder for folder in folders if has_images(folder)]
    if not places:
        from PIL import Image

        for name, pixels in {"generated": sample_image(), "generated-spot": with_bright_spot(sample_image())}.items():
            Image.fromarray(pixels).save(scratch / f"{name}.png")
        places = [scratch]
    found: list[ImageFile] = []
    for place in places:
        found += [one.decoded() for one in read_headers(place) if isinstance(one, ImageFile)][:_MAX_IMAGES]
    if not found:
        raise UsageError(f"{places[0]}: none of its images can be read", code=ErrorCode.IMAGE_LOAD_FAILED)
    return found
