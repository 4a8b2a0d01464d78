"""The chaos soak: workers are ended in every way there is, under load, and nothing may be lost, doubled or mixed up.

    python -m benchmarks.chaos --seconds 60 --seed 1 [--json]

    lost         no answer, long after the deadline         late     an answer after the deadline
    duplicated   a second answer to one request             wrong    an answer to another request, or another verdict
    torn         bytes were judged that were never this image

Exit 1 when lost, duplicated, wrong or torn are not 0, when the runner ends, does not count what it answered, or leaves
something behind. Answers that say what went wrong with a worker are counted by their code.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import chaos_faults
from benchmarks.chaos_faults import EXECUTE_S, KINDS, PRE_EXECUTE_S, Injector, Recovery, Roll, distribution, workers_of
from benchmarks.chaos_host import DEADLINE_MS, DEPTH, SHAPE, Host, Line, Tally

HOSTS = 3
COLD_STARTS = 3
ROOT = Path(__file__).parents[1]
SETTINGS = {
    "slots.count": 32,
    "slots.capacity_bytes": SHAPE[0] * SHAPE[1] * SHAPE[2],
    "workers.restarts": 1_000_000,
    "timeouts.pre_execute_s": PRE_EXECUTE_S,
    "timeouts.execute_s": EXECUTE_S,
    "heartbeat.interval_s": 1.0,
    "heartbeat.grace_s": 1.0,
}
NEVER = ("lost", "duplicated", "wrong", "torn")
_BINS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_START_S = 60.0


@dataclass(slots=True)
class Run:
    """What one soak found."""

    seed: int
    seconds: float
    tallies: dict[str, list[Tally]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[Recovery] = field(default_factory=list)
    cold_start_ms: list[float] = field(default_factory=list)
    inspections: dict[str, int] = field(default_factory=dict)
    recorded: int = 0
    failures: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """The whole as one JSON document."""
        every = [one for several in self.tallies.values() for one in several]
        summed = {key: sum(getattr(one, key) for one in every) for key in ("calls", "good", *NEVER, "late")}
        codes = {pid: dict(sum((one.codes for one in several), Counter())) for pid, several in self.tallies.items()}
        stacks = self._stacks()
        recovery = {"ready_standby": self._took_ms(True), "cold": self._took_ms(False)}
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "settings": SETTINGS,
            **summed,
            "faults": dict(sorted(self.faults.items())),
            "codes": codes,
            "recovery_ms": {name: distribution(found) for name, found in recovery.items()},
            "recovery_ms_by_kind": {kind: distribution(self._of_kind(kind)) for kind in KINDS},
            "hangs_answered": len(stacks),
            "hangs_answered_with_their_stack": sum(stacks),
            "cold_start_ms": distribution(self.cold_start_ms),
            "inspections": self.inspections,
            "recorded": self.recorded,
            "failures": self.failures,
            "examples": [text[:600] for one in every for text in one.examples][:10],
        }

    def _stacks(self) -> list[bool]:
        """For each hang whose end was answered, whether the answer says where it was."""
        answers = [answer for several in self.tallies.values() for one in several for answer in one.answers]
        return [one.has_stack for one in answers if one.sent.act == "hang" and one.code == "1005"]

    def _of_kind(self, kind: str) -> list[float]:
        return [one.took_ms for one in self.recoveries if one.standby and one.kind == kind]

    def _took_ms(self, standby: object) -> list[float]:
        return [one.took_ms for one in self.recoveries if one.standby is standby]


@contextmanager
def station(folder: Path, failures: list[str]) -> Iterator[Path]:
    """A runner that serves CHAOS and STEADY; its home. What it leaves behind is a failure."""
    home, notes, temporary = folder / "home", folder / "notes", folder / "tmp"
    for made in (home, notes, temporary):
        made.mkdir()
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in SETTINGS.items()]
    lines += [f'station = "chaos-{os.getpid()}"\n', f"environment.PROC_CHAOS_FOLDER = {json.dumps(str(notes))}\n"]
    (home / "station.toml").write_text("".join(lines), "utf-8")
    chaos = Path(__file__).parent / "chaos_algorithm"
    command = [sys.executable, "-m", "runner.cli", "serve", "--home", str(home)]
    command += ["--project", str(chaos), "--project", str(_steady(chaos, folder))]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    with (folder / "daemon.log").open("ab") as log:
        daemon = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        assert daemon.stdout is not None
        if not daemon.stdout.readline().startswith(b"serving at "):
            raise SystemExit(f"the runner does not serve: {(folder / 'daemon.log').read_text('utf-8', 'replace')}")
        yield home
    finally:
        failures += _stop(daemon, temporary)


def _steady(chaos: Path, folder: Path) -> Path:
    """The same algorithm as another product, which nobody asks to misbehave."""
    copy = folder / "steady"
    shutil.copytree(chaos, copy, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest |= {"name": "steady", "supported_pids": ["STEADY"]}
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return copy


def _stop(daemon: subprocess.Popen[bytes], temporary: Path) -> Iterator[str]:
    """Stop it; one line for each thing that was wrong about its end."""
    if daemon.stdout is not None:
        daemon.stdout.close()
    if daemon.poll() is not None:
        yield f"the runner ended with {daemon.returncode}"
        return
    below = psutil.Process(daemon.pid).children(recursive=True)
    daemon.terminate()
    try:
        code = daemon.wait(_START_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        code = daemon.wait()
    if code != 0:
        yield f"the runner stopped with {code}"
    _, alive = psutil.wait_procs(below, timeout=1.0)
    left = [f"process {one.pid}" for one in alive]
    left += [f"segment {path.name}" for path in Path("/dev/shm").glob(f"pv-chaos-{os.getpid()}-*")]
    left += [f"file {path}" for path in temporary.iterdir()]
    yield from (f"left behind: {one}" for one in left)


def wait_ready(line: Line) -> None:
    """Return when both products have their worker and its standby."""
    give_up_s = time.monotonic() + _START_S
    while any(one["state"] != "READY" for name in ("chaos", "steady") for one in workers_of(line, name)):
        if time.monotonic() > give_up_s:
            raise SystemExit(f"it does not become ready: {line.ask('status')}")
        time.sleep(0.02)


def cold_start_ms(home: Path, line: Line) -> float:
    """From the end of all workers of the product to its next good result, with nothing else to do."""
    wait_ready(line)
    host = Host(home, f"cold-{time.monotonic_ns()}", "CHAOS", lambda: "none")
    began_s = time.monotonic()
    for one in workers_of(line, "chaos"):
        psutil.Process(one["os_pid"]).kill()
    host.start()
    while not host.tally.good and host.is_alive():
        time.sleep(0.001)
    host.stopping.set()
    host.join()
    return (min(one.at_s for one in host.tally.answers if not one.code) - began_s) * 1000


def soak(seconds: float, seed: int) -> Run:
    """One soak from start to stop."""
    run = Run(seed, seconds)
    # Each answer is kept to the end: a collection would stop the clock of all hosts, longer each time.
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, station(Path(name), run.failures) as home:
        line = Line(home, "watch")
        run.cold_start_ms = [cold_start_ms(home, line) for _ in range(COLD_STARTS)]
        wait_ready(line)
        before = line.ask("status")
        roll, injector = Roll(home, "chaos"), Injector(home, "chaos", seed)
        hosts = [Host(home, f"host-{number}", "CHAOS", injector.order) for number in range(HOSTS)]
        steady = Host(home, "steady", "STEADY", lambda: "none")
        for thread in (roll, *hosts, steady):
            thread.start()
        injector.run(seconds)
        for thread in (*hosts, steady):
            thread.stopping.set()
        for thread in (*hosts, steady):
            thread.join()
        roll.stopping.set()
        roll.join()
        run.failures += [one.failure for one in (*hosts, steady) if one.failure]
        run.tallies = {"CHAOS": [one.tally for one in hosts], "STEADY": [steady.tally]}
        run.faults.update(one.kind for one in injector.faults)
        answers = [answer for one in hosts for answer in one.tally.answers]
        run.recoveries = chaos_faults.recoveries(injector.faults, answers, roll, Path(name) / "notes")
        _conserve(run, before, line.ask("status"))
        line.close()
    return run


def _conserve(run: Run, before: dict[str, Any], after: dict[str, Any]) -> None:
    """What was submitted is what came of it, in the runner's counters, at the hosts and in the store."""
    told = {key: count - before["inspections"][key] for key, count in after["inspections"].items()}
    run.inspections, run.recorded = told, _recorded(after) - _recorded(before)
    calls = sum(one.calls for several in run.tallies.values() for one in several)
    outcomes = told["ok"] + told["ng"] + told["error"] + told["refused"]
    if not (calls == told["submitted"] == outcomes and told["in_flight"] == 0):
        run.failures.append(f"{calls} were sent, the runner counted {told}")
    if run.recorded != calls - told["refused"]:
        run.failures.append(f"{calls - told['refused']} were answered, {run.recorded} are recorded")
    slots = after["slots"]
    if slots["quarantined"]:
        run.failures.append(f"slots were not given back: {slots}")


