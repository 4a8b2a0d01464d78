"""The guard of conftest.py sees each kind of thing that a test can leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from procvision_sdk import segment
from tests.conftest import World


@contextmanager
def a_process() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield
        process.kill()


@contextmanager
def a_thread() -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="left-over")
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def a_descriptor() -> Iterator[None]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    yield
    os.close(descriptor)


@contextmanager
def a_segment() -> Iterator[None]:
    segment.create("pvtest-left-over", 64)
    yield
    segment.unlink("pvtest-left-over")


@pytest.mark.parametrize(
    ("leave", "kind"),
    [
        (a_process, "processes"),
        (a_thread, "threads"),
        (a_descriptor, "descriptors"),
        (a_segment, "segments"),
    ],
)
def test_what_is_left_behind_is_told_by_its_kind(
    leave: Callable[[], AbstractContextManager[None]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.conftest._others_are_testing", lambda: False)
    before = World.now()
    with leave():
        assert any(line.startswith(f"{kind}: ") for line in World.now().leftovers(before))
