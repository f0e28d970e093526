"""Two-phase commit with presumed abort, sentence by sentence of its papers."""

from __future__ import annotations

import asyncio

import pytest

from labkit import CallError, Constant, FaultPlan, Link, Network, Node, Refused
from labkit.faults import After
from labkit.protocols import two_phase_commit
from labkit.protocols.locks import DIED, TOOK_TOO_LONG, WITHDRAWN
from labkit.protocols.stock import Part
from labkit.protocols.two_phase_commit import ABORT, STALE, Coordinator, Participant
from tests.clusters import client, node, simulate

NOTHING = FaultPlan()
NETWORK = Network(Link(Constant(0.01)))
PARTS = (Part("flight", "seat", 1), Part("payment", "account", 100))


class Books(Node):
    """Asks for bookings and notes how each ended."""

    async def run(self):
        await self.work()
        await asyncio.sleep(20)
        for name in ("flight", "payment"):
            found = await self.peer(name).take_stock()
            self.note("stock", at=name, left=dict(found.left), booked=[request for request, _ in found.booked])
            assert await self.peer(name).unfinished() == 0

    async def work(self):
        await self.book("r1")

    async def book(self, request, parts=PARTS, epoch=None):
        coordinator = self.peer("coordinator")
        epoch = await coordinator.epoch() if epoch is None else epoch
        try:
            await coordinator.book(request, epoch, parts, timeout=8.0)
        except CallError as error:
            self.note("ended", request=request, outcome=error.outcome, why=str(error))
            return False
        self.note("ended", request=request, outcome="ok", why="")
        return True


def play(books=Books, coordinator=Coordinator, participant=Participant, faults=NOTHING, **parameters):
    stock = {"flight": {"seat": 2}, "payment": {"account": 250}}
    specs = [node(name, participant, stock=stock[name]) for name in stock]
    return simulate(
        client("customer", books), node("coordinator", coordinator, **parameters), *specs,
        network=NETWORK, faults=faults, sync_delay=0.002, time_limit=300.0,
    )  # fmt: skip


def noted(recording, label, node=None):
    return [note for note in recording.notes if note.label == label and node in (None, note.node)]


def left(recording):
    return [next(iter(note.details["left"].values())) for note in noted(recording, "stock")]


def endings(recording):
    return [note.details["outcome"] for note in noted(recording, "ended")]


def test_all_have_prepared_before_anybody_commits():
    """Bernstein, Hadzilacos and Goodman, AC3 and the protocol of 7.4: a commit needs a yes from every participant."""
    recording = play()
    votes, (decided,) = noted(recording, "votes yes"), noted(recording, "decided")
    assert {note.node for note in votes} == {"flight", "payment"}
    assert max(note.at_us for note in votes) < decided.at_us < min(n.at_us for n in noted(recording, "learned"))
    assert endings(recording) == ["ok"] and left(recording) == [1, 150]


def test_a_participant_that_votes_no_makes_all_abort():
    class Poor(Books):
        async def work(self):
            await self.book("r1", (PARTS[0], Part("payment", "account", 1000)))

    recording = play(Poor)
    assert endings(recording) == ["fail"] and left(recording) == [2, 250]
    assert noted(recording, "decided")[0].details["_why"].endswith("not enough left of account")


def test_a_copy_of_a_request_is_the_same_request():
    class Twice(Books):
        async def work(self):
            await asyncio.gather(self.book("r1"), self.book("r1"), self.book("r1"))
            await self.book("r1")

    recording = play(Twice)
    assert endings(recording) == ["ok"] * 4 and left(recording) == [1, 150]


def crash(at, downtime):
    return (
        FaultPlan()
        .crash("coordinator", at=at)
        .restart("coordinator", at=After(note=at.note, delay=at.delay + downtime))
    )


def test_in_doubt_until_the_coordinator_returns_and_then_aborted():
    """Mohan, Lindsay and Obermarck, section 3: asked about a transaction it knows nothing of, it answers abort."""
    recording = play(faults=crash(After(note="all have voted yes"), 5.0))
    learned = noted(recording, "learned")
    assert [note.details["outcome"] for note in learned] == ["abort", "abort"]
    assert all(note.details["_doubt_us"] > 5_000_000 for note in learned)
    assert left(recording) == [2, 250]


