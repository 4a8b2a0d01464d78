"""From spawn to ready, or to one reason why not (spec.md §1.5, §7.1)."""

from __future__ import annotations

import errno
from dataclasses import replace

from procvision_sdk.errors import ErrorCode, ErrorReport, report_of
from procvision_sdk.wire.messages import Ready
from runner.workers import launch
from runner.workers.limit import Limit
from runner.workers.plan import WorkerPlan
from runner.workers.worker import BootError, OutOfTurnError, Worker, WorkerGoneError

# No process can be had now: not the package's fault, and it passes.
_MACHINE_IS_SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})


class CannotBootError(Exception):
    """Why; `recoverable`: trying again is worth it; `started`: there is a process, and it has to be ended."""

    def __init__(self, report: ErrorReport, recoverable: bool = False, started: bool = True) -> None:
        super().__init__(report.message)
        self.report, self.recoverable, self.started = report, recoverable, started


async def boot(worker: Worker, plan: WorkerPlan) -> Ready:
    """Start a worker's process and wait for its `ready`.

    CannotBootError with the reason; WorkerGoneError or OutOfTurnError when it ended or spoke out of turn.
    """
    scratch = plan.scratch_of(worker.identity)
    own = launch.environment(plan.environment, scratch, plan.folder)
    started = launch.LaunchPlan(plan.command, plan.folder, own, scratch, plan.write_s)
    limit = Limit(lambda: worker.abandon(TimeoutError("boot")))
    limit.begin(plan.boot_s)
    try:
        return await worker.boot(started, plan.hello)
    except BootError as error:
        told = error.told
        trace = str(told.diagnostics.get("traceback", ""))
        report = ErrorReport(told.error_code, told.message, told.hint, trace)
        raise CannotBootError(report, told.recoverable) from None
    except TimeoutError:
        reason = f"boot: not ready within {plan.boot_s} s; raise timeouts.boot_s if the model needs longer"
        raise CannotBootError(ErrorReport(ErrorCode.CANNOT_BOOT, reason)) from None
    except OSError as error:
        reason = f"{plan.command[0]} cannot be started: {error}"
        report = ErrorReport(ErrorCode.CANNOT_BOOT, reason)
        raise CannotBootError(report, error.errno in _MACHINE_IS_SHORT, started=worker.os_pid > 0) from None
    except (WorkerGoneError, OutOfTurnError):
        raise
    except Exception as error:  # a fault of ours: told like any other reason, or the line would wait for this worker
        report = replace(report_of(error), code=str(ErrorCode.CANNOT_BOOT))
        raise CannotBootError(report, recoverable=True, started=worker.os_pid > 0) from error
    finally:
        limit.close()
