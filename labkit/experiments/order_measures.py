"""What is measured in a run of lab 07: users' times and answers, the backlog, and the order service's slots."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from labkit.checkers.orders import Orders
from labkit.history import Operation
from labkit.patterns.order_flow import ALL_TAKEN, IN_USE, ONE_FREE
from labkit.results import Measure, Result, percentile, share
from labkit.tables import Table

ANSWERS = ("paid", "processing", "error", "refused", "no answer")
PHASES = ("before", "during", "after")


def orders_of(result: Result) -> Orders:
    """The orders of a run, found once for its measures and its verdicts."""
    return result.once("orders", lambda: Orders.of(result.operations, result.notes))


def answers_by_phase(result: Result) -> dict[str, Counter[str]]:
    """How many users got which answer, by when they ordered: before, during or after the outage."""
    found: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
    window = _outage(result)
    for entry in result.operations:
        if entry.function == "order":
            found[_phase(entry.invoked_us / 1e6, window)][entry.value or "no answer"] += 1
    return found


def answers_table(results: Mapping[str, Result]) -> Table:
    """A row for each of the results, by its name, and phase: how many users who ordered then got which answer."""
    rows = [
        (name, phase, *(str(counts[answer]) for answer in ANSWERS))
        for name, result in results.items()
        for phase, counts in answers_by_phase(result).items()
    ]
    return Table(("", "ordered … the outage", *ANSWERS), tuple(rows))


def of_times(result: Result) -> Iterator[Measure]:
    """How long it took until users had an answer, and until their orders were complete."""
    answered = sorted(result.latencies("order"))
    mean = math.fsum(answered) / len(answered) if answered else math.nan
    yield Measure("response_mean", mean, "s", "mean time until an accepted order was answered")
    for name, level in (("p50", 0.5), ("p99", 0.99)):
        yield Measure(f"response_{name}", percentile(answered, level), "s", f"{level:.0%} of them within this")
    errors = [entry.latency for entry in result.operations if entry.function == "order" and entry.value == "error"]
    yield Measure("error_p50", percentile(errors, 0.5), "s", "half of the users who got an error had it within this")
    complete = sorted(result.latencies("completion"))
    for name, level in (("p50", 0.5), ("p99", 0.99)):
        told = f"{level:.0%} of the completed orders were complete within this"
        yield Measure(f"completion_{name}", percentile(complete, level), "s", told)
    ends = [entry for entry in result.operations if entry.function == "completion" and entry.ok]
    lasts = (max(e.returned_us for e in ends) - min(e.invoked_us for e in ends)) / 1e6 if ends else 0.0
    yield Measure("throughput", len(ends) / lasts if lasts else math.nan, "1/s", "orders completed a second")


def of_answers(result: Result, orders: Orders) -> Iterator[Measure]:
    """Who got which answer, and what became of the orders behind it."""
    placed = orders.operations
    yield Measure("availability", _accepted(placed), "", "share of the orders that were accepted")
    window = _outage(result)
    during = [entry for entry in placed if _phase(entry.invoked_us / 1e6, window) == "during"]
    yield Measure("availability_in_outage", _accepted(during), "", "share of the orders accepted during the outage")
    found = Counter(entry.value or "no answer" for entry in placed)
    for answer in ANSWERS:
        yield Measure(f"told_{answer.replace(' ', '_')}", found[answer], "", f"users who were told: {answer}")
    lost = sum(entry.ok and orders.paid_us(entry.key) is None for entry in placed)
    yield Measure("orders_lost", lost, "", "accepted orders that were never paid")
    twice = sum(len(instants) > 1 for instants in orders.charged_us.values())
    yield Measure("charged_twice", twice, "", "orders that were charged more than once")
    unaware = sum(not entry.ok and orders.paid_us(entry.key) is not None for entry in placed)
    told_twice = sum(len(instants) > 1 for instants in orders.notified_us.values())
    yield Measure("notified_twice", told_twice, "", "orders whose user was told more than once")
    yield Measure("charged_unaware", unaware, "", "users who were charged, and were not told that their order is in")


def of_backlog(result: Result, orders: Orders) -> Iterator[Measure]:
    """How many orders were under way at once, and how long after an outage it took to catch up."""
    steps = backlog(result, orders)
    yield Measure("backlog_max", max((level for _, level in steps), default=0), "", "most orders under way at once")
    yield Measure(
        "time_to_drain", _time_to_drain(result, steps), "s", "from the end of the outage to the usual backlog"
    )


def of_slots(result: Result, orders: Orders) -> Iterator[Measure]:
    """How many callers were blocked in the order service, and for how long it had no room for more."""
    most = max((note.details["_busy"] for note in result.notes if note.label.startswith(IN_USE)), default=0)
    yield Measure("blocked_max", most, "", "most request slots taken at once")
    yield Measure(
        "blocked_mean", _mean_waiting(orders), "", "orders that waited for their answer, on average over time"
    )
    end_us = max((entry.returned_us or 0 for entry in orders.operations), default=0)
    full_us, since = 0, None
    for note in result.notes:
        if note.label == ALL_TAKEN:
            since = note.at_us
        elif note.label == ONE_FREE and since is not None:
            full_us, since = full_us + note.at_us - since, None
    if since is not None:
        full_us += max(end_us - since, 0)
    yield Measure("slots_full", share(full_us, end_us), "", "share of the time during which all slots were taken")


def _mean_waiting(orders: Orders) -> float:
    # From the first order to the last: later ones wait among fewer and fewer.
    first_us = min((entry.invoked_us for entry in orders.operations), default=0)
    last_us = max((entry.invoked_us for entry in orders.operations), default=0)
    waits = [min(entry.returned_us or last_us, last_us) - entry.invoked_us for entry in orders.operations]
    return share(sum(waits), last_us - first_us)


def backlog(result: Result, orders: Orders) -> list[tuple[int, int]]:
    """(instant in µs, orders under way from then on): placed, and neither paid yet nor turned away.

    Where it is notification that goes down, an order is under way until its user is told.
    """
    of_notification = result.parameters["down"] == "notification"
    changes: list[tuple[int, int]] = []
    for entry in orders.operations:
        done = next(iter(orders.notified_us.get(entry.key, ())), None) if of_notification else orders.paid_us(entry.key)
        end = done if entry.ok else entry.returned_us
        if end is None:  # a lost order is nobody's work any more
            end = entry.returned_us if entry.ok else result.recording.duration_us
        changes += [(entry.invoked_us, 1), (end, -1)]
    level, steps = 0, []
    for at_us, change in sorted(changes):
        level += change
        steps.append((at_us, level))
    return steps


def _time_to_drain(result: Result, steps: Sequence[tuple[int, int]]) -> float:
    window = _outage(result)
    if window is None:
        return math.nan
    begin_us, end_us = (round(at * 1e6) for at in window)
    at_begin = at_end = 0
    for at_us, level in steps:
        if at_us <= begin_us:
            at_begin = level
        if at_us <= end_us:
            at_end = level
    usual = max(at_begin, result.parameters["payment_workers"])  # nobody waits while there is a worker for each
    if at_end <= usual:
        return 0.0
    return next(((at_us - end_us) / 1e6 for at_us, level in steps if at_us > end_us and level <= usual), math.nan)


def _outage(result: Result) -> tuple[float, float] | None:
    windows = result.fault_windows
    return (windows[0].begin, windows[0].end) if windows else None


def _phase(at: float, window: tuple[float, float] | None) -> str:
    if window is None or at < window[0]:
        return "before"
    return "during" if at < window[1] else "after"


def _accepted(entries: Iterable[Any]) -> float:
    known: list[Operation] = list(entries)
    return share(sum(entry.ok for entry in known), len(known))