class PausesAfterItsDecision(Coordinator):
    """Takes a second between the forced decision and telling it, so that a crash can come between."""

    def _tell_all(self, request):
        async def later():
            await asyncio.sleep(1.0)
            super(PausesAfterItsDecision, self)._tell_all(request)

        self.spawn(later())


def test_a_forced_decision_survives_a_crash_and_is_told_afterwards():
    recording = play(coordinator=PausesAfterItsDecision, faults=crash(After(note="decided"), 5.0))
    assert [note.details["outcome"] for note in noted(recording, "learned")] == ["commit", "commit"]
    assert left(recording) == [1, 150]


def test_a_prepared_participant_keeps_its_locks_over_its_own_crash():
    """A vote binds over a crash: the record is forced, and recovery takes the locks back before anything else."""

    class Another(Books):
        async def work(self):
            first = self.spawn(self.book("r1"))
            await asyncio.sleep(1.5)  # r1 has voted at the flight, which has crashed and come back
            begun = self.clock.now()
            await self.peer("flight").look("seat", timeout=60.0)
            self.note("looked", waited=self.clock.now() - begun)
            await first

    plan = FaultPlan().crash("flight", at=After(note="votes yes", node="flight", delay=0.5))
    plan = plan.restart("flight", at=After(note="votes yes", node="flight", delay=1.0))
    recording = play(Another, faults=plan, deliberation=4.0)
    assert endings(recording) == ["ok"] and left(recording) == [1, 150]
    assert noted(recording, "looked")[0].details["waited"] > 2.0


def test_a_participant_that_crashes_before_it_votes_is_free_and_its_transaction_aborts():
    class SlowLock(Participant):
        async def _lock(self, transaction, age, key):
            await asyncio.sleep(0.5)
            return await super()._lock(transaction, age, key)

    plan = FaultPlan().crash("payment", at=0.2).restart("payment", at=4.0)
    recording = play(participant=SlowLock, faults=plan)
    assert endings(recording) == ["fail"] and left(recording) == [2, 250]


def test_a_request_from_before_the_coordinators_crash_is_aborted_and_never_done_later():
    class Late(Books):
        async def work(self):
            await self.book("old", epoch=1)  # the coordinator has crashed and is in its second epoch
            await self.book("new")

    plan = FaultPlan().crash("coordinator", at=0.005).restart("coordinator", at=0.006)
    recording = play(Late, faults=plan)
    assert endings(recording) == ["fail", "ok"]
    assert STALE in noted(recording, "ended")[0].details["why"]
    assert left(recording) == [1, 150]


def test_an_abort_that_overtakes_its_prepare_leaves_no_lock_behind():
    class Direct(Node):
        async def run(self):
            flight, transaction = self.peer("flight"), ("r1", 1, 0)
            await flight.abort(transaction)
            try:
                await flight.prepare(transaction, (1, "r1"), "customer", PARTS[0])
            except Refused:
                self.note("refused")
            assert await flight.look("seat", timeout=0.1) == ()

        async def outcome(self, transaction):
            raise AssertionError("nobody should be in doubt")

    recording = simulate(
        client("customer", Direct), node("flight", Participant, stock={"seat": 1}), network=NETWORK, drain=5.0
    )
    assert len(noted(recording, "refused")) == 1


def test_a_copy_of_a_prepare_that_comes_after_its_abort_is_refused():
    class Direct(Node):
        async def run(self):
            flight, transaction = self.peer("flight"), ("r1", 1, 0)
            await flight.prepare(transaction, (1, "r1"), "customer", PARTS[0])
            await flight.abort(transaction)
            with pytest.raises(Refused, match="withdrawn"):
                await flight.prepare(transaction, (1, "r1"), "customer", PARTS[0])
            assert await flight.look("seat", timeout=0.1) == ()
            self.note("looked")

        async def outcome(self, transaction):
            raise AssertionError("nobody should be in doubt")

    recording = simulate(
        client("customer", Direct), node("flight", Participant, stock={"seat": 1}), network=NETWORK, drain=5.0
    )
    assert noted(recording, "looked")


