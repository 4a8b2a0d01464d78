"""For which machine a package is made (spec.md §10.6, §11.17)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.dev.package_target import TargetOptions, choose
from runner.dev.project import UsageError
from runner.packages import targets

KEPT = {"python_version": "3.12", "implementation": "cp", "abi": "cp312", "wheels_platform": "win_amd64"}
HERE = targets.here()

CHOSEN = [
    ("nothing typed, nothing kept", TargetOptions(), None, (HERE.name, HERE.platform, HERE.python)),
    ("kept", TargetOptions(), KEPT, ("win-amd64", "win_amd64", "3.12")),
    ("target over kept", TargetOptions(("linux-aarch64",)), KEPT, ("linux-aarch64", "manylinux_2_28_aarch64", "3.12")),
    ("python over kept", TargetOptions(python="3.11"), KEPT, ("win-amd64", "win_amd64", "3.11")),
    (
        "platform over kept",
        TargetOptions(platform="manylinux_2_34_x86_64"),
        KEPT,
        ("linux-x86_64", "manylinux_2_34_x86_64", "3.12"),
    ),
    (
        "old name",
        TargetOptions(platform="manylinux2014_x86_64"),
        KEPT,
        ("linux-x86_64", "manylinux_2_17_x86_64", "3.12"),
    ),
    (
        "all typed",
        TargetOptions((), "macosx_14_0_arm64", "3.11", "cp", "cp311"),
        KEPT,
        ("macos-arm64", "macosx_14_0_arm64", "3.11"),
    ),
    ("keys of others", TargetOptions(), {"note": "mine"}, (HERE.name, HERE.platform, HERE.python)),
]


@pytest.mark.parametrize(("_what", "typed", "kept", "expected"), CHOSEN)
def test_what_is_typed_goes_before_what_the_project_keeps_before_this_machine(
    tmp_path: Path, _what: str, typed: TargetOptions, kept: object, expected: tuple[str, str, str]
) -> None:
    if kept is not None:
        (tmp_path / ".procvision_env.json").write_text(json.dumps(kept), "utf-8")
    (chosen,) = choose(typed, tmp_path)
    assert (chosen.name, chosen.platform, chosen.python) == expected


def test_several_targets_each_once(tmp_path: Path) -> None:
    chosen = choose(TargetOptions(("win-amd64", "linux-x86_64", "win-amd64")), tmp_path)
    assert [one.name for one in chosen] == ["win-amd64", "linux-x86_64"]


REFUSED = [
    (TargetOptions(("win-amd64",), platform="win_amd64"), "", "both say for which machine"),
    (TargetOptions(("beos",)), "", "expected one of linux-x86_64, .* got 'beos'"),
    (TargetOptions(platform="linux_x86_64"), "", "wheel platform: expected one such as"),
    (TargetOptions(python="3"), "", "expected a Python such as 3.11, got '3'"),
    (TargetOptions(implementation="pp"), "", "expected cp"),
    (TargetOptions(python="3.11", abi="cp310"), "", "expected cp311 for Python 3.11, got 'cp310'"),
    (TargetOptions(), "not json", "cannot be read"),
    (TargetOptions(), "[]", "cannot be read"),
    (TargetOptions(), '{"python_version": 3.11}', "cannot be read"),
]


@pytest.mark.parametrize(("typed", "kept", "message"), REFUSED)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, typed: TargetOptions, kept: str, message: str) -> None:
    if kept:
        (tmp_path / ".procvision_env.json").write_text(kept, "utf-8")
    with pytest.raises(UsageError, match=message):
        choose(typed, tmp_path)
