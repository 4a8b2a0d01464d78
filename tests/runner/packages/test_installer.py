"""Installing, serving, going back and taking away; what changes later is found (spec.md §10.20 to §10.31)."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from procvision_sdk.errors import ErrorCode, PackageError, StationError
from procvision_sdk.manifest import Manifest
from runner.packages import environment
from runner.packages.behind import NICE
from runner.packages.environment import Builder
from runner.packages.installer import Installer
from runner.packages.places import MARKER
from runner.packages.recovery import recover
from runner.packages.registry import Registry
from runner.packages.signing import key_id, new_key, public_of
from runner.packages.tree import Look, differences
from runner.packages.trust import Trust
from tests.doubles.packages import (
    PID,
    PackageDraft,
    WheelDraft,
    folder_of,
    hollow_sdk,
    installer,
    put,
    refusal,
    registry_of,
)  # fmt: skip

A, B, C, D, E = (f"demo@1.{number}.0" for number in range(5))


def test_an_installed_version_has_its_folder_environment_and_marker_and_nothing_can_be_written_by_mistake(
    tmp_path: Path,
) -> None:
    station = installer(tmp_path / "home")
    outcome = station.install(PackageDraft(wheels=dict([hollow_sdk(), WheelDraft().built()])).written(tmp_path), "t")
    one, registry = outcome.installed, registry_of(station)
    folder = registry.folder(one)
    assert folder == tmp_path / "home/deployed/demo" / f"1.0.0-{one.digest[:12]}"
    assert (folder / MARKER).exists() and (folder / "demo/main.py").exists() and not (folder / "wheels").exists()
    assert (environment.site_packages(folder / "venv") / "tiny/__init__.py").exists()
    assert differences(folder, one.tree_sha256, Look.THOROUGH) == ()
    writable = [path for path in folder.rglob("*") if not path.is_symlink() and path.stat().st_mode & stat.S_IWUSR]
    assert [path.name for path in writable if path.name[0] != "."] == []
    assert outcome.fresh and not station.install(tmp_path / "demo-v1.0.0-offline.zip", "t").fresh


TOOL = """#!{python}
import os, sys, psutil
told = lambda: (os.nice(0), int(psutil.Process().ionice().ioclass))
for _ in range(1_000_000):
    if told()[1] == psutil.IOPRIO_CLASS_IDLE:
        break
