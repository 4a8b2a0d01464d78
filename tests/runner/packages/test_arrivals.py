"""What is dropped into incoming/ is noticed, judged once it lies still, and told (spec.md §10.33)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.errors import ErrorCode, StationError
from runner import arrivals
from runner.arrivals import Arrivals
from runner.packages.incoming import MOST_ZIPS, PackageState, judged, look
from runner.packages.signing import new_key, public_of
from tests.doubles.daemon import Daemon, serving
from tests.doubles.packages import PackageDraft, installer
from tests.doubles.raw_host import RawHost

GOOD = {"state": "validated", "package": "demo@1.0.0", "digest": "d", "error_code": "", "reason": ""}
BAD = {"state": "invalid", "package": "", "digest": "", "error_code": "2001", "reason": "no zip"}


def test_a_zip_is_still_when_two_looks_see_the_same_and_discovered_again_when_it_changes(tmp_path: Path) -> None:
    zipped, other = tmp_path / "a.zip", tmp_path / "notes.txt"
    zipped.write_bytes(b"not yet whole")
    other.touch()
    first = look(tmp_path, {})
    assert [(one.path, one.state, one.still) for one in first.values()] == [(zipped, PackageState.DISCOVERED, False)]
    zipped.write_bytes(b"no zip, and still growing")
    second = look(tmp_path, first)
    assert not second[zipped].still
    third = look(tmp_path, second)
    assert third[zipped].still
    found = judged(third[zipped], installer(tmp_path / "home").policy())
    assert (found.state, found.code) == (PackageState.INVALID, "2001") and "zip" in found.reason
    assert look(tmp_path, {zipped: found})[zipped] is found
    status = zipped.stat()
    zipped.write_bytes(b"no zip, and not as it was")
    os.utime(zipped, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = look(tmp_path, {zipped: found})[zipped]
    assert (again.state, again.still, again.reason) == (PackageState.DISCOVERED, False, "")


def test_no_more_than_so_many_zips_are_looked_at_and_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert look(tmp_path / "absent", {}) == {}
    for number in range(MOST_ZIPS + 5):
        (tmp_path / f"{number:04}.zip").touch()
    assert [path.name for path in look(tmp_path, {})][-1] == f"{MOST_ZIPS - 1:04}.zip"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_package_and_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.zip")
    (one,) = look(tmp_path, {}).values()
    found = judged(one, installer(tmp_path / "home").policy())
    assert (found.state, found.code) == (PackageState.INVALID, "2001")
    assert "expected a file" in found.reason


class Watched:
    """Arrivals of a folder in which one zip lies, and a judge who says what the test wants."""

    def __init__(self, folder: Path) -> None:
        self.zip = folder / "a.zip"
        self.zip.write_bytes(b"x")
        self.asked: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.verdict: dict[str, Any] | StationError = GOOD
        self.meanwhile: Callable[[], object] = lambda: None
        self.arrivals = Arrivals(folder, self._judge, lambda one: self.told.append((one["state"], one["reason"])))

    async def _judge(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        self.meanwhile()
        if isinstance(self.verdict, StationError):
            raise self.verdict
        return self.verdict

    def looks(self, count: int) -> list[str]:
        """Look so many times; the states in the list after that."""

        async def look_again() -> list[dict[str, str]]:
            for _ in range(count):
                await self.arrivals.look()
            return await self.arrivals.listed()

        return [one["state"] for one in asyncio.run(look_again())]


def test_what_lies_still_is_judged_once_and_each_change_is_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert (watched.looks(1), watched.asked) == (["discovered"], [])
    assert (watched.looks(3), watched.asked) == (["validated"], ["a.zip"])
    watched.zip.write_bytes(b"other content")
    watched.verdict = BAD
    assert watched.looks(0) == ["discovered"]
    assert watched.looks(2) == ["invalid"]
    watched.zip.unlink()
    assert watched.looks(1) == []
    expected = [("discovered", ""), ("validated", ""), ("discovered", ""), ("invalid", "no zip"), ("gone", "no zip")]
    assert watched.told == expected


def test_a_zip_that_changes_while_it_is_judged_is_judged_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.verdict = BAD
    watched.meanwhile = lambda: watched.zip.write_bytes(b"the other half came")
    assert watched.looks(2) == ["discovered"]
    watched.meanwhile, watched.verdict = lambda: None, GOOD
    assert (watched.looks(2), watched.asked) == (["validated"], ["a.zip"] * 2)


def test_when_the_rules_change_everything_is_judged_again_also_what_was_just_being_judged(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.meanwhile = watched.arrivals.rules_changed
    assert watched.looks(2) == ["validated"]
    watched.meanwhile, watched.verdict = lambda: None, BAD
    assert watched.looks(1) == ["invalid"]
    watched.verdict = GOOD
    assert watched.looks(1) == ["invalid"]
    watched.arrivals.rules_changed()
    assert watched.looks(1) == ["validated"]
    assert len(watched.asked) == 3


def test_a_zip_that_cannot_be_judged_is_invalid_with_the_reason_and_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path)
    watched.verdict = StationError("its process was ended", code=ErrorCode.UNKNOWN_ERROR)
    assert (watched.looks(5), watched.asked) == (["invalid"], ["a.zip"])
    assert watched.told[-1] == ("invalid", "it could not be looked at: its process was ended")
    monkeypatch.setattr(arrivals, "JUDGE_S", 0.0)

    async def never(_: str) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    watched.arrivals._judge = never
    watched.arrivals.rules_changed()
    assert watched.looks(1) == ["invalid"] and "took longer than" in watched.told[-1][1]


def hear(host: RawHost, state: str) -> dict[str, Any]:
    """The next event that says that something in incoming/ is in this state now."""
    while True:
        told: dict[str, Any] = host.hear_event()["data"].get("incoming", {})
        if told.get("state") == state:
            return told


def listed(daemon: Daemon) -> dict[str, dict[str, Any]]:
    with daemon.client() as client:
        return {one["file"]: one for one in client.ask("packages", operation="list")["incoming"]}


def test_a_station_that_serves_makes_the_folder(tmp_path: Path) -> None:
    with serving(tmp_path, packages__incoming_s=0.05) as daemon, daemon.host() as watch:
        watch.ask("subscribe", topics=["workers"])
        while not (daemon.home / "incoming").is_dir():
            watch.ask("status")
        (daemon.home / "incoming" / "a.zip").touch()
        assert hear(watch, "invalid")["file"] == "a.zip"


def test_a_station_that_serves_notices_judges_and_tells_what_is_dropped_into_its_folder(tmp_path: Path) -> None:
    with serving(tmp_path, packages__incoming_s=0.05) as daemon, daemon.host() as watch:
        watch.ask("subscribe", topics=["workers"])
        incoming = daemon.home / "incoming"
        good = PackageDraft().written(incoming)
        assert hear(watch, "discovered")["file"] == good.name
        told = hear(watch, "validated")
        assert (told["package"], told["error_code"], listed(daemon)) == ("demo@1.0.0", "", {good.name: told})
        half = good.read_bytes()
        (incoming / "b.zip").write_bytes(half[: len(half) // 2])
        told = hear(watch, "invalid")
        assert (told["file"], told["error_code"]) == ("b.zip", "2001") and "cut off" in told["reason"]
        (incoming / "b.zip").write_bytes(half)
        assert hear(watch, "validated")["file"] == "b.zip"
        key = tmp_path / "key.pub"
        key.write_bytes(public_of(new_key()))
        with daemon.client() as client:
            client.ask("packages", operation="trust_add", path=str(key))
        assert {hear(watch, "invalid")["error_code"], hear(watch, "invalid")["error_code"]} == {"2008"}
        good.unlink()
        assert hear(watch, "gone")["file"] == good.name
        assert listed(daemon).keys() == {"b.zip"}
        assert "incoming/b.zip is invalid 2008 demo is not signed" in daemon.log
        with daemon.client() as client:
            assert client.ask("packages", operation="list")["packages"] == []
