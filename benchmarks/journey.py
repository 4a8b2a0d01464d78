"""What an inspection costs, beside the limit and beside what others cost: one driver, many contestants.

    python -m benchmarks.journey --size S,M,L --inflight 1,4 --pace 0,50 --durability none,process,power
                                 --placement one,two,free [--contestants limit,ours_daemon] [--rounds 7] [--calls 400]
                                 [--peers-python PATH] [--seed 1] [--json]

All contestants of a size and placement live at once and wait while one of them plays; each round they play in
another order, drawn from the seed. A row is the median over the rounds of each round's p50 and p99, and the ratio
to the bare relays of the same rounds with its bootstrap interval. docs/performance.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.entrant import Entrant, LostError, Played, Role
from benchmarks.placement import PLACEMENTS
from benchmarks.report import Row, print_rows, row_of
from benchmarks.stage import SIZES, Order

OURS = ("ours_daemon", "ours_embedded", "copy_in_ours")
BARE = ("limit", "epoll_relay", "asyncio_relay", "copy_in_relay")
PEERS = (
    "iceoryx2_echo", "dora_nodes", "zmq_ipc", "triton_shm", "segment_per_image", "ray_actor", "ray_graph",
    "pickled_pipe", "pool", "litserve_http", "older_temp_file", "older_jpeg",
)  # fmt: skip
EVERYBODY = (*BARE, *OURS, *PEERS)
# A round of a slow contestant ends after so long: the median of few samples of 100 ms is as good.
ROUND_S = 0.5
# At a camera's pace most of a round is waiting.
PACED_ROUND_S = 1.0


def roles(options: argparse.Namespace) -> list[Role]:
    """Who plays; ours once for each durability. Peers run under an interpreter of their own where one is given."""
    found = []
    for name in options.contestants:
        python = options.peers_python if name in PEERS and options.peers_python else sys.executable
        if name != "ours_daemon":
            found.append(Role(name, name, python))
            continue
        found += [Role(f"{name} {one}", name, python, one) for one in options.durability]
    return found


def orders(options: argparse.Namespace) -> Iterator[Order]:
    """The kinds of round; a camera's pace has one in flight."""
    for pace in options.pace:
        for in_flight in options.inflight:
            if pace and in_flight == 1:
                yield Order(int(PACED_ROUND_S * pace), 5, 1, 1 / pace, PACED_ROUND_S)
            elif not pace:
                yield Order(options.calls, max(10, options.calls // 10), in_flight, 0.0, ROUND_S)


def play(entrants: list[Entrant], order: Order, options: argparse.Namespace) -> tuple[dict[str, list[Played]], list]:
    """The rounds of each who can play such rounds, and who could not and why."""
    present = {one.role.name: one for one in entrants if not one.absent}
    absent = [(one.role.name, one.absent) for one in entrants if one.absent]
    played: dict[str, list[Played]] = {name: [] for name in present}
    chance = random.Random(options.seed)
    for _ in range(options.rounds):
        for name in chance.sample(sorted(present), len(present)):
            try:
                played[name].append(present[name].play(order))
            except ValueError as error:
                absent.append((name, str(error)))
            except LostError as error:
                present[name].absent = str(error)
                absent.append((name, str(error)))
            else:
                continue
            del present[name], played[name]
    return played, absent


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Row after row; everything of a size and placement is started, played and ended before the next."""
    for size in options.size:
        for placement in options.placement:
            entrants: list[Entrant] = []
            try:
                for role in roles(options):
                    entrants.append(Entrant(role, size, placement))
                    print(f"{size} {placement}: {role.name} {entrants[-1].absent or 'is ready'}", file=sys.stderr)
                for order in orders(options):
                    played, absent = play(entrants, order, options)
                    versions = {one.role.name: one.version for one in entrants}
                    for one in played:
                        yield row_of((size, placement), order, one, versions[one], played)
                    for name, reason in absent:
                        yield Row.absent_one((size, placement), order, name, reason)
            finally:
                for entrant in entrants:
                    entrant.close()


def _list_of(known: tuple[str, ...]) -> Any:
    def parse(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",") if word.strip()]
        unknown = [word for word in words if word not in known]
        if unknown or not words:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {text!r}")
        return words

    return parse


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journey", description="The price of the journey.")
    parser.add_argument("--size", type=_list_of(tuple(SIZES)), default=["S"])
    parser.add_argument("--inflight", type=_numbers, default=[1])
    parser.add_argument("--pace", type=_numbers, default=[0], help="images a second; 0: as fast as it goes")
    parser.add_argument("--durability", type=_list_of(("none", "process", "power")), default=["none"])
    parser.add_argument("--placement", type=_list_of(PLACEMENTS), default=["one", "two"])
    parser.add_argument("--contestants", type=_list_of(EVERYBODY), default=list(EVERYBODY))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=400, help="calls of a round, at most")
    parser.add_argument("--seed", type=int, default=1, help="draws the order in which they play")
    parser.add_argument("--peers-python", default=os.environ.get("PROCVISION_PEERS_PYTHON"), metavar="PATH",
                        help="the interpreter that has the peers; else $PROCVISION_PEERS_PYTHON")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def main() -> int:
    given = options().parse_args()
    # A driver that is told to stop ends its contestants first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.peers_python:
        given.peers_python = str(Path(given.peers_python).absolute())
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores{load}"
    rows = list(measure(given))
    if given.json:
        told = {
            "machine": machine,
            "command": sys.argv[1:],
            "rounds": given.rounds,
            "rows": [one.told() for one in rows],
        }
        print(json.dumps(told))
    else:
        print_rows(f"{machine}; {given.rounds} rounds of at most {given.calls} calls", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
