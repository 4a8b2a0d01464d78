"""Where packages lie in a station's folder (spec.md §10), and the ways in which folders come and go whole."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARKER = ".complete.json"
TREE = ".tree.json"
ENVIRONMENT = "venv"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders below a station's folder; nothing is created by naming them."""

    station: Path

    @property
    def deployed(self) -> Path:
        return self.station / "deployed"

    @property
    def incoming(self) -> Path:
        return self.station / "incoming"

    @property
    def registry(self) -> Path:
        return self.station / "store" / "packages.sqlite"

    @property
    def lock(self) -> Path:
        return self.station / "store" / "packages.lock"

    @property
    def staging(self) -> Path:
        """What is being unpacked; on the file system of `deployed`, so that it gets there by renaming."""
        return self.station / "store" / "staging"

    @property
    def wheels(self) -> Path:
        """Every wheel of the installed packages once, in a folder named by its SHA-256."""
        return self.station / "store" / "wheels"

    @property
    def cache(self) -> Path:
        """Wheels as uv unpacked them; environments share these files. It can be deleted at any time."""
        return self.station / "store" / "uv"

    @property
    def trash(self) -> Path:
        return self.deployed / ".trash"

    def create(self) -> None:
        for folder in (self.deployed, self.incoming, self.staging, self.wheels, self.trash):
            folder.mkdir(parents=True, exist_ok=True)

    def of(self, name: str, version: str, digest: str) -> Path:
        """The folder of one installed version."""
        return self.deployed / name / f"{version}-{digest[:12]}"

    def installed_folders(self) -> Iterator[Path]:
        """Every folder that is, or was to become, an installed version."""
        for name in sorted(self.deployed.glob("*")):
            if name.is_dir() and not name.name.startswith("."):
                yield from sorted(path for path in name.glob("*") if path.is_dir())

    def throw_away(self, folder: Path) -> None:
        """Take a folder out of its place at once, then delete it; what is left in the trash goes at the next start."""
        self.delete(self.to_trash(folder))

    def to_trash(self, folder: Path) -> Path:
        self.trash.mkdir(parents=True, exist_ok=True)
        thrown = self.trash / f"{folder.name}-{secrets.token_hex(4)}"
        if not folder.is_symlink():  # what a link leads to is not ours
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IWUSR)  # renaming changes its ".."
        folder.rename(thrown)
        return thrown

    def delete(self, thrown: Path) -> None:
        """Delete a folder that nothing names any more; what cannot be deleted now is tried again at the next start."""
        if thrown.is_symlink() or not thrown.is_dir():
            thrown.unlink(missing_ok=True)
            return
        for folder, names, _ in os.walk(thrown):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(thrown, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """The file with this content, or as it was: also after a power cut."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut; Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
