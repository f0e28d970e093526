"""Lab 07: the flow by call, by queue and half and half: laws, outages, and what its safeguards keep."""

from __future__ import annotations

import math

import pytest

from labkit import run
from labkit.errors import BadInput
from labkit.experiments.order_measures import ANSWERS, PHASES, answers_by_phase
from labkit.experiments.sync_vs_async import expected_drain, expected_response
from labkit.lab import find
from labkit.patterns.order_flow import MODES

MODE = pytest.mark.parametrize("mode", MODES)


def measure(name, seed=7, **dials):
    return run(name, seed=seed, trace=False, **dials)


@MODE
def test_users_wait_for_what_is_called_and_for_nothing_else(mode):
    quiet = {"outage": 0.0, "slots": 1000, "payment_workers": 2, "payment_time": 0.06}
    found = measure("sync_vs_async", mode=mode, orders=4_000, **quiet)
    assert found["response_mean"] == pytest.approx(expected_response(found.parameters), rel=0.1)
    assert found["availability"] == 1.0


@pytest.mark.parametrize(("mode", "retries"), [("call", 0), ("call", 1), ("call", 2), ("hybrid", 1), ("queue", 0)])
def test_an_order_fails_only_if_every_attempt_does(mode, retries):
    dials = {"failure_rate": 0.3, "outage": 0.0, "slots": 200, "orders": 1500, "payment_workers": 16}
    found = measure("sync_vs_async", mode=mode, retries=retries, **dials)
    expected = find("sync_vs_async").laws["availability"].expected(found.parameters)
    assert abs(found["availability"] - expected) <= 3 * math.sqrt(expected * (1 - expected) / 1500)
    assert found["orders_lost"] == found["charged_twice"] == 0


@pytest.mark.parametrize(
    "dials",
    [
        {},
        {"payment_workers": 8},
        {"disk_time": 0.004},
        {"outage": 2.0, "payment_workers": 8},
        {"outage": 5.0, "payment_workers": 16},
    ],
    ids=str,
)
def test_a_backlog_drains_as_fast_as_workers_have_time_to_spare(dials):
    found = [measure("sync_vs_async", seed, mode="queue", orders=500, **dials) for seed in range(8)]
    mean = math.fsum(result["time_to_drain"] for result in found) / len(found)
    values = found[0].parameters
    spare = values["payment_workers"] / (0.056 + 2 * values["disk_time"]) - values["rate"]
    by_chance = 3 * math.sqrt(values["rate"] * values["outage"] / len(found)) / spare  # arrivals are Poisson
    assert mean == pytest.approx(expected_drain(values), abs=by_chance)


