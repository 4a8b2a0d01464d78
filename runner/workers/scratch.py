"""The folder in which the workers of one runner have their private HOME and TMPDIR each (spec.md §4, Launch)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path


def make(segment_name: str) -> Path:
    """A new folder for the runner that owns this segment."""
    return Path(tempfile.mkdtemp(prefix=_prefix(segment_name)))


def remove_of(segment_name: str) -> None:
    """The folders of a killed runner, which owned this segment."""
    for left in Path(tempfile.gettempdir()).glob(f"{_prefix(segment_name)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _prefix(segment_name: str) -> str:
    """Process id and start time, as in the name of the segment."""
    return "procvision-" + "-".join(segment_name.rsplit("-", 2)[1:]) + "-"
