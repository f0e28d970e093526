"""Lab 20: a flight and its payment, booked by two-phase commit or by a saga: all or nothing, and at what price?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labkit.chaos import chaos as chaos_plan
from labkit.checkers.atomicity import PROPERTY as ATOMIC
from labkit.dials import Choice, Dial, Switch, only_while, unless
from labkit.experiments import transaction_scenes
from labkit.experiments.transaction_clients import PAYMENT, PRICE, Auditor, Customer, Reader
from labkit.experiments.transaction_measures import (
    CHOREOGRAPHED,
    ORCHESTRATED,
    PROTOCOLS,
    TWO_PHASE,
    steps,
    transaction_measures,
    transaction_verdicts,
)
from labkit.faults import After, FaultPlan
from labkit.lab import Lab, experiment, require
from labkit.latency import Constant, Exponential
from labkit.network import Link, Network
from labkit.protocols.sagas import ChoreographedService, Orchestrator, SagaService
from labkit.protocols.stock import StockService
from labkit.protocols.two_phase_commit import Coordinator, Participant
from labkit.results import Measure, Result, Verdict

LOOKS = ("wait for locks", "see the old version")
CRASHES = ("none", "coordinator", "payment")
IN_THE_MIDDLE = "what is killed in the middle of the first booking; coordinator: in a choreography its first service"
PAUSED = "what is thought between the last vote and the decision, or between two steps of a saga"
MOMENT = 0.001
"""Seconds that a choreography's first service takes, where it is to be killed between its step and telling the next."""


OF_TWO_PHASE, OF_A_SAGA = only_while("protocol", TWO_PHASE), unless("protocol", TWO_PHASE)
TIMEOUTS = only_while("locking", "timeout")


