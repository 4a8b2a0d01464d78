"""Notices that a file of the project or an image changed, by looking at times and sizes (`procvision run --watch`)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from runner.dev.project import is_source

# An author who saves a file looks at the terminal about this much later.
POLL_S = 0.3
Snapshot = dict[Path, tuple[int, int]]


def snapshot(folder: Path, images: Iterable[Path]) -> Snapshot:
    """Time and size of every source file of a project and of the images."""
    seen: Snapshot = {}
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = [name for name in folders if is_source(here / name, folder)]
        for name in files:
            _note(seen, here / name)
    for image in images:
        _note(seen, image)
    return seen


def _note(seen: Snapshot, path: Path) -> None:
    try:
        found = path.stat()
    except OSError:
        return  # it went away between listing and looking: that is a change by itself
    seen[path] = (found.st_mtime_ns, found.st_size)


async def changed(folder: Path, image: Path, before: Snapshot) -> Path:
    """Wait until something is not as it was `before`; one of the files that changed."""
    while True:
        now = snapshot(folder, images_under(image))
        different = [path for path in {**before, **now} if before.get(path) != now.get(path)]
        if different:
            return min(different)
        await asyncio.sleep(POLL_S)


def images_under(path: Path) -> list[Path]:
    """The file, or every file of the folder: a new image is a change as well."""
    return sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
