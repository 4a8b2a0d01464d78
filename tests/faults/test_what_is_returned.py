"""An algorithm that returns what is no result: told with its place, and its process goes on (spec.md §5.2, §5.10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with around_a_fault(tmp_path_factory.mktemp("s"), "returning", "hammering", "addressing") as running:
        yield running


def asked(daemon: Daemon, pid: str, how: str, **fields: Any) -> dict[str, Any]:
    """The result; whatever it is, the next part is judged by the same process."""
    with daemon.client() as client:
        result = inspect(client, pid, user_params={"how": how}, **fields)
        after = inspect(client, pid)
    assert (after["status"], after["incarnation"], after["attempts"]) == ("OK", 1, 1), after
    return result


REFUSED = [
    pytest.param("nan", "1010", "data.value: ", marks=pytest.mark.fault("A26")),
    pytest.param("infinity", "1010", "data.value.mean[1]: ", marks=pytest.mark.fault("A26")),
    pytest.param("numpy nan", "1010", "data.value: ", marks=pytest.mark.fault("A26")),
    *(
        pytest.param(how, "1010", "data.value", marks=pytest.mark.fault("A27"))
        for how in ("bytes", "set", "decimal", "datetime", "path", "object", "large array")
    ),
    pytest.param("ten megabytes", "1011", "bytes of text up to here", marks=pytest.mark.fault("A28")),
    pytest.param("a gigabyte by reference", "1011", "bytes of text up to here", marks=pytest.mark.fault("A28")),
    pytest.param("a million keys", "1011", "data.value", marks=pytest.mark.fault("A28")),
    pytest.param("a key of two megabytes", "1011", "data.value", marks=pytest.mark.fault("A28")),
    pytest.param("circle", "1010", "data.value[0]: contains itself", marks=pytest.mark.fault("A29")),
    pytest.param("nested deep", "1010", "data.value[0]", marks=pytest.mark.fault("A29")),
    pytest.param("evil dict", "1010", "data.value: ", marks=pytest.mark.fault("A29")),
    pytest.param("number as key", "1010", "data.value", marks=pytest.mark.fault("A29")),
    pytest.param("half a pair", "1010", "data.value: ", marks=pytest.mark.fault("A29")),
    *(
        pytest.param(how, "1010", told, marks=pytest.mark.fault("A30"))
        for how, told in [
            ("none", "NoneType"),
            ("list", "list"),
            ("number", "int"),
            ("text", "str"),
            ("true", "bool"),
            ("generator", "generator"),
            ("coroutine", "coroutine"),
            ("no verdict", "result_status"),
            ("no status", "status"),
            ("verdict in the wrong case", "result_status"),
            ("NG without reason", "ng_reason"),
        ]
    ),
]


@pytest.mark.parametrize(("how", "code", "told"), REFUSED)
def test_what_is_no_result_is_an_error_that_names_its_place_and_never_a_verdict(
    daemon: Daemon, how: str, code: str, told: str
) -> None:
    result = asked(daemon, "Q1", how)
    assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", code, 1), result
    assert told in result["message"], result["message"]
    assert "result_status" not in result["data"] and "value" not in result["data"]


@pytest.mark.fault("A27", "A29")
@pytest.mark.parametrize(
    ("how", "value"),
    [
        ("numpy scalars", [7, 0.5, True]),
        ("numpy array", [[0, 1, 2], [3, 4, 5]]),
        ("text of its own", "kept"),
    ],
)
def test_what_can_be_json_becomes_json(daemon: Daemon, how: str, value: Any) -> None:
    result = asked(daemon, "Q1", how)
    assert (result["status"], result["data"]["value"]) == ("OK", value)


@pytest.mark.fault("A38")
def test_what_threads_go_on_changing_is_told_and_recorded_as_it_was_once(daemon: Daemon) -> None:
    with daemon.client("line") as client:
        for number in range(20):
            result = inspect(client, "M1", user_params={"how": "hammer"}, request_id=f"hammer-{number}")
            assert (result["status"], result["incarnation"]) == ("OK", 1), result
            data = result["data"]
            assert data["kept"] == {"values": [1, 2, 3]}
            assert all(set(value) <= {"a"} for key, value in data["shared"].items() if key.startswith("key "))
            assert client.ask("query", target_request_id=f"hammer-{number}") == result


@pytest.mark.fault("A35")
def test_an_address_that_was_kept_shows_another_part_at_worst_and_harms_nobody(daemon: Daemon) -> None:
    asked(daemon, "A1", "remember")
    result = asked(daemon, "A1", "recall")
    assert (result["status"], len(result["data"]["bytes"])) == ("OK", 8)
