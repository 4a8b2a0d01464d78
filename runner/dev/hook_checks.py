"""Checks of the hooks as a station would call them: every product and step, on real images, in the real worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from procvision_sdk.errors import ErrorCode, error_word
from procvision_sdk.manifest import Manifest, Step
from runner.attempt import hooks_limit_s
from runner.dev.checks import Check, Outcome
from runner.dev.image_files import ImageFile
from runner.dev.inspection import HookRun, ImageRun, Planned, StepRun, inspect_image
from runner.dev.local import LocalStation
from runner.dev.package_checks import sample_value

# The contract was broken. Any other ERROR is the algorithm's own answer to a picture that may not be one of its parts.
_BREACHES = frozenset(
    {
        ErrorCode.TIMEOUT,
        ErrorCode.COORDINATE_INVALID,
        ErrorCode.EXECUTE_EXCEPTION,
        ErrorCode.INVALID_RESULT,
        ErrorCode.RESULT_TOO_LARGE,
        ErrorCode.MEMORY_EXCEEDED,
        ErrorCode.WORKER_CRASHED,
        ErrorCode.CANNOT_BOOT,
        ErrorCode.INVALID_PID,
        ErrorCode.UNKNOWN_ERROR,
    }
)
_LOST = frozenset({ErrorCode.TIMEOUT, ErrorCode.WORKER_CRASHED, ErrorCode.CANNOT_BOOT})
# Beyond this share of its limit a hook will miss it on a busy station.
_SLOW_SHARE = 0.5


@dataclass(slots=True)
class Seen:
    """What the inspections showed, gathered over products, steps and images."""

    runs: list[tuple[str, ImageRun]] = field(default_factory=list)
    kept_views: list[str] = field(default_factory=list)
    hook_errors: list[str] = field(default_factory=list)
    stopped: str = ""


def try_parameters(manifest: Manifest) -> Planned:
    """All steps; what a host must give gets a value that the declaration allows."""
    return tuple((step, _needed(step)) for step in manifest.steps)


def _needed(step: Step) -> dict[str, object]:
    return {one.key: sample_value(one) for one in step.params if one.required and one.default is None}


async def inspect_all(local: LocalStation, images: Sequence[ImageFile]) -> Seen:
    """Every product on every image; ends early when the algorithm's process was lost, since its end is a finding."""
    seen = Seen()
    planned = try_parameters(local.deployment.manifest)
    for pid in local.deployment.manifest.supported_pids:
        for image in suited(images, pid, local.deployment.manifest):
            held = local.station.slots.quarantined
            run = await inspect_image(local, image, pid, planned)
            seen.runs.append((pid, run))
            where = f"{pid}, {image.path.name}"
            lost = run.last.error_code in _LOST
            if local.station.slots.quarantined > held and not lost:
                seen.kept_views.append(where)
            for hook in _hooks(run):
                told = (hook.diagnostics or {}).get("hook_errors") or ()
                seen.hook_errors += [f"{one['hook']}: {one['message']} ({where})" for one in told]
            if lost:
                seen.stopped = f"the algorithm's process was lost at {where}"
                return seen
    return seen


def suited(images: Sequence[ImageFile], pid: str, manifest: Manifest) -> list[ImageFile]:
    """The images of a product: those in a folder of its name, and those in a folder of no product's name."""
    others = set(manifest.supported_pids) - {pid}
    return [image for image in images if image.path.parent.name not in others]


def _hooks(run: ImageRun) -> Iterator[HookRun]:
    for step in run.steps:
        yield from (hook for hook in (step.pre_execute, step.execute) if hook is not None)


def check_hooks(manifest: Manifest, seen: Seen) -> list[Check]:
    """One check for each product and step."""
    checks = []
    for pid in manifest.supported_pids:
        for step in manifest.steps:
            ran = [
                (run, one) for asked, run in seen.runs for one in run.steps if asked == pid and one.index == step.index
            ]
            checks.append(_judge(f"{pid}, step {step.index}", ran, seen.stopped))
    return checks


def _judge(place: str, ran: Sequence[tuple[ImageRun, StepRun]], stopped: str) -> Check:
    if not ran:
        return Check("hooks", Outcome.SKIP, stopped or "an earlier step ended every image", place)
    failed = [(run, step) for run, step in ran if step.last.verdict == "ERROR"]
    if failed:
        run, step = max(failed, key=lambda one: one[1].last.error_code in _BREACHES)
        last = step.last
        hook = "pre_execute" if step.execute is None else "execute"
        message = f"{hook} on {run.path.name}: {last.error_code} {error_word(last.error_code)}: {last.message}"
        if last.error_code in _BREACHES:
            return Check("hooks", Outcome.FAIL, message, place, last.hint)
        hint = last.hint or "give an image of a real part with --image, or put some into samples/"
        return Check("hooks", Outcome.WARN, message, place, hint)
    verdicts = [step.last.verdict for _, step in ran]
    told = ", ".join(f"{verdicts.count(one)} {one}" for one in ("OK", "NG") if one in verdicts)
    return Check.passed("hooks", f"images: {told}", place)


def check_quiet_hooks(seen: Seen) -> Check:
    """on_step_start, on_step_finish and reset abort nothing when they raise, so a raise is easily overlooked."""
    if not seen.hook_errors:
        return Check.passed("other_hooks", "on_step_start and on_step_finish raise nothing")
    return Check("other_hooks", Outcome.WARN, "; ".join(dict.fromkeys(seen.hook_errors))[:500])


def check_kept_views(seen: Seen) -> Check:
    """A slot under a view that is kept cannot be refilled: at the second the station replaces the worker."""
    if not seen.kept_views:
        return Check.passed("kept_views", "no image is held after its call")
    message = f"a view of the image was still held after the call ({seen.kept_views[0]})"
    return Check("kept_views", Outcome.FAIL, message, hint="keep image.copy(), and drop views in reset")


def check_stdout(stray: Sequence[str], places: str) -> Check:
    """print() goes to the log, where nobody sees whose line it was; in a process without the SDK it breaks the link."""
    if not stray and not places:
        return Check.passed("stdout", "nothing is printed")
    message = f"{len(stray)} lines without a record, the first: {stray[0]!r:.120}" if stray else "print() is used"
    return Check("stdout", Outcome.WARN, message, places, "use self.logger.info(message, key=value)")


def check_timing(local: LocalStation, seen: Seen) -> Check:
    """The slowest call of each hook beside its limit."""
    slowest = {"pre_execute": 0.0, "execute": 0.0}
    for _, run in seen.runs:
        for step in run.steps:
            slowest["pre_execute"] = max(slowest["pre_execute"], step.pre_execute.latency_ms)
            if step.execute is not None:
                slowest["execute"] = max(slowest["execute"], step.execute.latency_ms)
    defaults = local.station.config.timeouts
    limits_ms = {
        hook: hooks_limit_s(local.deployment, defaults, phase) * 1000
        for hook, phase in (("pre_execute", "pre"), ("execute", "execute"))
    }
    told = ", ".join(f"{hook} {ms:.1f} ms of {limits_ms[hook]:.0f} ms" for hook, ms in slowest.items())
    if any(ms > limits_ms[hook] * _SLOW_SHARE for hook, ms in slowest.items()):
        hint = "make it faster, or raise timeouts in the manifest"
        return Check("timing", Outcome.WARN, f"slowest: {told}", hint=hint)
    return Check.passed("timing", f"slowest: {told}")
