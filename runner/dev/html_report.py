"""`procvision run --report`: one HTML file with images, overlays, timings and diagnostics (spec.md §11.3).

It needs no network, no script and no other file. Whatever an algorithm or a file name says in it stays text: Jinja2
escapes every value, and the page forbids itself everything but its own style and its inline images.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from procvision_sdk.errors import ErrorCode, ImageLoadError, error_word
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import JsonValue
from runner.dev.document import summary
from runner.dev.image_files import opened
from runner.dev.inspection import HookRun, ImageRun, Request, StepRun
from runner.dev.log_lines import printable
from runner.dev.project import Project, UsageError

if TYPE_CHECKING:
    from PIL import Image

# A report of a hundred images should still open at once; overlays keep the coordinates of the full image.
MAX_SIDE_PIXELS = 1280
_KINDS = {"calibration_rects": "calibration", "position_rects": "position", "defect_rects": "defect"}


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a report is about."""

    project: Project
    request: Request
    runs: Sequence[ImageRun]


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle over the image, in its pixels."""

    rect: Rect
    kind: str

    @property
    def caption(self) -> str:
        score = f" {self.rect.score:.2f}" if self.rect.score is not None else ""
        return f"{self.rect.label or self.kind}{score}"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as the page shows it: `uri` holds it as PNG, width and height are those of the full image."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Row:
    """One hook in the table of an image."""

    step: StepRun
    hook: str
    run: HookRun

    @property
    def verdict(self) -> str:
        return "ready" if self.hook == "pre_execute" and self.run.verdict == "OK" else self.run.verdict

    @property
    def what(self) -> str:
        if self.run.error_code:
            return f"{self.run.error_code} {error_word(self.run.error_code)}: {self.run.message}"
        return str((self.run.data or {}).get("ng_reason") or self.run.message)


@dataclass(frozen=True, slots=True)
class Section:
    """One image of the page."""

    run: ImageRun
    picture: Picture | None
    boxes: tuple[Box, ...]
    rows: tuple[Row, ...]


def write(path: Path, inspected: Inspected) -> None:
    """Write the page; a page of that name is replaced whole or not at all. UsageError when it cannot be written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(render(inspected), encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"--report: {path} cannot be written: {error.strerror}", code=ErrorCode.DISK) from None


def render(inspected: Inspected) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("runner.dev"), autoescape=True, undefined=StrictUndefined, finalize=_shown_text
    )
    environment.filters["pretty"] = _pretty
    page = environment.get_template("report.html.jinja")
    return page.render(
        project=inspected.project,
        request=inspected.request,
        summary=summary(inspected.runs),
        sections=[_section(run) for run in inspected.runs],
    )


def _shown_text(value: object) -> object:
    """Every value on its way into the page, before it is escaped: HTML allows no control characters."""
    return printable(value) if isinstance(value, str) else value


def _pretty(value: JsonValue) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _section(run: ImageRun) -> Section:
    rows: list[Row] = []
    for step in run.steps:
        rows.append(Row(step, "pre_execute", step.pre_execute))
        if step.execute is not None:
            rows.append(Row(step, "execute", step.execute))
    boxes = [Box(rect, kind) for row in rows for key, kind in _KINDS.items() for rect in row.run.rects(key)]
    return Section(run, _picture(run.path), tuple(boxes), tuple(rows))


def _picture(path: Path) -> Picture | None:
    """The image upright and small enough; None when it cannot be shown."""
    try:
        with opened(path) as source:
            return _shown(source)
    except ImageLoadError:
        return None


def _shown(source: Image.Image) -> Picture:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(source)
    width, height = upright.size
    if upright.mode.startswith("I"):
        upright = upright.point(lambda level: level / 256).convert("L")
    upright = upright.convert("L" if upright.mode in ("1", "L") else "RGB")
    upright.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    png = BytesIO()
    upright.save(png, "PNG")
    return Picture("data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii"), width, height)
