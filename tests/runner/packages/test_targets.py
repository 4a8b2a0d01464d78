"""Which wheels work on which kind of machine (spec.md §10.6)."""

from __future__ import annotations

import pytest
from packaging.tags import parse_tag, sys_tags

from procvision_sdk.errors import PackageError
from runner.packages import targets

FITS = [
    ("linux-x86_64", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
    ("linux-x86_64", "cp311-cp311-manylinux_2_28_x86_64", True),
    ("linux-x86_64", "cp311-cp311-manylinux1_x86_64", True),
    ("linux-x86_64", "cp37-abi3-manylinux_2_28_x86_64", True),
    ("linux-x86_64", "py3-none-any", True),
    ("linux-x86_64", "py2.py3-none-any", True),
    ("linux-x86_64", "cp311-cp311-manylinux_2_29_x86_64", False),
    ("linux-x86_64", "cp311-cp311-musllinux_1_2_x86_64", False),
    ("linux-x86_64", "cp310-cp310-manylinux_2_17_x86_64", False),
    ("linux-x86_64", "cp312-abi3-manylinux_2_17_x86_64", False),
    ("linux-aarch64", "cp311-cp311-manylinux_2_17_aarch64", True),
    ("linux-aarch64", "cp311-cp311-manylinux_2_17_x86_64", False),
    ("win-amd64", "cp311-cp311-win_amd64", True),
    ("win-amd64", "py3-none-any", True),
    ("win-amd64", "cp311-cp311-win32", False),
    ("win-arm64", "cp311-cp311-win_arm64", True),
    ("macos-arm64", "cp311-cp311-macosx_11_0_arm64", True),
    ("macos-arm64", "cp311-cp311-macosx_11_0_universal2", True),
    ("macos-arm64", "cp311-cp311-macosx_15_0_arm64", False),
    ("macos-x86_64", "cp311-cp311-macosx_10_9_x86_64", True),
]


@pytest.mark.parametrize(("name", "tag", "fits"), FITS)
def test_a_wheel_fits_or_not(name: str, tag: str, fits: bool) -> None:
    assert parse_tag(tag).isdisjoint(targets.named(name, "3.11").tags) is not fits


RESOLVERS = [
    ("manylinux_2_28_x86_64", "x86_64-manylinux_2_28"),
    ("manylinux2014_aarch64", "aarch64-manylinux_2_17"),
    ("manylinux_2_24_x86_64", "x86_64-manylinux_2_17"),
    ("manylinux_2_45_x86_64", "x86_64-manylinux_2_40"),
    ("manylinux_2_5_x86_64", "x86_64-manylinux_2_17"),
    ("win_amd64", "x86_64-pc-windows-msvc"),
    ("win_arm64", "aarch64-pc-windows-msvc"),
    ("macosx_14_0_arm64", "aarch64-apple-darwin"),
    ("macosx_14_0_x86_64", "x86_64-apple-darwin"),
]


@pytest.mark.parametrize(("platform", "expected"), RESOLVERS)
def test_the_resolver_has_its_own_names(platform: str, expected: str) -> None:
    assert targets.of_platform(platform, "3.11").resolver_platform == expected


@pytest.mark.parametrize("platform", ["", "any", "win32", "linux_x86_64", "manylinux_2_28_riscv64", "win_amd64\n"])
def test_platforms_that_no_station_has_are_refused(platform: str) -> None:
    with pytest.raises(PackageError, match="wheel platform: expected one such as") as refused:
        targets.of_platform(platform, "3.11")
    assert refused.value.code == "2003"


@pytest.mark.parametrize("python", ["", "3", "2.7", "3.11.7", "3.11\n", "three"])
def test_pythons_that_are_none_are_refused(python: str) -> None:
    with pytest.raises(PackageError, match=r"expected a Python such as 3\.11"):
        targets.named("win-amd64", python)


def test_this_machine_takes_what_its_own_target_says() -> None:
    assert not targets.here().tags.isdisjoint(set(sys_tags()))


def test_the_newest_machine_of_a_kind_takes_what_any_of_it_takes() -> None:
    newest = targets.any_machine("linux-x86_64", "3.11")
    assert not parse_tag("cp311-cp311-manylinux_2_40_x86_64").isdisjoint(newest.tags)
    assert targets.any_machine("win-amd64", "3.11").tags == targets.named("win-amd64", "3.11").tags


RANGES = [
    ("", ">=3.11.5", True), ("", ">=3.12", False), ("", "<3.11", False), ("", "==3.11.*", True),
    ("3.11.4", ">=3.11.5", False), ("3.11.5", ">=3.11.5", True), ("3.11.5", ">=3.11,<3.12", True),
]  # fmt: skip


@pytest.mark.parametrize(("exact", "wanted", "runs"), RANGES)
def test_a_range_is_met_by_the_python_there_is_or_by_some_of_its_line(exact: str, wanted: str, runs: bool) -> None:
    assert targets.Machine("linux-x86_64", "3.11", exact, frozenset()).runs(wanted) is runs
