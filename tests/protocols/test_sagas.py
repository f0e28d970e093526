"""Sagas by orchestration and by choreography: steps, compensations, and what may come twice, late or out of order."""

from __future__ import annotations

import asyncio

import pytest

from labkit import CallError, Constant, FaultPlan, Link, Network, Node, Refused
from labkit.faults import After
from labkit.protocols.sagas import ChoreographedService, Orchestrator, SagaService
from labkit.protocols.stock import Part
from tests.clusters import client, node, simulate

NOTHING = FaultPlan()
NETWORK = Network(Link(Constant(0.01)))
PARTS = (Part("flight", "seat", 1), Part("hotel", "room", 1), Part("payment", "account", 100))
DECLINED = (*PARTS[:2], PARTS[2]._replace(sound=False))
STOCK = {"flight": {"seat": 2}, "hotel": {"room": 2}, "payment": {"account": 250}}

both = pytest.mark.parametrize("is_orchestrated", [True, False], ids=["orchestrated", "choreographed"])


class Books(Node):
    """Asks for bookings, notes how each ended, and takes stock when all is quiet."""

    parts = PARTS

    async def run(self):
        await self.work()
        await asyncio.sleep(20)
        for name in STOCK:
            found = await self.peer(name).take_stock()
            assert await self.peer(name).unfinished() == 0
            self.note(
                "stock", left=next(iter(dict(found.left).values())), booked=[request for request, _ in found.booked]
            )

    async def work(self):
        await self.book("r1")

    async def book(self, request):
        try:
            await self.peer(self.entry).book(request, 0, self.parts, timeout=9.0)
        except CallError as error:
            self.note("ended", outcome=error.outcome, why=str(error))
        else:
            self.note("ended", outcome="ok", why="")


def play(is_orchestrated, books=Books, faults=NOTHING, service=SagaService, parts=PARTS, network=NETWORK, **parameters):
    entry = "coordinator" if is_orchestrated else "flight"
    kind = service if is_orchestrated else ChoreographedService
    leaders = [node("coordinator", Orchestrator)] if is_orchestrated else []
    customer = client("customer", type("Customer", (books,), {"entry": entry, "parts": parts}))
    services = [node(name, kind, stock=stock, **parameters) for name, stock in STOCK.items()]
    return simulate(customer, *leaders, *services, network=network, faults=faults, sync_delay=0.002, time_limit=300.0)


def noted(recording, label, node=None):
    return [note for note in recording.notes if note.label == label and node in (None, note.node)]


def left(recording):
    return [note.details["left"] for note in noted(recording, "stock")]


def endings(recording):
    return [note.details["outcome"] for note in noted(recording, "ended")]


@both
def test_steps_are_done_one_after_the_other_and_each_is_over_before_the_next(is_orchestrated):
    """Garcia-Molina and Salem 1987: a saga's transactions may be interleaved with those of others."""
    recording = play(is_orchestrated)
    steps = noted(recording, "unlocked")
    assert [note.node for note in steps] == ["flight", "hotel", "payment"]
    assert all(note.details["_held_us"] == 2000 for note in steps)
    assert endings(recording) == ["ok"] and left(recording) == [1, 1, 150]


@both
def test_if_a_step_fails_those_before_it_are_compensated_and_nothing_is_left(is_orchestrated):
    recording = play(is_orchestrated, parts=DECLINED)
    assert {note.node for note in noted(recording, "compensated")} == {"flight", "hotel"}
    assert endings(recording) == ["fail"] and left(recording) == [2, 2, 250]
    assert "account was declined" in noted(recording, "ended")[0].details["why"]


@both
def test_a_compensation_that_fails_is_tried_until_it_succeeds(is_orchestrated):
    recording = play(is_orchestrated, parts=DECLINED, compensation_failure=0.8)
    assert len(noted(recording, "compensation failed")) > 0
    assert left(recording) == [2, 2, 250]


@both
def test_copies_of_everything_change_nothing(is_orchestrated):
    class Thrice(Books):
        async def work(self):
            await asyncio.gather(*(self.book("r1") for _ in range(3)))
            await self.book("r1")

    twice = Network(Link(Constant(0.01), duplication=1.0))
    recording = play(is_orchestrated, Thrice, network=twice)
    assert endings(recording) == ["ok"] * 4 and left(recording) == [1, 1, 150]
    recording = play(is_orchestrated, Thrice, parts=DECLINED, network=twice)
    assert endings(recording) == ["fail"] * 4 and left(recording) == [2, 2, 250]


@both
def test_a_saga_goes_on_after_the_crash_of_whoever_answers_for_it(is_orchestrated):
    leader = "coordinator" if is_orchestrated else "flight"
    first = After(note="step done", node="flight")
    plan = FaultPlan().crash(leader, at=first).restart(leader, at=After(note="step done", node="flight", delay=0.5))

    class Patient(Books):
        async def work(self):
            self.spawn(self.book("r1"))
            await asyncio.sleep(3.0)
            await self.book("r1")

    thinks = {} if is_orchestrated else {"deliberation": 0.01}  # or the next service would hear of it before the crash
    recording = play(is_orchestrated, Patient, plan, **thinks)
    assert endings(recording)[0] == "ok" and left(recording) == [1, 1, 150]
    crash, restart = (round(fault.at * 1e6) for fault in recording.faults)
    steps = {note.node: note.at_us for note in noted(recording, "step done")}
    assert steps["flight"] == crash < restart < steps["hotel"] < steps["payment"]


