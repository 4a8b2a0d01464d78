"""Every setting with its value, and whether default, file or environment gave it (spec.md §11.21)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.config import ConfigError, StationConfig
from runner.settings import Setting, changed, effective


def by_key(path: Path, environment: dict[str, str]) -> dict[str, Setting]:
    return {one.key: one for one in effective(path, environment)}


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def test_without_file_and_variables_every_setting_is_there_with_its_default_and_meaning(tmp_path: Path) -> None:
    found = by_key(tmp_path / "absent.toml", {"PATH": "/bin", "PROCVISION_HOME": "/station"})
    assert {key: one.value for key, one in found.items()} == leaves(StationConfig().model_dump(mode="json"))
    assert {one.source for one in found.values()} == {"default"}
    assert all(one.meaning for one in found.values()), found


def test_the_environment_wins_over_the_file_and_both_are_named(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text('station = "line-3"\n[slots]\ncount = 5\ncapacity_bytes = 8192\n[environment]\nA = "1"\nb = "2"\n')
    found = by_key(
        path, {"PROCVISION_SLOTS__COUNT": "6", "PROCVISION_ENVIRONMENT__b": "3", "PROCVISION_log__level": "debug"}
    )
    told = {key: (found[key].value, found[key].source) for key in found if found[key].source != "default"}
    assert told == {
        "station": ("line-3", str(path)),
        "slots.count": (6, "PROCVISION_SLOTS__COUNT"),
        "slots.capacity_bytes": (8192, str(path)),
        "environment.A": ("1", str(path)),
        "environment.b": ("3", "PROCVISION_ENVIRONMENT__b"),
        "log.level": ("debug", "PROCVISION_log__level"),
    }


@pytest.mark.parametrize("text", ["slots = 3", "[slots]\ncount = 0", "zzz = 1", "= broken"])
def test_what_no_station_would_start_with_is_refused_as_at_a_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "station.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"station\.toml: "):
        effective(tmp_path / "station.toml", {})


# (what is set anew, what a running station takes of it, what waits for its next start)
CHANGED: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({}, [], []),
    ({"session_idle_s": 5}, ["session_idle_s"], []),
    ({"slots": {"count": 9}, "timeouts": {"queue_s": 9}}, ["timeouts.queue_s"], ["slots.count"]),
    ({"environment": {"A": "1"}}, ["environment.A"], []),
    ({"workers": {"restarts": 9, "standby": 0}}, ["workers.restarts"], ["workers.standby"]),
    ({"log": {"level": "debug"}, "projects": ["/p"]}, ["log.level"], ["projects"]),
]


@pytest.mark.parametrize(("anew", "applied", "waits"), CHANGED)
def test_a_running_station_takes_what_can_change_and_names_the_rest(
    anew: dict[str, Any], applied: list[str], waits: list[str]
) -> None:
    running, fresh = StationConfig(), StationConfig.model_validate(anew)
    found = changed(running, fresh)
    assert (list(found.applied), list(found.needs_restart)) == (applied, waits)
    again = changed(found.config, fresh)
    assert (list(again.applied), list(again.needs_restart)) == ([], waits)
    back = changed(found.config, running)
    assert (list(back.applied), list(back.needs_restart)) == (applied, [])