sys.exit(str(told()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the idle class of disks is Linux's")
def test_tools_run_behind_everything_else_that_the_station_does(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text(TOOL.format(python=sys.executable))
    uv.chmod(0o755)
    with pytest.raises(PackageError) as refused:
        Builder(uv, tmp_path / "cache").build(tmp_path / "folder", (), tmp_path)
    assert str((min(19, os.nice(0) + NICE), 3)) in refused.value.message


def test_the_same_version_with_other_content_is_refused(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    put(station, tmp_path, "1.0.0")
    assert refusal(lambda: put(station, tmp_path, "1.0.0", files={"demo/x.py": b"y"})) == ErrorCode.HASH_MISMATCH


def test_a_first_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def refuse(folder: Path, interpreter: Path, manifest: Manifest) -> None:
        assert interpreter.exists() and manifest.name == "demo" and (folder / "demo/main.py").exists()
        raise PackageError("it lies", hint="mend it", code=ErrorCode.CANNOT_BOOT)

    registry = registry_of(installer(tmp_path / "home"))
    assert refusal(lambda: put(Installer(registry, "off", refuse), tmp_path, "1.0.0")) == ErrorCode.CANNOT_BOOT
    assert registry.installed() == () and list((tmp_path / "home/store/wheels").iterdir()) == []
    assert [path.name for path in (tmp_path / "home/deployed").iterdir()] == [".trash"]
    assert [deed.outcome[:4] for deed in registry.ledger.deeds()] == ["star", "1014"]


def test_a_first_start_that_changes_its_own_files_is_refused(tmp_path: Path) -> None:
    registry = registry_of(installer(tmp_path / "home"))

    def spoil(folder: Path, _interpreter: Path, _manifest: Manifest) -> None:
        (folder / "left.txt").write_text("x")

    assert refusal(lambda: put(Installer(registry, "off", spoil), tmp_path, "1.0.0")) == ErrorCode.INSTALL_FAILED


def test_versions_serve_go_back_step_by_step_and_three_are_remembered(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, *(f"1.{number}.0" for number in range(5)))
    for label in (A, B, C, D, E, E):
        registry.activate(PID, label, "t")
    assert (str(registry.active()[0]), registry.active()[0].previous) == (E, (D, C, B))
    assert str(registry.rollback(PID, None, "t")) == D
    assert str(registry.rollback(PID, None, "t")) == C
    assert str(registry.activate(PID, E, "t")) == E and registry.active()[0].previous == (C, B)
    assert str(registry.rollback(PID, B, "t")) == B and registry.active()[0].previous == ()
    assert refusal(lambda: registry.rollback(PID, None, "t")) == ErrorCode.ACTIVATION_CONFLICT
    registry.deactivate(PID, "t")
    assert registry.active() == ()


REFUSED: list[tuple[str, Callable[[Registry], object], str]] = [
    ("activate what is not installed", lambda r: r.activate(PID, "demo@9.9", "t"), "2006"),
    ("activate for another product", lambda r: r.activate("other", A, "t"), "2006"),
    ("activate what is older", lambda r: r.activate(PID, A, "t"), "2011"),
    ("roll back to what was never active", lambda r: r.rollback(PID, C, "t"), "2006"),
    ("roll back another product", lambda r: r.rollback("other", None, "t"), "2006"),
    ("deactivate what is not active", lambda r: r.deactivate("other", "t"), "2006"),
    ("remove what serves", lambda r: r.remove(B, "t"), "2007"),
    ("remove what is not installed", lambda r: r.remove("demo@9.9", "t"), "2006"),
]


def test_what_cannot_be_is_refused_with_its_code_and_changes_nothing(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0", "1.1.0", "1.2.0")
    registry.activate(PID, A, "t")
    registry.activate(PID, B, "t")
    before = registry.active(), registry.installed(), registry.ledger.deeds()
    for name, act, code in REFUSED:
        assert refusal(lambda act=act: act(registry)) == code, name  # type: ignore[misc]
    assert (registry.active(), registry.installed(), registry.ledger.deeds()) == before


def test_a_version_older_than_one_that_served_is_not_let_in_until_somebody_goes_back(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0", "1.2.0")
    registry.activate(PID, A, "t")
    registry.activate(PID, C, "t")
    assert refusal(lambda: put(station, tmp_path, "1.1.0")) == ErrorCode.DOWNGRADE_REFUSED
    registry.rollback(PID, None, "t")
    put(station, tmp_path, "1.1.0")


def test_uninstalling_takes_a_version_out_of_every_memory_and_its_wheels_with_the_last_that_needs_them(
    tmp_path: Path,
) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0", "1.1.0")
    registry.activate(PID, A, "t")
    registry.activate(PID, B, "t")
    station.uninstall(A, "t")
    assert registry.active()[0].previous == () and len(list((tmp_path / "home/store/wheels").iterdir())) == 1
    registry.deactivate(PID, "t")
    station.uninstall(B, "t")
    assert list((tmp_path / "home/store/wheels").iterdir()) == []
    assert [path.name for path in (tmp_path / "home/deployed").iterdir()] == [".trash"]


def test_signatures_are_asked_for_from_the_first_trusted_key_on(tmp_path: Path) -> None:
    station, ours, theirs = installer(tmp_path / "home", "auto"), new_key(), new_key()
    registry = registry_of(station)
    warned = station.install(PackageDraft(version="1.0").written(tmp_path), "t").warnings
    assert warned == ("demo is not signed",)
    trust = Trust(registry.ledger)
    assert trust.add(public_of(ours), "t") == key_id(public_of(ours))
    assert refusal(lambda: put(station, tmp_path, "1.1")) == ErrorCode.SIGNATURE
    assert refusal(lambda: put(station, tmp_path, "1.1", key=theirs)) == ErrorCode.SIGNATURE
    put(station, tmp_path, "1.1", key=ours)
    trust.add(public_of(theirs), "t")
    # The name belongs to who signed it first, until that key is trusted no more.
    assert refusal(lambda: put(station, tmp_path, "1.2", key=theirs)) == ErrorCode.SIGNATURE
    trust.remove(key_id(public_of(ours)), "t")
    put(station, tmp_path, "1.2", key=theirs)
    assert [one.signed_by for one in registry.installed()] == ["", key_id(public_of(ours)), key_id(public_of(theirs))]
    assert refusal(lambda: trust.remove("nobody", "t")) == ErrorCode.SIGNATURE


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = installer(tmp_path / "home")
    usage = shutil._ntuple_diskusage(100, 99, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StationError, match="MB are free") as refused:
        put(station, tmp_path, "1.0.0")
    assert refused.value.code == ErrorCode.DISK and registry_of(station).installed() == ()


def test_a_complete_folder_without_its_row_is_taken_in_and_an_incomplete_one_taken_away(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0", "1.1.0")
    complete, incomplete = folder_of(registry), folder_of(registry, B)
    with registry.ledger.changing() as connection:
        connection.execute("DELETE FROM installed")
    (incomplete / MARKER).unlink()
    stray = tmp_path / "home/deployed/stray/1.0-x"
    shutil.copytree(complete, stray, symlinks=True)
    recover(registry)
    assert [str(one) for one in registry.installed()] == [A]
    assert complete.exists() and not incomplete.exists()
    assert stray.exists() and registry.ledger.deeds()[-1].operation == "adopt"


LINKS = ["deployed/link/1.0-x", "deployed/.trash/link", "store/staging/link", "store/wheels/link"]


@pytest.mark.parametrize("place", LINKS)
def test_tidying_up_takes_a_link_away_and_leaves_what_it_leads_to_as_it_was(tmp_path: Path, place: str) -> None:
    station, other = installer(tmp_path / "home"), tmp_path / "other"
    put(station, tmp_path, "1.0.0")
    (other / "inner").mkdir(parents=True)
    (other / "inner/program").write_bytes(b"x")
    for path, mode in ((other / "inner/program", 0o755), (other / "inner", 0o555), (other, 0o555)):
        path.chmod(mode)
    link = tmp_path / "home" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(other)
    recover(registry_of(station))
    assert not link.is_symlink()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (other, other / "inner", other / "inner/program")]
    assert modes == [0o555, 0o555, 0o755]


def test_without_uv_the_environment_is_built_by_venv_and_pip(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    station._builder = Builder(None, tmp_path)
    put(station, tmp_path, "1.0.0", wheels=dict([hollow_sdk(), WheelDraft().built()]))
    registry = registry_of(station)
    assert (environment.site_packages(folder_of(registry) / "venv") / "tiny/__init__.py").exists()
    registry.activate(PID, A, "t")


def test_a_complete_folder_that_no_installation_began_is_left_where_it_is_and_not_taken_in(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0")
    folder = folder_of(registry)
    with registry.ledger.changing() as connection:
        connection.execute("DELETE FROM installed")
        connection.execute("DELETE FROM audit")
    recover(registry)
    assert registry.installed() == () and folder.exists()


def test_bytecode_that_a_wheel_brings_is_made_anew_and_no_reason_to_refuse_it(tmp_path: Path) -> None:
    stale = f"tiny/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    tiny = WheelDraft(files={"tiny/__init__.py": b"VALUE = 1\n", stale: b"what another machine compiled"})
    station = installer(tmp_path / "home")
    put(station, tmp_path, "1.0.0", wheels=dict([hollow_sdk(), tiny.built()]))
    compiled = next(folder_of(registry_of(station)).rglob(stale))
    assert compiled.read_bytes()[:4] == MAGIC_NUMBER
