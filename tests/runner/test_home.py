"""The station folder, and the lock that one runner of it holds (spec.md §11)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from procvision_sdk.errors import ErrorCode, StationError
from runner.home import Home, StationLock, StationTakenError

ROOT = Path(__file__).parents[2]
# Takes the station of its argument, says so, and holds it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from runner.home import Home, StationLock
lock = StationLock(Home(Path(sys.argv[1])))
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "station")
    made.create()
    return made


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_option_wins_over_the_variable_and_both_over_the_data_folder(tmp_path: Path) -> None:
    variable = {"PROCVISION_HOME": str(tmp_path / "variable")}
    assert Home.choose(tmp_path / "option", variable).folder == (tmp_path / "option").resolve()
    assert Home.choose(None, variable).folder == (tmp_path / "variable").resolve()
    for environment in ({}, {"PROCVISION_HOME": ""}):
        assert Home.choose(None, environment).folder.parts[-2:] == ("procvision", "station")


def test_a_relative_folder_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = Home.choose(Path("here"), {})
    assert chosen.folder == (tmp_path / "here").resolve()


def test_naming_a_station_creates_nothing_and_create_may_be_repeated(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "station")
    assert list(tmp_path.iterdir()) == []
    home.create()
    home.create()
    assert sorted(path.name for path in home.folder.iterdir()) == ["logs", "run"]
    assert home.config == home.folder / "station.toml"
    assert home.run.stat().st_mode & 0o777 == 0o700


def test_a_second_runner_is_refused_and_told_which_process_holds_the_station(home: Home) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "taken\n"
        before = open_descriptors()
        for _ in range(3):
            with pytest.raises(StationTakenError, match=rf"process {holder.pid}\) holds .*station$") as refused:
                StationLock(home).take()
        assert refused.value.code == ErrorCode.BUSY
        assert "--home" in refused.value.hint
        assert open_descriptors() == before
        holder.stdin.close()
    assert holder.returncode == 0
    lock = StationLock(home)
    lock.take()
    assert (home.run / "lock").read_text("ascii") == str(os.getpid())
    lock.release()


def test_a_lock_of_a_killed_runner_is_free(home: Home) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        holder.kill()
    lock = StationLock(home)
    lock.take()
    lock.release()


def test_the_name_of_an_earlier_holder_is_not_left_in_the_lock(home: Home) -> None:
    (home.run / "lock").write_text("12345678901234567890", "ascii")
    lock = StationLock(home)
    lock.take()
    assert (home.run / "lock").read_text("ascii") == str(os.getpid())
    lock.release()


def test_releasing_what_was_not_taken_touches_nothing(home: Home) -> None:
    held, refused = StationLock(home), StationLock(home)
    refused.release()
    held.take()
    with pytest.raises(StationTakenError, match=f"process {os.getpid()}"):
        refused.take()
    with open(home.run / "other", "w", encoding="ascii") as other:
        refused.release()
        other.write("still open")
    with pytest.raises(StationTakenError):
        held.take()
    held.release()
    held.release()
    refused.take()
    refused.release()


def test_other_stations_are_free(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.create()
    locks = [StationLock(home), StationLock(other)]
    for lock in locks:
        lock.take()
    for lock in locks:
        lock.release()


def test_a_folder_that_cannot_be_made_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StationError, match=r"file/station cannot be a station folder: .*file") as refused:
        Home(tmp_path / "file" / "station").create()
    assert "--home" in refused.value.hint
