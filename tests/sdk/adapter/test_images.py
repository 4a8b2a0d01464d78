"""What a hook does with its image, as the runner is told of it (spec.md §3)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from procvision_sdk import dev_clear_shared_memory, dev_write_image_to_shared_memory, segment
from procvision_sdk import write_image_array_to_shared_memory as write_array
from procvision_sdk.arena import Arena, ArenaLayout
from tests.doubles.adapter_process import AdapterProcess, make_gate

ID = f"adapter-{os.getpid()}"
SEGMENT = f"pv-adapter-{os.getpid()}"
IMAGE = np.full((4, 8, 3), 50, np.uint8)


@pytest.fixture
def image() -> Iterator[str]:
    """A development image of even grey."""
    write_array(ID, IMAGE)
    yield ID
    dev_clear_shared_memory(ID)


@pytest.fixture
def arena() -> Iterator[Arena]:
    """One slot at generation 1 with the same picture."""
    layout = ArenaLayout(slot_count=1, slot_capacity=4096)
    mapping = segment.create(SEGMENT, layout.size)
    root = memoryview(mapping)
    arena = Arena.format(SEGMENT, root, layout)
    arena.set_generation(0, 1)
    mapping[4096 : 4096 + IMAGE.nbytes] = IMAGE.tobytes()
    yield arena
    segment.unlink(SEGMENT)
    root.release()
    mapping.close()


def test_a_kept_view_is_reported_by_the_call_that_kept_it(tmp_path: Path, image: str) -> None:
    ways = {"nothing": False, "copy": False, "cycle": False} | dict.fromkeys(
        ("view", "slice", "transposed", "buffer", "closure", "native"), True
    )
    with AdapterProcess("keeps_the_view", tmp_path) as adapter:
        adapter.greet()
        for way, kept in ways.items():
            answer = adapter.call(way, "step", shared_mem_id=image, user_params={"keep": way})
            assert (answer["status"], answer["kept_view"]) == ("OK", kept), way
        assert adapter.shut_down() == 0


def test_drawing_on_the_image_says_to_draw_on_a_copy(tmp_path: Path, image: str) -> None:
    with AdapterProcess("draws_on_the_image", tmp_path) as adapter:
        adapter.greet()
        for what in ("draw", "force"):
            answer = adapter.call(what, "execute", shared_mem_id=image, user_params={"what": what})
            assert (answer["status"], answer["error_code"]) == ("ERROR", "1009")
            assert "image.copy()" in answer["hint"] and not answer["kept_view"]
        assert adapter.call("slip", "execute", shared_mem_id=image, user_params={"what": "slip"})["hint"] == ""
        assert adapter.shut_down() == 0


def test_images_that_are_not_there_are_1002_and_zeros_never_make_an_ok(tmp_path: Path) -> None:
    with AdapterProcess("reads_the_image", tmp_path, arguments=("--color-space-default", "BGR")) as adapter:
        adapter.greet()

        def ask(phase: str, **user_params: Any) -> dict[str, Any]:
            return adapter.call("r", phase, shared_mem_id="nobody wrote this", user_params=user_params)

        assert ask("step")["error_code"] == "1002"
        substituted = ask("step", on_missing="zeros")
        assert (substituted["error_code"], substituted["diagnostics"]["image_substituted"]) == ("1002", True)
        judged = ask("step", on_missing="zeros", verdict="NG")
        assert (judged["status"], judged["diagnostics"]["image_substituted"]) == ("OK", True)
        assert judged["data"]["color_space"] == "BGR"
        assert ask("pre", in_pre_execute="zeros")["status"] == "OK"
        later = ask("execute", in_pre_execute="zeros")
        assert (later["error_code"], later["diagnostics"]["image_substituted"]) == ("1002", True)
        assert adapter.shut_down() == 0


def test_a_file_is_decoded_once_for_both_hooks_and_anew_when_it_changed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "PNG")
    with AdapterProcess("reads_the_image", tmp_path) as adapter:
        adapter.greet()
        dev_write_image_to_shared_memory(ID, buffer.getvalue())
        answers = [adapter.call("a", phase, shared_mem_id=ID) for phase in ("pre", "execute", "step")]
        assert [answer["decodes"] for answer in answers] == [1, 0, 0]
        assert answers[1]["data"]["mean"] == 50.0
        write_array(ID, IMAGE + 1)
        assert adapter.call("b", "step", shared_mem_id=ID)["data"]["mean"] == 51.0
        dev_clear_shared_memory(ID)
        assert adapter.call("c", "step", shared_mem_id=ID)["error_code"] == "1002"
        assert adapter.shut_down() == 0


def test_a_slot_is_read_without_a_copy_and_given_away_it_is_refused(tmp_path: Path, arena: Arena) -> None:
    gate = make_gate(tmp_path, "gate")
    shared_mem_id = f"pv1.{SEGMENT}.0.1"
    with AdapterProcess("reads_the_image", tmp_path) as adapter:
        adapter.greet()
        answer = adapter.call("a", "step", shared_mem_id=shared_mem_id)
        assert (answer["data"]["mean"], answer["copies"], answer["decodes"]) == (50.0, 0, 0)
        adapter.say_call("b", "execute", shared_mem_id=shared_mem_id, user_params={"gate": "gate"})
        stalled = gate.open("wb")
        arena.set_generation(0, 2)
        stalled.close()
        lost = adapter.hear()
        assert (lost["status"], lost["error_code"]) == ("ERROR", "1002")
        assert "given away" in lost["message"] and "session" not in lost
        stale = adapter.call("c", "step", shared_mem_id=shared_mem_id)
        assert stale["error_code"] == "1002" and "stale" in stale["message"]
        assert adapter.call("d", "step", shared_mem_id=f"pv1.{SEGMENT}.0.2")["status"] == "OK"
        assert adapter.shut_down() == 0
    assert segment.attach(SEGMENT)[4096] == 50
