"""What an integrator may set: defaults, the file, variables over it, and what a mistake is told (spec.md §11)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from procvision_sdk.errors import ErrorCode
from runner.config import ConfigError, StationConfig, read_config


def settings(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, field) of every setting that is no table."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{above}{name}.")
        else:
            yield f"{above}{name}", field


SETTINGS = dict(settings(StationConfig))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "station.toml"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_default_and_says_what_it_means(name: str) -> None:
    assert not SETTINGS[name].is_required()
    assert SETTINGS[name].description


@pytest.mark.parametrize("text", ["", "\ufeff", "# nothing\n", "[slots]\n"])
def test_an_empty_file_means_the_defaults(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    assert read_config(file, {}) == StationConfig()


def test_no_file_means_the_defaults(file: Path) -> None:
    assert read_config(file, {}) == read_config(None, {"PROVISION_X": "1", "PATH": "/bin"}) == StationConfig()


def test_the_defaults_are_those_of_the_contract() -> None:
    config = StationConfig()
    limits = config.timeouts
    assert (limits.boot_s, limits.pre_execute_s, limits.execute_s, limits.teardown_s) == (120, 10, 30, 3)
    assert (config.heartbeat.interval_s, config.heartbeat.grace_s, config.heartbeat.misses) == (5, 2, 3)
    assert (config.session_idle_s, config.request_id_ttl_s, config.answer_margin_ms) == (600, 86_400, 50)
    assert (config.host.max_outstanding, config.host.max_waiting, config.host.max_unread_bytes) == (64, 64, 2**24)
    assert (config.host.hello_s, config.host.body_s, config.timeouts.queue_s) == (5, 2, 5)


def test_what_the_file_sets_is_taken_and_variables_win_over_it(file: Path) -> None:
    file.write_text(
        'station = "line-3"\nprojects = ["a", "b"]\n'
        '[slots]\ncount = 4\n[timeouts]\nboot_s = 5\n[environment]\nA = "1"\n',
        "utf-8",
    )
    variables = {
        "PROCVISION_SLOTS__COUNT": "6",
        "PROCVISION_HOST__TRANSPORT": "tcp",
        "PROCVISION_ANSWER_MARGIN_MS": "12.5",
        "PROCVISION_HOME": "/elsewhere",
    }
    config = read_config(file, variables)
    assert (config.station, config.projects) == ("line-3", (Path("a"), Path("b")))
    assert (config.slots.count, config.timeouts.boot_s, config.environment) == (6, 5.0, {"A": "1"})
    assert (config.host.transport, config.answer_margin_ms) == ("tcp", 12.5)


def test_a_variable_for_the_algorithms_keeps_its_own_spelling() -> None:
    config = read_config(None, {"PROCVISION_ENVIRONMENT__OMP_NUM_THREADS": "2", "PROCVISION_ENVIRONMENT__a__B": "3"})
    assert config.environment == {"OMP_NUM_THREADS": "2", "a__B": "3"}


BAD_FILES = [
    ("x =", r"Invalid value \(at end of document\)"),
    ("statoin = 'a'", r"there is no setting 'statoin'; did you mean 'station'\?"),
    (
        "zzz = 1",
        r"there is no setting 'zzz'; known are station, answer_margin_ms, .*, slots, .*, log, store, packages$",
    ),
    ("[slots]\ncuont = 1", r"there is no setting 'slots\.cuont'; did you mean 'count'\?"),
    ("[slots]\nzzz = 1", r"there is no setting 'slots\.zzz'; known are count, capacity_bytes$"),
    ("[host.limits]\nx = 1", r"there is no setting 'host\.limits'; .*max_links"),
    ("slots = 3", r"slots: Input should be a valid dictionary .*, got 3$"),
    ("[slots]\ncount = 0", r"slots\.count: Input should be greater than or equal to 1, got 0$"),
    ("[slots]\ncount = 4097", r"slots\.count: .*less than or equal to 4096, got 4097$"),
    ("[slots]\ncount = 1.5", r"slots\.count: Input should be a valid integer.*, got 1\.5$"),
    ("[slots]\ncount = true", r"slots\.count: .*no setting is true or false, got True$"),
    ("[slots]\ncapacity_bytes = 4095", r"slots\.capacity_bytes: .*greater than or equal to 4096, got 4095$"),
    ("[timeouts]\nboot_s = 0", r"timeouts\.boot_s: Input should be greater than 0, got 0$"),
    ("[timeouts]\nboot_s = inf", r"timeouts\.boot_s: Input should be a finite number, got inf$"),
    ("[timeouts]\nboot_s = nan", r"timeouts\.boot_s: Input should be .*, got nan$"),
    ("[timeouts]\nboot_s = 'long'", r"timeouts\.boot_s: Input should be a valid number.*, got 'long'$"),
    ("answer_margin_ms = -1", r"answer_margin_ms: .*greater than or equal to 0, got -1$"),
    ("station = 'a b'", r"station: String should match pattern .*, got 'a b'$"),
    ("station = 'a\\n'", r"station: String should match pattern"),
    ('station = "a\\n"', r"station: String should match pattern"),
    ("station = '../a'", r"station: String should match pattern"),
    ("[log]\nlevel = 'loud'", r"log\.level: Input should be 'debug', 'info', 'warning' or 'error', got 'loud'$"),
    ("[host]\ntransport = 'pipe'", r"host\.transport: Input should be 'auto', 'unix' or 'tcp', got 'pipe'$"),
    ("projects = ['a', 3]", r"projects\.1: Input is not a valid path.*, got 3$"),
    ("[environment]\nA = 3", r"environment\.A: Input should be a valid string, got 3$"),
]


@pytest.mark.parametrize(("text", "told"), BAD_FILES, ids=[text for text, _ in BAD_FILES])
def test_a_mistake_in_the_file_names_file_place_and_what_came(file: Path, text: str, told: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=told) as refused:
        read_config(file, {})
    assert refused.value.message.startswith(f"{file}: ")
    assert refused.value.code == ErrorCode.SCHEMA


def test_a_file_that_cannot_be_read_as_text_is_a_bad_configuration(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"station = '\xff'")
    for path in (file, tmp_path):
        with pytest.raises(ConfigError) as refused:
            read_config(path, {})
        assert refused.value.message.startswith(f"{path}: ")
        assert refused.value.hint == "mend the file; an empty one means the defaults"


BAD_VARIABLES = [
    ({"PROCVISION_SLOTS__COUNT": "many"}, r"^PROCVISION_SLOTS__COUNT: slots\.count: .*got 'many'$"),
    ({"PROCVISION_SLOTS__COUNT": "0"}, r"^PROCVISION_SLOTS__COUNT: slots\.count: .*got '0'$"),
    ({"PROCVISION_SLOTZ__COUNT": "1"}, r"^PROCVISION_SLOTZ__COUNT: there is no setting 'slotz'; did you mean 'slots'"),
    ({"PROCVISION_SLOTS": "1", "PROCVISION_SLOTS__COUNT": "2"}, r"^PROCVISION_SLOTS: slots: .*got '1'$"),
    ({"PROCVISION_": "1"}, r"^PROCVISION_: there is no setting ''"),
    ({"PROCVISION_TIMEOUTS__BOOT_S": "inf"}, r"^PROCVISION_TIMEOUTS__BOOT_S: timeouts\.boot_s: .*finite"),
]


@pytest.mark.parametrize(("variables", "told"), BAD_VARIABLES, ids=[next(iter(one)) for one, _ in BAD_VARIABLES])
@pytest.mark.parametrize("text", ["", "[timeouts]\nboot_s = 1\n"], ids=["empty file", "good file"])
def test_a_mistake_in_a_variable_names_it(file: Path, text: str, variables: dict[str, str], told: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=told):
        read_config(file, variables)
    with pytest.raises(ConfigError, match=told):
        read_config(None, variables)


def test_a_mistake_in_the_file_is_not_blamed_on_a_variable(file: Path) -> None:
    file.write_text("slots = 3\n", "utf-8")
    with pytest.raises(ConfigError, match=r"station\.toml: slots: .*, got 3$"):
        read_config(file, {"PROCVISION_SLOTS__COUNT": "2"})


def test_a_configuration_does_not_change_any_more() -> None:
    config = StationConfig()
    for part, name in ((config, "station"), (config.slots, "count")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, "x")
