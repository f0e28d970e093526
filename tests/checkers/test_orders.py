"""The checkers of orders against a plain reading of each history, and against histories with one thing wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.checkers.orders import (
    ALL_ANSWERED,
    ALL_NOTIFIED,
    IN_TIME,
    NONE_DENIED,
    NONE_LOST,
    NONE_TWICE,
    Orders,
    all_answered,
    all_notified,
    none_charged_twice,
    none_denied,
    none_lost,
    paid_in_time,
)
from labkit.history import Note, Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

SECOND = 1_000_000
VALUES = {"ok": "paid", "fail": "refused", "unknown": None}


def order(key, invoked=0, returned=1, outcome="ok", value="") -> Operation:
    value = VALUES[outcome] if value == "" else value
    return Operation(f"p{key}", "order", key, value, invoked * SECOND, returned * SECOND, outcome)


def charge(key, at, label="charged") -> Note:
    return Note("payment", label, round(at * SECOND), 0, {"order": key})


def tell(key, at) -> Note:
    return Note("notification", "notified", round(at * SECOND), 0, {"order": key})


def judge(operations, notes, promise=10.0):
    orders = Orders.of(operations, notes)
    verdicts = [
        none_lost(orders),
        none_charged_twice(orders),
        none_denied(orders),
        paid_in_time(orders, promise),
        all_answered(orders),
        all_notified(orders),
    ]
    return {verdict.property: verdict for verdict in verdicts}


@st.composite
def histories(draw):
    operations, notes = [], []
    for number in range(draw(st.integers(0, 6))):
        outcome = draw(st.sampled_from(["ok", "fail", "unknown"]))
        operations.append(order(f"o{number}", number, number + 1, outcome))
        for at in draw(st.lists(st.integers(number, 30), max_size=2)):
            notes.append(charge(f"o{number}", at, draw(st.sampled_from(["charged", "charged", "had been charged"]))))
        notes.extend(tell(f"o{number}", at) for at in draw(st.lists(st.integers(number, 30), max_size=2)))
    return operations, sorted(notes, key=lambda note: note.at_us)


@settings(max_examples=300)
@given(histories())
def test_each_verdict_is_what_a_plain_reading_says(history):
    operations, notes = history
    found = judge(operations, notes)
    told = {note.details["order"] for note in notes if note.label == "notified"}
    notes = [note for note in notes if note.label != "notified"]
    known = {note.details["order"] for note in notes}
    first = {key: min(n.at_us for n in notes if n.details["order"] == key) for key in known}
    times = {e.key: sum(n.label == "charged" and n.details["order"] == e.key for n in notes) for e in operations}
    accepted = [e for e in operations if e.outcome == "ok"]
    refused = [e for e in operations if e.outcome == "fail"]
    expected = {
        NONE_LOST: (accepted, [e for e in accepted if e.key not in known]),
        NONE_TWICE: ([key for key in times if times[key]], [key for key in times if times[key] > 1]),
        NONE_DENIED: (refused, [e for e in refused if e.key in known]),
        IN_TIME: (
            [e for e in accepted if e.key in known],
            [e for e in accepted if e.key in known and first[e.key] - e.invoked_us > 10 * SECOND],
        ),
        ALL_ANSWERED: (operations, [e for e in operations if e.value is None]),
        ALL_NOTIFIED: (accepted, [e for e in accepted if e.key not in told]),
    }
    for name, (concerned, broken) in expected.items():
        status = ILLEGAL if broken else HOLDS if concerned else UNDECIDED
        assert found[name].status == status, name
        assert bool(found[name].counterexample) == (status == ILLEGAL)


GOOD = [order("a", 0), order("b", 1), order("c", 2, 3, "fail"), order("d", 3, 9, "unknown", "error")]
TOLD = [tell("a", 0.7), tell("b", 1.7)]
PAID = [charge("a", 0.5), charge("b", 1.5), charge("d", 12.0), *TOLD]
PLANTED = {
    NONE_LOST: (GOOD, PAID[1:], "a"),
    NONE_TWICE: (GOOD, [*PAID, charge("b", 2.0)], "b"),
    NONE_DENIED: (GOOD, [*PAID, charge("c", 4.0)], "c"),
    IN_TIME: (GOOD, [charge("a", 10.1), *PAID[1:]], "a"),
    ALL_ANSWERED: ([*GOOD, order("e", 4, 5, "unknown")], PAID, "e"),
    ALL_NOTIFIED: (GOOD, PAID[:-1], "b"),
}


def test_a_good_history_passes():
    assert all(verdict.status == HOLDS for verdict in judge(GOOD, PAID).values())


@pytest.mark.parametrize("name", PLANTED)
def test_one_planted_fault_is_found_by_its_checker_alone(name):
    operations, notes, culprit = PLANTED[name]
    found = judge(operations, notes)
    assert [other for other, verdict in found.items() if verdict.status == ILLEGAL] == [name]
    assert found[name].counterexample[0].key == culprit


def test_the_second_charge_that_came_soonest_is_shown():
    notes = [charge("a", 1), charge("b", 2), charge("b", 2.5), charge("a", 3)]
    assert judge(GOOD, notes)[NONE_TWICE].counterexample[0].key == "b"


def test_that_payment_remembers_a_charge_is_proof_of_one_and_no_second_one():
    # The charge was made durable, and the crash came before it could be noted.
    found = judge([order("a")], [charge("a", 2.0, "had been charged")])
    assert found[NONE_LOST].status == HOLDS
    assert found[NONE_TWICE].status == UNDECIDED
    again = judge([order("a")], [charge("a", 1.0), charge("a", 2.0, "had been charged")])
    assert again[NONE_TWICE].status == HOLDS
