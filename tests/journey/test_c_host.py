"""The host that docs/host.c shows, compiled and run against a real station (spec.md §4, Host link)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.doubles.daemon import IMAGE, ROOT, serving

COMPILER = shutil.which("cc")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
def test_a_host_in_c_gets_its_verdict_over_pixels_that_were_written_once(tmp_path: Path) -> None:
    program = tmp_path / "host"
    warnings = ["-Wall", "-Wextra", "-Werror", "-O1"]
    source = str(ROOT / "docs" / "host.c")
    subprocess.run([str(COMPILER), *warnings, "-o", str(program), source, "-lrt"], check=True)
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        socket = (daemon.home / "run" / "address").read_text("utf-8").removeprefix("unix:")
        height, width, _ = IMAGE.shape
        asked = [str(program), socket, "S1", str(width), str(height)]
        ran = subprocess.run(asked, input=IMAGE.tobytes(), stdout=subprocess.PIPE, check=False)
        answer = json.loads(ran.stdout)
        assert (ran.returncode, answer["status"], answer["copies"]) == (0, "OK", 0), answer
        assert answer["data"]["total"] == int(IMAGE.sum())
        unknown = subprocess.run([*asked[:2], "NOBODY", *asked[3:]], input=IMAGE.tobytes(), stdout=subprocess.PIPE)
        assert (unknown.returncode, json.loads(unknown.stdout)["error_code"]) == (3, "1001")
