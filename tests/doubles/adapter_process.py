"""A host in a few lines: starts a real adapter process and talks to it in frames, blocking.

No thread: stderr goes to a file. A silence of LIMIT_S is a failed test, and tells what the process logged.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from procvision_sdk.wire import body, framing

ROOT = Path(__file__).parents[2]
ALGORITHMS = ROOT / "tests" / "algorithms"
BOOT = ROOT / "procvision_sdk" / "adapter" / "boot.py"
META = {"width": 8, "height": 4, "timestamp_ms": 1, "camera_id": "cam"}
# No measure of anything: only the difference between slow and never.
LIMIT_S = 60.0


class AdapterProcess:
    """One adapter with the algorithm of a file in tests/algorithms; `folder` is where the two meet."""

    def __init__(self, algorithm: str, folder: Path, *, cwd: Path = ALGORITHMS, arguments: Sequence[str] = ()) -> None:
        entry = ("--entry", f"tests.algorithms.{algorithm}:Algorithm") if algorithm else ()
        self._begin((sys.executable, "-B", "-m", "procvision_sdk.adapter", *entry, *arguments), folder, cwd)

    @classmethod
    def of(
        cls, command: Sequence[str], folder: Path, *, cwd: Path, environment: Mapping[str, str] | None = None
    ) -> Self:
        """An adapter started in another way."""
        made = cls.__new__(cls)
        made._begin(command, folder, cwd, environment)
        return made

    def _begin(
        self, command: Sequence[str], folder: Path, cwd: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._log = folder / "stderr.log"
        self._decoder = framing.FrameDecoder()
        self._bodies: deque[bytes] = deque()
        surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PROC_TEST_FOLDER": str(folder)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**surroundings, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        if self.process.poll() is None and kind is not None:
            self.process.kill()
        self.process.wait(LIMIT_S)

    @property
    def log(self) -> str:
        """What it wrote to stderr until now."""
        return self._log.read_text("utf-8", "replace")

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its log lines that are records."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def notes(self) -> list[str]:
        """What its algorithm noted, in order."""
        path = self.folder / "notes"
        return path.read_text("utf-8").split() if path.exists() else []

    def say(self, **message: Any) -> None:
        self.write(framing.encode(body.encode(message)))

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def hear(self) -> dict[str, Any]:
        """The next message; EOFError when it closed its end."""
        assert self.process.stdout is not None
        while not self._bodies:
            ready, _, _ = select.select([self.process.stdout], [], [], LIMIT_S)
            assert ready, f"it was silent for {LIMIT_S} s; its log: {self.log}"
            data = os.read(self.process.stdout.fileno(), 65_536)
            if not data:
                assert not self._decoder.unfinished
                raise EOFError(self.log)
            bodies, error = self._decoder.feed(data)
            assert error is None
            self._bodies.extend(bodies)
        return body.decode(self._bodies.popleft())

    def hear_all(self) -> list[dict[str, Any]]:
        """Everything until it closes its end."""
        heard = []
        while True:
            try:
                heard.append(self.hear())
            except EOFError:
                return heard

    def ask(self, **message: Any) -> dict[str, Any]:
        """Say it, and hear the next message."""
        self.say(**message)
        return self.hear()

    def call(self, request_id: str, phase: str, **data: Any) -> dict[str, Any]:
        """The answer to a call about step 1 of product p."""
        self.say_call(request_id, phase, **data)
        answer = self.hear()
        assert answer["request_id"] == request_id
        return answer

    def say_call(self, request_id: str, phase: str, **data: Any) -> None:
        fields = {"phase": phase, "step_index": 1, "pid": "p", "session": {"id": "s"}, "image_meta": META, **data}
        self.say(type="call", request_id=request_id, data=fields)

    def greet(self) -> dict[str, Any]:
        """Its hello, ours, and its ready (or error), which is returned."""
        assert self.hear()["type"] == "hello"
        return self.ask(type="hello", runner_version="test", protocol_version="1.0")

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop_reading(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()

    def exit_code(self) -> int:
        return self.process.wait(LIMIT_S)

    def shut_down(self) -> int:
        """Ask it to stop, hear that it did, and how it ended."""
        answer = self.ask(type="shutdown", request_id="bye")
        assert (answer["type"], answer["request_id"], answer["status"]) == ("shutdown", "bye", "OK"), answer
        return self.exit_code()


def make_gate(folder: Path, name: str) -> Path:
    """A named pipe at which an algorithm waits (tests/algorithms/quiet.py, `wait_at`)."""
    os.mkfifo(folder / name)
    return folder / name


def let_through(gate: Path) -> None:
    """Wait until the algorithm stands at the gate, and open it once."""
    gate.write_bytes(b"")
