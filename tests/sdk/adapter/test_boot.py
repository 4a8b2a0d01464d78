"""The process around an algorithm: claimed descriptors, an early hello, and exit codes that say why (spec.md §4)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.doubles.adapter_process import ALGORITHMS, BOOT, ROOT, AdapterProcess, let_through, make_gate

MODULE = (sys.executable, "-B", "-m", "procvision_sdk.adapter")
SCRIPT = (sys.executable, "-I", "-S", "-B", str(BOOT))
QUIET = ("--entry", "tests.algorithms.quiet:Algorithm")


def test_hello_and_pongs_come_while_the_algorithm_is_still_being_imported(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_at_import", tmp_path) as adapter:
        hello = adapter.hear()
        let_through(entered)
        assert (hello["type"], hello["protocol_version"]) == ("hello", "1.0")
        assert {"ping", "call", "shutdown", "step", "session_state", "shared_memory:v1"} <= set(hello["capabilities"])
        assert adapter.ask(type="ping", request_id="p")["request_id"] == "p"
        adapter.say(type="hello")
        adapter.say_call("early", "info")
        let_through(held)
        assert adapter.hear()["type"] == "ready"
        assert adapter.hear()["request_id"] == "early"
        assert adapter.shut_down() == 0


def test_pings_are_answered_during_setup(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_setup", tmp_path) as adapter:
        adapter.hear()
        let_through(entered)
        for number in range(3):
            assert adapter.ask(type="ping", request_id=str(number))["type"] == "pong"
        let_through(held)
        assert adapter.ask(type="hello")["type"] == "ready"
        assert adapter.shut_down() == 0


def test_boot_as_a_script_runs_no_pth_file_and_serves_the_same(tmp_path: Path) -> None:
    command = (*SCRIPT, *QUIET)
    with AdapterProcess.of(command, tmp_path, cwd=tmp_path) as adapter:
        assert adapter.greet()["type"] == "ready"
        assert adapter.call("r", "step")["data"]["result_status"] == "OK"
        assert adapter.shut_down() == 0
    # What `site` would do in such a process, it does not: no site module, hence no .pth file and no sitecustomize.
    probe = "import sys, procvision_sdk.adapter.boot as b; print('site' in sys.modules, *b.site_packages())"
    probing = (sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path.append({str(ROOT)!r}); {probe}")
    loaded, *found = subprocess.run(probing, capture_output=True, text=True, check=True).stdout.split()
    assert loaded == "False"
    assert str(Path(pytest.__file__).parents[1]) in found


def test_a_pth_file_in_the_environment_is_not_run(tmp_path: Path) -> None:
    """A virtual environment of its own with a .pth file that would leave a mark; only -I -S keeps it from running."""
    environment = tmp_path / "venv"
    folder = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    folder.mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (environment / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n", "utf-8")
    mark = tmp_path / "mark"
    (folder / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n", "utf-8")
    for package in (
        "msgspec",
        "numpy",
        "numpy.libs",
        "pydantic",
        "pydantic_core",
        "typing_extensions.py",
        "annotated_types",
        "typing_inspection",
    ):
        source = Path(pytest.__file__).parents[1] / package
        if source.exists():
            (folder / package).symlink_to(source)
    python = str(environment / "bin" / "python")
    with AdapterProcess.of((python, "-I", "-S", "-B", str(BOOT), *QUIET), tmp_path, cwd=tmp_path) as adapter:
        assert adapter.greet()["type"] == "ready", adapter.log
        assert adapter.shut_down() == 0
    assert not mark.exists()
    subprocess.run((python, "-c", ""), check=True)
    assert mark.exists()


def test_the_working_directory_is_importable_once_and_first(tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(
        "import sys\nfrom tests.algorithms import quiet\n"
        "class Algorithm(quiet.Algorithm):\n"
        "    def get_info(self):\n        return {**super().get_info(), 'path': sys.path}\n",
        "utf-8",
    )
    for command in (MODULE, SCRIPT):
        environment = {"PROC_ALGO_ROOT": str(tmp_path), "PROC_ENTRY_POINT": "where:Algorithm"}
        with AdapterProcess.of(command, tmp_path, cwd=tmp_path, environment=environment) as adapter:
            adapter.greet()
            path: list[str] = adapter.call("r", "info")["data"]["path"]
            adapter.shut_down()
        assert path[0] == str(tmp_path.resolve())
        assert path.count(path[0]) == 1 and "" not in path


def test_a_wrong_parent_is_exit_14_before_any_frame(tmp_path: Path) -> None:
    for option in ("--parent-pid=1", "--parent-pid 1"):
        with AdapterProcess.of((*MODULE, *QUIET, *option.split()), tmp_path, cwd=tmp_path) as adapter:
            assert adapter.hear_all() == []
            assert adapter.exit_code() == 14


def test_the_right_parent_is_served_and_its_death_is_the_end(tmp_path: Path) -> None:
    """A parent in between starts the adapter, passes its pipes on, and is killed."""
    starter = (
        "import os, subprocess, sys\n"
        "parent = ['--parent-pid', str(os.getpid()), '--entry', 'tests.algorithms.quiet:Algorithm']\n"
        "subprocess.Popen([sys.executable, '-B', '-m', 'procvision_sdk.adapter', *parent]).wait()\n"
    )
    with AdapterProcess.of((sys.executable, "-c", starter), tmp_path, cwd=tmp_path) as adapter:
        assert adapter.greet()["type"] == "ready"
        (child,) = psutil.Process(adapter.process.pid).children()
        adapter.process.kill()
        assert adapter.hear_all() == []
        child.wait(60)
    assert adapter.notes == ["setup"]


def test_nobody_reading_the_hello_is_exit_14(tmp_path: Path) -> None:
    with AdapterProcess.of((*MODULE, *QUIET), tmp_path, cwd=tmp_path) as adapter:
        adapter.stop_reading()
        # It may have said hello before: then it ends as after any closed reader.
        assert adapter.exit_code() in (0, 14)


@pytest.mark.parametrize(
    "arguments", [("--entry",), ("--log-level", "loud"), ("--paren-pid", "1"), ("--color-space-default", "CMYK")]
)
def test_a_wrong_option_is_exit_2_with_a_line_on_stderr_and_no_frame(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with AdapterProcess.of((*MODULE, *arguments), tmp_path, cwd=tmp_path) as adapter:
        assert adapter.hear_all() == []
        assert adapter.exit_code() == 2
        assert "error:" in adapter.log


@pytest.mark.parametrize("file_given", [True, False])
def test_everything_that_prints_lands_on_stderr(tmp_path: Path, file_given: bool) -> None:
    with AdapterProcess("print_everywhere", tmp_path) as adapter:
        adapter.greet()
        answer = adapter.call("r", "execute" if file_given else "step")
        assert answer["data"]["result_status"] == "OK"
        assert adapter.shut_down() == 0
    for text in (
        "printed at import",
        "printed\n",
        "written\n",
        "written to the original",
        "written to descriptor 1",
        "echoed by a shell",
        "echoed by a child",
        "printed by C and never flushed",
        "\\ud800 cannot be encoded",
    ):
        assert text in adapter.log


def test_standard_input_is_empty_for_the_algorithm(tmp_path: Path) -> None:
    with AdapterProcess("reads_stdin", tmp_path) as adapter:
        adapter.greet()
        assert adapter.call("r", "execute")["data"]["read"] == ["", "", "", "end"]
        assert adapter.shut_down() == 0


def test_closing_descriptors_that_are_not_its_own_harms_the_algorithm_alone(tmp_path: Path) -> None:
    with AdapterProcess("closes_descriptors", tmp_path) as adapter:
        adapter.greet()
        assert adapter.call("a", "pre")["status"] == "OK"
        assert adapter.call("b", "pre")["status"] == "OK"
        adapter.say_call("c", "execute")
        assert adapter.hear_all() == []
        assert adapter.exit_code() == 13
    assert adapter.notes == ["setup", "teardown"]


def test_a_start_without_standard_error_still_speaks_in_frames(tmp_path: Path) -> None:
    command = ("sh", "-c", f"exec {' '.join(MODULE)} --entry tests.algorithms.print_everywhere:Algorithm 2>&-")
    with AdapterProcess.of(command, tmp_path, cwd=tmp_path) as adapter:
        assert adapter.greet()["type"] == "ready"
        assert adapter.call("r", "execute")["data"]["result_status"] == "OK"
        assert adapter.shut_down() == 0


def test_a_process_may_be_asked_for_its_stacks_and_goes_on(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_execute", tmp_path) as adapter:
        adapter.greet()
        adapter.say_call("r", "execute")
        let_through(entered)
        os.kill(adapter.process.pid, signal.SIGUSR1)
        os.kill(adapter.process.pid, signal.SIGINT)
        let_through(held)
        assert adapter.hear()["request_id"] == "r"
        assert adapter.shut_down() == 0
        assert "wait_at" in adapter.log and "Current thread" in adapter.log


def test_what_an_algorithm_takes_over_of_the_process_does_not_reach_the_protocol(tmp_path: Path) -> None:
    with AdapterProcess("hijacks_the_process", tmp_path) as adapter:
        adapter.greet()
        answers: list[Any] = [adapter.call(str(number), "step") for number in range(2)]
        assert [answer["data"]["result_status"] for answer in answers] == ["OK", "OK"]
        assert adapter.ask(type="ping")["type"] == "pong"
        assert adapter.shut_down() == 0
    assert adapter.notes == ["setup", "teardown"]


def test_the_adapter_needs_no_folder_of_its_own(tmp_path: Path) -> None:
    assert ALGORITHMS.is_dir()
    before = sorted(path.name for path in tmp_path.iterdir())
    with AdapterProcess("quiet", tmp_path, cwd=tmp_path) as adapter:
        adapter.greet()
        adapter.call("r", "step")
        adapter.shut_down()
    assert sorted(path.name for path in tmp_path.iterdir()) == [*before, "notes", "stderr.log"]
