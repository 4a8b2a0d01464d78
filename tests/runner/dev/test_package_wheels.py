"""Dependencies as on the target, and what is said when one cannot be had (spec.md §10.10)."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from procvision_sdk.errors import PackageError
from runner.dev.package_target import TargetOptions
from runner.dev.package_wheels import Index
from runner.packages import targets
from tests.doubles.packaging import make_packable, names_in, pack
from tests.doubles.wheels import make_wheel

WINDOWS = TargetOptions(("win-amd64",), python="3.11")


def test_each_missing_wheel_is_named(tmp_path: Path) -> None:
    lines = ["numpy==2.0.0", "onlylinux==1.0", "nobody-has==3.0", "newer==2.0", 'mac==1.0; sys_platform == "darwin"']
    project = make_packable(tmp_path, "\n".join(lines))
    make_wheel(tmp_path / "index", "onlylinux==1.0", "cp311-cp311-manylinux_2_28_x86_64")
    make_wheel(tmp_path / "index", "newer==1.0")
    with pytest.raises(PackageError) as refused:
        pack(project, WINDOWS)
    assert refused.value.code == "2004"
    assert refused.value.message == ("no wheel for win_amd64, Python 3.11: onlylinux==1.0, nobody-has==3.0, newer==2.0")
    assert "--find-links" in refused.value.hint


def test_an_index_that_does_not_answer_is_no_missing_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    project = make_packable(tmp_path, "numpy==2.0.0\n")
    with pytest.raises(PackageError, match=r"^the index cannot be asked$") as refused:
        pack(project, index=Index())
    assert refused.value.code == "2004"
    assert "127.0.0.1:9" in refused.value.hint


def test_what_only_another_platform_needs_is_not_missing(tmp_path: Path) -> None:
    project = make_packable(tmp_path, 'nobody-has==1.0; sys_platform == "win32"\n')
    pack(project)
    with pytest.raises(PackageError, match=r"no wheel for win_amd64, Python 3\.11: nobody-has==1\.0"):
        pack(project, WINDOWS)


def test_a_dependency_of_a_dependency_that_has_no_wheel_is_named(tmp_path: Path) -> None:
    project = make_packable(tmp_path, "outer==1.0\n")
    make_wheel(tmp_path / "index", "outer==1.0", requires=["inner-one>=1"])
    with pytest.raises(PackageError, match="the requirements cannot be met for") as refused:
        pack(project)
    assert "inner-one" in refused.value.hint


def test_a_wheel_for_a_newer_system_is_missing_on_the_older(tmp_path: Path) -> None:
    project = make_packable(tmp_path, "fresh==1.0\n")
    make_wheel(tmp_path / "index", "fresh==1.0", "cp311-cp311-manylinux_2_34_x86_64")
    with pytest.raises(PackageError, match=r"no wheel for manylinux_2_28_x86_64, Python 3\.11: fresh==1\.0"):
        pack(project)
    made = pack(project, TargetOptions(platform="manylinux_2_34_x86_64", python="3.11"))
    assert "wheels/fresh-1.0-cp311-cp311-manylinux_2_34_x86_64.whl" in names_in(made.path)


def test_the_sdk_is_put_in_by_itself_also_where_it_is_asked_for(tmp_path: Path) -> None:
    made = pack(make_packable(tmp_path, "procvision-sdk>=0.1\n"))
    assert "wheels/procvision_sdk-0.1.0-py3-none-any.whl" in names_in(made.path)


NOT_PACKABLE = [
    ("procvision==0.1.0\n", "procvision is the runner"),
    ("-e .\n", "requirements cannot be met|expected versions of an index"),
    ("procvision-sdk==9.0\n", "procvision-sdk==9"),
]


@pytest.mark.parametrize(("requirements", "message"), NOT_PACKABLE)
def test_requirements_that_no_station_can_have_are_refused(tmp_path: Path, requirements: str, message: str) -> None:
    with pytest.raises(PackageError, match=message) as refused:
        pack(make_packable(tmp_path, requirements))
    assert refused.value.code == "2004"


def test_a_source_distribution_is_never_built(tmp_path: Path) -> None:
    project = make_packable(tmp_path, "evil==1.0\n")
    setup = tmp_path / "setup.py"
    setup.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    with tarfile.open(tmp_path / "index" / "evil-1.0.tar.gz", "w:gz") as archive:
        archive.add(setup, "evil-1.0/setup.py")
    with pytest.raises(PackageError, match=r"no wheel for .*: evil==1\.0"):
        pack(project)
    assert not (tmp_path / "ran").exists()


def test_what_the_index_has_for_windows_is_fetched_on_any_machine(tmp_path: Path) -> None:
    """The one test that needs an index: markers of real packages, and wheels of the target alone."""
    asked = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), "tqdm==4.67.1")
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        pytest.skip(f"there is no index: {ended.stderr.strip().splitlines()[-1]}")
    project = make_packable(tmp_path, "tqdm==4.67.1\nMarkupSafe==3.0.2\n")
    made = pack(project, WINDOWS, index=Index())
    names = [name.removeprefix("wheels/") for name in names_in(made.path) if name.startswith("wheels/")]
    assert any(name.startswith("colorama-") for name in names)
    assert {name.rsplit("-", 1)[1] for name in names} == {"any.whl", "win_amd64.whl"}
    assert made.listing.target == targets.named("win-amd64", "3.11").name
