"""Ours inside the host's process: `AsyncRunner`, one hop to the supervised worker."""

from __future__ import annotations

import asyncio
import importlib
import time
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.contestants.ours_daemon import patch_of
from benchmarks.stage import LEAST_SAMPLES, MOST_IN_FLIGHT, AbsentError, Order, Play, Setting, perform
from benchmarks.station import PROJECT
from runner import __version__


class Embedded:
    """A loop that lives as long as this process; between rounds it stands still."""

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        kind = getattr(importlib.import_module("runner"), "AsyncRunner", None)
        if kind is None:
            raise AbsentError("not built: runner has no AsyncRunner")
        self._loop = asyncio.new_event_loop()
        stack.callback(self._loop.close)
        self._durability = setting.durability
        runner = kind(projects=[PROJECT])
        with setting.serving():
            self._runner = self._loop.run_until_complete(runner.__aenter__())
        stack.callback(lambda: self._loop.run_until_complete(runner.__aexit__(None, None, None)))
        self._leases = [self._runner.lease() for _ in range(MOST_IN_FLIGHT)]
        image = np.zeros(setting.shape, np.uint8)
        self._metas = [lease.put(image, camera_id="bench") for lease in self._leases]
        self._images = [lease.array(meta) for lease, meta in zip(self._leases, self._metas, strict=True)]

    def play(self, order: Order) -> dict[str, Any]:
        return self._loop.run_until_complete(self._round(order))

    async def _round(self, order: Order) -> dict[str, Any]:
        warmed = len(await self._calls(order, order.warm, order.in_flight))
        began = time.perf_counter()
        samples = await self._calls(order, order.calls, order.in_flight)
        return {"samples_us": samples, "wall_s": time.perf_counter() - began, "warmed": warmed}

    async def _calls(self, order: Order, calls: int, hosts: int) -> list[float]:
        if hosts == 1:
            return await self._host(order, 0, calls)
        every = await asyncio.gather(*(self._host(order, place, calls // hosts) for place in range(hosts)))
        return [sample for samples in every for sample in samples]

    async def _host(self, order: Order, place: int, calls: int) -> list[float]:
        """One request after the other on one slot."""
        now, every_ns = time.perf_counter_ns, int(order.every_s * 1e9)
        image, lease, meta = self._images[place], self._leases[place], self._metas[place]
        samples: list[float] = []
        tick = now()
        end = tick + int(order.budget_s * 1e9)
        while len(samples) < calls and (now() < end or len(samples) < LEAST_SAMPLES):
            if every_ns:
                tick += every_ns
                await asyncio.sleep(max(0, tick - now()) / 1e9)
            value = len(samples) % 255 + 1
            began = now()
            image[0, 0, 0] = value
            result = await self._runner.inspect("NULL", lease, meta, step_index=1, keep=True)
            told = patch_of(result, self._durability)
            samples.append((now() - began) / 1000)
            if told != value:
                raise AssertionError(f"the answer saw {told}, the pixel was {value}: another image was looked at")
        return samples


def open_embedded(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return Embedded(stack, setting).play, f"procvision {__version__}"


if __name__ == "__main__":
    perform(open_embedded)
