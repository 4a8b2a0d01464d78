"""The folder in which the workers of one runner have their private ones; recognised by its runner's life."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path


def make(segment_name: str) -> Path:
    """The scratch folder of the runner that owns this segment."""
    return Path(tempfile.mkdtemp(prefix=_beginning(segment_name)))


def remove_of(segment_name: str) -> None:
    """Take away the private folders of a killed runner's workers."""
    for left in Path(tempfile.gettempdir()).glob(f"{_beginning(segment_name)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _beginning(segment_name: str) -> str:
    """Process id and start time of the runner, as in the name of its segment."""
    return "procvision-" + "-".join(segment_name.rsplit("-", 2)[1:]) + "-"
