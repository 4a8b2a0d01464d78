"""Files that are not what was written: found, set aside, the last backup in their place, and said (spec.md §5.14)."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runner.results.archive import Archive
from runner.results.backup import make
from runner.results.damage import backup_of
from runner.results.plan import Condition
from runner.results.reading import Checkup, Reader
from tests.doubles.daemon import inspect, serving
from tests.doubles.result_rows import accepted, answer_to, answered, plan_of, writing

# Rows in the backup, in the file, and in its log alone.
IN_BACKUP, IN_FILE, IN_LOG = range(40), range(40, 60), range(60, 70)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a backup and a log, as a killed runner leaves it."""
    path = tmp_path_factory.mktemp("origin") / "store" / "results.sqlite"
    with writing(plan_of(path)) as (writer, outcomes):
        for number in (*IN_BACKUP, *IN_FILE):
            writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
            outcomes.wait(len(outcomes.told) + 1)
            if number == IN_BACKUP[-1]:
                assert make(path, threading.Event())
    archive = Archive(path, "killed")
    archive.write([answered(accepted(number)) for number in IN_LOG], "FULL")
    killed = path.parent.with_name("killed")
    shutil.copytree(path.parent, killed)
    archive.close()
    return killed


@dataclass(frozen=True, slots=True)
class Next:
    """What the next life made of a store: the rows it finds, by number, and how it says that the store is."""

    found: frozenset[int]
    condition: Condition


def next_life(path: Path) -> Next:
    """Opens it, checks it whole, and looks every row up; a wrong answer, or a new one not kept, fails the test."""
    with writing(replace(plan_of(path), epoch="next-life")) as (writer, outcomes):
        generation = writer.generation
        fault = Checkup(path).run()
        if fault:
            writer.distrust(generation, fault)
        writer.put(answered(accepted(1000)), outcomes.of("new"))
        assert outcomes.wait(1) == [("new", True)], writer.condition
        reader = Reader(path)
        try:
            kept = {number: reader.find(("host", f"r{number}")) for number in (*IN_BACKUP, *IN_FILE, *IN_LOG)}
        finally:
            reader.close()
    found = {number: one.answer for number, one in kept.items() if one is not None}
    assert {number: answer for number, answer in found.items() if answer != answer_to(f"r{number}")} == {}
    return Next(frozenset(found), writer.condition)


def flip_in_file(chance: random.Random, path: Path) -> None:
    _overwrite(chance, path)


def flip_in_log(chance: random.Random, path: Path) -> None:
    _overwrite(chance, Path(f"{path}-wal"))


def cut_log(chance: random.Random, path: Path) -> None:
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[: chance.randrange(log.stat().st_size)])


def spoil_index(chance: random.Random, path: Path) -> None:
    Path(f"{path}-shm").write_bytes(chance.randbytes(32_768))


def delete_index(_: random.Random, path: Path) -> None:
    Path(f"{path}-shm").unlink()


def _overwrite(chance: random.Random, target: Path) -> None:
    content = bytearray(target.read_bytes())
    start = 0 if chance.random() < 0.3 else chance.randrange(len(content))
    for place in range(start, min(len(content), start + chance.choice([1, 16, 4096]))):
        content[place] = chance.randrange(256)
    target.write_bytes(content)


Damage = Callable[[random.Random, Path], None]
# What may be gone without a word: a log has no end of its own, so nobody can tell that there was more of it.
DAMAGES: list[tuple[Damage, frozenset[int]]] = [
    (flip_in_file, frozenset()),
    (flip_in_log, frozenset(IN_LOG)),
    (cut_log, frozenset(IN_LOG)),
    (spoil_index, frozenset()),
    (delete_index, frozenset()),
]


