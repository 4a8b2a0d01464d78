"""A configuration that is wrong at a start or a reload: the last good one serves, and that is told (spec.md §11.25)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.config import MAX_BYTES
from runner.host.client import RefusedError
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving

MUTATIONS = 200
SEED = 15


def cut_in_the_middle(path: Path) -> None:
    text = path.read_text("utf-8")
    path.write_text(text[: text.index(" = ") + 3], "utf-8")


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("no toml", lambda path: path.write_text("slots = = 3\n", "utf-8"), "station.toml: Invalid value (at line 1"),
    ("half written", cut_in_the_middle, "station.toml: Invalid value (at end of document)"),
    ("gone", Path.unlink, "station.toml: it is gone"),
    ("unknown key", lambda path: path.write_text("slots.cuont = 3\n", "utf-8"), "did you mean 'count'?"),
    ("wrong value", lambda path: path.write_text("slots.count = 0\n", "utf-8"), "station.toml: slots.count: "),
    ("huge", lambda path: path.write_text("#" * (MAX_BYTES + 1), "utf-8"), f"expected {MAX_BYTES} bytes or less"),
    ("no text", lambda path: path.write_bytes(b"station = '\xff'"), "station.toml: 'utf-8' codec"),
    ("nested too deeply", lambda path: path.write_text("x = " + "[" * 100_000, "utf-8"), "station.toml: "),
    ("a pipe", replaced_by_a_pipe, "station.toml: expected a file"),
    ("a folder", replaced_by_a_folder, "station.toml: expected a file"),
]


@pytest.mark.fault("B15")
@pytest.mark.parametrize(("spoil", "told"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_start_with_a_wrong_file_serves_with_the_last_good_one_and_is_degraded_until_it_is_mended(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        daemon.kill()
        path = daemon.home / "station.toml"
        good = path.read_text("utf-8")
        spoil(path)
        daemon.start()
        status = daemon.wait_for(lambda status: status["deployments"][0]["health"] == "READY")
        assert (status["health"], status["station"], status["slots"]["count"]) == ("DEGRADED", "tested", daemon.slots)
        assert told in status["problems"]["configuration"]
        assert "the configuration that served last is used" in status["problems"]["configuration"]
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"
            with pytest.raises(RefusedError) as refused:
                client.ask("reload")
            assert refused.value.message == status["problems"]["configuration"].partition("; the conf")[0]
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
            path.write_text(good, "utf-8")
            assert client.ask("reload") == {"applied": [], "needs_restart": [], "restarted": []}
            assert (client.status()["health"], client.status()["problems"]) == ("READY", {})


def mutated(text: str, chance: random.Random) -> bytes:
    """The same with one thing done to it: cut, a byte changed, a piece twice, or a piece gone."""
    data = bytearray(text.encode())
    begin, end = sorted(chance.sample(range(len(data)), 2))
    match chance.randrange(4):
        case 0:
            del data[begin:]
        case 1:
            data[begin] = chance.randrange(256)
        case 2:
            data[end:end] = data[begin:end]
        case _:
            del data[begin:end]
    return bytes(data)


@pytest.mark.fault("B15")
def test_a_spoilt_file_is_taken_whole_or_refused_with_its_place_and_never_ends_the_station(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with around_a_fault(tmp_path) as daemon, daemon.client() as client:
        path = daemon.home / "station.toml"
        good = path.read_text("utf-8")
        refused: list[str] = []
        for _ in range(MUTATIONS):
            path.write_bytes(mutated(good, chance))
            try:
                assert set(client.ask("reload")) == {"applied", "needs_restart", "restarted"}
            except RefusedError as error:
                assert (error.code, error.message[: len(str(path))]) == ("4002", str(path)), error
                refused.append(error.message)
        assert 20 < len(refused) < MUTATIONS, f"seed {SEED}: {len(refused)}"
        path.write_text(good, "utf-8")
        client.ask("reload")
        assert client.status()["health"] == "READY"


@pytest.mark.fault("B15")
def test_only_a_configuration_that_served_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        kept = daemon.home / "store" / "station.toml.good"
        assert kept.read_text("utf-8") == (daemon.home / "station.toml").read_text("utf-8")
        daemon.configure(slots__count=3)
        assert "slots.count = 3" not in kept.read_text("utf-8")
        with daemon.client() as client:
            assert client.ask("reload")["needs_restart"] == ["slots.count"]
        assert "slots.count = 3" in kept.read_text("utf-8")


@pytest.mark.fault("B15")
def test_a_wrong_variable_is_nobodys_last_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.kill()
        surroundings = Daemon.environment
        wrong = {"PROCVISION_SLOTS__COUNT": "many"}
        with monkeypatch.context() as patch:
            patch.setattr(Daemon, "environment", lambda one: {**surroundings(one), **wrong})
            with pytest.raises(AssertionError, match="it does not serve"):
                daemon.start()
            assert daemon.exit_code() == 3
        assert "PROCVISION_SLOTS__COUNT" in daemon.log
        daemon.start()


def test_a_copy_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "home" / "store" / "station.toml.new").mkdir(parents=True)
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        assert inspect(client, "S1")["status"] == "OK"
        lines = (daemon.home / "logs" / "runner.log").read_text("ascii").splitlines()
        assert any("could not be kept" in json.loads(line)["message"] for line in lines)
