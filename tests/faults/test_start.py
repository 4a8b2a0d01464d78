"""A runner that cannot start says what is missing and how to mend it, and leaves nothing (spec.md §3.18, §11)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.daemon import PROJECTS, ROOT
from tests.doubles.raw_host import LIMIT_S

ENVIRONMENT = 3
PACKAGE = 4


def serve(home: Path, *words: str, before: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
    """A runner that is not expected to start: its exit code and what it said."""
    command = [*before, sys.executable, "-m", "runner.cli", "serve", "--home", str(home), *words]
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    ended = subprocess.run(command, env=surroundings, capture_output=True, timeout=LIMIT_S)
    assert ended.stdout == b""
    return ended.returncode, " ".join(ended.stderr.decode().split())


def configured(folder: Path, text: str) -> Path:
    home = folder / "home"
    home.mkdir()
    (home / "station.toml").write_text(text, "utf-8")
    return home


def can_mount() -> bool:
    """Whether a namespace of our own with a small /dev/shm can be had here."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return False
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /dev/shm"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.fault("B7")
def test_too_little_shared_memory_is_told_with_its_figures_and_is_no_bus_error(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("needs root and unshare -m to mount a small /dev/shm")
    home = configured(tmp_path, "slots.count = 4\nslots.capacity_bytes = 1048576\n")
    script = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && "$@"; code=$?; ls -A /dev/shm >&2; exit $code'
    code, said = serve(home, before=("unshare", "-m", "sh", "-c", script, "sh"))
    assert code == ENVIRONMENT, said
    assert "3007" in said and "bytes are needed, 1048576 are free" in said and "hint: fewer or smaller slots" in said
    assert "Traceback" not in said
    assert not said.rstrip().endswith("pv-")


REFUSED = [
    ("slots.count = 0", "slots.count"),
    ("slots.cuont = 4", "did you mean 'count'"),
    ('station = "a/b"', "station"),
    ("host = 3", "host"),
    ("this is no toml", "station.toml"),
    ('host.transport = "http"', "host.transport"),
]


@pytest.mark.fault("B15")
@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_a_wrong_configuration_is_refused_by_the_setting_that_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    code, said = serve(configured(tmp_path, text))
    assert code == ENVIRONMENT and named in said and "Traceback" not in said


def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path) -> None:
    code, said = serve(tmp_path, PROCVISION_SLOTS__COUNT="many")
    assert code == ENVIRONMENT and "PROCVISION_SLOTS__COUNT" in said and "'many'" in said


def test_a_project_without_a_manifest_is_refused_as_a_package(tmp_path: Path) -> None:
    code, said = serve(tmp_path / "home", "--project", str(tmp_path))
    assert code == PACKAGE and "manifest.json" in said and "Traceback" not in said


def test_two_projects_for_one_product_are_refused_by_both_names(tmp_path: Path) -> None:
    copy = shutil.copytree(PROJECTS / "crashing", tmp_path / "copy")
    manifest = (copy / "manifest.json").read_text("utf-8").replace('"name": "crashing"', '"name": "twin"')
    (copy / "manifest.json").write_text(manifest, "utf-8")
    code, said = serve(tmp_path / "home", "--project", str(PROJECTS / "crashing"), "--project", str(copy))
    assert code == PACKAGE and "2006" in said and "crashing@1.0" in said and "twin@1.0" in said


@pytest.mark.fault("B18")
def test_something_in_the_place_of_the_socket_is_told(tmp_path: Path) -> None:
    (tmp_path / "home" / "run" / "runner.sock").mkdir(parents=True)
    code, said = serve(tmp_path / "home", "--project", str(PROJECTS / "steady"))
    assert code == ENVIRONMENT and "runner.sock" in said and "Traceback" not in said


@pytest.mark.fault("B18")
def test_a_temporary_folder_too_deep_for_a_socket_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("t" * 80)
    deep.mkdir()
    code, said = serve(tmp_path / ("d" * 80), TMPDIR=str(deep))
    assert code == ENVIRONMENT and "TMPDIR" in said and 'host.transport = "tcp"' in said
    assert list(deep.iterdir()) == []


def test_a_station_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = serve(tmp_path / "file" / "home")
    assert code == ENVIRONMENT and "Traceback" not in said and "file" in said
