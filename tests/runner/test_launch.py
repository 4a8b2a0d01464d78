"""What a worker process is started with: an allow-list of the environment, and a command line (spec.md §4)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import procvision_sdk
from runner.workers import launch

LIMITS = launch.ProcessLimits(memory_mb=200)
SDK_BOOT = Path(procvision_sdk.__file__).parent / "adapter" / "boot.py"


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's own environment: what it needs to run, a secret or two, and PROC_* of the integrator."""
    for name in tuple(os.environ):
        monkeypatch.delenv(name)
    for name, value in {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "0",
        "HOME": "/home/station",
        "TMPDIR": "/tmp/station",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PROCVISION_HOME": "/station",
        "SSH_AUTH_SOCK": "/agent",
        "PYTHONSTARTUP": "/evil.py",
        "LD_PRELOAD": "/evil.so",
        "PROC_CAMERA": "left",
        "PROC_ALGO_ROOT": "/wrong",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("surroundings")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows passes some variables more")
def test_only_what_a_process_needs_is_passed_and_no_secret_of_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert launch.environment({}, Path("/scratch"), Path("/package")) == {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "0",
        "PROC_CAMERA": "left",
        "PROC_ALGO_ROOT": "/package",
        "HOME": "/scratch",
        "TMPDIR": "/scratch",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "OPENCV_FOR_THREADS_NUM": "3",
    }


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (3, "1"), (8, "4")])
def test_numeric_libraries_get_half_the_cores_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    made = launch.environment({"MKL_NUM_THREADS": "7"}, Path("/scratch"), Path("/package"))
    found = [made[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")]
    assert found == [threads, threads, "7"]


@pytest.mark.usefixtures("surroundings")
def test_variables_of_manifest_and_station_are_passed_and_win() -> None:
    made = launch.environment({"OMP_NUM_THREADS": "2", "LANG": "de_DE.UTF-8"}, Path("/scratch"), Path("/package"))
    assert (made["OMP_NUM_THREADS"], made["LANG"]) == ("2", "de_DE.UTF-8")
    assert (made["HOME"], made["PROC_CAMERA"]) == ("/scratch", "left")


def test_a_project_is_started_by_module_and_a_package_isolated() -> None:
    python = Path(sys.executable)
    last = ("--parent-pid", str(os.getpid()), "--memory-mb", "300")
    assert launch.command(python, False, LIMITS) == (str(python), "-B", "-m", "procvision_sdk.adapter", *last)
    isolated = launch.command(python, True, LIMITS)
    assert isolated == (str(python), "-I", "-S", "-B", str(launch.boot_script(python)), *last)


def test_the_number_of_processes_is_limited_where_the_station_says_so() -> None:
    command = launch.command(Path(sys.executable), False, launch.ProcessLimits(memory_mb=200, max_processes=80))
    assert command[-4:] == ("--memory-mb", "300", "--max-processes", "80")


@pytest.mark.parametrize("library", ["lib/python3.11/site-packages", "Lib/site-packages"])
def test_the_boot_script_of_the_interpreters_own_sdk_is_taken(tmp_path: Path, library: str) -> None:
    own = tmp_path / library / "procvision_sdk" / "adapter" / "boot.py"
    own.parent.mkdir(parents=True)
    own.touch()
    assert launch.boot_script(tmp_path / "bin" / "python") == own


def test_an_interpreter_without_an_sdk_gets_the_runners(tmp_path: Path) -> None:
    assert launch.boot_script(tmp_path / "bin" / "python") == SDK_BOOT


def test_the_runners_boot_script_starts_an_isolated_adapter(tmp_path: Path) -> None:
    command = (sys.executable, "-I", "-S", "-B", str(SDK_BOOT), "--parent-pid", str(os.getpid()))
    environment = launch.environment({}, tmp_path, tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=environment, input=b"", capture_output=True, check=False)
    assert b'"type":"hello"' in done.stdout.replace(b" ", b"")
    assert done.returncode == 10, done.stderr
