"""One copy of the image into one slot, then the bare asyncio relay: the measure for `copy_in_ours`."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.contestants.asyncio_relay import NAME
from benchmarks.relayed import copied_in
from benchmarks.stage import Play, Setting, perform


def open_relay(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return copied_in(stack, setting, NAME)


if __name__ == "__main__":
    perform(open_relay)
