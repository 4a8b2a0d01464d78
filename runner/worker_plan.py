"""What a worker of a deployment is made of, out of manifest and station (spec.md §7.1, §4.64, §4.66)."""

from __future__ import annotations

from pathlib import Path

from procvision_sdk.wire.messages import RunnerHello
from runner import __version__
from runner.config import StationConfig
from runner.routing.catalog import Deployment, Launch
from runner.workers import launch
from runner.workers.plan import WorkerPlan


def memory_mb(config: StationConfig, deployment: Deployment) -> int:
    """MiB of its own at which a worker is replaced; the manifest's count before the station's."""
    return deployment.manifest.memory_mb or config.workers.memory_mb


def plan_of(config: StationConfig, deployment: Deployment, scratch_root: Path) -> WorkerPlan:
    """The plan of the next process; `scratch_root` is the folder of this runner's life."""
    own, limits, beat = deployment.manifest.timeouts, config.timeouts, config.heartbeat
    return WorkerPlan(
        deployment=deployment.label,
        folder=deployment.folder,
        command=launch.command(
            deployment.interpreter,
            deployment.launch is Launch.ISOLATED,
            launch.ProcessLimits(memory_mb(config, deployment), config.workers.max_processes),
        ),
        environment={**config.environment, **deployment.manifest.environment},
        scratch_root=scratch_root,
        boot_s=own.boot_s or limits.boot_s,
        teardown_s=own.teardown_s or limits.teardown_s,
        write_s=limits.write_s,
        kill_s=limits.kill_s,
        margin_s=config.answer_margin_ms / 1000,
        hello=RunnerHello(
            runner_version=__version__,
            heartbeat_interval_ms=beat.interval_s * 1000,
            heartbeat_grace_ms=beat.grace_s * 1000,
        ),
        heartbeat_misses=beat.misses,
    )