@both
def test_a_payment_that_is_down_for_too_long_is_given_up_and_cannot_charge_when_it_is_back(is_orchestrated):
    plan = FaultPlan().crash("payment", at=After(note="step done", node="flight"))
    plan = plan.restart("payment", at=After(note="step done", node="flight", delay=6.0))
    recording = play(is_orchestrated, faults=plan)
    assert endings(recording) == ["fail"] and left(recording) == [2, 2, 250]
    refunded = [note.at_us for note in noted(recording, "compensated")]
    assert refunded and max(refunded) < 3_000_000  # nobody who is up waits for the one that is down


def direct(work, faults=NOTHING, **parameters):
    class Direct(Node):
        async def run(self):
            await work(self, self.peer("flight"))

    flight = node("flight", SagaService, stock={"seat": 2}, **parameters)
    return simulate(client("customer", Direct), flight, network=NETWORK, faults=faults)


def test_a_compensation_that_overtakes_its_step_keeps_it_from_being_done():
    async def work(node, flight):
        await flight.compensate("r1", PARTS[0])
        with pytest.raises(Refused, match="cancelled before"):
            await flight.do_step("r1", PARTS[0])
        assert dict((await flight.take_stock()).left) == {"seat": 2}

    direct(work)


def test_a_step_that_was_refused_stays_refused_even_if_there_is_enough_later():
    async def work(node, flight):
        for request in ("r1", "r2"):
            await flight.do_step(request, PARTS[0])
        with pytest.raises(Refused, match="not enough"):
            await flight.do_step("r3", PARTS[0])
        await flight.compensate("r1", PARTS[0])
        with pytest.raises(Refused, match="not enough"):  # what was said is said again: why, and not only that
            await flight.do_step("r3", PARTS[0])  # a late copy, of a saga that has been told that it was refused
        assert dict((await flight.take_stock()).left) == {"seat": 1}

    direct(work)


def test_a_refusal_survives_a_crash_with_its_reason():
    dear = PARTS[0]._replace(amount=3)

    async def work(node, flight):
        with pytest.raises(Refused, match="not enough"):
            await flight.do_step("r1", dear)
        await asyncio.sleep(1.0)
        with pytest.raises(Refused, match="not enough"):
            await flight.do_step("r1", dear)
        node.note("done")

    refused = After(note="refusal forced", delay=0.1)
    plan = FaultPlan().crash("flight", at=refused).restart("flight", at=After(note="refusal forced", delay=0.2))
    recording = direct(work, faults=plan)
    assert noted(recording, "done") and len(recording.faults) == 2


def test_a_copy_of_an_event_is_acknowledged_once_what_it_leads_to_is_durable():
    """The teller forgets what has been heard; so a copy must not be acknowledged while its original can be lost."""

    class Payment(Node):
        async def run(self):
            self.spawn(self.peer("flight").book("r1", 0, PARTS[::2], timeout=9.0))
            await asyncio.sleep(5.0)

        async def proceed(self, event):
            self.spawn(asyncio.wait_for(self.tell(event), 5.0))
            self.spawn(asyncio.wait_for(self.tell(event), 5.0))

        async def tell(self, event):
            begun = self.clock.now()
            await self.peer("flight").completed(event, timeout=5.0)
            self.note("heard", took=self.clock.now() - begun)

    flight = node("flight", ChoreographedService, stock={"seat": 2}, give_up=4.0)
    recording = simulate(client("payment", Payment), flight, network=NETWORK, sync_delay=0.3)
    assert [note.details["took"] for note in noted(recording, "heard")] == pytest.approx([0.32, 0.32])


@pytest.mark.parametrize(("safeguard", "left"), [({}, 2), ({"idempotent_compensations": False}, 3)])
def test_a_compensation_that_comes_twice_gives_back_once(safeguard, left):
    async def work(node, flight):
        await flight.do_step("r1", PARTS[0])
        await asyncio.gather(flight.compensate("r1", PARTS[0]), flight.compensate("r1", PARTS[0]))
        assert dict((await flight.take_stock()).left) == {"seat": left}

    direct(work, **safeguard)


def test_a_step_is_durable_before_it_is_answered():
    async def work(node, flight):
        begun = node.clock.now()
        await flight.do_step("r1", PARTS[0])
        assert node.clock.now() - begun >= 0.02

    recording = direct(work)
    assert [note.label for note in recording.notes if note.label.endswith(" forced")] == ["step forced"]


def test_after_a_crash_the_orchestrator_cannot_know_how_far_it_came_and_compensates_everything():
    """It had all three steps done when it was killed; when it is back, the flight does not answer any more."""
    done = After(note="step done", node="payment")
    plan = (
        FaultPlan()
        .crash("coordinator", at=done)
        .restart("coordinator", at=After(note="step done", node="payment", delay=0.5))
    )
    plan = plan.crash("flight", at=done).restart("flight", at=After(note="step done", node="payment", delay=6.0))
    recording = play(True, faults=plan)
    assert {note.node for note in noted(recording, "compensated")} == set(STOCK)
    assert left(recording) == [2, 2, 250]
