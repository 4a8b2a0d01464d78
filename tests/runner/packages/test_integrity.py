"""What was changed after installing is found, not used, and made anew where it can be (spec.md §10.31, §10.32)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from procvision_sdk.errors import ErrorCode
from runner.home import Home
from runner.installed import active_packages
from runner.packages import environment
from runner.packages.environment import StoredWheel
from runner.packages.ledger import first_break
from runner.packages.wheels import Wheel
from tests.doubles.packages import PID, Skeleton, folder_of, installer, put, refusal, registry_of

A, B = "demo@1.0.0", "demo@1.1.0"


def unlocked(path: Path) -> Path:
    """Made writable; a link is left alone, because what it leads to is not the test's."""
    path.parent.chmod(0o755)
    if path.is_file() and not path.is_symlink():
        path.chmod(0o644)
    return path


TAMPERED: list[tuple[str, Callable[[Path], object]]] = [
    ("a source", lambda f: unlocked(f / "demo/main.py").write_bytes(b"x = 2\n")),
    ("a byte with its time kept", lambda f: flip(unlocked(f / "demo/main.py"))),
    ("a wheel's file", lambda f: flip(unlocked(environment.site_packages(f / "venv") / "procvision_sdk/__init__.py"))),
    ("an added file", lambda f: unlocked(f / "demo/new.py").write_bytes(b"")),
    ("an added .pth", lambda f: unlocked(environment.site_packages(f / "venv") / "x.pth").write_bytes(b"import os")),
    ("a file taken away", lambda f: unlocked(f / "demo/__init__.py").unlink()),
    ("a link in its place", lambda f: relinked(unlocked(f / "demo/main.py"))),
    ("another interpreter", lambda f: relinked(unlocked(f / "venv/bin/python"))),
    ("the list itself", lambda f: unlocked(f / ".tree.json").write_bytes(b"[]")),
]


def flip(path: Path) -> None:
    status = path.stat()
    data = path.read_bytes() or b"\0"
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def relinked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/true")


@pytest.mark.parametrize(("name", "tamper"), TAMPERED, ids=[name for name, _ in TAMPERED])
def test_whatever_was_changed_after_installing_activation_is_refused(
    tmp_path: Path, name: str, tamper: Callable[[Path], object]
) -> None:
    assert name
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0")
    tamper(folder_of(registry))
    assert refusal(lambda: registry.activate(PID, A, "t")) == ErrorCode.HASH_MISMATCH
    assert registry.active() == ()


def own_interpreter(tmp_path: Path) -> tuple[Path, Path]:
    """A station that serves a package with an interpreter of its own, which the test may spoil."""
    python = tmp_path / "usr" / "python3"
    python.parent.mkdir()
    python.write_bytes(b"version one")

    class Elsewhere(Skeleton):
        def build(
            self, folder: Path, stored: Sequence[StoredWheel], work: Path, _: Sequence[tuple[Path, str]] = ()
        ) -> tuple[Wheel, ...]:
            built = super().build(folder, stored, work)
            link = environment.interpreter(folder / "venv")
            link.unlink()
            link.symlink_to(python)
            return built

    home = tmp_path / "home"
    station = installer(home)
    station._builder = Elsewhere(None, home)
    put(station, tmp_path, "1.0.0")
    registry_of(station).activate(PID, A, "t")
    return home, python


SPOILT: list[tuple[str, Callable[[Path], object], str]] = [
    ("upgraded", lambda python: python.write_bytes(b"version two, longer"), "was changed"),
    ("upgraded to one of the same size", lambda python: python.write_bytes(b"version two"), "was changed"),
    ("removed", lambda python: python.unlink(), "cannot be read: No such file"),
]


@pytest.mark.parametrize(("_what", "spoil", "reason"), SPOILT)
def test_a_start_does_not_serve_a_package_whose_python_was_changed_under_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, _what: str, spoil: Callable[[Path], object], reason: str
) -> None:
    home, python = own_interpreter(tmp_path)
    assert [one.pids for one in active_packages(Home(home)).whole] == [(PID,)]
    spoil(python)
    with caplog.at_level("ERROR", "procvision.runner"):
        found = active_packages(Home(home))
    assert found.whole == () and f"({python} {reason}" in found.refused[PID]
    assert found.refused[PID] in caplog.text and f"verify {A} --rebuild" in caplog.text


def test_a_broken_environment_is_built_anew_from_the_wheels_that_were_kept(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0", "1.1.0")
    folder = folder_of(registry)
    # The two environments share their files: what is wrong in one is wrong in both.
    unlocked(environment.site_packages(folder / "venv") / "procvision_sdk/__init__.py").write_bytes(b"broken")
    shutil.rmtree(folder / "venv" / "bin")
    for label in (A, B):
        assert refusal(lambda label=label: registry.activate(PID, label, "t")) == "2009"  # type: ignore[misc]
        station.rebuild(label, "t")
        registry.activate(PID, label, "t")
    unlocked(folder / "demo/main.py").write_bytes(b"")
    assert refusal(lambda: station.rebuild(A, "t")) == ErrorCode.HASH_MISMATCH


def test_a_changed_wheel_in_the_store_is_not_used_again(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    put(station, tmp_path, "1.0.0")
    (wheel,) = (tmp_path / "home/store/wheels").glob("*/*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert refusal(lambda: put(station, tmp_path, "1.1.0")) == ErrorCode.HASH_MISMATCH
    put(station, tmp_path, "1.1.0")


def test_every_deed_is_in_a_chain_that_breaks_where_one_is_changed(tmp_path: Path) -> None:
    station = installer(tmp_path / "home")
    registry = registry_of(station)
    put(station, tmp_path, "1.0.0")
    registry.activate(PID, A, "mary")
    registry.deactivate(PID, "tom")
    deeds = registry.ledger.deeds()
    assert [f"{deed.who} {deed.operation} {deed.outcome}" for deed in deeds] == [
        "t install started",
        "t install done",
        "mary activate done",
        "tom deactivate done",
    ]
    assert first_break(deeds) == 0
    with registry.ledger.changing() as connection:
        connection.execute("UPDATE audit SET who = 'tom' WHERE seq = 3")
    assert first_break(registry.ledger.deeds()) == 3
    with registry.ledger.changing() as connection:
        connection.execute("DELETE FROM audit WHERE seq = 2")
    assert first_break(registry.ledger.deeds()) == 2
