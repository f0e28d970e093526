"""The checker of all-or-nothing against a count by hand, and hand-made histories with one defect each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.checkers.atomicity import all_ended, all_or_nothing, as_asked, nothing_undone_was_seen, undone_reads
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

SERVICES = ("flight", "hotel", "payment")


def book(name: str, outcome: str) -> Operation:
    return Operation(name, "book", ("flight-1", "account-1"), name, 0, 10, outcome)


@st.composite
def runs(draw):
    """Bookings with outcomes, and which of them are in effect where."""
    names = [f"b{number}" for number in range(draw(st.integers(1, 6)))]
    outcomes = {name: draw(st.sampled_from(["ok", "fail", "unknown"])) for name in names}
    effects = {service: frozenset(draw(st.sets(st.sampled_from(names)))) for service in SERVICES}
    return outcomes, effects


def is_legal(outcome: str, places: int) -> bool:
    return places in {"ok": (3,), "fail": (0,), "unknown": (0, 3)}[outcome]


@given(runs())
def test_illegal_exactly_if_some_booking_is_where_it_should_not_be(run):
    outcomes, effects = run
    wrong = [
        name
        for name, outcome in outcomes.items()
        if not is_legal(outcome, sum(name in found for found in effects.values()))
    ]
    verdict = all_or_nothing([book(name, outcome) for name, outcome in outcomes.items()], effects)
    assert verdict.status == (ILLEGAL if wrong else HOLDS)
    assert [operation.value for operation in verdict.counterexample] == wrong[:1]


@given(runs(), st.sampled_from(SERVICES), st.data())
def test_one_effect_taken_away_from_a_legal_run_is_found(run, service, data):
    outcomes, _ = run
    everywhere = frozenset(name for name, outcome in outcomes.items() if outcome == "ok")
    books = [book(name, outcome) for name, outcome in outcomes.items()]
    effects = dict.fromkeys(SERVICES, everywhere)
    assert all_or_nothing(books, effects).status == HOLDS
    if everywhere:
        lost = data.draw(st.sampled_from(sorted(everywhere)))
        verdict = all_or_nothing(books, effects | {service: everywhere - {lost}})
        assert verdict.status == ILLEGAL
        assert verdict.counterexample[0].value == lost
        assert f"and not at {service}" in verdict.explanation


@pytest.mark.parametrize(
    ("outcome", "places", "why"),
    [
        ("unknown", ("flight",), "in effect at flight and not at hotel, payment"),
        ("ok", (), "was acknowledged and is in effect nowhere"),
        ("fail", SERVICES, "was refused and is in effect everywhere"),
    ],
)
def test_the_reason_is_told(outcome, places, why):
    effects = {service: {"b0"} if service in places else set() for service in SERVICES}
    assert why in all_or_nothing([book("b0", outcome)], effects).explanation


def test_an_effect_that_nobody_asked_for_is_illegal():
    effects = {service: {"b0", "ghost"} for service in SERVICES}
    verdict = all_or_nothing([book("b0", "ok")], effects)
    assert verdict.status == ILLEGAL and "'ghost'" in verdict.explanation


def test_nothing_to_judge_is_no_success():
    assert all_or_nothing([], {"flight": ()}).status == UNDECIDED
    assert all_or_nothing([book("b0", "ok")], {}).status == UNDECIDED
    assert all_ended([]).status == UNDECIDED
    assert nothing_undone_was_seen([], [], ()).status == UNDECIDED
    assert as_asked([book("b0", "ok")], {"b0": {"flight": 1}}, {"flight": {}}).status == UNDECIDED
    assert as_asked([book("b0", "ok")], {"b0": {"flight": 1}}, {}).status == UNDECIDED


def test_an_audit_that_found_no_rest_is_illegal():
    audits = [Operation("auditor", "audit", service, None, 0, 5, "ok") for service in SERVICES]
    assert all_ended(audits).status == HOLDS
    audits[1].outcome, audits[1].error = "unknown", "2 transactions were still under way"
    verdict = all_ended(audits)
    assert verdict.status == ILLEGAL and verdict.counterexample == (audits[1],)


def look(names: tuple[str, ...], outcome: str = "ok") -> Operation:
    return Operation("reader", "look", "flight-1", names, 3, 4, outcome)


def test_a_read_of_what_was_undone_is_found_with_its_booking():
    books = [book("b0", "ok"), book("b1", "fail")]
    clean, dirty = look(("b0",)), look(("b0", "b1"))
    assert nothing_undone_was_seen(books, [clean], {"b0"}).status == HOLDS
    verdict = nothing_undone_was_seen(books, [clean, dirty], {"b0"})
    assert verdict.status == ILLEGAL
    assert verdict.counterexample == (books[1], dirty)
    assert list(undone_reads([clean, dirty, look(("b1",), "unknown")], {"b0"})) == [(dirty, "b1")]


def test_without_an_audit_nobody_knows_what_was_undone():
    verdict = nothing_undone_was_seen([book("b0", "ok")], [look(("b0",))], None)
    assert (verdict.status, verdict.explanation) == (UNDECIDED, "no audit of what is in effect")


@st.composite
def takings(draw):
    """What bookings asked for, and what each service took for which of them."""
    names = [f"b{number}" for number in range(draw(st.integers(1, 5)))]
    asked = {name: {service: draw(st.integers(1, 3)) for service in SERVICES} for name in names}
    some = st.dictionaries(st.sampled_from([*names, "ghost"]), st.integers(1, 3))
    return asked, {service: draw(some) for service in SERVICES}


@given(takings())
def test_what_was_taken_is_compared_with_what_was_asked_part_by_part(run):
    asked, took = run
    checked = wrong = 0
    for service, found in took.items():
        for name, amount in found.items():
            checked += name in asked
            wrong += name in asked and amount != asked[name][service]
    verdict = as_asked([book(name, "ok") for name in asked], asked, took)
    assert verdict.status == (ILLEGAL if wrong else HOLDS if checked else UNDECIDED)
    if wrong:
        assert verdict.explanation.startswith(f"{wrong} of {checked} parts: ")
        (story,) = verdict.counterexample
        assert any(took[service].get(story.value, asked[story.value][service]) != asked[story.value][service]
                   for service in SERVICES)  # fmt: skip