@pytest.mark.fault("B13")
@pytest.mark.parametrize("seeds", [4, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
@pytest.mark.parametrize(("damage", "unnoticed"), DAMAGES)
def test_damage_is_found_and_the_backup_takes_the_place_or_nothing_is_gone(
    tmp_path: Path, origin: Path, damage: Damage, unnoticed: frozenset[int], seeds: int
) -> None:
    everything = frozenset((*IN_BACKUP, *IN_FILE, *IN_LOG))
    for seed in range(seeds):
        path = tmp_path / f"s{seed}" / "results.sqlite"
        shutil.copytree(origin, path.parent)
        damage(random.Random(seed), path)
        came = next_life(path)
        if came.condition.set_aside:
            assert came.condition.restored == 1 and came.found >= frozenset(IN_BACKUP), (seed, came)
            assert (path.parent / came.condition.set_aside[0]).exists()
        else:
            assert everything - came.found <= unnoticed, (seed, everything - came.found)
        shutil.rmtree(path.parent)


@pytest.mark.fault("B13")
def test_a_store_that_is_gone_is_restored_and_its_old_log_is_not_played_into_the_backup(
    tmp_path: Path, origin: Path
) -> None:
    path = tmp_path / "store" / "results.sqlite"
    shutil.copytree(origin, path.parent)
    path.unlink()
    came = next_life(path)
    assert came.condition.restored == 1 and came.found == frozenset(IN_BACKUP)
    assert Checkup(path).run() == ""
    assert not backup_of(path).exists()


@pytest.mark.fault("B13")
def test_a_row_that_its_index_misses_is_found_to_be_damage(tmp_path: Path, origin: Path) -> None:
    path = tmp_path / "store" / "results.sqlite"
    shutil.copytree(origin, path.parent)
    Archive(path, "checkpoint").close()
    content = path.read_bytes()
    # The index holds the two names side by side like the table, and is the shorter of the two.
    places = [place for place in range(len(content)) if content.startswith(b"hostr50", place)]
    assert len(places) >= 2
    for place in places:
        path.write_bytes(content[:place] + b"hostr5x" + content[place + 7 :])
        assert Checkup(path).run() != ""


@pytest.mark.fault("B13")
def test_a_backup_that_is_damaged_too_ends_in_a_new_store(tmp_path: Path, origin: Path) -> None:
    path = tmp_path / "store" / "results.sqlite"
    shutil.copytree(origin, path.parent)
    for one in (path, backup_of(path)):
        one.write_bytes(b"\xff" * 8192)
    with writing(plan_of(path)) as (writer, outcomes):
        for _ in range(3):
            writer._look_at_s = 0.0
            writer.put(answered(accepted(1000)), outcomes.of("new"))
            outcomes.wait(len(outcomes.told) + 1)
        assert outcomes.told[-1] == ("new", True)
        assert len(writer.condition.set_aside) == 2 and writer.condition.state == "good"


@pytest.mark.fault("B13")
def test_a_station_whose_store_was_damaged_answers_out_of_its_backup_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", store__backup_s=0.01) as daemon:
        daemon.wait_ready()
        with daemon.client("line") as client:
            told = inspect(client, "S1", step_index=1, request_id="before")
            made = {client.status()["store"]["backup"]["at_ms"]}
            # The next one may have begun before the answer; the one after that did not.
            while len(made - {None}) < 3:
                made.add(client.status()["store"]["backup"]["at_ms"])
        daemon.kill()
        for suffix in ("", "-wal"):
            (daemon.home / "store" / f"results.sqlite{suffix}").write_bytes(b"\xff" * 8192)
        daemon.start()
        daemon.wait_ready()
        with daemon.client("line") as client:
            assert client.ask("query", target_request_id="before") == told
            store = client.status()["store"]
            assert (store["restored"], store["state"], len(store["set_aside"])) == (1, "good", 1)
            assert inspect(client, "S1", step_index=1)["recorded"] == "power"
        assert "the last backup is the store now" in daemon.log
        assert (daemon.home / "store" / store["set_aside"][0]).exists()
