"""Rows of the table: what a contestant took, and its ratio to the bare relays of the same rounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import groupby
from statistics import median
from typing import Any

from benchmarks.entrant import Played
from benchmarks.stage import Order
from runner.dev.bench_statistics import Interval, quantile, ratio_interval

MEASURES = ("limit", "epoll_relay", "asyncio_relay", "copy_in_relay")


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant in one configuration. `ratios`: its p50 over that of each measure, with the interval."""

    size: str
    placement: str
    in_flight: int
    pace: int
    name: str
    absent: str = ""
    version: str = ""
    p50_us: float = 0.0
    p99_us: float = 0.0
    per_s: float = 0.0
    service_cpu_us: float = 0.0
    samples: int = 0
    rounds_p50_us: list[float] = field(default_factory=list)
    ratios: dict[str, Interval] = field(default_factory=dict)

    @property
    def configuration(self) -> tuple[str, str, int, int]:
        return self.size, self.placement, self.in_flight, self.pace

    @classmethod
    def absent_one(cls, where: tuple[str, str], order: Order, name: str, reason: str) -> Row:
        return cls(*where, order.in_flight, _pace(order), name, reason)

    def told(self) -> dict[str, Any]:
        """For the JSON document."""
        if self.absent:
            kept = ("size", "placement", "in_flight", "pace", "name", "absent")
            return {name: getattr(self, name) for name in kept}
        return asdict(self)


def row_of(where: tuple[str, str], order: Order, name: str, version: str, played: dict[str, list[Played]]) -> Row:
    """The medians over the rounds of one contestant."""
    rounds = played[name]
    medians = {one: [median(each.samples_us) for each in found] for one, found in played.items()}
    ratios = {one: ratio_interval(medians[one], medians[name]) for one in MEASURES if one in medians and one != name}
    return Row(
        *where,
        order.in_flight,
        _pace(order),
        name,
        version=version,
        p50_us=median(medians[name]),
        p99_us=median(quantile(each.samples_us, 0.99) for each in rounds),
        per_s=median(each.per_s for each in rounds),
        service_cpu_us=median(each.service_cpu_us for each in rounds),
        samples=sum(len(each.samples_us) for each in rounds),
        rounds_p50_us=medians[name],
        ratios=ratios,
    )


def _pace(order: Order) -> int:
    return round(1 / order.every_s) if order.every_s else 0


def print_rows(title: str, rows: list[Row]) -> None:
    """For people: a block for each configuration."""
    print(title)
    for configuration, block in groupby(rows, lambda row: row.configuration):
        size, placement, in_flight, pace = configuration
        print(f"\n{size}, placement {placement}, {in_flight} in flight, {f'{pace} Hz' if pace else 'back to back'}")
        head = f"{'':22}{'p50 us':>10}{'p99 us':>10}{'per s':>8}{'CPU us':>8}"
        print(head + "".join(f"{f'x {measure}':>26}" for measure in MEASURES))
        for row in sorted(block, key=lambda row: (bool(row.absent), row.p50_us)):
            print(_line(row))


def _line(row: Row) -> str:
    if row.absent:
        return f"{row.name:22}absent: {row.absent}"
    figures = f"{row.name:22}{row.p50_us:10.0f}{row.p99_us:10.0f}{row.per_s:8.0f}{row.service_cpu_us:8.0f}"
    ratios = (row.ratios.get(measure) for measure in MEASURES)
    return figures + "".join(f"{_ratio(one):>26}" for one in ratios)


def _ratio(ratio: Interval | None) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})" if ratio is not None else "-"
