"""`procvision demo` as a newcomer types it: a real daemon, a real camera loop, a real hang, and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from procvision_sdk import segment
from runner.dev.demo_station import DemoStation
from runner.dev.overlay import overlay


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner.dev.cli", "demo", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_the_demo_counts_what_it_did_survives_a_hang_and_leaves_nothing(tmp_path: Path) -> None:
    done = demo("--images", "9", "--json", "--report", str(tmp_path / "overlays"))

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["inspected"] == told["ok"] + told["ng"] == 9
    assert told["ng"] == 3
    assert told["errors"] == told["expected_errors"] == 1
    assert told["planted"] >= 9 and told["found"] == told["planted"] and told["false_calls"] == 0
    assert told["copies"] == 0
    assert told["leftovers"] == 0
    assert 0 < told["overhead_ms"]["p50"] <= told["overhead_ms"]["p99"] < told["inspection_ms"]["p99"]
    assert 0 < told["hang_answered_ms"] < 600
    assert len(list((tmp_path / "overlays").glob("*.png"))) == told["ng"]


def test_people_get_a_table_and_a_summary() -> None:
    done = demo("--images", "3")

    assert done.returncode == 0, done.stderr
    assert "3 = 2 OK + 1 NG" in done.stdout
    assert "0 processes, 0 segments" in done.stdout
    assert "PCB-A" in done.stderr and "DEMO-HANG" in done.stdout


def test_leftovers_are_looked_up_and_not_assumed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        station = DemoStation(tmp_path, f"demo-test-{os.getpid()}", child, {psutil.Process(child.pid)})
        name = f"pv-{station.name}-00000000-1-1"
        mapping = segment.create(name, 4096)
        try:
            assert station.leftovers() == ((child.pid,), (name,))
        finally:
            mapping.close()
            segment.unlink(name)
        child.communicate(b"\n")
        assert station.leftovers() == ((), ())


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3)])
def test_an_overlay_draws_on_a_copy(shape: tuple[int, ...]) -> None:
    import numpy as np

    pixels = np.zeros(shape, np.uint8)
    picture = overlay(pixels, [{"x": 20, "y": 30, "width": 20, "height": 15, "label": "open", "score": 0.5}])

    assert picture.size == (80, 60)
    assert picture.getpixel((39, 44)) == (255, 64, 64) and pixels.max() == 0