class Remembers(Participant):
    async def remembered(self):
        return len(self._ended)


def direct(work, undecided=(), **parameters):
    """Run ``work(node, flight)`` as the coordinator of whatever it prepares: undecided, or else aborted."""

    class Direct(Node):
        async def run(self):
            await work(self, self.peer("flight"))

        async def outcome(self, transaction):
            return "" if transaction in undecided else ABORT

    flight = node("flight", Remembers, stock={"seat": 1}, **parameters)
    return simulate(client("customer", Direct), flight, network=NETWORK, drain=5.0, time_limit=60.0)


async def refusal_of(prepare):
    with pytest.raises(Refused) as caught:
        await prepare
    return str(caught.value)


OLDER, YOUNGER = (1, "r0"), (2, "r1")


@pytest.mark.parametrize(
    ("reason", "parameters", "part"),
    [
        (TOOK_TOO_LONG, {"locking": "timeout", "lock_patience": 0.5}, PARTS[0]),
        (DIED, {"locking": "wait-die"}, PARTS[0]),
        ("not enough left", {}, PARTS[0]._replace(amount=2)),
        ("declined", {}, PARTS[0]._replace(sound=False)),
    ],
    ids=["waited too long", "died", "sold out", "declined"],
)
def test_a_participant_that_has_refused_gives_every_copy_the_same_refusal_at_once(reason, parameters, part):
    """A resent prepare is a copy of the same question: it must not start a second wait, nor lock anything later."""
    holder, refused = ("r0", 1, 0), ("r1", 1, 0)

    async def work(node, flight):
        if reason in (TOOK_TOO_LONG, DIED):
            await flight.prepare(holder, OLDER, "customer", PARTS[0])
        said = await refusal_of(flight.prepare(refused, YOUNGER, "customer", part, timeout=5.0))
        assert reason in said
        for abort in (False, False, True):
            begun = node.clock.now()
            assert await refusal_of(flight.prepare(refused, YOUNGER, "customer", part, timeout=5.0)) == said
            assert node.clock.now() - begun == pytest.approx(0.02)
            await flight.abort(refused if abort else holder)  # now the lock could be had, and must not be
        assert await flight.look("seat", timeout=0.1) == ()
        assert await refusal_of(flight.prepare(refused, YOUNGER, "customer", part, timeout=5.0)) == said
        node.note("done")

    recording = direct(work, undecided=(holder,), **parameters)
    assert noted(recording, "done")
    assert [note.details["_transaction"] for note in noted(recording, "votes yes")] in ([], [holder])


def test_after_a_refusal_another_attempt_may_vote_and_late_copies_of_earlier_ones_may_not():
    async def work(node, flight):
        first, second, third = (("r1", 1, attempt) for attempt in range(3))
        await refusal_of(flight.prepare(first, YOUNGER, "customer", PARTS[0]._replace(amount=2)))
        await flight.prepare(third, YOUNGER, "customer", PARTS[0])
        for late in (first, second):  # the second has never come before
            assert WITHDRAWN in await refusal_of(flight.prepare(late, YOUNGER, "customer", PARTS[0]))
        await flight.commit(third)
        assert await flight.look("seat", timeout=0.1) == ("r1",)
        node.note("done")

    recording = direct(work, undecided=(("r1", 1, 2),))
    assert noted(recording, "done") and len(noted(recording, "votes yes")) == 1


