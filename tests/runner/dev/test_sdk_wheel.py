"""The SDK as a wheel of its own (spec.md §10.13)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

from uv import find_uv_bin

import procvision_sdk
from runner.dev.sdk_wheel import write_sdk_wheel

SOURCES = Path(procvision_sdk.__file__).parent


def test_it_holds_the_sdk_and_nothing_of_the_runner(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_sdk_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    modules = {f"procvision_sdk/{path.relative_to(SOURCES).as_posix()}" for path in SOURCES.rglob("*.py")}
    own = {f"procvision_sdk-{procvision_sdk.__version__}.dist-info/{one}" for one in ("METADATA", "RECORD", "WHEEL")}
    assert names == {*modules, *own, "procvision_sdk/py.typed"}


def test_it_needs_what_the_sdk_needs_and_no_extra(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_sdk_wheel(tmp_path)) as wheel:
        text = wheel.read(f"procvision_sdk-{procvision_sdk.__version__}.dist-info/METADATA").decode()
    told = HeaderParser().parsestr(text)
    assert (told["Name"], told["Version"]) == ("procvision-sdk", procvision_sdk.__version__)
    needed = [one.partition(">")[0] for one in told.get_all("Requires-Dist", [])]
    assert needed == ["msgspec", "numpy", "pillow", "pydantic"]
    assert told["Requires-Python"] == metadata.metadata("procvision")["Requires-Python"]


def test_its_record_is_right(tmp_path: Path) -> None:
    own = f"procvision_sdk-{procvision_sdk.__version__}.dist-info/RECORD"
    with zipfile.ZipFile(write_sdk_wheel(tmp_path)) as wheel:
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(wheel.read(own).decode()))}
        assert rows.keys() == set(wheel.namelist())
        for name, (coded, size) in rows.items():
            content = wheel.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert name == own or (coded, size) == (f"sha256={expected}", str(len(content)))


def test_it_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert write_sdk_wheel(tmp_path).read_bytes() == write_sdk_wheel(tmp_path / "again").read_bytes()


def test_an_environment_that_it_is_installed_in_has_the_sdk_and_no_runner(tmp_path: Path) -> None:
    wheel = write_sdk_wheel(tmp_path)
    python = _environment(tmp_path / "venv")
    _run(find_uv_bin(), "pip", "install", "--quiet", "--python", python, "--offline", "--no-deps", str(wheel))
    _run(python, "-I", "-c", "import procvision_sdk, procvision_sdk.errors, procvision_sdk.adapter.options")
    told = _run(python, "-I", "-c", "import importlib.util as u; print(u.find_spec('runner'), u.find_spec('numpy'))")
    assert told.strip() == "None None"


def test_an_environment_that_has_the_project_itself_writes_the_same_wheel(tmp_path: Path) -> None:
    """Installed as files of its own, and not as a checkout that is worked on."""
    site = tmp_path / "site"
    wheel = write_sdk_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site, [name for name in archive.namelist() if ".dist-info" not in name])
    (site / "procvision_sdk" / "__pycache__").mkdir()
    (site / "procvision_sdk" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    again = tmp_path / "again"
    again.mkdir()
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import procvision_sdk as sdk\n"
    code += "assert sdk.__file__.startswith(sys.argv[1]), sdk.__file__\n"
    code += "from runner.dev.sdk_wheel import write_sdk_wheel; print(write_sdk_wheel(Path(sys.argv[2])))"
    _run(sys.executable, "-c", code, str(site), str(again))
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()


def _environment(folder: Path) -> str:
    _run(find_uv_bin(), "venv", "--quiet", "--offline", "--python", sys.executable, str(folder))
    return str(next(path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists()))


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
