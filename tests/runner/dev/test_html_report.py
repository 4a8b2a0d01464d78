"""The report: one file, whatever texts are in it (spec.md §11.3)."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.manifest import Manifest
from runner.dev.html_report import Inspected, render, write
from runner.dev.inspection import HookRun, ImageRun, Request, StepRun
from runner.dev.project import Project, UsageError
from tests.doubles.author import make_picture

TALES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg></pre></title></style><b>",
    "' onload='alert(1)",
    "{{ 7 * 7 }}{% include 'x' %}",
    "\x1b[2J\x00\u202e\ud800",
]


class Page(HTMLParser):
    """Collects tags, attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _inspected(folder: Path, text: str) -> Inspected:
    manifest = Manifest.parse(
        '{"name": "n", "version": "1", "entry_point": "a:B", "supported_pids": ["A"], '
        '"steps": [{"index": 1, "name": "s"}]}',
        "test",
    )
    rects = [{"x": 1, "y": 2, "width": 3, "height": 4, "label": text, "score": 0.25}]
    data: dict[str, Any] = {"result_status": "NG", "ng_reason": text, "defect_rects": rects, text: text}
    prepared = HookRun("OK", text, data={"calibration_rects": rects}, diagnostics={})
    executed = HookRun("OK", text, hint=text, data=data, diagnostics={text: text}, latency_ms=12.34)
    path = make_picture(folder / "part.png", size=(40, 30))
    step = StepRun(1, text, {text: text}, prepared, executed)
    missing = ImageRun(folder / "gone.png", (StepRun(1, text, {}, HookRun("ERROR", text, text)),))
    runs = [ImageRun(path, (step,), 56.78), missing]
    return Inspected(Project(folder, manifest), Request(text, None, {text: text}), runs)


@pytest.mark.parametrize("text", TALES)
def test_texts_of_an_algorithm_make_no_tag_and_no_attribute(tmp_path: Path, text: str) -> None:
    plain, told = (Page(render(_inspected(tmp_path, one))) for one in ("plain", text))
    assert [tag for tag, _ in told.tags] == [tag for tag, _ in plain.tags]
    assert [attributes.keys() for _, attributes in told.tags] == [attributes.keys() for _, attributes in plain.tags]
    assert not any(one in text for text in told.texts for one in "\x00\x1b\u202e\ud800")


def test_the_page_needs_nothing_from_elsewhere_and_forbids_it(tmp_path: Path) -> None:
    page = Page(render(_inspected(tmp_path, "plain")))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "img", "a", "object", "form"})
    assert page.named("meta")[-1]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    links = [one[key] or "" for _, one in page.tags for key in ("href", "src", "style") if key in one]
    assert links
    assert all(one.startswith("data:image/png;base64,") for one in links)


def test_overlays_lie_where_the_rectangles_are(tmp_path: Path) -> None:
    page = Page(render(_inspected(tmp_path, "scratch")))
    assert page.named("svg")[0]["viewbox"] == "0 0 40 30"
    boxes = [(one["class"], one["x"], one["y"], one["width"], one["height"]) for one in page.named("rect")]
    assert boxes == [("calibration", "1", "2", "3", "4"), ("defect", "1", "2", "3", "4")]
    assert page.texts.count("scratch 0.25") == 2


def test_verdict_reason_timings_and_an_image_that_cannot_be_shown_are_told(tmp_path: Path) -> None:
    text = "\n".join(Page(render(_inspected(tmp_path, "scratch"))).texts)
    for told in ("NG", "scratch", "12.3", "56.8 ms", "40 × 30 px", "This image cannot be shown.", "gone.png"):
        assert told in text, told


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "there", _inspected(tmp_path, "plain"))
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"] == []
