"""A bare relay of two hops: epoll, a Unix socket on one side, pipes on the other; frames are cut, nothing else."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import ExitStack

from benchmarks.frames import HEADER, Cutter
from benchmarks.relayed import relayed
from benchmarks.stage import AbsentError, Play, Setting, perform

NAME = "benchmarks.contestants.epoll_relay"


def relay(worker: list[str]) -> None:
    """Between descriptor 0 and a worker, until the host closes."""
    command = [sys.executable, "-m", "benchmarks.frames", *worker]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None and process.stdout is not None
        asks, answers = process.stdin.fileno(), process.stdout.fileno()
        onward = {0: (asks, Cutter()), answers: (0, Cutter())}
        poll = select.epoll()
        for descriptor in onward:
            poll.register(descriptor, select.EPOLLIN)
        while True:
            for descriptor, _ in poll.poll():
                data = os.read(descriptor, 65_536)
                if not data:
                    return
                to, cutter = onward[descriptor]
                for body in cutter.feed(data):
                    os.write(to, HEADER.pack(len(body)) + body)


def open_relay(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    if not hasattr(select, "epoll"):
        raise AbsentError("there is no epoll on this system")
    return relayed(stack, setting, NAME)


if __name__ == "__main__":
    if sys.argv[1] == "--relay":
        relay(sys.argv[2:])
    else:
        perform(open_relay)
