"""What an algorithm needs, as it is written and as it is installed (spec.md §10.10)."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from runner.dev.package_wanted import as_written, frozen, requirements_in
from runner.dev.project import UsageError
from tests.doubles.author import make_project
from tests.doubles.packaging import make_packable, names_in, pack
from tests.doubles.wheels import make_wheel


def test_a_project_without_requirements_is_told_what_to_do(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    (project / "requirements.txt").unlink()
    with pytest.raises(UsageError, match=r"requirements\.txt is not there") as refused:
        as_written(project, None)
    assert "-a" in refused.value.hint


LINES = [
    ("numpy==2.0.0", ["numpy==2.0.0"]),
    ("\ufeffnumpy  # for arrays\n\n# none\n-r other.txt\n--index-url x", ["numpy"]),
    ('a>=1; os_name == "nt"', ['a>=1; os_name == "nt"']),
    ("a==1 --hash=sha256:00", ["a==1"]),
    ("a==1 \\\n    --hash=sha256:00", ["a==1"]),
    ("./local.whl\nhttps://example.com/x.whl", []),
]


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_requirements_are_read_one_by_one(tmp_path: Path, text: str, expected: list[str]) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(text, "utf-8")
    assert [str(one) for one in requirements_in(as_written(tmp_path, file))] == expected


def test_freezing_takes_what_the_source_imports_as_it_is_installed(tmp_path: Path) -> None:
    project = make_project(tmp_path, "cli_plain")
    (project / "requirements.txt").unlink()
    (project / "algorithm" / "main.py").write_text("import cv2.data\nfrom numpy import array\nimport json\n", "utf-8")
    found = frozen(project, None)
    assert found.file is None
    assert found.names == tuple(f"{one}=={version(one)}" for one in ("numpy", "opencv-python-headless"))
    assert not any(one.startswith(("procvision==", "procvision-sdk==")) for one in found.installed)


def test_freezing_holds_open_versions_to_those_of_the_projects_own_environment(tmp_path: Path) -> None:
    project = make_packable(tmp_path, "numpy\nbar>=1\n")
    for pinned in ("bar==1.0", "bar==2.0"):
        make_wheel(tmp_path / "index", pinned)
    site = project / ".venv" / "lib" / "python3.11" / "site-packages"
    (site / "bar-1.0.dist-info").mkdir(parents=True)
    (site / "bar-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bar\nVersion: 1.0\n", "utf-8")
    assert "wheels/bar-2.0-py3-none-any.whl" in names_in(pack(project).path)
    assert "wheels/bar-1.0-py3-none-any.whl" in names_in(pack(project, freeze=True).path)
