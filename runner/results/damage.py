"""A damaged store is set aside, and its last backup takes its place (spec.md §5.14, docs/decisions/0019).

    results.sqlite  ->  results.sqlite.broken-<time>  (then its -wal and -shm)
    results.backup.sqlite  ->  results.sqlite

Renames only: it takes no room and no time. Protects: at each point in between, a kill or a power cut leaves either the
old file or no file under the name, and whoever finds none restores; no log of an old file lies beside a new one, which
would be played into it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from runner.clock import wall_ms
from runner.results.durable import sync_folder

_BESIDE = ("-wal", "-shm", "-journal")


def backup_of(path: Path) -> Path:
    """Where the backup of a store lies: results.sqlite has results.backup.sqlite."""
    return path.with_name(f"{path.stem}.backup{path.suffix}")


def stamp() -> str:
    """The time as it stands in the name of a file that is set aside."""
    return datetime.fromtimestamp(wall_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def set_aside(path: Path, at: str) -> Path:
    """Rename a damaged store with its log, so that another can begin; the new name of the file. OSError."""
    aside = path.with_name(f"{path.name}.broken-{at}")
    if path.exists():
        path.rename(aside)
        sync_folder(path.parent)
    _clear(path, at)
    return aside


def restore(path: Path, at: str) -> bool:
    """Whether there was no store and its backup took the place. OSError, and then nothing has."""
    if path.exists() or not path.parent.is_dir():
        return False
    _clear(path, at)
    backup = backup_of(path)
    if not backup.exists():
        return False
    backup.rename(path)
    sync_folder(path.parent)
    return True


def _clear(path: Path, at: str) -> None:
    """Give what lies beside a store the name of the damaged one it belonged to."""
    left = [Path(f"{path}{suffix}") for suffix in _BESIDE if Path(f"{path}{suffix}").exists()]
    for one in left:
        one.rename(path.with_name(f"{path.name}.broken-{at}{one.name.removeprefix(path.name)}"))
    if left:
        sync_folder(path.parent)
