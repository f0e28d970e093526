"""Lab 07: queues are as long as queueing theory says, and each safeguard of the flow is there for a reason."""

from __future__ import annotations

import heapq
import math

import pytest

from labkit import run
from labkit.ablations import hunt
from labkit.errors import BadInput
from labkit.experiments.order_measures import ANSWERS, PHASES, answers_by_phase
from labkit.experiments.queueing import mean_time, probability_of_waiting
from labkit.experiments.sync_vs_async import expected_drain, expected_response
from labkit.lab import find
from labkit.latency import SHAPES, of_mean
from labkit.patterns.order_flow import MODES

MODE = pytest.mark.parametrize("mode", MODES)


def measure(name, seed=7, **dials):
    return run(name, seed=seed, trace=False, **dials)


@pytest.mark.parametrize(("workers", "published"), [(1, 0.8), (2, 0.711), (5, 0.554), (10, 0.409)])
def test_erlangs_formula_gives_the_published_values(workers, published):
    assert probability_of_waiting(workers, 0.8) == pytest.approx(published, abs=0.0005)
    assert mean_time(1, 0.8, 1.0) == pytest.approx(5.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("workers", [1, 3])
def test_everybody_waits_exactly_as_long_as_the_recursion_says(shape, workers):
    # Kiefer and Wolfowitz 1955, for one queue before c servers: a customer starts when it is there and some server is.
    visits = measure("queueing", shape=shape, workers=workers, customers=3000).operations
    free = [0] * workers
    for visit in visits:
        waited_us = round(visit.value * 1e6)
        begin = max(visit.invoked_us, free[0])
        assert begin - visit.invoked_us == waited_us
        heapq.heapreplace(free, visit.returned_us)


# Successive customers wait alike, so even so many give a mean with a standard error of 1 to 2%, and a probability with
# one of about 0.01: other seeds may lie outside these tolerances. The recursion above leaves no room for a bias.
@pytest.mark.slow
def test_one_worker_at_80_percent_is_as_slow_as_m_m_1():
    found = measure("queueing", seed=2, customers=400_000)
    assert found["time_in_system"] == pytest.approx(5.0, rel=0.03)
    assert found["time_in_system_p99"] == pytest.approx(math.log(100) / 0.2, rel=0.03)
    assert found["waited"] == pytest.approx(0.8, abs=0.01)
    assert found["customers_present"] == pytest.approx(found["rate_times_time"], rel=0.02)


@pytest.mark.parametrize(("workers", "customers", "seed"), [(2, 100_000, 7), (5, 150_000, 2), (10, 200_000, 4)])
def test_several_workers_are_all_busy_as_often_as_erlang_says(workers, customers, seed):
    found = measure("queueing", seed=seed, workers=workers, customers=customers)
    assert found["waited"] == pytest.approx(probability_of_waiting(workers, 0.8), abs=0.01)
    assert found["time_in_system"] == pytest.approx(mean_time(workers, 0.8, 1.0), rel=0.03)
    assert found["customers_present"] == pytest.approx(found["rate_times_time"], rel=0.02)


@pytest.mark.parametrize("shape", ["constant", "uniform", "lognormal"])
def test_littles_law_and_pollaczek_and_khinchines_formula_hold_for_other_service_times(shape):
    found = measure("queueing", shape=shape, utilisation=0.5, customers=40_000)
    expected = find("queueing").laws["time_in_system"].expected(found.parameters)
    assert found["time_in_system"] == pytest.approx(expected, rel=0.05)
    assert found["customers_present"] == pytest.approx(found["rate_times_time"], rel=0.02)


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_a_distribution_of_a_mean_has_that_mean(shape):
    latency = of_mean(shape, 0.2)
    steps = 20_000
    mean = math.fsum(latency.quantile((step + 0.5) / steps) for step in range(steps)) / steps
    assert mean == pytest.approx(0.2, rel=0.01)
    assert of_mean(shape, 0.0).quantile(0.5) == 0


def test_a_shape_that_nobody_knows_is_refused():
    with pytest.raises(BadInput, match="shape"):
        of_mean("triangle", 1.0)


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


@pytest.mark.parametrize("dials", [{}, {"payment_workers": 8}, {"disk_time": 0.004}], ids=str)
def test_a_backlog_drains_as_fast_as_workers_have_time_to_spare(dials):
    found = [measure("sync_vs_async", seed, mode="queue", orders=500, **dials) for seed in range(8)]
    mean = math.fsum(result["time_to_drain"] for result in found) / len(found)
    assert mean == pytest.approx(expected_drain(found[0].parameters), rel=0.12)


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


def test_what_is_queued_may_be_down():
    found = {mode: measure("sync_vs_async", mode=mode, down="notification") for mode in MODES}
    assert found["hybrid"]["availability"] == found["queue"]["availability"] == 1.0 > found["call"]["availability"]


@MODE
def test_a_killed_payment_loses_no_accepted_order(mode):
    found = measure("sync_vs_async", mode=mode, fault="crash", outage=3.0, orders=120)
    assert found["orders_lost"] == found["charged_twice"] == 0
    assert [fault.kind for fault in found.faults] == ["crash", "restart"]


@pytest.mark.parametrize("ablation", list(find("sync_vs_async").ablations))
def test_each_safeguard_is_missed_when_it_is_gone(ablation):
    found = hunt("sync_vs_async", ablation, seeds=30)
    assert found.is_caught, found
    assert found.counterexample


@pytest.mark.parametrize("ablation", list(find("sync_vs_async").ablations))
def test_with_its_safeguards_the_flow_keeps_its_orders(ablation):
    declared = find("sync_vs_async").ablations[ablation]
    for seed in range(12):
        result = measure("sync_vs_async", seed, **declared.under)
        verdicts = {verdict.property: verdict for verdict in result.verdicts}
        assert verdicts[declared.breaks].status == "OK", f"seed {seed}: {verdicts[declared.breaks]}"


@pytest.mark.real
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
