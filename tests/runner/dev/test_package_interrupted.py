"""A package that is not finished is not there (spec.md §10.12)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.author import LIMIT_S, ROOT
from tests.doubles.packaging import make_packable, pack

# Stops in the middle of the archive: the second file of it is a pipe that nobody writes to.
STOPPING = """
import sys
from pathlib import Path
from runner.dev import package
from runner.dev.package_target import TargetOptions
from runner.dev.package_wheels import Index
from runner.packages import archive_writing

write = archive_writing._write

def stop_at_the_manifest(archive, name, content):
    if name == "manifest.json":
        print("in the middle", flush=True)
        sys.stdin.read()
    return write(archive, name, content)

archive_writing._write = stop_at_the_manifest
project = Path(sys.argv[1])
index = Index((project.parent / "index",), only_folders=True)
plan = package.PackagePlan(project, TargetOptions(), index, output=project.parent / "trial.zip")
print(len(list(package.package(plan))))
"""

ENDS = [("SIGKILL", True), ("SIGTERM", False), ("SIGINT", False)]


@pytest.mark.parametrize(("name", "leaves_its_folder"), ENDS)
def test_ended_while_writing_nothing_is_there_but_what_the_next_run_removes(
    tmp_path: Path, name: str, leaves_its_folder: bool
) -> None:
    project = make_packable(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    command = _stopped(project)
    command.send_signal(signal.Signals[name])
    command.communicate(timeout=LIMIT_S)
    assert command.returncode != 0
    left = {path.name for path in tmp_path.iterdir()} - before
    assert left == ({f".trial.zip.{command.pid}.partial"} if leaves_its_folder else set())
    made = pack(project, output=tmp_path / "trial.zip")
    assert {path.name for path in tmp_path.iterdir()} - before == {made.path.name}


def test_the_folder_of_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    project = make_packable(tmp_path)
    command = _stopped(project)
    pack(project, output=tmp_path / "trial.zip")
    assert (tmp_path / f".trial.zip.{command.pid}.partial").is_dir()
    out, _ = command.communicate("go on", timeout=LIMIT_S)
    assert (command.returncode, out.strip()) == (0, "1")
    assert not list(tmp_path.glob(".*"))


def _stopped(project: Path) -> subprocess.Popen[str]:
    command = subprocess.Popen(
        (sys.executable, "-c", STOPPING, str(project)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "in the middle\n"
    return command
