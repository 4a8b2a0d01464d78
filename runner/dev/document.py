"""What `procvision run --json` prints, and the exit code of a run (spec.md §11.4, §11.5)."""

from __future__ import annotations

from collections.abc import Sequence

from procvision_sdk.errors import ErrorCode, error_word
from procvision_sdk.json_value import JsonValue
from runner.dev.inspection import ImageRun, Request, StepRun
from runner.dev.project import Project

EXIT_NG = 1
EXIT_USAGE = 2
EXIT_ALGORITHM = 5
EXIT_TIMEOUT = 6
_EXITS: dict[str, int] = {
    ErrorCode.INVALID_PID: EXIT_USAGE,
    ErrorCode.INVALID_PARAMS: EXIT_USAGE,
    ErrorCode.TIMEOUT: EXIT_TIMEOUT,
}


def exit_code(runs: Sequence[ImageRun], ng_exit: int = 0) -> int:
    """The highest of the images' codes; an NG is a finished inspection and counts as `ng_exit`."""
    codes = {"OK": 0, "NG": ng_exit}
    return max((codes.get(run.verdict, _EXITS.get(run.last.error_code, EXIT_ALGORITHM)) for run in runs), default=0)


def of_file(project: Project, request: Request, run: ImageRun) -> dict[str, JsonValue]:
    """One image's document; `pre_execute` and `execute` are those of the last step that ran."""
    last = run.steps[-1]
    return {
        "project": {"name": project.manifest.name, "version": project.manifest.version},
        "pid": request.pid,
        "file": str(run.path),
        **_outcome(run),
        "pre_execute": last.pre_execute.document(),
        "execute": last.execute.document() if last.execute is not None else None,
        "steps": [_step(one) for one in run.steps],
        "total_ms": round(run.total_ms, 3),
    }


def of_folder(project: Project, request: Request, runs: Sequence[ImageRun], found: int) -> dict[str, JsonValue]:
    """The document of a folder: each image's, and how many there were of each verdict; `found` images were there."""
    return {
        "images": [of_file(project, request, run) for run in runs],
        "summary": {**summary(runs), "not_inspected": found - len(runs)},
    }


def summary(runs: Sequence[ImageRun]) -> dict[str, JsonValue]:
    """How many images there were of each verdict, and which error codes came how often."""
    verdicts = [run.verdict for run in runs]
    codes = sorted(run.last.error_code for run in runs if run.verdict == "ERROR")
    return {
        "images": len(runs),
        "ok": verdicts.count("OK"),
        "ng": verdicts.count("NG"),
        "errors": verdicts.count("ERROR"),
        "error_codes": {code: codes.count(code) for code in codes},
    }


def _outcome(run: ImageRun) -> dict[str, JsonValue]:
    last = run.last
    return {
        "status": last.status,
        "result_status": None if run.verdict == "ERROR" else run.verdict,
        "message": last.message,
        "error_code": last.error_code,
        "error_name": error_word(last.error_code),
    }


def _step(step: StepRun) -> dict[str, JsonValue]:
    return {
        "step_index": step.index,
        "name": step.name,
        "user_params": step.user_params,
        "pre_execute": step.pre_execute.document(),
        "execute": step.execute.document() if step.execute is not None else None,
    }
