"""`procvision demo`: a station, a camera and a line of boards, from start to nothing left behind.

daemon with the example and a hanging algorithm -> a camera writes boards into slots at a steady rate
-> verdicts against the known truth -> a hang is survived -> stop -> look what was left
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.live import Live
from rich.table import Table

from runner.clock import monotonic_s, pause_s
from runner.dev.boards import Board, BoardSource
from runner.dev.demo_station import DemoStation, Leftovers
from runner.dev.overlay import overlay
from runner.host.client import Client, Lease
from runner.terminal import coloured, err, out

# A slow line: the live table can be read, and two shared cores keep up with room to spare.
BOARDS_PER_S = 15.0
HANG_DEADLINE_MS = 600.0
_ROWS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demo was asked for; `report` is a folder for overlays of the NG images."""

    images: int = 60
    seed: int = 1
    json: bool = False
    report: Path | None = None


@dataclass(slots=True)
class Tally:
    """Everything counted while the line ran; per board, errors per answer."""

    ok: int = 0
    ng: int = 0
    errors: int = 0
    expected_errors: int = 0
    planted: int = 0
    found: int = 0
    false_calls: int = 0
    copies: int = 0
    hang_answered_ms: float = 0.0
    overhead_ms: list[float] = field(default_factory=list)
    inspection_ms: list[float] = field(default_factory=list)
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def take(self, board: Board, result: dict[str, Any], wall_ms: float) -> None:
        """Count one board's answer against what was planted on it."""
        timings = result["timings"]
        self.inspection_ms.append(wall_ms)
        self.overhead_ms.append(wall_ms - timings["pre_execute"] - timings["execute"])
        self.copies += result["copies"]
        verdict = result["data"].get("result_status", "ERROR") if result["status"] == "OK" else "ERROR"
        self.ok += verdict == "OK"
        self.ng += verdict == "NG"
        self.errors += verdict == "ERROR"
        score = board.score(result["data"].get("defect_rects", []))
        self.planted += score.planted
        self.found += score.found
        self.false_calls += score.false_calls
        reason = result["data"].get("ng_reason", "") if verdict != "ERROR" else result["message"]
        self.rows.append((result["pid"], verdict, reason, f"{wall_ms:.1f}"))


def run_demo(plan: DemoPlan) -> int:
    """Run the demo; 0 when every answer was as it should be and nothing is left behind."""
    source = BoardSource.find()
    tally = Tally()
    with ExitStack() as stack:
        station = stack.enter_context(DemoStation.start(source.project))
        client = stack.enter_context(station.connect())
        table = stack.enter_context(Live(console=err, auto_refresh=False, transient=plan.json))
        lease = client.lease()
        for board in _at_a_steady_rate(source, plan):
            _inspect(client, lease, board, tally, plan)
            table.update(_live_table(tally), refresh=True)
        _survive_a_hang(client, lease, tally)
    leftovers = station.leftovers()
    told = _told(tally, leftovers)
    if plan.json:
        print(json.dumps(told, indent=2))
    else:
        _print_summary(told, tally, leftovers, plan)
    good = told["errors"] == told["expected_errors"] and not any(leftovers)
    return 0 if good else 1


def _at_a_steady_rate(source: BoardSource, plan: DemoPlan) -> Iterator[Board]:
    """The camera: boards of both products in turn, one of three with defects, never faster than the line."""
    began_s = monotonic_s()
    for number in range(plan.images):
        board = source.board(number, plan.seed)
        pause_s(max(0.0, began_s + number / BOARDS_PER_S - monotonic_s()))
        yield board


def _inspect(client: Client, lease: Lease, board: Board, tally: Tally, plan: DemoPlan) -> None:
    meta = lease.put(board.image, camera_id="demo-camera")
    began_s = monotonic_s()
    result = client.inspect(board.product, lease, meta)
    tally.take(board, result, (monotonic_s() - began_s) * 1000)
    if plan.report is not None and result["data"].get("result_status") == "NG":
        plan.report.mkdir(parents=True, exist_ok=True)
        picture = overlay(board.image, result["data"]["defect_rects"])
        picture.save(plan.report / f"{len(tally.rows):04d}-{board.product}.png")


