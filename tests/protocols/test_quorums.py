"""The quorum store keeps its promises under faults, and the checkers see when a guard is missing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest

from labkit import CallError, ClockError, Exponential, FaultPlan, Link, Mixture, Network, first, settled
from labkit.checkers.linearizability import linearizable
from labkit.checkers.staleness import fresh_reads
from labkit.clocks import Timestamp
from labkit.cluster import Cluster
from labkit.protocols.quorums import NEVER, QuorumClient, Replica, StandIn
from labkit.results import HOLDS, ILLEGAL
from labkit.runtimes import simulated
from tests.clusters import client, node, simulate_work

SEEDS = 300
"""Histories that must be right; 2,000 are the same code and some minutes. About 60 a second on one core."""

SEEDS_TO_CATCH = 60
"""Within how many histories a missing guard must show."""

REPLICAS = ("replica-1", "replica-2", "replica-3")
CLIENTS = ("client-1", "client-2", "client-3")
LENGTH = 2.0
DELAY = Mixture((0.9, Exponential(0.01)), (0.1, Exponential(0.2)))
"""One message in ten is slow enough to arrive long after its successors."""


@dataclass(eq=False, kw_only=True)
class Worker(QuorumClient):
    """Writes and reads a key in turns of its own."""

    async def run(self) -> None:
        for number in range(16):
            if self.random.random() < 0.4:
                with self.operation("write", "key", f"{self.name}/{number}"):
                    await self.put("key", f"{self.name}/{number}")
            else:
                with self.operation("read", "key") as read:
                    read.value = await self.get("key")
            await asyncio.sleep(self.random.random() * 0.1)


def disturbances(seed: int) -> FaultPlan:
    """Pauses of any node, partitions of any two sides, and a crash of every replica, each at a random time."""
    random = Random(f"faults/{seed}")
    begin, plan = partial(random.uniform, 0, LENGTH), FaultPlan()
    for _ in range(2):
        at = begin()
        sleeper = random.choice(REPLICAS + CLIENTS)
        plan = plan.pause(sleeper, at=at).resume(sleeper, at=at + random.uniform(0.01, 0.5))
        at, nodes = begin(), random.sample(REPLICAS + CLIENTS, 6)
        cut = random.randrange(1, 6)
        plan = plan.partition(nodes[:cut], nodes[cut:], at=at, both_ways=random.random() < 0.5)
        plan = plan.heal(at=at + random.uniform(0.01, 0.4))
    for victim in REPLICAS:
        at = begin()
        plan = plan.crash(victim, at=at).restart(victim, at=at + random.uniform(0.01, 0.3))
    return plan


def judge(seed, replica=Replica, worker=Worker, *, timestamps="hybrid", quorums=(2, 2), offset=0.0, **settings):
    """The verdict on one history's reads; replicas are durable, for the crash is part of it."""
    return fresh_reads(lived(seed, replica, worker, timestamps=timestamps, quorums=quorums, offset=offset, **settings))


def lived(seed, replica=Replica, worker=Worker, *, timestamps="hybrid", quorums=(2, 2), offset=0.0, durable=True,
          **settings):  # fmt: skip
    """One history, under faults."""
    read_quorum, write_quorum = quorums
    common = {
        "replicas": REPLICAS, "read_quorum": read_quorum, "write_quorum": write_quorum, "timestamps": timestamps,
        "call_timeout": 0.3, **settings,
    }  # fmt: skip
    errors = [ClockError(offset * place) for place in range(len(CLIENTS))]
    cluster = Cluster(
        [node(name, replica, durable=durable) for name in REPLICAS]
        + [node(name, StandIn, durable=durable) for name in settings.get("stand_ins", ())]
        + [client(name, worker, error, **common) for name, error in zip(CLIENTS, errors, strict=True)],
        network=Network(Link(DELAY, loss=0.02, duplication=0.02)),
        faults=disturbances(seed),
        sync_delay=0.02,
    )
    return simulated.execute(cluster, seed, trace=False).operations


