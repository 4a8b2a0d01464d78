"""How full a disk is, in the steps at which something is done about it (spec.md §11.16)."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.results.disk import level_of, look

GB = 10**9


@pytest.mark.parametrize(
    ("free", "min_free", "expected"),
    [
        (5 * GB, 0, "good"),
        (5 * GB - 1, 0, "low"),
        (2 * GB, 0, "low"),
        (2 * GB - 1, 0, "scarce"),
        (1 * GB, 0, "scarce"),
        (1 * GB - 1, 0, "full"),
        (0, 0, "full"),
        (50 * GB, 50 * GB + 1, "full"),
        (50 * GB, 50 * GB, "good"),
    ],
)
def test_the_level_follows_the_share_that_is_free_and_the_configured_minimum(
    free: int, min_free: int, expected: str
) -> None:
    assert level_of(free, 100 * GB, min_free) == expected


def test_a_folder_that_is_not_there_yet_is_judged_by_the_disk_it_will_lie_on(tmp_path: Path) -> None:
    assert look(tmp_path / "not" / "yet", 0).free_bytes > 0
    assert look(tmp_path / "not" / "yet", 1 << 62).level == "full"
