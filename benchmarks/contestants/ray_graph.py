"""The same Ray actor in a compiled graph: its fastest way, a channel in shared memory in place of the object store.

Its loop polls for as long as the graph lives, on the core of the others that wait for their round: so it lives for a
round, and what its CPU says is the polling and the making of the graph too.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks.contestants.ray_actor import Actor
from benchmarks.stage import Order, Play, Setting, blocking, perform

# A new graph writes its first images into memory that nobody has touched yet.
UNTOUCHED = 15


class Graph(Actor):
    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        super().__init__(stack, setting)
        self._nbytes = setting.nbytes
        self._graph: Any = None

    def play(self, order: Order) -> dict[str, Any]:
        from ray.dag import InputNode

        with InputNode() as image:
            asked = self._actor.look.bind(image)
        self._graph = asked.experimental_compile(_buffer_size_bytes=self._nbytes + 65_536)
        try:
            for value in range(UNTOUCHED):
                self.submit(0, value)
                self.wait()
            return blocking(self)(order)
        finally:
            self._graph.teardown()

    def submit(self, place: int, value: int) -> None:
        self._images[place][0, 0, 0] = value
        self._asked.append(self._graph.execute(self._images[place]))


def open_graph(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import ray

    return Graph(stack, setting).play, f"ray {ray.__version__}, compiled graph"


if __name__ == "__main__":
    perform(open_graph)
