"""The station folder: where things lie in it, and the lock that one runner holds (spec.md §11)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from procvision_sdk.errors import ErrorCode, StationError


class StationTakenError(StationError):
    """Another runner holds this station."""

    default_code = ErrorCode.BUSY


@dataclass(frozen=True, slots=True)
class Home:
    """A station folder; nothing is created by naming it."""

    folder: Path

    @classmethod
    def choose(cls, option: Path | None, environment: Mapping[str, str]) -> Home:
        """`--home` > `PROCVISION_HOME` > the user's data folder."""
        if option is not None:
            return cls(option.resolve())
        if environment.get("PROCVISION_HOME"):
            return cls(Path(environment["PROCVISION_HOME"]).resolve())
        from platformdirs import user_data_path

        return cls(user_data_path("procvision", appauthor=False) / "station")

    @property
    def config(self) -> Path:
        return self.folder / "station.toml"

    @property
    def last_config(self) -> Path:
        """The configuration that served last."""
        return self.folder / "store" / "station.toml.good"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def poison(self) -> Path:
        """Inputs that ended two workers."""
        return self.folder / "store" / "poison"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def create(self) -> None:
        """Make the folders, the run folder this user's alone; StationError (4002) when they cannot be made."""
        try:
            for folder in (self.folder, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StationError(
                f"{self.folder} cannot be a station folder: {error.strerror} ({error.filename})",
                hint="choose another folder with --home",
                code=ErrorCode.SCHEMA,
            ) from None


class StationLock:
    """Held from `take` to the end of the process; the system releases it when the process dies."""

    def __init__(self, home: Home) -> None:
        self._path = home.run / "lock"
        self._descriptor = -1

    def take(self) -> None:
        """StationTakenError names the process that holds the station."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError:
            owner = os.read(descriptor, 32).decode("ascii", "replace") or "unknown"
            os.close(descriptor)
            raise StationTakenError(
                f"another runner (process {owner}) holds {self._path.parent.parent}",
                hint="stop it, or choose another folder with --home",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def holder(self) -> str:
        """The process that holds the station, "" when none does; to know it, the lock is tried for a moment."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except OSError:
            return ""
        try:
            _lock(descriptor)
        except OSError:
            return os.read(descriptor, 32).decode("ascii", "replace") or "unknown"
        finally:
            os.close(descriptor)
        return ""

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Far behind the text, so that others can still read who holds it.
        os.lseek(descriptor, 1024, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
