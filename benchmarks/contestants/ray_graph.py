"""The same Ray actor in a compiled graph: its fastest way, a channel in shared memory in place of the object store."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.contestants.ray_actor import Actor
from benchmarks.stage import Play, Setting, blocking, perform


class Graph(Actor):
    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        super().__init__(stack, setting)
        from ray.dag import InputNode

        with InputNode() as image:
            asked = self._actor.look.bind(image)
        self._graph = asked.experimental_compile(_buffer_size_bytes=setting.nbytes + 65_536)
        stack.callback(self._graph.teardown)

    def submit(self, place: int, value: int) -> None:
        self._images[place][0, 0, 0] = value
        self._asked.append(self._graph.execute(self._images[place]))


def open_graph(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import ray

    return blocking(Graph(stack, setting)), f"ray {ray.__version__}"


if __name__ == "__main__":
    perform(open_graph)