def _survive_a_hang(client: Client, lease: Lease, tally: Tally) -> None:
    """One call that never returns: its ERROR comes before the deadline, and the next part is inspected."""
    meta = lease.put(np.zeros((64, 64), np.uint8), camera_id="demo-camera")
    tally.expected_errors += 1
    began_s = monotonic_s()
    hung = client.inspect("DEMO-HANG", lease, meta, user_params={"hang": True}, deadline_ms=HANG_DEADLINE_MS)
    tally.hang_answered_ms = (monotonic_s() - began_s) * 1000
    tally.errors += hung["status"] == "ERROR"
    tally.rows.append(("DEMO-HANG", hung["status"], hung["message"], f"{tally.hang_answered_ms:.1f}"))
    meta = lease.put(np.zeros((64, 64), np.uint8), camera_id="demo-camera")
    began_s = monotonic_s()
    after = client.inspect("DEMO-HANG", lease, meta)
    tally.errors += after["status"] == "ERROR"
    verdict = after["data"].get("result_status", after["status"])
    reason = f"process {after['incarnation']} after the hang"
    tally.rows.append(("DEMO-HANG", verdict, reason, f"{(monotonic_s() - began_s) * 1000:.1f}"))


def _live_table(tally: Tally) -> Table:
    table = Table("product", "verdict", "reason", "ms", title="procvision demo")
    for product, verdict, reason, milliseconds in tally.rows[-_ROWS_SHOWN:]:
        table.add_row(product, coloured(verdict), reason, milliseconds)
    return table


def _told(tally: Tally, leftovers: Leftovers) -> dict[str, Any]:
    return {
        "inspected": tally.ok + tally.ng,
        "ok": tally.ok,
        "ng": tally.ng,
        "errors": tally.errors,
        "expected_errors": tally.expected_errors,
        "planted": tally.planted,
        "found": tally.found,
        "false_calls": tally.false_calls,
        "copies": tally.copies,
        "leftovers": len(leftovers.processes) + len(leftovers.segments),
        "overhead_ms": _percentiles(tally.overhead_ms),
        "inspection_ms": _percentiles(tally.inspection_ms),
        "hang_answered_ms": round(tally.hang_answered_ms, 1),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": 0.0, "p99": 0.0}
    return {"p50": round(float(np.percentile(values, 50)), 3), "p99": round(float(np.percentile(values, 99)), 3)}


def _print_summary(told: dict[str, Any], tally: Tally, leftovers: Leftovers, plan: DemoPlan) -> None:
    for product, verdict, reason, milliseconds in tally.rows[-2:]:
        out.print(f"{product}: {coloured(verdict)} after {milliseconds} ms: {reason}", soft_wrap=True)
    yield_percent = 100 * told["ok"] / max(told["inspected"], 1)
    overhead, whole = told["overhead_ms"], told["inspection_ms"]
    rows = (
        ("boards inspected", f"{told['inspected']} = {told['ok']} OK + {told['ng']} NG, yield {yield_percent:.1f} %"),
        ("errors", f"{told['errors']}, expected {told['expected_errors']} (the hang)"),
        ("planted defects", f"{told['planted']}: {told['found']} found, {told['planted'] - told['found']} missed"),
        ("false calls", str(told["false_calls"])),
        ("the runner's own share", f"p50 {overhead['p50']:.2f} ms, p99 {overhead['p99']:.2f} ms (two steps a board)"),
        ("whole inspection", f"p50 {whole['p50']:.2f} ms, p99 {whole['p99']:.2f} ms"),
        ("image copies made", f"{told['copies']}"),
        ("hang answered", f"after {told['hang_answered_ms']:.0f} ms of {HANG_DEADLINE_MS:.0f} allowed"),
        ("left behind", f"{len(leftovers.processes)} processes, {len(leftovers.segments)} segments"),
    )
    table = Table(show_header=False, box=None)
    for name, value in rows:
        table.add_row(name, value)
    out.print(table)
    if plan.report is not None:
        out.print(f"overlays of the {told['ng']} NG boards: {plan.report}")