def _recorded(status: dict[str, Any]) -> int:
    """Rows that were ever written: a long soak meets the limit of the store, and the oldest go."""
    store: dict[str, int] = status["store"]
    return store["rows"] + store["pruned"]


def histogram(found: Sequence[float]) -> Iterator[str]:
    """One line for each range of milliseconds that something fell into."""
    edges = [0.0, *_BINS_MS, float("inf")]
    counts, _ = np.histogram(found, edges)
    for low, high, count in zip(edges, edges[1:], counts.tolist(), strict=False):
        if count:
            yield f"    {low:6g} - {high:6g} ms {count:6d} {'#' * max(1, round(50 * count / len(found)))}"


def print_text(run: Run) -> None:
    told = run.told()
    print(f"seed {run.seed}, {run.seconds:g} s, {HOSTS} hosts with {DEPTH} inspections in flight and a steady one,")
    print(f"deadline {DEADLINE_MS} ms; the restart budget is raised: {json.dumps(SETTINGS)}")
    print(f"calls {told['calls']}: good {told['good']}, late {told['late']}, codes {told['codes']}")
    print(", ".join(f"{key} {told[key]}" for key in NEVER))
    print(f"faults {sum(run.faults.values())}: {told['faults']}")
    print(f"runner: {told['inspections']}, recorded {told['recorded']}")
    print(f"hangs answered {told['hangs_answered']}, with their stack {told['hangs_answered_with_their_stack']}")
    print(f"cold start {told['cold_start_ms']} ms")
    for name, standby in (("ready_standby", True), ("cold", False)):
        print(f"crash to next good result, {name}: {told['recovery_ms'][name]} ms")
        for line in histogram([one.took_ms for one in run.recoveries if one.standby is standby]):
            print(line)
    for kind, found in told["recovery_ms_by_kind"].items():
        print(f"    {kind:6} ready_standby {found}")
    for text in (*told["failures"], *told["examples"]):
        print(f"! {text}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description="Faults under load.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    run = soak(options.seconds, options.seed)
    told = run.told()
    if options.json:
        print(json.dumps(told))
    else:
        print_text(run)
    return 1 if any(told[key] for key in NEVER) or run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