@pytest.mark.parametrize("timestamps", ["hybrid", "physical"])
@pytest.mark.parametrize("quorums", [(2, 2), (1, 3), (3, 1)])
def test_overlapping_quorums_are_fresh_whatever_happens(timestamps, quorums):
    statuses = []
    for seed in range(SEEDS // 6):
        verdict = judge(seed, timestamps=timestamps, quorums=quorums)
        assert verdict.status != ILLEGAL, f"seed {seed}: {verdict}"
        statuses.append(verdict.status)
    assert statuses.count(HOLDS) > 0.8 * len(statuses)


ATOMIC = {"write_back": True, "timestamps": "read first"}


@pytest.mark.parametrize("changes", [ATOMIC, {**ATOMIC, "offset": 0.3}, {**ATOMIC, "timestamps": "physical"}], ids=str)
@pytest.mark.parametrize("quorums", [(2, 2), (1, 3)])
def test_a_store_that_asks_first_and_writes_back_is_linearizable_whatever_happens(changes, quorums):
    statuses = []
    for seed in range(SEEDS // 6):
        verdict = linearizable(lived(seed, quorums=quorums, **changes))
        assert verdict.status != ILLEGAL, f"seed {seed}: {verdict}"
        statuses.append(verdict.status)
    assert statuses.count(HOLDS) > 0.8 * len(statuses)


class TakesAnything(Replica):
    """Does not compare versions: the last to arrive wins."""

    async def write(self, key, value, version):
        self._values[key] = (version, value)
        await self.disk.save(key, (version, value))
        return version


class AnswersBeforeSync(Replica):
    """Acknowledges what it has in memory alone."""

    async def write(self, key, value, version):
        if version > self._values.get(key, (NEVER, None))[0]:
            self._values[key] = (version, value)
            self.disk.write(key, (version, value))
        return version


class AnswersRepeatsBeforeSync(Replica):
    """Waits for its disk, but not for the sync of a write that it knows already, or that was overtaken."""

    async def write(self, key, value, version):
        current, _ = self._values.get(key, (NEVER, None))
        if version <= current:
            return current
        return await super().write(key, value, version)


class AsksTooFew(Worker):
    """Waits for one answer less than its read quorum."""

    async def get(self, key):
        answers = await first(self.read_quorum - 1, [replica.read(key) for replica in self._homes])
        return max(answers)[1]


class TakesTheFirst(Worker):
    """Waits for the quorum, but returns what came first rather than what is newest."""

    async def get(self, key):
        answers = await first(self.read_quorum, [replica.read(key) for replica in self._homes])
        return answers[0][1]


class AcknowledgesTooEarly(Worker):
    """Returns from a write when one replica has it."""

    async def put(self, key, value):
        version = self._next_version()
        await first(1, [replica.write(key, value, version) for replica in self._homes])


SLOPPY = {"stand_ins": ("spare-1", "spare-2"), "patience": 0.03}
# Each variant, and the first seed that shows it.
BROKEN = {
    "replica ignores versions": ({"replica": TakesAnything}, 9),
    "replica answers before it syncs": ({"replica": AnswersBeforeSync}, 20),
    "client waits for one answer less": ({"worker": AsksTooFew}, 0),
    "client takes the first answer": ({"worker": TakesTheFirst}, 1),
    "write is acknowledged too early": ({"worker": AcknowledgesTooEarly}, 6),
    "quorums do not overlap": ({"quorums": (1, 2)}, 0),
    "quorums are sloppy": (SLOPPY, 12),
    "clocks lie, in timestamps": ({"timestamps": "physical", "offset": 0.3}, 0),
    "clocks lie, and nobody has been told": ({"offset": 0.3}, 0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_missing_guard_is_caught(name):
    changes, seed = BROKEN[name]
    verdict = judge(seed, **changes)
    if verdict.status != ILLEGAL:  # a change of the simulator may move it to another seed
        seed = next(seed for seed in range(SEEDS_TO_CATCH) if judge(seed, **changes).status == ILLEGAL)
        verdict = judge(seed, **changes)
    assert verdict.status == ILLEGAL
    assert fresh_reads(verdict.counterexample).status == ILLEGAL


class WritesBackToTooFew(Worker):
    """Returns from a read when one replica has its version, which is the one that it had it from."""

    async def _store(self, key, value, version):
        return await first(1, [replica.write(key, value, version) for replica in self._homes])


# Each variant of a store that is linearizable but for it, and the first seed that shows it.
NOT_ATOMIC = {
    "reads do not write back": ({"write_back": False}, 4),
    "writes do not ask first": ({"timestamps": "hybrid", "offset": 0.3}, 1),
    "clocks lie": ({"timestamps": "physical", "offset": 0.3}, 0),
    "a crash takes what was acknowledged": ({"durable": False}, 19),
    "replica answers before it syncs": ({"replica": AnswersBeforeSync}, 19),
    "replica ignores versions": ({"replica": TakesAnything}, 0),
    "quorums do not overlap": ({"quorums": (1, 2)}, 1),
    "quorums are sloppy": (SLOPPY, 5),
    "reads write back to one replica": ({"worker": WritesBackToTooFew}, 29),
}


@pytest.mark.parametrize("name", NOT_ATOMIC)
def test_a_store_without_one_of_its_guards_is_not_linearizable(name):
    changes, seed = NOT_ATOMIC[name]
    settings = {**ATOMIC, **changes}
    verdict = linearizable(lived(seed, **settings))
    if verdict.status != ILLEGAL:  # a change of the simulator may move it to another seed
        verdicts = (linearizable(lived(seed, **settings)) for seed in range(2 * SEEDS_TO_CATCH))
        verdict = next(verdict for verdict in verdicts if verdict.status == ILLEGAL)
    assert linearizable(verdict.counterexample).status == ILLEGAL


@pytest.mark.parametrize(("replica", "acknowledges"), [(Replica, 0), (AnswersRepeatsBeforeSync, 2)])
def test_what_is_not_on_disk_yet_is_not_acknowledged_to_whoever_sends_it_again(replica, acknowledges):
    outcomes = []

    async def work(self):
        calls = []
        for physical_us in (2, 2, 1):  # a write, the same once more, and one that it has overtaken
            calls.append(self.peer("replica").write("key", physical_us, Timestamp(physical_us, 0), timeout=1))
            await asyncio.sleep(0.01)
        outcomes.extend(call.outcome for call in await settled(calls))
        outcomes.append(await self.peer("replica").read("key"))

    plan = FaultPlan().crash("replica", at=0.05).restart("replica", at=0.06)
    simulate_work(work, node("replica", replica, durable=True), faults=plan, sync_delay=0.1)
    assert outcomes[:3].count("ok") == acknowledges
    assert outcomes[3] == (NEVER, None), "the crash has taken the value"


def test_a_write_that_looks_older_is_acknowledged_and_dropped():
    answered = []

    async def work(self):
        for physical_us in (2, 1):
            answered.append(await self.peer("replica").write("key", physical_us, Timestamp(physical_us, 0)))
        answered.append(await self.peer("replica").read("key"))

    simulate_work(work, node("replica", Replica))
    assert answered == [Timestamp(2, 0), Timestamp(2, 0), (Timestamp(2, 0), 2)]


class StopsAtTheFirstSilentHome(StandIn):
    """Hands over in turn, and waits for the next round as soon as one home is silent."""

    def _remember(self, hint, held):
        if not self._hints:
            self.spawn(self._hand_over_in_turn())
        self._hints.setdefault(hint.home, {})[hint.key] = held

    async def _hand_over_in_turn(self):
        while True:
            await asyncio.sleep(0.05)
            held = [(home, key) for home, hints in self._hints.items() for key in hints]
            for home, key in held:
                version, value = self._hints[home][key]
                try:
                    await self.peer(home).write(key, value, version)
                except CallError:
                    break


@pytest.mark.parametrize(("stand_in", "brought"), [(StandIn, "value"), (StopsAtTheFirstSilentHome, None)])
def test_a_dead_home_does_not_keep_hints_from_the_others(stand_in, brought):
    found = []

    async def work(self):
        spare = self.peer("spare")
        await asyncio.sleep(0.01)
        for home in ("dead", "home"):
            await spare.hold_for(home, "key", "value", Timestamp(1, 0))
        await asyncio.sleep(5)
        found.append(await self.peer("home").read("key"))

    nodes = [node("dead", Replica), node("home", Replica), node("spare", stand_in)]
    simulate_work(work, *nodes, faults=FaultPlan().crash("dead", at=0.001))
    assert found == [(Timestamp(1, 0), "value") if brought else (NEVER, None)]


class KeepsHintsInMemory(StandIn):
    """Forgets at every start what it holds for others."""

    async def start(self):
        await Replica.start(self)
        self._hints = {}


@pytest.mark.parametrize(
    ("stand_in", "durable", "is_brought"),
    [(StandIn, True, True), (StandIn, False, False), (KeepsHintsInMemory, True, False)],
)
def test_a_hint_that_was_acknowledged_survives_a_crash_of_who_holds_it(stand_in, durable, is_brought):
    found = []

    async def work(self):
        await asyncio.sleep(0.01)
        for number in (1, 2, 1):  # an older version does not take the place of a newer one
            await self.peer("spare").hold_for("home", "key", number, Timestamp(number, 0), timeout=1)
        await asyncio.sleep(3)
        found.append(await self.peer("home").read("key"))

    nodes = [node("home", Replica), node("spare", stand_in, durable=durable)]
    plan = FaultPlan().crash("home", at=0.001).crash("spare", at=0.5).restart("spare", at=0.6).restart("home", at=1.0)
    simulate_work(work, *nodes, faults=plan, sync_delay=0.01)
    assert found == [(Timestamp(2, 0), 2) if is_brought else (NEVER, None)]


def test_a_hint_is_brought_once():
    async def work(self):
        await self.peer("spare").hold_for("home", "key", 1, Timestamp(1, 0))
        await asyncio.sleep(3)

    recording = simulate_work(work, node("home", Replica), node("spare", StandIn))
    assert sum(message.method == "write" and not message.is_reply for message in recording.messages) == 1
