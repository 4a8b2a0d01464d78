"""Installed versions of one small package, each of which behaves as its test says; for stations that serve them.

No environment is built: a version's interpreter is that of the tests, which has what the SDK needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import procvision_sdk
from runner.packages import environment
from runner.packages.environment import Builder, StoredWheel
from runner.packages.places import Places
from runner.packages.registry import Registry
from runner.packages.wheels import Wheel
from tests.doubles.daemon import Daemon, serving
from tests.doubles.packages import PID, SDK_NEEDS, PackageDraft, installer

# Says which version it is; does what `act` of the test does, and finds its words in notes.
SOURCE = """
import json, os
from pathlib import Path
from procvision_sdk import BaseAlgorithm

FOLDER = Path(os.environ["PROC_TEST_FOLDER"])
MANIFEST = json.loads(Path(__file__).parents[1].joinpath("manifest.json").read_text())
ACT = {act!r}


def first_time(name):
    try:
        os.close(os.open(FOLDER / name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Algorithm(BaseAlgorithm):
    count = 0

    def setup(self):
        if ACT == "fails in setup":
            raise ValueError("the model is for another camera")
        if ACT == "ends in setup":
            os._exit(3)

    def get_info(self):
        return MANIFEST

    def pre_execute(self, step_index, pid, session, user_params, shared_mem_id, image_meta):
        return {{"status": "OK", "message": "", "debug": {{}}}}

    def execute(self, step_index, pid, session, user_params, shared_mem_id, image_meta):
        Algorithm.count += 1
        if ACT == "waits at the gate":
            (FOLDER / "gate").read_bytes()
        if ACT == "ends in its third call" and Algorithm.count == 3:
            os._exit(9)
        if ACT == "ends in its twelfth call" and Algorithm.count == 12 and first_time("twelfth"):
            os._exit(9)
        session.set("seen", [*session.get("seen", []), MANIFEST["version"]])
        told = {{"version": MANIFEST["version"], "seen": session.get("seen")}}
        return {{"status": "OK", "data": {{"result_status": "OK", "defect_rects": [], **told}}}}
"""


class Borrowed(Builder):
    """Environments in which what the SDK needs leads to where the tests have it."""

    def build(
        self,
        folder: Path,
        stored: Sequence[StoredWheel],  # noqa: ARG002
        work: Path,  # noqa: ARG002
        lenders: Sequence[tuple[Path, str]] = (),  # noqa: ARG002
    ) -> tuple[Wheel, ...]:
        """A link for each package, and one to this interpreter."""
        site = environment.site_packages(folder / "venv")
        site.mkdir(parents=True)
        for source in (Path(procvision_sdk.__file__).parent, *_needed()):
            (site / source.name).symlink_to(source)
        python = environment.interpreter(folder / "venv")
        python.parent.mkdir()
        base = os.path.realpath(sys.executable)
        python.symlink_to(base)
        (folder / "venv" / "pyvenv.cfg").write_text(f"home = {Path(base).parent}\n")
        return ()


def _needed() -> Iterator[Path]:
    """What the SDK imports, where it is installed."""
    for name in SDK_NEEDS:
        for path in distribution(name).files or ():
            top = path.parts[0]
            if len(path.parts) <= 2 and not top.endswith(".dist-info") and path.suffix == ".py" and top != "..":
                yield Path(str(distribution(name).locate_file(top)))
                break
        if name in ("numpy", "pillow") and (libs := Path(str(distribution(name).locate_file(f"{name}.libs")))).exists():
            yield libs


def put_versions(home: Path, *acts: tuple[str, str], **fields: Any) -> None:
    """Install a version for each (version, what it does); none is started for it."""
    station = installer(home)
    station._builder = Borrowed(None, home)
    for version, act in acts:
        draft = PackageDraft(version=version, **fields)
        draft.files["demo/main.py"] = SOURCE.format(act=act).encode()
        station.install(draft.written(home.parent / "in"), "t")


@contextmanager
def line(folder: Path, *acts: tuple[str, str], **settings: Any) -> Iterator[Daemon]:
    """A station with these versions installed; the first one serves."""
    home = folder / "home"
    home.mkdir()
    put_versions(home, *acts)
    Registry(Places(home)).activate(PID, f"demo@{acts[0][0]}", "t")
    with serving(folder, **settings) as daemon:
        daemon.wait_ready()
        yield daemon
