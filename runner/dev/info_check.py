"""The check of get_info against the manifest: hosts go by the one, the adapter checks parameters by the other."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from procvision_sdk.errors import ProcVisionError
from procvision_sdk.manifest import Manifest
from procvision_sdk.parameters import Parameter
from procvision_sdk.wire.calls import Call
from runner.dev.checks import Check, Outcome
from runner.dev.local import LocalStation

_NAME, _PLACE = "get_info", "get_info()"
_HINT = "the simplest get_info returns what it reads from manifest.json"


async def check_info(local: LocalStation) -> Check:
    """Ask the running algorithm. Name, version and products were compared when it started; here it is the steps."""
    limit_s = local.station.config.timeouts.execute_s
    try:
        supervisor = await local.station.crews[local.deployment.label].pool.acquire(limit_s)
        answer = await supervisor.run(Call(request_id="info", phase="info"), limit_s)
    except ProcVisionError as error:
        return Check.failed(_NAME, error, _PLACE)
    if answer.status == "ERROR":
        return Check(_NAME, Outcome.FAIL, answer.message, _PLACE, answer.hint)
    return compare(local.deployment.manifest, answer.data)


def compare(manifest: Manifest, info: dict[str, Any]) -> Check:
    """Whether get_info declares the steps and parameters that the manifest declares."""
    said = info.get("steps")
    steps = {one.get("index"): one for one in said if isinstance(one, dict)} if isinstance(said, list) else {}
    expected = [step.index for step in manifest.steps]
    if list(steps) != expected:
        message = f"steps: the manifest says {expected}, get_info() says {list(steps)}"
        return Check(_NAME, Outcome.FAIL, message, _PLACE, _HINT)
    differing: list[str] = []
    for step in manifest.steps:
        if "params" not in steps[step.index]:
            continue  # then the adapter passes on what the host sent
        given = _parameters(steps[step.index]["params"])
        declared = {one.key: one for one in step.params}
        if isinstance(given, str) or set(given) != set(declared):
            keys = given if isinstance(given, str) else sorted(given)
            message = f"step {step.index}: the manifest has the parameters {sorted(declared)}, get_info() {keys}"
            return Check(_NAME, Outcome.FAIL, message, _PLACE, _HINT)
        differing += [f"step {step.index} {key}" for key in declared if declared[key] != given[key]]
    if differing:
        message = f"declared differently in manifest and get_info(): {', '.join(differing)}"
        return Check(_NAME, Outcome.WARN, message, _PLACE, _HINT)
    return Check.passed(_NAME, "says what the manifest says", _PLACE)


def _parameters(declared: object) -> dict[str, Parameter] | str:
    """By key; or why the declaration cannot be read."""
    if not isinstance(declared, list):
        return f"{declared!r:.80}"
    try:
        found = [Parameter.model_validate(one) for one in declared]
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"]
    return {one.key: one for one in found}