@experiment(title="Transactions", guide="Distributed transactions: two-phase commit and saga")
def transactions(
    lab: Lab,
    *,
    protocol: str = Choice(TWO_PHASE, PROTOCOLS, "how a booking is made at all services or at none"),
    services: int = Dial(2, 2, 5, help="services that each booking needs, the payment included"),
    bookings: int = Dial(200, 1, 100_000, help="bookings altogether"),
    rate: float = Dial(20.0, 0.1, 10_000.0, "1/s", "bookings a second, of all customers together"),
    customers: int = Dial(2, 1, 8, help="nodes that book"),
    flights: int = Dial(50, 1, 10_000, help="flights to choose from: the fewer, the more bookings meet at one"),
    seats: int = Dial(100, 1, 100_000, help="seats on each flight"),
    accounts: int = Dial(100, 1, 10_000, help="accounts that bookings are paid from"),
    funds: int = Dial(1_000_000, 0, 1_000_000_000, help=f"money in each account; a booking costs {PRICE}"),
    declined: float = Dial(0.0, 0.0, 1.0, "", "share of the bookings whose payment is refused"),
    reads: int = Dial(0, 0, 100_000, help="looks at who has a seat, by somebody else, while the bookings are made"),
    looks: str = Choice("wait for locks", LOOKS, "what a look does at a row that is locked", needs=unless("reads", 0)),
    both: bool = Switch(
        False, "let who looks at a flight then look at the payment of its latest booking, too", needs=unless("reads", 0)
    ),
    delay: float = Dial(0.005, 0.0, 1.0, "s", "mean one-way delay"),
    shape: str = Choice("exponential", ("exponential", "constant"), "distribution of the delays"),
    sync_delay: float = Dial(0.002, 0.0, 1.0, "s", "what a forced write takes in simulation"),
    loss: float = Dial(0.0, 0.0, 0.5, "", "probability that a message is lost"),
    duplication: float = Dial(0.0, 0.0, 0.5, "", "probability that a message arrives twice"),
    crash: str = Choice("none", CRASHES, IN_THE_MIDDLE),
    downtime: float = Dial(1.0, 0.0, 600.0, "s", "how long it stays down", needs=unless("crash", "none")),
    chaos: int = Dial(0, 0, 20, help="crashes, pauses and partitions at random instants, all over when bookings end"),
    deliberation: float = Dial(0.0, 0.0, 10.0, "s", PAUSED),
    give_up: float = Dial(1.0, 0.01, 60.0, "s", "how long a vote or a step is waited for"),
    resend: float = Dial(0.25, 0.01, 10.0, "s", "when a message without an answer is sent again"),
    ask_after: float = Dial(
        0.5, 0.01, 10.0, "s", "how long a participant waits in doubt before it asks", needs=OF_TWO_PHASE
    ),
    patience: float = Dial(10.0, 0.1, 600.0, "s", "how long a customer waits for an answer"),
    locking: str = Choice(
        "wait-die", ("wait-die", "timeout"), "what two-phase commit does about deadlock", needs=OF_TWO_PHASE
    ),
    lock_patience: float = Dial(
        0.5, 0.001, 600.0, "s", "how long a lock is waited for, where a timeout ends deadlocks", needs=TIMEOUTS
    ),
    restarts: int = Dial(10, 0, 100, help="how often a transaction that loses over a lock begins anew"),
    payment_first: bool = Switch(False, "let the payment be the first step of a saga", needs=OF_A_SAGA),
    compensation_failure: float = Dial(
        0.0, 0.0, 0.95, "", "probability that an attempt to compensate fails", needs=OF_A_SAGA
    ),
    settle: float = Dial(20.0, 0.1, 600.0, "s", "within what time all must be at rest, once faults and bookings end"),
    force_prepare: bool = Switch(True, "force the participants' prepare record before they vote", needs=OF_TWO_PHASE),
    force_commit: bool = Switch(True, "force the participants' commit before they acknowledge it", needs=OF_TWO_PHASE),
    wait_in_doubt: bool = Switch(
        True, "keep a participant that has voted bound by its vote until it knows", needs=OF_TWO_PHASE
    ),
    force_decision: bool = Switch(True, "force the coordinator's decision before it is told", needs=OF_TWO_PHASE),
    hold_locks: bool = Switch(True, "hold locks from before the vote until the outcome", needs=OF_TWO_PHASE),
    idempotent_steps: bool = Switch(True, "let a step that comes twice be done once", needs=OF_A_SAGA),
    idempotent_compensations: bool = Switch(True, "let a compensation that comes twice be done once", needs=OF_A_SAGA),
    retry_compensations: bool = Switch(True, "try a compensation until it succeeds", needs=OF_A_SAGA),
) -> None:
    """Customers book a seat and pay for it at two services; who is left with half of it, who waits, who sees what?"""
    lasts, round_trip = bookings / rate, 2 * delay + sync_delay
    require(not (chaos and crash != "none"), "crash", crash, "none, if chaos is to choose what crashes")
    require(not chaos or lasts >= 0.1, "chaos", chaos, f"0 where the bookings take {lasts:g} s: it needs 0.1 s or more")
    require(resend > round_trip, "resend", resend, f"above {round_trip:g} s: two delays and a forced write")
    names = steps(services, payment_first and protocol != TWO_PHASE)
    stock = {name: _stock(name, flights, seats, accounts, funds) for name in names}
    times = {"give_up": give_up, "resend": resend, "deliberation": deliberation}
    undoing = times | {"retry_compensations": retry_compensations}
    old_versions = looks == "see the old version"
    step = {
        "old_versions": old_versions,
        "compensation_failure": compensation_failure,
        "idempotent_steps": idempotent_steps,
        "idempotent_compensations": idempotent_compensations,
    }
    vote = {
        "old_versions": old_versions,
        "locking": locking, "lock_patience": lock_patience, "ask_after": ask_after, "force_prepare": force_prepare,
        "force_commit": force_commit, "wait_in_doubt": wait_in_doubt, "hold_locks": hold_locks,
    }  # fmt: skip
    decision = {"restarts": restarts, "force_decision": force_decision}
    leaders = [] if protocol == CHOREOGRAPHED else ["coordinator"]
    if protocol == TWO_PHASE:
        lab.node("coordinator", Coordinator, **times, **decision)
        _add_services(lab, Participant, stock, vote)
    elif protocol == ORCHESTRATED:
        lab.node("coordinator", Orchestrator, **undoing)
        _add_services(lab, SagaService, stock, step)
    else:
        if crash == "coordinator":
            undoing["deliberation"] = max(deliberation, MOMENT)
        _add_services(lab, ChoreographedService, stock, step | undoing)
    wishes = {
        "entry": [*leaders, *names][0], "services": names, "choices": flights, "accounts": accounts,
        "declined": declined, "rate": rate / customers, "patience": patience, "resend": resend,
    }  # fmt: skip
    people = _add_customers(lab, customers, bookings, wishes)
    if reads:
        looking = {"service": "flight", "choices": flights, "count": reads, "rate": reads / lasts}
        lab.client("reader", Reader, patience=patience, both=both, **looking)
    rest = {"earliest": lasts, "settle": settle, "timeout": 0.1 + 10 * delay + 2 * sync_delay}
    lab.client("auditor", Auditor, customers=people, leaders=leaders, services=names, **rest)
    latency = Exponential(delay) if shape == "exponential" and delay else Constant(delay)
    lab.network = Network(Link(latency, loss=loss, duplication=duplication))
    lab.sync_delay = sync_delay
    lab.time_limit = 3 * lasts + 10 * patience + 2 * settle + downtime + 60
    lab.faults = _faults(crash, downtime, [*leaders, *names], protocol == TWO_PHASE)
    if chaos:
        lab.faults = chaos_plan([*leaders, *names], lasts, lab.seed, bystanders=people, incidents=chaos)