@pytest.mark.parametrize(
    ("dials", "law"),
    [
        ({"payment_time": 0.3}, "overload"),
        ({"payment_time": 1.5, "payment_workers": 64}, "timeout"),
        ({"mode": "queue", "payment_time": 0.18, "queue_limit": 20}, "little room"),
        ({"mode": "queue", "payment_time": 0.15, "failure_rate": 0.5}, "overload by retries"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_laws_are_silent_where_a_limit_or_overload_is_near(dials, law):
    chosen = find("sync_vs_async")
    values = chosen.settings({"outage": 0.0, "slots": 200} | dials)
    assert chosen.laws["availability"].expected(values) is None, law
    assert chosen.laws["response_mean"].expected(values) is None, law
    assert chosen.laws["availability"].expected(chosen.settings({"outage": 0.0, "slots": 200})) == 1.0


def test_blocked_callers_are_littles_law_again():
    # Payment never answers in time: each order holds its slot for exactly the timeout.
    found = measure("sync_vs_async", outage=60.0, outage_at=0.0, orders=1000, slots=1000, timeout=2.0)
    assert found["told_error"] == 1000 and found["told_refused"] == 0
    waiting = [(entry.invoked_us, entry.returned_us) for entry in found.operations if entry.function == "order"]
    instants = range(5_000_000, 45_000_000, 50_000)
    present = sum(sum(begin <= at < end for begin, end in waiting) for at in instants) / len(instants)
    arrived = sum(5_000_000 <= begin < 45_000_000 for begin, _ in waiting) / 40
    assert present == pytest.approx(arrived * 2.0, rel=0.05)
    assert found["blocked_max"] >= present


def test_through_an_outage_a_queue_keeps_what_calls_turn_away():
    found = {mode: measure("sync_vs_async", mode=mode) for mode in MODES}
    assert found["queue"]["availability"] == 1.0 and found["queue"]["orders_lost"] == 0
    assert found["call"]["availability_in_outage"] < 0.1 > found["hybrid"]["availability_in_outage"]
    assert found["call"]["blocked_max"] == 20 and found["call"]["told_refused"] > 0
    for result in found.values():
        assert sum(result[f"told_{answer.replace(' ', '_')}"] for answer in ANSWERS) == 300
        phases = answers_by_phase(result)
        assert sum(sum(phases[phase].values()) for phase in PHASES) == 300


def test_a_queue_moves_what_must_be_up_to_the_broker():
    for mode in ("queue", "hybrid"):
        found = measure("sync_vs_async", mode=mode, down="broker")
        assert found["availability_in_outage"] < 0.2 and found["orders_lost"] == 0
    with pytest.raises(BadInput, match="down is 'broker': it must be payment or notification, by call"):
        measure("sync_vs_async", mode="call", down="broker")


def test_a_backlog_of_notifications_is_one_too():
    found = measure("sync_vs_async", mode="hybrid", down="notification")
    assert found["backlog_max"] > 150 and found["time_to_drain"] > 0


def test_a_lease_shorter_than_the_work_notifies_twice_though_nothing_fails():
    dials = {"mode": "queue", "outage": 0.0, "orders": 60, "rate": 1.4, "notification_time": 2.5, "shape": "constant"}
    hasty, patient = (measure("sync_vs_async", lease=lease, **dials) for lease in (2.0, 30.0))
    assert hasty["notified_twice"] > 0 == patient["notified_twice"]


def test_what_is_queued_may_be_down():
    found = {mode: measure("sync_vs_async", mode=mode, down="notification") for mode in MODES}
    assert found["hybrid"]["availability"] == found["queue"]["availability"] == 1.0 > found["call"]["availability"]


@MODE
def test_a_killed_payment_loses_no_accepted_order(mode):
    found = measure("sync_vs_async", mode=mode, fault="crash", outage=3.0, orders=120)
    assert found["orders_lost"] == found["charged_twice"] == 0
    assert [fault.kind for fault in found.faults] == ["crash", "restart"]


@pytest.mark.parametrize("ablation", list(find("sync_vs_async").ablations))
def test_with_its_safeguards_the_flow_keeps_its_orders(ablation):
    declared = find("sync_vs_async").ablations[ablation]
    for seed in range(12):
        result = measure("sync_vs_async", seed, **declared.under)
        verdicts = {verdict.property: verdict for verdict in result.verdicts}
        assert verdicts[declared.breaks].status == "OK", f"seed {seed}: {verdicts[declared.breaks]}"


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["call", "queue"])
def test_a_stopped_payment_is_the_same_on_real_processes(mode):
    dials = {"mode": mode, "orders": 80, "outage": 2.0, "outage_at": 1.0, "timeout": 0.5, "slots": 8}
    measured, simulated = run("sync_vs_async", runtime="ray", seed=7, **dials), measure("sync_vs_async", **dials)
    assert [fault.kind for fault in measured.faults] == ["pause", "resume"]
    assert all(verdict.status != "ILLEGAL" for verdict in measured.verdicts)
    assert measured["availability_in_outage"] == pytest.approx(simulated["availability_in_outage"], abs=0.15)
    if mode == "call":
        assert measured["blocked_max"] == 8 and measured["told_refused"] > 0
    else:
        assert measured["availability"] == 1.0 and measured["orders_lost"] == 0
