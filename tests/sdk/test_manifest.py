"""Manifest: what a package says about itself is whole and consistent (spec.md §9)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.errors import ManifestError
from procvision_sdk.manifest import NOT_SUPPORTED_YET, Manifest, Timeouts, json_schema, schema_text

ROOT = Path(__file__).parents[2]
MINIMAL: dict[str, Any] = {
    "name": "bright-spot",
    "version": "1.0",
    "entry_point": "bright_spot.main:BrightSpot",
    "supported_pids": ["A01", "A02"],
    "steps": [{"index": 1, "name": "find spot"}],
}
FULL: dict[str, Any] = MINIMAL | {
    "description": "Finds bright spots.",
    "steps": [
        {"index": 1, "name": "find", "params": [{"key": "threshold", "type": "int", "default": 200, "max": 255}]},
        {"index": 3, "name": "judge", "params": []},
    ],
    "required_assets": {"A01": {"template": "assets/A01/golden.png", "model.onnx": "assets/m.onnx"}},
    "default_config": {"blur": 3, "nested": {"a": [1, None]}},
    "requires_python": ">=3.11,<3.14",
    "sdk": "~=0.1",
    "timeouts": {"boot_s": 60, "execute_s": 2.5, "teardown_s": None},
    "idempotent": False,
    "environment": {"OMP_NUM_THREADS": "1"},
    "memory_mb": 512,
}


def text(changes: dict[str, Any]) -> str:
    return json.dumps({**MINIMAL, **changes})


def parsed(changes: dict[str, Any]) -> Manifest:
    return Manifest.parse(text(changes), "manifest.json")


def test_a_minimal_manifest_has_documented_defaults() -> None:
    manifest = parsed({})
    assert (manifest.name, manifest.version) == ("bright-spot", "1.0")
    assert manifest.supported_pids == ("A01", "A02")
    assert (manifest.steps[0].index, manifest.steps[0].params) == (1, ())
    assert (manifest.description, manifest.required_assets, manifest.default_config) == ("", {}, {})
    assert manifest.timeouts == Timeouts(boot_s=None, pre_execute_s=None, execute_s=None, teardown_s=None)
    assert (manifest.idempotent, manifest.environment) == (True, {})
    assert (manifest.requires_python, manifest.sdk, manifest.memory_mb) == (None, None, None)


@pytest.mark.parametrize("encode", [lambda s: s, lambda s: "\ufeff" + s, str.encode, lambda s: s.encode("utf-8-sig")])
def test_every_key_is_read_with_and_without_byte_order_mark(encode: Any) -> None:
    manifest = Manifest.parse(encode(json.dumps(FULL)), "manifest.json")
    assert manifest.steps[0].params[0].default == 200
    assert manifest.required_assets["A01"]["template"] == "assets/A01/golden.png"
    assert (manifest.timeouts.boot_s, manifest.timeouts.execute_s, manifest.timeouts.teardown_s) == (60.0, 2.5, None)
    assert manifest.idempotent is False
    assert manifest.environment == {"OMP_NUM_THREADS": "1"}
    assert json.loads(manifest.model_dump_json(exclude_unset=True))["default_config"] == FULL["default_config"]


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed({}).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Bright"}, r"name: String should match pattern .*got 'Bright' \(str\)"),
        ({"name": "../x"}, r"name: String should match pattern"),
        ({"name": "-x"}, r"name: String should match pattern"),
        ({"name": "a\n"}, r"name: String should match pattern"),
        ({"name": 7}, r"name: should be a valid string, got 7 \(int\)"),
        ({"version": "../1"}, r"version: String should match pattern"),
        ({"version": "1.0."}, r"version: String should match pattern"),
        ({"version": 1.0}, r"version: should be a valid string, got 1.0 \(float\)"),
        ({"entry_point": "main"}, r"entry_point: String should match pattern"),
        ({"entry_point": "pkg/main.py:A"}, r"entry_point: String should match pattern"),
        ({"supported_pids": []}, r"supported_pids: .*at least 1 item"),
        ({"supported_pids": [f"P{n}" for n in range(51)]}, r"supported_pids: .*at most 50 items"),
        ({"supported_pids": ["A/1"]}, r"supported_pids\[0\]: String should match pattern"),
        ({"supported_pids": ["A01", "../B"]}, r"supported_pids\[1\]: String should match pattern"),
        ({"supported_pids": ["x" * 65]}, r"supported_pids\[0\]: String should match pattern"),
        ({"supported_pids": ["A01", "A01"]}, r"supported_pids: 'A01' stands twice"),
        ({"supported_pids": "A01"}, r"supported_pids: should be a valid list, got 'A01'"),
        ({"steps": []}, r"steps: .*at least 1 item"),
        ({"steps": [{"index": 0, "name": "a"}]}, r"steps\[0\]\.index: should be greater than or equal to 1, got 0"),
        ({"steps": [{"index": True, "name": "a"}]}, r"steps\[0\]\.index: should be a valid integer, got True"),
        ({"steps": [{"index": 1}]}, r"steps\[0\]\.name: required, got nothing"),
        ({"steps": [{"index": 1, "name": "a"}] * 2}, r"steps: 1 stands twice"),
        ({"steps": [{"index": 2, "name": "a"}, {"index": 1, "name": "b"}]}, r"steps: expected ascending .*\[2, 1\]"),
        (
            {"steps": [{"index": 1, "name": "a", "params": [{"key": "k", "type": "int", "default": "x"}]}]},
            r"steps\[0\]\.params\[0\]: default: parameter 'k': expected int, got 'x' \(str\)",
        ),
        (
            {"steps": [{"index": 1, "name": "a", "params": [{"key": "k", "type": "int", "min": "1"}]}]},
            r"steps\[0\]\.params\[0\]\.min: should be a valid number, got '1' \(str\)",
        ),
        (
            {"steps": [{"index": 1, "name": "a", "params": [{"key": "k", "type": "int"}] * 2}]},
            r"steps\[0\]: params: 'k' stands twice",
        ),
        (
            {"required_assets": {"A03": {"template": "a"}}},
            r"required_assets: 'A03' is not in supported_pids; did you mean",
        ),
        ({"required_assets": {"A01": {"a/b": "a"}}}, r"required_assets\.A01\.a/b.*: String should match pattern"),
        ({"required_assets": {"A01": {"template": 7}}}, r"required_assets\.A01\.template: should be a valid string"),
        ({"requires_python": "3.11"}, r"requires_python: expected a version range such as '>=3.11,<3.14', got '3.11'"),
        ({"requires_python": ">=3.11,"}, r"requires_python: expected a version range"),
        ({"sdk": ""}, r"sdk: expected a version range"),
        ({"timeouts": {"boot_s": 0}}, r"timeouts\.boot_s: should be greater than 0, got 0"),
        ({"timeouts": {"execute_s": "5"}}, r"timeouts\.execute_s: should be a valid number, got '5'"),
        ({"timeouts": {"execute_s": True}}, r"timeouts\.execute_s: should be a valid number, got True"),
        ({"timeouts": None}, r"timeouts: .*got None"),
        ({"idempotent": 1}, r"idempotent: should be a valid boolean, got 1"),
        ({"environment": {"A B": "1"}}, r"environment\.A B.*: String should match pattern"),
        ({"environment": {"A": 1}}, r"environment\.A: should be a valid string, got 1"),
        ({"environment": {"A": "\x00"}}, r"environment\.A: String should match pattern"),
        (
            {"environment": {"PROC_ENTRY_POINT": "x"}},
            r"environment\.PROC_ENTRY_POINT.*: this variable is given by the runner",
        ),
        ({"environment": {"TMPDIR": "x"}}, r"this variable is given by the runner"),
        ({"memory_mb": 63}, r"memory_mb: should be greater than or equal to 64, got 63"),
        ({"memory_mb": 512.0}, r"memory_mb: should be a valid integer, got 512.0"),
        ({"memory_mb": True}, r"memory_mb: should be a valid integer, got True"),
    ],
)
def test_a_bad_value_is_refused_with_file_key_expectation_and_what_came(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(
        ManifestError, match=rf"^here/manifest\.json: {message}" if message[0] != "t" else message
    ) as caught:
        Manifest.parse(text(changes), "here/manifest.json")
    assert len(caught.value.message) < 500
    assert caught.value.code == "2002"


@pytest.mark.parametrize("key", ["name", "version", "entry_point", "supported_pids", "steps"])
def test_a_missing_key_is_named(key: str) -> None:
    raw = {name: value for name, value in MINIMAL.items() if name != key}
    with pytest.raises(ManifestError, match=rf"^manifest\.json: {key}: required, got nothing$"):
        Manifest.parse(json.dumps(raw), "manifest.json")


@pytest.mark.parametrize(
    ("changes", "path", "hint"),
    [
        ({"entrypoint": "a:B"}, "entrypoint", "did you mean 'entry_point'?"),
        ({"zzz": 1}, "zzz", ""),
        ({"steps": [{"index": 1, "name": "a", "parms": []}]}, "steps[0].parms", "did you mean 'params'?"),
        (
            {"steps": [{"index": 1, "name": "a", "params": [{"key": "k", "type": "int", "defualt": 1}]}]},
            "steps[0].params[0].defualt",
            "did you mean 'default'?",
        ),
        ({"timeouts": {"execute": 1}}, "timeouts.execute", "did you mean 'execute_s'?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(changes: dict[str, Any], path: str, hint: str) -> None:
    with pytest.raises(ManifestError, match=rf"^manifest\.json: {re.escape(path)}: unknown key; known are ") as caught:
        parsed(changes)
    assert caught.value.hint == hint


def test_several_faults_are_counted() -> None:
    with pytest.raises(ManifestError, match=r"\(and 2 more\)$"):
        parsed({"name": "X", "version": 1, "zzz": 1})


@pytest.mark.parametrize("key", ["replicas", "batching", "devices", "isolation", "permissions"])
def test_a_key_that_is_not_supported_yet_is_refused_by_name(key: str) -> None:
    with pytest.raises(ManifestError, match=rf"^manifest\.json: {key}: not supported yet") as caught:
        parsed({key: None})
    assert f"remove '{key}'" in caught.value.hint
    assert key in NOT_SUPPORTED_YET


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "expected JSON in UTF-8"),
        ("{", "expected JSON in UTF-8"),
        (b"\xff\xfe{}", "expected JSON in UTF-8"),
        ("[]", "expected a JSON object, got list"),
        ("null", "expected a JSON object, got NoneType"),
        ('{"name": "a", "name": "b"}', "'name' stands twice"),
        ('{"a": {"b": 1, "b": 2}}', "'b' stands twice"),
        ('{"name": NaN}', "name: expected a finite number, got nan"),
        ('{"name": 1e999}', "name: expected a finite number, got inf"),
        ("[" * 100_000, "expected JSON in UTF-8"),
        ('{"a": ' + "1" * 5000 + "}", "expected JSON in UTF-8"),
        (" " * (1024 * 1024 + 1), "expected at most 1048576 bytes, got 1048577"),
        (json.dumps({**MINIMAL, "description": "\ud800"}), "description: expected text, got a lone surrogate"),
        (json.dumps({**MINIMAL, "default_config": {"a": "\ud800"}}), "default_config.a: expected text, got a lone"),
        (
            json.dumps({**MINIMAL, "default_config": [[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]}),
            "nested deeper",
        ),
    ],
)
def test_what_is_not_strict_json_is_refused(raw: str | bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(message)) as caught:
        Manifest.parse(raw, "manifest.json")
    assert caught.value.message.startswith("manifest.json: ")


def test_the_schema_file_is_what_the_code_says() -> None:
    committed = (ROOT / "manifest.schema.json").read_text("utf-8")
    assert committed == schema_text(), "run: python -m procvision_sdk.manifest > manifest.schema.json"


def test_the_schema_knows_every_key_and_refuses_others() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Manifest.model_fields)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(MINIMAL)


def test_the_module_prints_the_schema() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "procvision_sdk.manifest"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode("utf-8") == schema_text()
    assert done.stderr == b""
