"""Points in time as people type them (spec.md §11.14)."""

from __future__ import annotations

import pytest

from procvision_sdk.errors import InvalidParamsError
from runner.results.since import since_ms

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW_MS - 90_000),
        ("30m", NOW_MS - 1_800_000),
        ("2h", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 604_800_000),
        ("99999999d", 0),
        ("1700000000000", 1_700_000_000_000),
        ("2027-01-01T00:00:00+00:00", 1_798_761_600_000),
        ("2027-01-01T01:00+01:00", 1_798_761_600_000),
        ("1969-01-01T00:00:00Z", 0),
    ],
)
def test_what_people_type_becomes_a_point_in_time(text: str, expected: int) -> None:
    assert since_ms(text, NOW_MS) == expected


def test_a_date_alone_begins_at_the_stations_midnight() -> None:
    assert since_ms("2027-01-02", NOW_MS) - since_ms("2027-01-01", NOW_MS) == 86_400_000


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-2h", "2027-13-01", "h", "1e9", "99999-01-01"])
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(InvalidParamsError, match="30m, 2h, 7d"):
        since_ms(text, NOW_MS)
