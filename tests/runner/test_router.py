"""From a product and a step to who inspects it, or why nobody does (spec.md §6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from procvision_sdk.errors import ErrorCode, InvalidParamsError, InvalidPidError
from procvision_sdk.manifest import Manifest, Step
from runner.routing.catalog import Catalog, Deployment, Launch
from runner.routing.router import route, steps


def deployment(name: str, *indices: int) -> Deployment:
    manifest = Manifest(
        name=name,
        version="1.0",
        entry_point="m:C",
        supported_pids=("p",),
        steps=tuple(Step(index=index, name=f"step {index}") for index in indices),
    )
    return Deployment(name, "1.0", Path("/f"), Path("/python"), Launch.MODULE, manifest, name)


ONE = deployment("one", 1, 2, 5)


def test_a_product_goes_to_the_deployment_that_serves_it() -> None:
    two = deployment("two", 1)
    catalog = Catalog((ONE, two), {"a": ONE, "b": two})
    assert (route(catalog, "a"), route(catalog, "b")) == (ONE, two)


@pytest.mark.parametrize(
    ("products", "told"),
    [({"b": ONE, "a": ONE}, "served are: a, b$"), ({}, "served are: none$")],
)
def test_an_unknown_product_is_refused_with_those_that_are_served(products: dict[str, Deployment], told: str) -> None:
    with pytest.raises(InvalidPidError, match=rf"product 'A' is not served by this station; {told}") as refused:
        route(Catalog((ONE,), products), "A")
    assert refused.value.code == ErrorCode.INVALID_PID


def test_the_list_of_products_in_a_refusal_is_bounded() -> None:
    with pytest.raises(InvalidPidError) as refused:
        route(Catalog((ONE,), {f"product-{number}": ONE for number in range(1000)}), "x")
    assert len(refused.value.message) < 500


def test_without_a_step_all_steps_run_in_order() -> None:
    assert steps(ONE, None) == (1, 2, 5)


@pytest.mark.parametrize("index", [1, 2, 5])
def test_a_step_that_was_asked_for_runs_alone(index: int) -> None:
    assert steps(ONE, index) == (index,)


@pytest.mark.parametrize("index", [0, 3, 6, -1, 10**30])
def test_a_step_that_does_not_exist_is_refused_with_those_that_do(index: int) -> None:
    with pytest.raises(InvalidParamsError, match=rf"one@1\.0 has the steps \[1, 2, 5\], got {index}$") as refused:
        steps(ONE, index)
    assert refused.value.code == ErrorCode.INVALID_PARAMS
