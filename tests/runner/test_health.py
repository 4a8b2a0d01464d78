"""Health out of the states of workers (spec.md §11)."""

from __future__ import annotations

import pytest

from runner.health import Health, of_deployment, of_station
from runner.workers.lifecycle import State

ALONE = {
    State.READY: Health.READY,
    State.BUSY: Health.READY,
    State.FATAL: Health.FATAL,
    State.FAILING: Health.FATAL,
    State.STOPPED: Health.DEGRADED,
    State.STARTING: Health.DEGRADED,
    State.ABORTING: Health.DEGRADED,
    State.BACKOFF: Health.DEGRADED,
    State.RECYCLING: Health.DEGRADED,
    State.STOPPING: Health.DEGRADED,
}


@pytest.mark.parametrize("state", State)
def test_each_state_of_a_single_worker_has_its_health(state: State) -> None:
    assert of_deployment([state], False) is ALONE[state]


@pytest.mark.parametrize(
    ("states", "health"),
    [
        ((State.READY, State.FATAL), Health.READY),
        ((State.BUSY, State.ABORTING), Health.READY),
        ((State.FATAL, State.FAILING), Health.FATAL),
        ((State.FATAL, State.BACKOFF), Health.DEGRADED),
        ((State.FATAL, State.STOPPED), Health.FATAL),
        ((), Health.DEGRADED),
    ],
    ids=str,
)
def test_a_deployment_is_as_well_as_its_best_worker(states: tuple[State, ...], health: Health) -> None:
    assert of_deployment(iter(states), False) is health


def test_one_that_restarts_too_often_is_degraded_also_while_it_serves() -> None:
    assert of_deployment([State.READY], True) is Health.DEGRADED
    assert of_deployment([State.FATAL], True) is Health.FATAL


READY, DEGRADED, FATAL = Health.READY, Health.DEGRADED, Health.FATAL


@pytest.mark.parametrize(
    ("deployments", "health"),
    [
        (((READY, True), (READY, True)), READY),
        (((READY, True), (DEGRADED, True)), READY),
        (((READY, True), (DEGRADED, False)), DEGRADED),
        (((READY, True), (FATAL, False)), DEGRADED),
        (((DEGRADED, False), (FATAL, False)), DEGRADED),
        (((FATAL, False), (FATAL, False)), FATAL),
        ((), DEGRADED),
    ],
    ids=str,
)
def test_a_station_is_ready_when_every_product_has_a_usable_worker(
    deployments: tuple[tuple[Health, bool], ...], health: Health
) -> None:
    assert of_station(iter(deployments)) is health
