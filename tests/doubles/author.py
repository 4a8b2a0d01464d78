"""An author at a terminal: makes project folders, types `procvision` commands, and looks what they left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parents[2]
ALGORITHMS = ROOT / "tests" / "algorithms"
# No measure of anything: only the difference between slow and never.
LIMIT_S = 90.0
THRESHOLD = {"key": "threshold", "type": "int", "default": 200, "min": 0, "max": 255}
STEPS = [{"index": 1, "name": "look", "params": [THRESHOLD]}]


def make_project(folder: Path, algorithm: str, **manifest: Any) -> Path:
    """A project whose `algorithm/main.py` is a file of tests/algorithms."""
    project = folder / "project"
    (project / "algorithm").mkdir(parents=True)
    (project / "algorithm" / "__init__.py").touch()
    (project / "algorithm" / "main.py").write_bytes((ALGORITHMS / f"{algorithm}.py").read_bytes())
    (project / "requirements.txt").write_text("numpy==2.0.0\n", "utf-8")
    told = {
        "name": "trial",
        "version": "1.0",
        "entry_point": "algorithm.main:Algorithm",
        "supported_pids": ["A01"],
        "steps": STEPS,
        **manifest,
    }
    (project / "manifest.json").write_text(json.dumps(told), "utf-8")
    return project


def make_picture(path: Path, level: int = 10, size: tuple[int, int] = (8, 6), **options: Any) -> Path:
    """An even image file; `size` is (width, height)."""
    Image.fromarray(np.full((size[1], size[0], 3), level, np.uint8)).save(path, **options)
    return path


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and what it left: processes of its own, segments, files in its temporary folder."""

    code: int
    out: str
    err: str
    left: tuple[str, ...]

    def document(self) -> Any:
        """The one JSON document on stdout, without NaN or infinities."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """A running `procvision`, its pipes open."""
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.Popen(
        (sys.executable, "-m", "runner.dev.cli", *map(str, arguments)),
        cwd=folder,
        env={**surroundings, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finish(folder: Path, command: subprocess.Popen[str]) -> Finished:
    """Wait for its end."""
    try:
        out, err = command.communicate(timeout=LIMIT_S)
    finally:
        command.kill()
    return Finished(command.returncode, out, err, tuple(left_by(folder, command.pid)))


def procvision(folder: Path, *arguments: str | Path) -> Finished:
    """Type a command in `folder` and wait for its end."""
    return finish(folder, start(folder, *arguments))


def left_by(folder: Path, os_pid: int) -> list[str]:
    """What the command with this process id left behind."""
    workers = [
        f"process {one.info['pid']}"
        for one in psutil.process_iter(["pid", "cmdline"])
        if f"--parent-pid {os_pid}" in " ".join(one.info["cmdline"] or ())
    ]
    segments = [path.name for path in Path("/dev/shm").glob(f"pv*-{os_pid}-*")]
    return [*workers, *segments, *(path.name for path in (folder / "tmp").iterdir())]
