"""A dial that a figure shows as idle has no effect, whatever it stands at."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.dials import needs_of, why_idle
from labkit.lab import catalogue, find
from labkit.live.controls import few_values
from labkit.running import run

SMALL = {
    "quorums": {"pairs": 40, "loss": 0.1},
    "sync_vs_async": {"orders": 60, "outage": 1.0, "failure_rate": 0.3, "loss": 0.05},
    "clocks": {"writes": 60, "drift_ppm": 200.0},
    "siblings": {"edits": 5, "loss": 0.05},
    "placement": {"keys": 300},
    "sharding": {"length": 0.6, "move_at": 0.2, "loss": 0.02, "users": 40},
    "transactions": {"bookings": 30, "loss": 0.1, "declined": 0.2, "flights": 2},
    "two_events": {},
}
"""Faults among them: a dial that only matters when something fails must be given the chance to."""

WITH_NEEDS = [
    pytest.param(experiment.name, name, id=f"{experiment.name}-{name}")
    for experiment in catalogue().values()
    for name, dial in experiment.dials.items()
    if dial.needs
]


def history(experiment: str, values: dict[str, Any]) -> tuple:
    """What a run comes to."""
    result = run(experiment, seed=3, trace=False, **values)
    told = [verdict.status for verdict in result.verdicts]
    return [repr(operation) for operation in result.operations], repr(result.measures), told


def unmet(experiment: str, name: str) -> list[dict[str, Any]]:
    """Each way for the dial to be idle, by its own need alone."""
    dials = find(experiment).dials
    need = dials[name].needs
    values = few_values(dials[need.dial], dials[need.dial].default)
    return [{need.dial: value} for value in values if not need.is_met(value)]


@pytest.mark.parametrize(("experiment", "name"), WITH_NEEDS)
def test_an_idle_dial_changes_nothing(experiment: str, name: str) -> None:
    found = find(experiment)
    ways = unmet(experiment, name)
    assert ways
    for way in ways[:2]:
        settings = SMALL[experiment] | way
        assert why_idle(name, found.dials, found.settings(settings))
        others = few_values(found.dials[name], found.dials[name].default, most=3)
        histories = [history(experiment, settings | {name: value}) for value in others]
        assert all(other == histories[0] for other in histories[1:]), f"{name} has an effect with {way}"


def test_every_need_can_be_met_and_names_why_it_is_not() -> None:
    for experiment in catalogue().values():
        for name in experiment.dials:
            for need in needs_of(name, experiment.dials):
                other = experiment.dials[need.dial]
                met = [need.is_met(value) for value in few_values(other, other.default)]
                assert {*met} == {True, False}, name
                assert need.told(other).startswith(("no effect while", "only matters while"))


def test_an_idle_dial_of_a_dial_that_is_idle_is_idle() -> None:
    dials = find("transactions").dials
    settings = find("transactions").settings({"protocol": "orchestrated saga", "locking": "timeout"})
    assert why_idle("lock_patience", dials, settings) == "only matters while protocol is two-phase commit"
    assert not why_idle("lock_patience", dials, settings | {"protocol": "two-phase commit"})