@pytest.mark.parametrize("latest", [("r1", 1, 1), ("r1", 2, 0)], ids=["another attempt", "after a crash"])
def test_a_later_attempt_is_news_that_the_earlier_was_aborted_and_does_not_wait_for_its_lock(latest):
    """The abort was lost; presumed abort would tell of it half a second later."""

    async def work(node, flight):
        await flight.prepare(("r1", 1, 0), YOUNGER, "customer", PARTS[0])
        begun = node.clock.now()
        await flight.prepare(latest, (3, "r1"), "customer", PARTS[0])
        assert node.clock.now() - begun == pytest.approx(0.02)
        node.note("done")

    recording = direct(work, undecided=(latest,))
    assert noted(recording, "done")
    assert [note.details["_transaction"] for note in noted(recording, "learned")] == [("r1", 1, 0)]


def test_refusals_are_bounded_and_one_that_is_forgotten_costs_a_lock_for_a_while_and_no_more(monkeypatch):
    """Presumed abort: of a transaction that nobody knows any more, the outcome is abort."""
    monkeypatch.setattr(two_phase_commit, "REMEMBERED", 3)
    dear = PARTS[0]._replace(amount=2)

    async def work(node, flight):
        for number in range(10):
            transaction = (f"r{number}", 1, 0)
            await refusal_of(flight.prepare(transaction, (number, f"r{number}"), "customer", dear))
            await flight.abort(transaction)
            assert await flight.remembered() == min(number + 1, 3)
        await flight.prepare(("r0", 1, 0), OLDER, "customer", PARTS[0])  # a late copy, of one forgotten
        begun = node.clock.now()
        assert await flight.look("seat", timeout=5.0) == ()
        assert 0.3 < node.clock.now() - begun < 1.0  # until it has asked
        assert await flight.unfinished() == 0
        node.note("done")

    assert noted(direct(work), "done")


class AsksAfterwards(Books):
    """Asks the coordinator for an outcome when all have acknowledged theirs."""

    async def work(self):
        await self.book("r1")
        await asyncio.sleep(1.0)
        self.note("told", outcome=await self.peer("coordinator").outcome(("r1", 1, 0)))


def test_once_all_have_acknowledged_the_coordinator_may_have_forgotten_and_presumes_an_abort():
    """Mohan, Lindsay and Obermarck, section 3: so a participant forces its commit before it acknowledges."""
    recording = play(AsksAfterwards)
    assert noted(recording, "told")[0].details["outcome"] == "abort"
    forced = {note.node: note.at_us for note in noted(recording, "commit forced")}
    heard = {m.source: m.sent_us for m in recording.messages if m.method == "commit" and m.is_reply}
    assert set(forced) == {"flight", "payment"}
    assert all(forced[name] <= heard[name] for name in forced)


@pytest.mark.parametrize(("safeguard", "stock"), [(True, [1, 150]), (False, [1, 250])])
def test_an_acknowledged_commit_survives_a_crash_only_if_it_was_forced(safeguard, stock):
    # Half a second after the payment has learned of the commit, every acknowledgement is in.
    after = After(note="learned", node="payment", delay=0.5)
    plan = FaultPlan().crash("payment", at=after)
    plan = plan.restart("payment", at=After(note="learned", node="payment", delay=1.0))

    class Forgetful(Participant):
        async def start(self):
            self.force_commit = safeguard or self.name == "flight"
            await super().start()

    assert left(play(participant=Forgetful, faults=plan)) == stock


def test_two_that_want_the_last_seat_do_not_both_get_it():
    class Race(Books):
        async def work(self):
            await asyncio.gather(
                *(self.book(f"r{number}", (PARTS[0], Part("payment", "account", 1))) for number in range(6))
            )

    recording = play(Race)
    assert endings(recording).count("ok") == 2
    assert left(recording) == [0, 248]


def test_handlers_that_begin_together_may_wait_for_the_same_work():
    """Copies that a paused coordinator finds waiting all arrive at one instant, and await one task."""

    class Copies(Books):
        async def work(self):
            epoch = await self.peer("coordinator").epoch()
            await asyncio.sleep(0.5)
            await asyncio.gather(*(self.book("r1", epoch=epoch) for _ in range(5)))

    plan = FaultPlan().pause("coordinator", at=0.3).resume("coordinator", at=2.0)
    recording = play(Copies, faults=plan)
    assert endings(recording) == ["ok"] * 5 and left(recording) == [1, 150]
