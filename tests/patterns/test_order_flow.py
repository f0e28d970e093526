"""The flow keeps its orders by call, by queue and half and half, under every fault that the core has."""

from __future__ import annotations

import pytest

from labkit import FaultPlan, Link, Network, run
from labkit.calls import FAIL, UNKNOWN
from labkit.checkers.orders import Orders, none_charged_twice, none_denied, none_lost
from labkit.experiments.sync_vs_async import Users
from labkit.latency import Exponential
from labkit.patterns.order_flow import MODES, Notification, OrderService, Payment
from labkit.patterns.queues import Broker
from labkit.results import HOLDS, ILLEGAL
from tests.clusters import client, node, simulate

SEEDS = range(20)


def flow(mode, seed, plan, *, loss=0.02, duplication=0.02, retries=2, failure_rate=0.05, **payment):
    by_queue = mode == "queue"
    service = {"workers": 2, "queue_limit": 50}
    return simulate(
        node("broker", Broker, limit=200, lease=0.8),
        node("orders", OrderService, mode=mode, slots=30, timeout=0.4, retries=retries),
        node(
            "payment", Payment, time=Exponential(0.02), failure_rate=failure_rate,
            inbox="payments" if by_queue else "", outbox="notifications" if by_queue else "", **service, **payment,
        ),
        node(
            "notification", Notification, time=Exponential(0.01), inbox="" if mode == "call" else "notifications",
            **service,
        ),
        client("users", Users, rate=30.0, orders=50, patience=5.0, give_up=40.0),
        network=Network(Link(Exponential(0.002), loss=loss, duplication=duplication)),
        faults=plan, seed=seed, sync_delay=0.001,
    )  # fmt: skip


def judged(recording):
    orders = Orders.of(recording.operations, recording.notes)
    return orders, [none_lost(orders), none_charged_twice(orders), none_denied(orders)]


def crash(name, at, back):
    return FaultPlan().crash(name, at=at).restart(name, at=back)


PLANS = {
    "payment crashes": crash("payment", 0.5, 0.9) + crash("payment", 1.1, 1.3),
    "payment stops": FaultPlan().pause("payment", at=0.4).resume("payment", at=2.0),
    "broker crashes": crash("broker", 0.6, 0.8),
    "notification crashes": crash("notification", 0.5, 1.2),
    "orders crash": crash("orders", 0.7, 0.9),
    "cut off": FaultPlan().partition(["payment"], ["broker", "orders"], at=0.5).heal(at=1.5),
    "answers lost": FaultPlan().partition(["payment"], ["broker", "orders"], at=0.5, both_ways=False).heal(at=1.5),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("mode", MODES)
def test_no_order_is_lost_charged_twice_or_denied(mode, plan):
    # Of two copies of a request one may be refused and the other be carried out, and the caller hears of whichever
    # answers first: so where messages are duplicated, a refusal is no promise.
    paid = 0
    for seed in SEEDS:
        duplication = 0.02 * (seed % 2)
        orders, verdicts = judged(flow(mode, seed, PLANS[plan], duplication=duplication))
        verdicts = verdicts[:2] if duplication else verdicts
        assert all(verdict.status != ILLEGAL for verdict in verdicts), f"seed {seed}: {[*map(str, verdicts)]}"
        paid += len(orders.charged_us)
    assert paid > 20 * len(SEEDS)


def test_an_order_whose_payment_failed_for_certain_fails_and_one_without_an_answer_may_have_happened():
    quiet = FaultPlan()
    refused = flow("call", 1, quiet, loss=0.0, duplication=0.0, retries=0, failure_rate=0.5)
    outcomes = {entry.outcome for entry in refused.operations if entry.function == "order" and not entry.ok}
    assert outcomes == {FAIL}
    stopped = FaultPlan().pause("payment", at=0.3).resume("payment", at=1.4)
    silent = flow("call", 1, stopped, loss=0.0, duplication=0.0, failure_rate=0.0)
    errors = [entry for entry in silent.operations if entry.function == "order" and entry.value == "error"]
    assert errors and all(entry.outcome == UNKNOWN for entry in errors)
    orders, _ = judged(silent)
    assert any(orders.paid_us(entry.key) is not None for entry in errors)


def test_a_refusal_after_a_silence_is_still_a_doubt():
    # The first attempt was lost or carried out, nobody knows; that the second was refused does not undo it.
    found = [judged(flow("call", seed, FaultPlan(), loss=0.2, duplication=0.0, failure_rate=0.5)) for seed in SEEDS]
    statuses = {verdicts[2].status for _, verdicts in found}
    assert HOLDS in statuses and ILLEGAL not in statuses
    doubtful = [e for orders, _ in found for e in orders.operations if e.outcome == UNKNOWN and "failed" in e.error]
    assert doubtful


@pytest.mark.parametrize("mode", MODES)
def test_without_faults_everybody_is_told_the_truth_and_notified(mode):
    result = run("sync_vs_async", seed=3, mode=mode, outage=0.0, orders=100)
    expected = "processing" if mode == "queue" else "paid"
    operations = {name: [e for e in result.operations if e.function == name] for name in ("order", "completion")}
    assert [entry.value for entry in operations["order"]] == [expected] * 100
    assert all(entry.ok for entry in operations["completion"])
    assert len([entry for entry in result.notes if entry.label == "charged"]) == 100
