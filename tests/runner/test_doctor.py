"""What doctor finds on machines and stations that need mending, and that it mends nothing (spec.md §11.22)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner import doctor, examination
from runner.dev.checks import Check, Outcome
from runner.home import Home, StationLock
from runner.slots import segment
from tests.doubles.daemon import PROJECTS, Daemon, serving

MIB = 1024 * 1024
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def own_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temp folder that no other test uses."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def station(home: Path, **environment: str) -> dict[str, Check]:
    return {one.name: one for one in doctor.of_station(Home(home), environment)}


def test_a_library_that_cannot_be_loaded_is_named_with_the_reason(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "broken_library.py").write_text("raise ImportError('libGL.so.1 is missing')\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = examination.libraries(("numpy", "broken_library"))
    assert (found.result, found.message) == (Outcome.FAIL, "broken_library: libGL.so.1 is missing")
    assert "procvision[runner]" in found.hint


@pytest.mark.parametrize(
    ("free", "held", "result"),
    [
        (99, 0, Outcome.FAIL),
        (100, 0, Outcome.WARN),
        (199, 0, Outcome.WARN),
        (200, 0, Outcome.PASS),
        (0, 100, Outcome.PASS),
        (0, 99, Outcome.FAIL),
    ],
)
def test_shared_memory_must_hold_the_slots_and_better_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, held: int, result: Outcome
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000 * MIB, 0, free * MIB))
    found = examination.shared_memory(100 * MIB, held * MIB, tmp_path)
    assert found.result is result
    assert found.message == f"{free} MiB of 1000 MiB free, 100 MiB needed"


def test_shared_memory_that_is_not_mounted_is_a_failure(tmp_path: Path) -> None:
    assert examination.shared_memory(1, 0, tmp_path / "absent").result is Outcome.FAIL


@pytest.mark.parametrize(("free", "result"), [(9, Outcome.FAIL), (10, Outcome.WARN), (50, Outcome.PASS)])
def test_a_disk_is_full_long_before_nothing_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, result: Outcome
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000 * MIB, 0, free * MIB))
    assert examination.disk(tmp_path / "not" / "made" / "yet").result is result


@pytest.mark.parametrize(("needed", "result"), [(1, Outcome.PASS), (2**60, Outcome.WARN)])
def test_memory_that_is_short_is_a_warning(needed: int, result: Outcome) -> None:
    assert examination.memory(needed).result is result


def test_a_folder_that_cannot_be_written_to_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examination.writable("x", tmp_path / "not made yet").result is Outcome.PASS

    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found = examination.writable("x", tmp_path)
    assert (found.result, found.message) == (Outcome.FAIL, f"{tmp_path}: Read-only file system")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("now_ms", "file_s", "result"),
    [
        (1_000_000, 0, Outcome.FAIL),
        (1_800_000_000_000, 1_799_999_999, Outcome.PASS),
        (1_800_000_000_000, 1_800_000_059, Outcome.PASS),
        (1_800_000_000_000, 1_800_003_600, Outcome.WARN),
    ],
)
def test_a_clock_that_was_never_set_or_set_back_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now_ms: int, file_s: int, result: Outcome
) -> None:
    (tmp_path / "runner.log").touch()
    os.utime(tmp_path / "runner.log", (file_s, file_s))
    monkeypatch.setattr(examination, "wall_ms", lambda: now_ms)
    assert examination.clock((tmp_path, tmp_path / "absent")).result is result


@pytest.mark.parametrize(
    ("descriptors", "processes", "result"),
    [(1024, 256, Outcome.PASS), (-1, -1, Outcome.PASS), (1023, 256, Outcome.WARN), (1024, 255, Outcome.WARN)],
)
def test_limits_that_are_low_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, processes: int, result: Outcome
) -> None:
    import resource

    limits = {resource.RLIMIT_NOFILE: (descriptors, -1), resource.RLIMIT_NPROC: (processes, -1)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    assert examination.limits().result is result


def gone() -> tuple[int, int]:
    """Process id and start time of a process that has ended."""
    with subprocess.Popen(("sleep", "1000")) as process:
        start = segment.start_of(process.pid)
        process.kill()
    return process.pid, start


def test_what_dead_runners_left_is_named_and_what_is_alive_is_not(own_temp: Path) -> None:
    os_pid, start = gone()
    own_start = segment.start_of(os.getpid())
    (own_temp / f"procvision-{os_pid}-{start}-abc").mkdir()
    (own_temp / f"procvision-{os.getpid()}-{own_start}-abc").mkdir()
    (own_temp / "procvision-of-a-user").mkdir()
    stale = Path("/dev/shm") / f"pv-doctored-{segment.boot_id()}-{os_pid}-{start}"
    alive = Path("/dev/shm") / f"pv-doctored-{segment.boot_id()}-{os.getpid()}-{own_start}"
    for path in (stale, alive):
        path.touch()
    try:
        found = examination.leftovers()
        assert stale.exists()
    finally:
        stale.unlink()
        alive.unlink()
    assert found.result is Outcome.WARN
    assert str(stale) in found.message and str(alive) not in found.message
    named = [word for word in found.message.replace(";", " ").split() if str(own_temp) in word]
    assert named == [str(own_temp / f"procvision-{os_pid}-{start}-abc")]


def test_a_worker_whose_runner_is_gone_is_named(own_temp: Path) -> None:
    os_pid, _ = gone()
    command = (sys.executable, "-c", "input()", "-m", "procvision_sdk.adapter", "--parent-pid")
    with subprocess.Popen((*command, str(os_pid)), stdin=subprocess.PIPE) as orphan:
        with subprocess.Popen((*command, str(os.getpid())), stdin=subprocess.PIPE) as child:
            message = examination.leftovers().message
            child.communicate(b"\n")
        orphan.communicate(b"\n")
    assert f"process {orphan.pid} (an algorithm without a runner)" in message
    assert f"process {child.pid} " not in message
    assert list(own_temp.iterdir()) == []


def test_a_folder_without_anything_is_a_station_that_can_start(tmp_path: Path) -> None:
    found = station(tmp_path / "new")
    assert {one.result for name, one in found.items() if name not in ("products", "leftovers")} <= {
        Outcome.PASS,
        Outcome.WARN,
    }
    assert found["runner"].message == "none runs"
    assert (found["products"].result, found["products"].message) == (Outcome.WARN, "none: nothing can be inspected")
    assert not (tmp_path / "new").exists()


def test_a_configuration_that_cannot_be_read_is_a_failure_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("slotz = 1", "utf-8")
    found = station(tmp_path)["configuration"]
    assert found.result is Outcome.FAIL and "slotz" in found.message
    assert station(tmp_path, PROCVISION_LOG__FILES="0")["configuration"].result is Outcome.FAIL


def test_a_project_that_cannot_be_served_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(f"projects = [{json.dumps(str(tmp_path / 'absent'))}]", "utf-8")
    found = station(tmp_path)["products"]
    assert found.result is Outcome.FAIL and "manifest.json" in found.message
    (tmp_path / "station.toml").write_text(f"projects = [{json.dumps(str(PROJECTS / 'steady'))}]", "utf-8")
    assert station(tmp_path)["products"].message == "S1 by steady@1.0, S2 by steady@1.0"


def test_a_running_station_is_asked_and_its_segment_counts_as_there(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        found = station(daemon.home)
        assert found["runner"].result is Outcome.PASS
        assert found["runner"].message == f"process {daemon.process.pid} is READY"
        assert found["products"].message.startswith("S1 by steady")
        assert StationLock(Home(daemon.home)).holder() == str(daemon.process.pid)
    assert station(daemon.home)["runner"].message == "none runs"


def test_a_runner_that_does_not_answer_is_a_failure_and_a_killed_one_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.2)
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        runner = psutil.Process(daemon.process.pid)
        workers = runner.children()
        runner.suspend()
        try:
            found = station(daemon.home)["runner"]
        finally:
            runner.resume()
        assert found.result is Outcome.FAIL
        assert f"process {daemon.process.pid} holds the station and does not answer" in found.message
        daemon.kill()
        psutil.wait_procs(workers)
        monkeypatch.setattr(tempfile, "tempdir", str(daemon.temporary))
        told = station(daemon.home)
        assert (told["runner"].result, told["leftovers"].result) == (Outcome.WARN, Outcome.WARN)
        assert "the next start replaces it" in told["runner"].hint
        _mend(daemon)
        assert station(daemon.home)["runner"].result is Outcome.PASS


def _mend(daemon: Daemon) -> None:
    """The next start, and its end."""
    daemon.start()
    assert daemon.stop() == 0


def test_an_author_is_told_about_the_machine_alone() -> None:
    names = [one.name for one in doctor.of_author()]
    assert {"python", "libraries", "shared memory", "disk", "clock", "limits", "leftovers"} <= set(names)
    assert not {"runner", "configuration", "products", "station folder"} & set(names)


@pytest.mark.parametrize(
    ("results", "code"), [((), 0), ((Outcome.PASS, Outcome.WARN, Outcome.SKIP), 0), ((Outcome.PASS, Outcome.FAIL), 1)]
)
@pytest.mark.parametrize("form", ["json", "table"])
def test_only_a_failure_is_exit_1(
    results: tuple[Outcome, ...], code: int, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check(f"check {number}", result, "said", hint="mend it") for number, result in enumerate(results)]
    assert doctor.show(checks, form) == code
    told = capsys.readouterr().out
    if form == "json":
        document = json.loads(told)
        assert [one["result"] for one in document["checks"]] == [result.value for result in results]
        assert document["summary"]["status"] == ("FAIL" if code else "PASS")