def _add_services(
    lab: Lab, kind: type[StockService], stock: Mapping[str, Mapping[str, int]], parameters: Mapping[str, Any]
) -> None:
    for name, mine in stock.items():
        lab.node(name, kind, stock=mine, **parameters)


def _add_customers(lab: Lab, customers: int, bookings: int, wishes: Mapping[str, Any]) -> list[str]:
    counts = [bookings // customers + (position < bookings % customers) for position in range(customers)]
    return [lab.client(f"customer-{number}", Customer, count=count, **wishes) for number, count in enumerate(counts, 1)]


def _stock(service: str, flights: int, seats: int, accounts: int, funds: int) -> dict[str, int]:
    if service == PAYMENT:
        return {f"account-{number}": funds for number in range(1, accounts + 1)}
    return {f"{service}-{number}": seats for number in range(1, flights + 1)}


def _faults(crash: str, downtime: float, nodes: list[str], is_two_phase: bool) -> FaultPlan:
    if crash == "none":
        return FaultPlan()
    # In the middle of the first booking: all votes are in and nothing is decided, or the first step is on its service's
    # disk and nobody has been asked for the second. Payment dies when only the first vote, or step, is there.
    first = next(name for name in nodes if name != "coordinator")
    note, witness, victim = "votes yes" if is_two_phase else "step done", first, nodes[0]
    if crash == PAYMENT:
        victim = PAYMENT
    elif is_two_phase:
        note, witness = "all have voted yes", victim
    plan = FaultPlan().crash(victim, at=After(note=note, node=witness))
    return plan.restart(victim, at=After(note=note, node=witness, delay=downtime))


@transactions.measure
def measures(result: Result) -> Iterator[Measure]:
    """See `labkit.experiments.transaction_measures`."""
    yield from transaction_measures(result)


@transactions.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """See `labkit.experiments.transaction_measures`."""
    yield from transaction_verdicts(result)


def is_faultless(values: Mapping[str, Any]) -> bool:
    """Whether nothing but contention can make a booking take another course than the shortest."""
    hazards = ("loss", "duplication", "chaos", "declined", "deliberation")
    return values["crash"] == "none" and not any(values[name] for name in hazards)


transactions.states(*transaction_scenes.STATES)(transaction_scenes.states)
transactions.answers(transaction_scenes.answers)


@transactions.law(measure="messages", label="4n, or 2n for a saga")
def expected_messages(values: Mapping[str, Any]) -> float | None:
    """Prepare, vote, decision and acknowledgement of each of n participants; of a saga a step and its answer.

    Mohan, Lindsay and Obermarck 1986, section 3 (Bernstein, Hadzilacos and Goodman 1987, section 7.4, count 3n, without
    acknowledgements); a choreography has n events and their answers, the last event back to the first service.
    """
    if not is_faultless(values):
        return None
    return (4.0 if values["protocol"] == TWO_PHASE else 2.0) * values["services"]


@transactions.law(measure="forced_writes", label="2n + 1; orchestrated n + 2; choreographed n + 1")
def expected_forced_writes(values: Mapping[str, Any]) -> float | None:
    """Two at each participant and the coordinator's decision (Mohan, Lindsay and Obermarck 1986, section 3).

    Of a saga one for each step and one for its end, and if it is orchestrated one for its beginning.
    """
    if not is_faultless(values):
        return None
    return values["services"] * (2.0 if values["protocol"] == TWO_PHASE else 1.0) + {
        TWO_PHASE: 1, ORCHESTRATED: 2, CHOREOGRAPHED: 1
    }[values["protocol"]]  # fmt: skip


@transactions.law(measure="lock_mean", label="2 delays + 3 forced writes; saga: 1 forced write")
def expected_lock_time(values: Mapping[str, Any]) -> float | None:
    """From a participant's lock to its release: its vote out and the decision back, and three forced writes."""
    if not is_faultless(values) or values["shape"] != "constant":
        return None
    two_phase = values["protocol"] == TWO_PHASE
    return 2 * values["delay"] + 3 * values["sync_delay"] if two_phase else values["sync_delay"]


@transactions.law(measure="half_done_p50", label="2 delays + 2 forced writes; saga: n − 1 steps, one after the other")
def expected_half_done(values: Mapping[str, Any]) -> float | None:
    """From the first part's vote or step to the last part's commit or step, all alone.

    By two-phase commit the votes are cast at once, so n does not matter. A saga's first step is followed by n − 1, each
    of which takes a message (two, by way of an orchestrator) and a forced write.
    """
    if not is_faultless(values) or values["shape"] != "constant":
        return None
    n, d, s = values["services"], values["delay"], values["sync_delay"]
    return {
        TWO_PHASE: 2 * d + 2 * s,
        ORCHESTRATED: (n - 1) * (2 * d + s),
        CHOREOGRAPHED: (n - 1) * (d + s),
    }[values["protocol"]]


@transactions.law(measure="book_p50", label="round trips and forced writes, one after the other")
def expected_latency(values: Mapping[str, Any]) -> float | None:
    """The customer's round trip, and what must come one after the other within it; without contention."""
    if not is_faultless(values) or values["shape"] != "constant":
        return None
    n, d, s = values["services"], values["delay"], values["sync_delay"]
    return {
        TWO_PHASE: 4 * d + 2 * s,
        ORCHESTRATED: (2 + 2 * n) * d + (n + 2) * s,
        CHOREOGRAPHED: (2 + n) * d + (n + 1) * s,
    }[values["protocol"]]


@transactions.law(measure="in_doubt_max", label="the coordinator's downtime")
def expected_doubt(values: Mapping[str, Any]) -> float | None:
    """At least as long as the coordinator is down: it had not decided, so nobody who is up knows; then they ask it."""
    blocks = values["protocol"] == TWO_PHASE and values["crash"] == "coordinator"
    return values["downtime"] if blocks and not values["chaos"] else None


@transactions.law(measure="half_done_over_crash", label="the coordinator's downtime")
def expected_half_done_over_crash(values: Mapping[str, Any]) -> float | None:
    """At least as long as whoever leads is down, by whatever protocol: nobody else can complete or undo it."""
    return values["downtime"] if values["crash"] == "coordinator" else None


@transactions.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """Each booking's messages and forced writes, and the looks; while something is down, all is sent again."""
    two_phase = values["protocol"] == TWO_PHASE
    each = 8.0 + values["services"] * (14.0 if two_phase else 8.5)
    outage = values["downtime"] if values["crash"] != "none" else 0.0
    stuck = min(values["bookings"], 1 + values["rate"] * outage)
    again = min(outage, values["patience"]) / values["resend"]
    meeting = values["rate"] * (2 * values["delay"] + 3 * values["sync_delay"]) / values["flights"]
    return {
        "bookings": each * values["bookings"] + 30.0 + 12 * min(outage, values["settle"]) ** 0.5,
        "reads": 6.0 * values["reads"],
        "downtime": 4.0 * stuck * again,
        "rate": each * values["bookings"] * min(meeting, values["restarts"]) if two_phase else 0.0,
    }


FAULTY: dict[str, Any] = {
    "loss": 0.02, "duplication": 0.02, "chaos": 6, "bookings": 15, "rate": 30.0, "flights": 4, "seats": 5,
    "accounts": 6, "declined": 0.2, "give_up": 0.3, "resend": 0.1, "ask_after": 0.2, "patience": 1.0, "settle": 5.0,
}  # fmt: skip
"""Short and hard: a few keys that all want, every kind of fault, and all of it over when the bookings end."""

ROOM = {"declined": 0.0, "seats": 20, "flights": 10, "accounts": 20}
LOSSY = FAULTY | ROOM | {"loss": 0.1, "bookings": 20}
"""Few bookings come to nothing by themselves, and messages are lost more often: many commits then arrive late."""

CRASHY = FAULTY | ROOM | {"chaos": 8, "rate": 15.0}
"""More goes down, and a service forces something less often, which makes durable what was written before."""

DUPLICATED = {"duplication": 0.1, "bookings": 25, "declined": 0.5}

transactions.ablation("no prepare record is forced", without={"force_prepare": False}, breaks=ATOMIC, **CRASHY)
transactions.ablation("no commit is forced", without={"force_commit": False}, breaks=ATOMIC, **CRASHY)
transactions.ablation("a participant forgets its vote", without={"wait_in_doubt": False}, breaks=ATOMIC, **FAULTY)
transactions.ablation("the decision is not forced", without={"force_decision": False}, breaks=ATOMIC, **LOSSY)
transactions.ablation(
    "locks are not held until the outcome", without={"hold_locks": False},
    breaks="nothing is sold that is not there", bookings=25, rate=100.0, flights=2, seats=5,
)  # fmt: skip
transactions.ablation(
    "a compensation is not idempotent", without={"idempotent_compensations": False},
    breaks="nothing is made or lost", protocol=ORCHESTRATED, **DUPLICATED,
)  # fmt: skip
transactions.ablation(
    "a compensation is not retried", without={"retry_compensations": False}, breaks=ATOMIC,
    protocol=ORCHESTRATED, bookings=25, declined=0.5, compensation_failure=0.1,
)  # fmt: skip
transactions.ablation(
    "a step is not idempotent", without={"idempotent_steps": False}, breaks="nothing is made or lost",
    protocol=CHOREOGRAPHED, **DUPLICATED,
)  # fmt: skip

transactions.rule(
    "recover", of=Participant, method="_recover", breaks=ATOMIC,
    costs={"in_doubt_max": "longest in doubt", "book_p50": "median booking"},
    task="After a crash, before anything else is served: see that each transaction that this participant has voted yes "
    "for, and whose outcome it does not know, ends as its coordinator has decided.",
    # Each account pays for one booking only: a second one that gets past a lost lock overdraws it.
    **FAULTY | {"chaos": 10, "deliberation": 0.15, "accounts": 10, "funds": 100, "declined": 0.0, "flights": 20,
                "seats": 40, "bookings": 30, "rate": 40.0, "restarts": 20, "settle": 20.0},
)  # fmt: skip
