"""Two-phase commit and both sagas: the textbooks' counts, what a fault may cost, and thousands of seeds of chaos."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from statistics import mean

import pytest

from labkit import BadInput, Constant, FaultPlan, Link, Network, Node, run
from labkit.disk import SimulatedDisk
from labkit.experiments.transaction_clients import Customer
from labkit.experiments.transaction_measures import called, in_doubt, transaction_verdicts
from labkit.experiments.transactions import (
    CHOREOGRAPHED,
    FAULTY,
    ORCHESTRATED,
    PROTOCOLS,
    TWO_PHASE,
    expected_forced_writes,
    expected_half_done,
    expected_latency,
    expected_lock_time,
    expected_messages,
    transactions,
)
from labkit.faults import After
from labkit.live.simulating import events
from labkit.protocols.stock import StockService
from labkit.protocols.two_phase_commit import Coordinator, Participant
from labkit.results import HOLDS, ILLEGAL, UNDECIDED
from tests.clusters import client, node, simulate

SEEDS, CHUNKS = 2000, 20
# One at a time and far apart: nothing but the protocol itself takes time.
ALONE = {"shape": "constant", "bookings": 20, "rate": 1.0, "flights": 1000, "accounts": 1000}

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def book(**dials):
    return run(transactions, seed=dials.pop("seed", 7), **dials)


def illegal(result) -> list[str]:
    return [str(verdict) for verdict in result.verdicts if verdict.status != HOLDS]


@every_protocol
@pytest.mark.parametrize("services", [2, 3, 5])
def test_messages_forced_writes_locks_and_latency_are_those_of_the_textbooks(protocol, services):
    result = book(protocol=protocol, services=services, **ALONE)
    assert result["booked"] == 1
    laws = {
        "messages": expected_messages, "forced_writes": expected_forced_writes, "lock_mean": expected_lock_time,
        "book_p50": expected_latency, "half_done_p50": expected_half_done,
    }  # fmt: skip
    for measure, law in laws.items():
        assert result[measure] == pytest.approx(law(result.parameters), abs=1e-9), measure
    if protocol == TWO_PHASE:
        assert (result["messages"], result["forced_writes"]) == (4 * services, 2 * services + 1)


def messages_of(result, method: str) -> tuple[int, int]:
    found = [message.is_reply for message in result.messages if message.method == method]
    return found.count(False), found.count(True)


def test_an_abort_forces_nothing_but_the_votes_and_nobody_waits_for_its_acknowledgement():
    # Presumed abort: what the coordinator does not know of is aborted, so it need not write an abort down.
    result = book(declined=1.0, services=4, **ALONE)
    bookings, voters = 20, 3
    assert result["forced_writes"] == voters  # the prepare records of those that voted yes
    assert messages_of(result, "prepare") == (4 * bookings, 4 * bookings)
    requests, replies = messages_of(result, "abort")
    assert requests == voters * bookings  # to those alone that have not refused
    assert replies == requests  # labkit answers every call; the coordinator does not look at these, nor the measure
    assert result["messages"] == 3 * 4 - 1
    assert messages_of(result, "commit") == messages_of(result, "outcome") == (0, 0)


@pytest.mark.parametrize(
    ("protocol", "messages", "forced"), [(TWO_PHASE, 5, 1), (ORCHESTRATED, 6, 5), (CHOREOGRAPHED, 6, 4)]
)
def test_two_phase_commit_is_the_cheapest_of_all_if_it_comes_to_nothing(protocol, messages, forced):
    result = book(protocol=protocol, declined=1.0, **ALONE)
    assert (result["messages"], result["forced_writes"]) == (messages, forced)


@every_protocol
def test_forced_writes_are_counted_by_what_the_disks_really_sync(protocol, monkeypatch):
    synced = []

    async def count(disk, writes):
        synced.append(len(writes))

    monkeypatch.setattr(SimulatedDisk, "_make_durable", count)
    result = book(protocol=protocol, **ALONE)
    epochs = 1 if protocol == TWO_PHASE else 0  # the coordinator's start forces its number
    assert len(synced) - epochs == round(result["forced_writes"] * 20)


@every_protocol
@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_of_chaos_breaks_anything_and_everything_ends(protocol, chunk):
    """2% loss, 2% duplication, crashes that lose unsynced writes, pauses, partitions, failing compensations."""
    booked = 0.0
    for seed in range(chunk * SEEDS // CHUNKS, (chunk + 1) * SEEDS // CHUNKS):
        dials = FAULTY | {"compensation_failure": 0.2, "reads": 10}
        result = run(transactions, protocol=protocol, seed=seed, trace=False, **dials)
        assert len(result.faults) >= 2, f"seed {seed} had no faults"
        assert not illegal(result), f"seed {seed}: {illegal(result)}"
        assert result["settled_after"] < 2.0, f"seed {seed}"
        booked += result["booked"]
    assert booked > 0.3 * SEEDS / CHUNKS  # that nothing happened would hold every invariant


@every_protocol
def test_a_payment_that_is_declined_leaves_nobody_with_half_a_booking(protocol):
    result = book(protocol=protocol, declined=0.5, trace=False)
    assert not illegal(result)
    assert 0.35 < result["booked"] < 0.65
    assert result["aborted"] == 0
    assert (result["compensations"] > 0.3) == (protocol != TWO_PHASE)


def test_participants_stay_in_doubt_for_as_long_as_their_coordinator_is_down():
    for downtime in (0.5, 2.0, 5.0):
        result = book(crash="coordinator", downtime=downtime, bookings=40)
        asking = result.parameters["ask_after"]
        assert downtime < result["in_doubt_max"] < downtime + asking + 0.1
        assert not illegal(result)


@pytest.mark.parametrize("protocol", [ORCHESTRATED, CHOREOGRAPHED])
def test_a_saga_whose_payment_is_killed_compensates_and_nobody_waits_for_it(protocol):
    result = book(protocol=protocol, crash="payment", downtime=4.0, bookings=120)
    assert not illegal(result)
    assert result["compensations"] > 0.5
    assert result["in_doubt_max"] == 0
    assert result["lock_p99"] < 0.05


def test_a_reader_of_a_saga_sees_seats_that_are_given_back_and_one_of_two_phase_commit_never_does():
    dials = {"declined": 0.5, "reads": 400, "flights": 3, "trace": False}
    seen = {protocol: book(protocol=protocol, **dials)["undone_reads"] for protocol in PROTOCOLS}
    assert seen[TWO_PHASE] == 0
    assert seen[ORCHESTRATED] > 0.02 and seen[CHOREOGRAPHED] > 0.02


def test_an_audit_that_fails_judges_neither_what_readers_saw_nor_what_is_left():
    result = book(bookings=60, loss=0.4, reads=200, flights=5, settle=0.1)
    assert any(not audit.ok for audit in called(result, "audit"))
    statuses = {verdict.property: verdict.status for verdict in result.verdicts}
    assert statuses.pop("every transaction ends") == ILLEGAL
    assert set(statuses.values()) == {UNDECIDED} and len(statuses) == 5
    assert math.isnan(result["undone_reads"]) and math.isnan(result["lost_sales"])


def test_half_of_the_services_audited_is_no_audit():
    result = book(bookings=20, reads=20, trace=False)
    assert not illegal(result)
    called(result, "audit")[1].outcome = "unknown"
    statuses = {verdict.property: verdict.status for verdict in transaction_verdicts(result)}
    assert statuses.pop("every transaction ends") == ILLEGAL
    assert set(statuses.values()) == {UNDECIDED} and len(statuses) == 5


def mutant(name, monkeypatch):
    take, refusal = StockService.take, StockService.refusal
    if name == "a payment of 1 instead of 100":
        cheap = lambda self, request, part: take(self, request, part._replace(amount=1))  # noqa: E731
        monkeypatch.setattr(StockService, "take", lambda s, r, p: (cheap if s.name == "payment" else take)(s, r, p))
    elif name == "always the first key":
        first = lambda self, request, part: take(self, request, part._replace(key=min(self.stock)))  # noqa: E731
        monkeypatch.setattr(StockService, "take", first)
    else:
        monkeypatch.setattr(StockService, "refusal", lambda s, p: refusal(s, p._replace(sound=True)))


@every_protocol
@pytest.mark.parametrize("name", ["a payment of 1 instead of 100", "always the first key", "a declined card charged"])
def test_a_booking_that_took_what_nobody_asked_for_is_found_and_by_this_checker_alone(name, protocol, monkeypatch):
    # Without a decline nothing is compensated; to give back another key than was taken is found as unaccounted for.
    declined = 0.2 if name == "a declined card charged" else 0.0
    dials = {"protocol": protocol, "declined": declined, "bookings": 30, "trace": False}
    assert not illegal(book(**dials))
    mutant(name, monkeypatch)
    result = book(**dials)
    wrong = [verdict.property for verdict in result.verdicts if verdict.status != HOLDS]
    assert wrong == ["every booking took what was asked for"]


class SlowToAnswer(Coordinator):
    """A decision is durable for a millisecond before its answer is sent, so that a crash can come between."""

    async def book(self, request, epoch, parts):
        await super().book(request, epoch, parts)
        await asyncio.sleep(0.001)


def test_a_customer_whose_copy_may_be_out_does_not_call_its_booking_refused():
    # The epoch is shared: another booking's stale answer takes it from one that has been committed and not told so.
    class TakesStock(Node):
        async def run(self):
            await asyncio.sleep(12)
            for name in stock:
                found = await self.peer(name).take_stock()
                self.note("stock", booked=[request for request, _ in found.booked])

    decided = partial(After, note="decision forced", node="coordinator")
    plan = FaultPlan().crash("coordinator", at=decided(delay=0.0005)).restart("coordinator", at=decided(delay=0.02))
    plan = plan.crash("coordinator", at=decided(delay=0.037)).restart("coordinator", at=decided(delay=6.0))
    stock = {"flight": {f"flight-{n}": 9 for n in range(1, 10)}, "payment": {f"account-{n}": 900 for n in range(1, 10)}}
    wishes = {"services": list(stock), "choices": 9, "accounts": 9, "declined": 0.0, "count": 8, "rate": 20.0}
    recording = simulate(
        client("customer", Customer, entry="coordinator", patience=2.0, resend=0.25, **wishes),
        client("auditor", TakesStock), node("coordinator", SlowToAnswer),
        *(node(name, Participant, stock=stock[name]) for name in stock),
        network=Network(Link(Constant(0.01))), faults=plan, sync_delay=0.002, time_limit=60.0,
    )  # fmt: skip
    outcomes = [operation.outcome for operation in recording.operations]
    assert outcomes == ["unknown", *["fail"] * 7]  # of the others no copy was sent, or it was stale
    assert [note.details["booked"] for note in recording.notes if note.label == "stock"] == [["customer.0"]] * 2


def test_while_its_coordinator_is_down_two_phase_commit_keeps_even_those_waiting_who_only_look():
    dials = {"crash": "coordinator", "downtime": 2.0, "bookings": 30, "reads": 200, "flights": 5, "trace": False}
    assert book(**dials)["look_p99"] > 0.9 * 2.0
    assert book(protocol=ORCHESTRATED, **dials)["look_p99"] < 0.1 * 2.0


def test_a_saga_tells_somebody_that_a_flight_is_sold_out_which_then_leaves_with_empty_seats():
    dials = {"flights": 5, "seats": 10, "bookings": 100, "rate": 200.0, "declined": 0.5, "trace": False}
    lost = {name: sum(book(protocol=name, seed=seed, **dials)["lost_sales"] for seed in range(5)) for name in PROTOCOLS}
    assert lost[TWO_PHASE] == 0 < min(lost[ORCHESTRATED], lost[CHOREOGRAPHED])


@pytest.mark.parametrize("protocol", [ORCHESTRATED, CHOREOGRAPHED])
def test_with_the_payment_first_no_seat_is_shown_that_is_not_paid_for_but_money_comes_back(protocol):
    dials = {"protocol": protocol, "declined": 0.5, "reads": 400, "flights": 3, "trace": False}
    result = book(payment_first=True, **dials)
    assert not illegal(result)
    assert result["undone_reads"] == result["compensations"] == 0
    crowded = book(payment_first=True, **dials | {"seats": 10})
    assert not illegal(crowded)
    assert {note.node for note in crowded.notes if note.label == "compensated"} == {"payment"}


@pytest.mark.parametrize("protocol", [ORCHESTRATED, CHOREOGRAPHED])
@pytest.mark.parametrize("crash", ["coordinator", "payment"])
def test_with_the_payment_first_a_crash_still_meets_the_first_booking_halfway(protocol, crash):
    result = book(protocol=protocol, payment_first=True, crash=crash, downtime=1.0, bookings=60)
    assert [fault.kind for fault in result.faults] == ["crash", "restart"]
    assert result.faults[0].at < 0.5
    assert result["half_done_at_crash"] == 1
    assert not illegal(result)


def test_one_hot_flight_lets_two_phase_commit_do_one_booking_for_each_time_that_the_lock_is_held():
    dials = {"flights": 1, "seats": 10_000, "rate": 500.0, "bookings": 300, "shape": "constant", "trace": False}
    waiting = {"locking": "timeout", "lock_patience": 60.0, "give_up": 60.0, "resend": 10.0, "patience": 60.0}
    result = book(**dials, **waiting)
    assert result["booked"] == 1
    limit = 1 / expected_lock_time(result.parameters)
    assert 0.9 * limit < result["throughput"] <= limit
    assert book(protocol=ORCHESTRATED, **dials)["throughput"] > 5 * limit


# Two flights and two accounts, locked in whatever order the messages arrive: a cycle is a matter of time.
MEETING = {
    "flights": 2, "accounts": 2, "rate": 200.0, "bookings": 100, "seats": 1000, "patience": 60.0, "give_up": 2.0,
    "trace": False,
}  # fmt: skip


def meet(seeds: int = 1, **dials) -> tuple[float, float]:
    """Throughput and the share booked, where bookings meet; means of several seeds, if asked for."""
    results = [book(**MEETING | dials, seed=seed) for seed in range(seeds)]
    assert not any(map(illegal, results))
    return mean(result["throughput"] for result in results), mean(result["booked"] for result in results)


def test_a_lock_is_waited_for_as_long_as_its_patience_says_and_not_longer_if_prepare_is_sent_again():
    """A copy of a prepare used to start a second wait, which made timeouts look ten times as slow as they are."""
    often, once = (meet(locking="timeout", lock_patience=1.0, resend=resend) for resend in (0.25, 10.0))
    assert often[1] == once[1] == 1.0
    assert often[0] == pytest.approx(once[0], rel=0.3)


def test_deadlock_needs_a_remedy_and_both_are_one():
    """Neither throughput nor the share booked tells of the price alone."""
    # One seed's throughput has a standard deviation of 2 to 5 bookings a second.
    by_patience = {patience: meet(6, locking="timeout", lock_patience=patience) for patience in (0.02, 0.2, 1.0)}
    throughput, booked = ({key: found[part] for key, found in by_patience.items()} for part in (0, 1))
    assert throughput[0.2] > max(throughput[0.02], throughput[1.0])  # it ends queues, or finds deadlocks late
    assert booked[0.02] < 0.6 and booked[0.2] == booked[1.0] == 1.0
    few, many = (meet(6, locking="wait-die", restarts=restarts) for restarts in (10, 100))
    assert few[1] < 0.6 and many[1] == 1.0  # who dies too often is refused in the end
    assert many[0] > max(throughput.values())


def test_the_locks_patience_is_its_own_and_that_of_customers_and_coordinators_is_another():
    base = meet(locking="timeout", lock_patience=0.2)
    assert meet(locking="timeout", lock_patience=0.2, patience=100.0) == base
    assert meet(locking="wait-die", lock_patience=0.2) == meet(locking="wait-die", lock_patience=9.0)


def test_what_cannot_be_together_is_refused_in_a_sentence():
    with pytest.raises(BadInput, match="crash is 'payment': it must be none"):
        book(crash="payment", chaos=3)


def test_a_run_that_cannot_come_to_rest_is_not_called_atomic():
    # The coordinator stays away for longer than the audit waits.
    result = book(crash="coordinator", downtime=50.0, bookings=3, patience=1.0, settle=2.0)
    by_property = {verdict.property: verdict.status for verdict in result.verdicts}
    assert by_property["every transaction ends"] == ILLEGAL
    assert by_property["all or nothing"] == UNDECIDED


@every_protocol
@pytest.mark.parametrize(
    "dials",
    [
        {"bookings": 40},
        {"bookings": 40, "services": 5, "reads": 100},
        {"bookings": 30, "crash": "coordinator", "downtime": 2.0},
        {"bookings": 30, "flights": 1, "rate": 100.0},
    ],
    ids=str,
)
def test_expected_events_are_about_right(protocol, dials):
    foreseen = sum(transactions.expected_events(transactions.settings({"protocol": protocol, **dials})).values())
    assert foreseen / 2 < events(book(protocol=protocol, trace=False, **dials)) < 2 * foreseen


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(180)
def test_on_real_processes_participants_stay_in_doubt_until_their_killed_coordinator_is_back():
    dials = {"crash": "coordinator", "downtime": 1.0, "deliberation": 0.2, "delay": 0.01, "bookings": 20}
    result = book(runtime="ray", **dials)
    assert [(fault.kind, fault.nodes) for fault in result.faults] == [
        ("crash", ("coordinator",)), ("restart", ("coordinator",)),
    ]  # fmt: skip
    assert not illegal(result)
    back = result.faults[1].at * 1e6
    doubts = [doubt for doubt in in_doubt(result.notes, result.recording.duration_us) if doubt[1] - doubt[0] > 900_000]
    assert doubts and all(begin < back < end for begin, end in doubts)
    assert result["half_done_at_crash"] >= 1 and result["half_done_over_crash"] > 1.0
    assert result["booked"] > 0.5


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(180)
@pytest.mark.parametrize("protocol", [ORCHESTRATED, CHOREOGRAPHED])
def test_on_real_processes_a_saga_whose_payment_is_killed_gives_the_seats_back(protocol):
    # So many that some are made when the payment is back: what nothing has taken nobody can judge.
    dials = {"crash": "payment", "downtime": 1.5, "give_up": 0.4, "delay": 0.01, "bookings": 60}
    result = book(protocol=protocol, runtime="ray", **dials)
    assert [fault.kind for fault in result.faults] == ["crash", "restart"]
    assert not illegal(result)
    given_back = [note for note in result.notes if note.label == "compensated" and note.node == "flight"]
    assert given_back
    assert min(note.at_us for note in given_back) < result.faults[1].at * 1e6  # before the payment was back
