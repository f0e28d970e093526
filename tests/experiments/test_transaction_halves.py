"""How long a booking is half done: hand-made notes against a count by hand, and the same kill for every protocol."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import run
from labkit.experiments.transaction_halves import HalfDone, at_crashes, half_done, looks_at_half
from labkit.experiments.transaction_measures import CHOREOGRAPHED, ORCHESTRATED, PROTOCOLS, TWO_PHASE
from labkit.experiments.transactions import PAYMENT
from labkit.faults import Fault
from labkit.history import Note, Operation
from labkit.results import HOLDS

FIRST = ("r1", 1, 0)
AGAIN = ("r1", 1, 1)

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def note(at_us, node, label, transaction="r1", **details):
    return Note(node, label, at_us, at_us, {"_transaction": transaction, **details})


def vote(at_us, node, transaction=FIRST):
    return note(at_us, node, "votes yes", transaction)


def learn(at_us, node, outcome, transaction=FIRST, takes=2):
    """It learns the outcome, and has it on its disk some time later."""
    return [
        note(at_us, node, "learned", transaction, outcome=outcome),
        note(at_us + takes, node, "unlocked", transaction),
    ]


def in_order(*notes):
    flat = [each for some in notes for each in (some if isinstance(some, list) else [some])]
    return sorted(flat, key=lambda each: each.at_us)


def test_a_commit_is_whole_once_the_last_service_has_it_on_its_disk():
    notes = in_order(
        vote(10, "flight"), vote(14, "payment"), learn(30, "payment", "commit"), learn(33, "flight", "commit")
    )
    assert half_done(notes, 2, 100) == [HalfDone("r1", 10, 35)]


def test_an_abort_is_whole_once_the_last_service_that_voted_has_learned_it_and_a_second_attempt_counts_anew():
    notes = in_order(
        note(5, "payment", "unlocked", FIRST),  # it had a lock and refused: it never was a part of this
        vote(10, "flight"), learn(20, "flight", "abort", takes=0),
        vote(40, "flight", AGAIN), vote(41, "payment", AGAIN),
        learn(50, "flight", "commit", AGAIN), learn(52, "payment", "commit", AGAIN),
    )  # fmt: skip
    assert half_done(notes, 2, 100) == [HalfDone("r1", 10, 20), HalfDone("r1", 40, 54)]


def test_a_service_that_has_committed_makes_nothing_whole_while_another_is_in_doubt():
    notes = in_order(vote(10, "flight"), vote(10, "payment"), learn(20, "flight", "commit"))
    assert half_done(notes, 2, 5_000) == [HalfDone("r1", 10, 5_000)]


def test_a_saga_is_half_done_from_its_first_step_to_its_last_step_or_compensation():
    steps = [note(10, "flight", "step done"), note(25, "hotel", "step done")]
    assert half_done([*steps, note(40, "payment", "step done")], 3, 100) == [HalfDone("r1", 10, 40)]
    undone = [note(50, "hotel", "compensated"), note(57, "flight", "compensated")]
    assert half_done([*steps, *undone], 3, 100) == [HalfDone("r1", 10, 57)]
    assert half_done([*steps, undone[0]], 3, 100) == [HalfDone("r1", 10, 100)]


def test_a_saga_that_is_undone_after_its_last_step_was_half_done_twice():
    """As after the crash of an orchestrator that does not know how far it came."""
    notes = [note(10, "flight", "step done"), note(20, "payment", "step done")]
    notes += [note(60, "payment", "compensated"), note(75, "flight", "compensated")]
    assert half_done(notes, 2, 100) == [HalfDone("r1", 10, 20), HalfDone("r1", 60, 75)]


SERVICES = ("flight", "hotel", "payment")


@given(st.lists(st.tuples(st.sampled_from(("r1", "r2")), st.sampled_from(SERVICES)), max_size=20))
def test_at_every_instant_a_saga_is_half_done_exactly_if_some_and_not_all_steps_stand(toggles):
    """Against the definition: each event does the step if it does not stand, and undoes it if it does."""
    standing: dict[str, set[str]] = {"r1": set(), "r2": set()}
    notes, halves = [], []
    for at_us, (request, service) in enumerate(toggles):
        label = "compensated" if service in standing[request] else "step done"
        notes.append(note(at_us, service, label, request))
        standing[request] ^= {service}
        halves.append({name for name, parts in standing.items() if 0 < len(parts) < len(SERVICES)})
    stretches = half_done(notes, len(SERVICES), len(toggles))
    for at_us, expected in enumerate(halves):
        assert {each.request for each in stretches if each.begin_us <= at_us < each.end_us} == expected


def test_caught_by_a_crash_is_what_had_begun_and_not_ended():
    stretches = [HalfDone("r1", 10, 20), HalfDone("r2", 15, 40), HalfDone("r3", 25, 40)]
    crash, pause = Fault("crash", 20e-6, ("flight",)), Fault("pause", 30e-6, ("flight",))
    assert at_crashes(stretches, [pause, crash]) == stretches[1:2]
    assert at_crashes(stretches, []) == []


def look(invoked_us, returned_us, *names, outcome="ok"):
    return Operation("reader", "look", "flight-1", names, invoked_us, returned_us, outcome)


def test_a_look_has_surely_seen_half_a_booking_if_it_was_half_done_all_the_while():
    stretches = [HalfDone("r1", 10, 20), HalfDone("r2", 10, 40)]
    looks = [
        look(10, 19, "r1"), look(11, 20, "r1"), look(9, 15, "r1"), look(21, 30, "r1", "r2"), look(21, 30),
        look(21, 30, "r2", outcome="unknown"),
    ]  # fmt: skip
    assert looks_at_half(looks, stretches) == [looks[0], looks[3]]


def book(**dials):
    result = run("transactions", seed=7, trace=False, **dials)
    assert all(verdict.status == HOLDS for verdict in result.verdicts)
    return result


@every_protocol
@pytest.mark.parametrize("downtime", [0.5, 3.0])
def test_whoever_leads_is_killed_while_a_booking_is_half_done_and_it_stays_so_until_they_are_back(protocol, downtime):
    """The kill comes between the steps, by whatever protocol: after one, durable, and before the next is asked for."""
    result = book(protocol=protocol, crash="coordinator", downtime=downtime, bookings=40)
    asking = result.parameters["ask_after"]
    assert result["half_done_at_crash"] >= 1
    assert downtime < result["half_done_over_crash"] < downtime + asking + 0.1
    assert result["half_done_max"] == result["half_done_over_crash"]
    crash, restart = (round(fault.at * 1e6) for fault in result.faults)
    if protocol != TWO_PHASE:
        first, *others = [each for each in result.notes if each.label == "step done"]
        second = next(each for each in others if each.details == first.details)
        assert first.at_us == crash and second.at_us > restart


@every_protocol
def test_with_payment_killed_a_booking_is_half_done_until_it_is_given_up_or_payment_that_had_voted_is_back(protocol):
    result = book(protocol=protocol, crash=PAYMENT, downtime=4.0, give_up=1.0, bookings=10, rate=2.0)
    assert result["half_done_at_crash"] == 1
    killed_us = result.faults[0].at * 1e6
    votes = [each for each in result.notes if each.label == "votes yes" and each.node == PAYMENT]
    had_voted = any(vote.at_us <= killed_us for vote in votes)
    longest = 4.0 if had_voted else 1.0
    assert longest - 0.1 < result["half_done_over_crash"] < longest + 0.1


@every_protocol
def test_nothing_is_killed_and_nothing_is_counted_as_caught(protocol):
    result = book(protocol=protocol, bookings=20)
    assert math.isnan(result["half_done_at_crash"]) and math.isnan(result["half_done_over_crash"])
    assert 0 < result["half_done_p50"] <= result["half_done_max"] < 0.2


def test_by_two_phase_commit_what_the_kill_interrupts_is_promised_everywhere_done_nowhere_and_then_aborted():
    result = book(protocol=TWO_PHASE, crash="coordinator", downtime=1.0, bookings=1)
    killed_us = round(result.faults[0].at * 1e6)
    before, after = ([each for each in result.notes if (each.at_us > killed_us) is late] for late in (False, True))
    voters = {each.node for each in before if each.label == "votes yes"}
    assert voters == {"flight", PAYMENT} and not any(each.label == "learned" for each in before)
    interrupted = next(each.details["_transaction"] for each in before if each.label == "votes yes")
    told = [each for each in after if each.label == "learned" and each.details["_transaction"] == interrupted]
    assert [each.details["outcome"] for each in told] == ["abort", "abort"]


def test_the_price_of_being_half_done_is_waiting_by_two_phase_commit_and_being_seen_by_a_saga():
    dials = {"crash": "coordinator", "downtime": 2.0, "bookings": 30, "reads": 200, "flights": 5}
    locked, seen = (book(protocol=protocol, **dials) for protocol in (TWO_PHASE, ORCHESTRATED))
    assert locked["half_done_over_crash"] == pytest.approx(seen["half_done_over_crash"], abs=0.6)
    assert locked["look_p99"] > 0.9 * 2.0 > 0.1 > seen["look_p99"]
    assert seen["half_seen"] > 0.1 > locked["half_seen"]


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(180)
@pytest.mark.parametrize("protocol", [ORCHESTRATED, CHOREOGRAPHED])
def test_on_real_processes_the_kill_comes_between_the_steps_too(protocol):
    dials = {"crash": "coordinator", "downtime": 1.0, "deliberation": 0.2, "delay": 0.01, "bookings": 20}
    result = run("transactions", seed=7, runtime="ray", protocol=protocol, **dials)
    assert [fault.kind for fault in result.faults] == ["crash", "restart"]
    assert all(verdict.status == HOLDS for verdict in result.verdicts)
    assert result["half_done_at_crash"] >= 1
    assert result["half_done_over_crash"] > 1.0


def test_a_choreography_is_half_done_for_a_shorter_time_since_nobody_is_asked_in_between():
    alone = {"services": 5, "shape": "constant", "bookings": 10, "rate": 1.0, "flights": 1000, "accounts": 1000}
    times = [book(protocol=name, **alone)["half_done_p50"] for name in (TWO_PHASE, CHOREOGRAPHED, ORCHESTRATED)]
    assert times == sorted(times) and len(set(times)) == 3
