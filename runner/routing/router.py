"""Product -> Deployment, or a refusal that says why (spec.md §6)."""

from __future__ import annotations

from procvision_sdk.errors import InvalidParamsError, InvalidPidError
from runner.routing.catalog import Catalog, Deployment


def route(catalog: Catalog, pid: str) -> Deployment:
    """The deployment of a product; InvalidPidError (1001) lists what this station serves."""
    deployment = catalog.products.get(pid)
    if deployment is None:
        known = ", ".join(sorted(catalog.products)) or "none"
        raise InvalidPidError(f"product {pid!r} is not served by this station; served are: {known:.400}")
    return deployment


def steps(deployment: Deployment, step_index: int | None) -> tuple[int, ...]:
    """The step that was asked for, or all in order; InvalidParamsError (1006) when there is no such step."""
    known = tuple(sorted(step.index for step in deployment.manifest.steps))
    if step_index is None:
        return known
    if step_index not in known:
        raise InvalidParamsError(f"step_index: {deployment} has the steps {list(known)}, got {step_index}")
    return (step_index,)
