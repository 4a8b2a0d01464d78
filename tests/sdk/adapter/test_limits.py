"""What a worker may use up is bounded before any code of the algorithm runs (spec.md §4.66, §4.67)."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.adapter import limits
from procvision_sdk.adapter.options import parse_options
from tests.doubles.adapter_process import ROOT, AdapterProcess

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")

MIB = 1024 * 1024
NOBODY = 65534
ALGORITHM = "tells_its_limits"
BOUNDED = ("--memory-mb", "400", "--max-processes", "100")


def told(adapter: AdapterProcess) -> dict[str, Any]:
    data: dict[str, Any] = adapter.call("limits", "execute")["data"]
    return data


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and the score are Linux's")
def test_limits_stand_before_the_algorithm_is_imported(tmp_path: Path) -> None:
    with AdapterProcess(ALGORITHM, tmp_path, arguments=("--memory-mb", "400")) as adapter:
        assert adapter.greet()["type"] == "ready"
        found = told(adapter)
        assert adapter.shut_down() == 0
    assert found["limits"] == {
        "CORE": [0, 0],
        "DATA": [400 * MIB, 400 * MIB],
        "NOFILE": [1024, 1024],
        "NPROC": list(resource.getrlimit(resource.RLIMIT_NPROC)),
    }
    assert found["oom_score"] == max(800, int(Path("/proc/self/oom_score_adj").read_text("ascii")))


def test_without_the_options_memory_and_processes_are_as_they_were(tmp_path: Path) -> None:
    with AdapterProcess(ALGORITHM, tmp_path) as adapter:
        adapter.greet()
        found = told(adapter)["limits"]
        assert adapter.shut_down() == 0
        assert adapter.records == []
    for kind in ("DATA", "NPROC"):
        assert found[kind] == list(resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")))


def test_an_allocation_beyond_the_limit_is_1012_and_the_process_goes_on(tmp_path: Path) -> None:
    with AdapterProcess(ALGORITHM, tmp_path, arguments=("--memory-mb", "400")) as adapter:
        adapter.greet()
        answer = adapter.call("a", "execute", user_params={"how": "allocate", "bytes": 400 * MIB})
        assert (answer["status"], answer["error_code"], answer["error_name"]) == ("ERROR", "1012", "memory_exceeded")
        answer = adapter.call("b", "execute", user_params={"how": "allocate", "bytes": 100 * MIB})
        assert answer["data"]["result_status"] == "OK"
        assert adapter.shut_down() == 0


def test_too_many_descriptors_are_the_algorithms_error_and_harm_no_frame(tmp_path: Path) -> None:
    with AdapterProcess(ALGORITHM, tmp_path) as adapter:
        adapter.greet()
        answer = adapter.call("a", "execute", user_params={"how": "open", "files": 1024})
        assert (answer["error_code"], "Too many open files" in answer["message"]) == ("1009", True)
        assert told(adapter)["result_status"] == "OK"
        assert adapter.shut_down() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="what root is told, is told to root")
def test_root_is_told_that_the_number_of_processes_is_not_limited(tmp_path: Path) -> None:
    with AdapterProcess(ALGORITHM, tmp_path, arguments=BOUNDED) as adapter:
        adapter.greet()
        assert adapter.call("f", "execute", user_params={"how": "fork"})["status"] == "OK"
        assert adapter.shut_down() == 0
        (record,) = adapter.records
    assert (record["level"], record["message"].startswith("processes: not limited")) == ("warning", True)


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can become another user")
def test_a_user_of_its_own_gets_no_more_processes_than_it_may_have() -> None:
    program = (
        "import os, resource\n"
        "from procvision_sdk.adapter import limits\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "print([note for note in limits.apply(None, 1) if 'NPROC' in note or 'processes' in note])\n"
        "try:\n    os.fork()\nexcept BlockingIOError:\n    print('refused')\n"
    )
    done = subprocess.run((sys.executable, "-B", "-c", program), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "refused"], done.stderr


def test_a_lower_limit_that_was_there_stays() -> None:
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400))\n"
        "from procvision_sdk.adapter import limits\n"
        "print(limits.apply(None, None), resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run((sys.executable, "-B", "-c", program), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "[] (400, 400)\n", done.stderr


def test_limits_need_the_standard_library_alone() -> None:
    program = (
        "import sys\n"
        f"sys.path.append({str(ROOT)!r})\n"
        "from procvision_sdk.adapter import limits\n"
        "limits.apply(400, None)\n"
        "print([name for name in ('numpy', 'pydantic', 'site') if name in sys.modules])\n"
    )
    done = subprocess.run((sys.executable, "-I", "-S", "-B", "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("memory_mb", "max_processes", "notes"),
    [
        (None, None, []),
        (400, None, ["memory: not limited by this platform"]),
        (400, 100, ["memory: not limited by this platform", "processes: not limited by this platform"]),
    ],
)
def test_on_windows_what_was_asked_for_is_said_to_be_unlimited(
    monkeypatch: pytest.MonkeyPatch, memory_mb: int | None, max_processes: int | None, notes: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert limits.apply(memory_mb, max_processes) == notes


def test_the_options_are_read_and_absent_by_default() -> None:
    found = parse_options(BOUNDED)
    assert (found.memory_mb, found.max_processes) == (400, 100)
    found = parse_options(())
    assert (found.memory_mb, found.max_processes) == (None, None)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "much", ""])
@pytest.mark.parametrize("option", ["--memory-mb", "--max-processes"])
def test_a_limit_that_is_no_positive_number_is_exit_2(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options((f"{option}={text}",))
    assert ended.value.code == 2
    assert f"argument {option}: invalid" in capsys.readouterr().err
