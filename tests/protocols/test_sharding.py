"""The sharded store keeps every write while keys move, under every fault there is; without a safeguard it does not."""

from __future__ import annotations

import asyncio

import pytest

from labkit import FaultPlan, run
from labkit.clocks import ClockError, Timestamp
from labkit.experiments.sharding import PLACEMENTS, SETTLES, STRIKES, VICTIMS
from labkit.faults import After
from labkit.lab import Lab
from labkit.placement import Modulo
from labkit.protocols.moving import Handover, Mover
from labkit.protocols.sharding import ELSEWHERE, OWNED, SEALED, Directory, Shard, StoreClient
from labkit.results import HOLDS, ILLEGAL
from tests.clusters import node, simulate_work

SEEDS, CHUNK = 2000, 100
SEEDS_TO_CATCH = 200
BOUND = 2.0
"""Seconds after the last fault within which a resize must have ended; of 2,000, the last one took 0.8."""

CHAOS = {
    "chaos": True, "loss": 0.02, "duplication": 0.02, "users": 18, "slots": 12, "rate": 80.0, "length": 1.0,
    "move_at": 0.15, "timeout": 0.05, "clients": 2, "back": True,
}  # fmt: skip


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_live_rebalancing_loses_nothing_and_ends_soon_after_the_last_fault(first):
    for seed in range(first, first + CHUNK):
        shape = {"placement": PLACEMENTS[seed % 5], "shards_after": (4, 2)[seed % 2], "copy_first": seed % 3 > 0}
        result = run("sharding", seed=seed, trace=False, **CHAOS, **shape)
        for verdict in result.verdicts:
            assert verdict.status == HOLDS, f"seed {seed}: {verdict}"
        healed_us = max([round(fault.at * 1e6) for fault in result.faults], default=0)
        resizes = [operation for operation in result.operations if operation.function == "resize"]
        assert len(resizes) == 2
        for resize in resizes:
            assert resize.returned_us - max(healed_us, resize.invoked_us) < BOUND * 1e6, f"seed {seed}"


@pytest.mark.parametrize("victim", VICTIMS[1:])
@pytest.mark.parametrize("strike", STRIKES)
def test_whoever_dies_at_whichever_step_the_move_goes_on_from_disk(victim, strike):
    result = run("sharding", seed=3, victim=victim, strike=strike, users=60, length=1.0, trace=False)
    assert [verdict.status for verdict in result.verdicts] == [HOLDS] * 3
    assert [fault.kind for fault in result.faults] == ["crash", "restart"]
    assert result["moved"] > 0


def test_the_mover_moves_what_has_to_move_and_nothing_else():
    result = run("sharding", seed=3)
    moved = [note.details["slot"] for note in result.notes if note.label == "moved"]
    settings = {note.details["slot"] for note in result.notes if note.label == "released"}
    assert len(moved) == len(set(moved)) and set(moved) == settings
    assert result.verdicts[2].property == SETTLES


async def acknowledge_before_sync(self, slot, epoch, key, value, version):
    await self._turn()
    if not self._serves(slot, epoch):
        return ELSEWHERE
    self._merge(slot, key, value, version)
    return "written"


def serve_what_is_sealed(self, slot, epoch):
    return self._role(slot)[1] in (OWNED, SEALED)


async def record_before_it_is_received(self):
    while True:
        entries, reached = await self._insist(lambda: self.source.copy(self.slot, self.mover.cursor, self.mover.batch))
        if not entries:
            return
        await self.mover.reach(reached)
        await self._insist(lambda entries=entries: self.target.receive(self.slot, self.epoch, entries))


async def copy_once(self, move):
    await move.copy()
    await move.seal()
    await move.adopt()
    await move.assign()
    await move.release()


MUTANTS = [
    (Shard, "write", acknowledge_before_sync),
    (Shard, "_serves", serve_what_is_sealed),
    (Handover, "copy", record_before_it_is_received),
    (Mover, "_move", copy_once),
]


@pytest.mark.parametrize(("kind", "method", "mutant"), MUTANTS, ids=lambda each: getattr(each, "__name__", each))
def test_a_planted_bug_is_found(kind, method, mutant, monkeypatch):
    monkeypatch.setattr(kind, method, mutant)
    for seed in range(SEEDS_TO_CATCH):
        result = run("sharding", seed=seed, trace=False, **CHAOS, placement="modulo", sync_delay=0.005)
        if any(verdict.status == ILLEGAL for verdict in result.verdicts[:2]):
            return
    pytest.fail(f"{mutant.__name__} went unnoticed in {SEEDS_TO_CATCH} runs")


async def order_by_its_own_clock(self, key, value):
    slot, version = self.slots.shard_of(key), self.clock.hybrid.tick()
    until = self._now() + self.patience
    await self._insist(slot, until, lambda owner, epoch: self.peer(owner).write(slot, epoch, key, value, version))


def statuses_with_a_slow_clock(monkeypatch, seeds):
    def with_its_clock_behind(self, name, kind, **parameters):
        error = ClockError(offset=-0.05) if name == "client-1" else ClockError()
        return add(self, name, kind, clock=error, **parameters)

    add = Lab.client
    monkeypatch.setattr(Lab, "client", with_its_clock_behind)
    common = {"users": 12, "slots": 12, "length": 0.6, "move_at": 0.2, "rate": 400.0, "trace": False}
    return [verdict.status for seed in seeds for verdict in run("sharding", seed=seed, **common).verdicts]


def test_a_client_whose_clock_is_behind_loses_no_write(monkeypatch):
    assert set(statuses_with_a_slow_clock(monkeypatch, range(5))) == {HOLDS}


def test_by_clocks_alone_it_would(monkeypatch):
    monkeypatch.setattr(StoreClient, "put", order_by_its_own_clock)
    assert ILLEGAL in statuses_with_a_slow_clock(monkeypatch, range(5))


CROWDED = {
    "users": 24, "slots": 12, "length": 0.6, "move_at": 0.3, "rate": 400.0, "service_time": 0.01, "queue": 2,
    "duplication": 0.3, "trace": False,
}  # fmt: skip


def statuses_in_a_crowd(seeds):
    return [verdict.status for seed in seeds for verdict in run("sharding", seed=seed, **CROWDED).verdicts[:2]]


def test_a_write_that_was_refused_may_have_been_carried_out():
    assert ILLEGAL not in statuses_in_a_crowd(range(10))


async def believe_a_refusal(self, key, value):
    slot, until = self.slots.shard_of(key), self._now() + self.patience
    seen, _ = await self._insist(slot, until, lambda owner, epoch: self.peer(owner).read(slot, epoch, key))
    version = self.clock.hybrid.receive(seen)
    await self._insist(slot, until, lambda owner, epoch: self.peer(owner).write(slot, epoch, key, value, version))


def test_whoever_takes_it_at_its_word_reads_what_nobody_wrote(monkeypatch):
    monkeypatch.setattr(StoreClient, "put", believe_a_refusal)
    assert ILLEGAL in statuses_in_a_crowd(range(10))


SLOTS = Modulo(range(2))
V1, V2 = Timestamp(1, 0, "c"), Timestamp(2, 0, "c")


def on_two_shards(work, faults=None, sync_delay=0.0, **guards):
    shards = [node(name, Shard, slots=SLOTS, owns=owns, **guards) for name, owns in (("a", (0, 1)), ("b", ()))]
    return simulate_work(
        work,
        *shards,
        node("directory", Directory, owners=("a", "a")),
        faults=faults or FaultPlan(),
        sync_delay=sync_delay,
    )


async def hand_over(client, slot=0, epoch=2):
    a, b = client.peer("a"), client.peer("b")
    await a.seal(slot, epoch)
    entries, _ = await a.copy(slot, 0, 100)
    await b.receive(slot, epoch, entries)
    await b.adopt(slot, epoch)
    await client.peer("directory").assign(slot, "b", epoch)
    await a.release(slot, epoch)


def test_only_the_owner_at_the_epoch_serves():
    seen = []

    async def work(self):
        a, b = self.peer("a"), self.peer("b")
        await a.write(0, 1, 10, "x", V1)
        seen.append(await b.read(0, 1, 10))
        await hand_over(self)
        seen.extend([await a.write(0, 1, 10, "y", V2), await a.read(0, 2, 10), await b.read(0, 1, 10)])
        seen.extend([await b.read(0, 2, 10), await self.peer("directory").routes()])

    on_two_shards(work)
    assert seen == [ELSEWHERE] * 4 + [(V1, "x"), [("b", 2), ("a", 1)]]


def test_steps_may_be_repeated_and_come_late():
    seen = []

    async def work(self):
        a, b = self.peer("a"), self.peer("b")
        await a.write(0, 1, 10, "old", V1)
        old, _ = await a.copy(0, 0, 100)
        await hand_over(self)
        await b.write(0, 2, 10, "new", V2)
        await hand_over(self)  # a mover that died before it had recorded the end
        await b.receive(0, 2, old)  # a copy that was under way for very long
        seen.append(await b.read(0, 2, 10))
        await b.seal(0, 3)
        entries, _ = await b.copy(0, 0, 100)
        await a.receive(0, 3, entries)
        await a.release(0, 2)  # of the first move, twice as old as the second
        await a.adopt(0, 3)
        seen.append(await a.read(0, 3, 10))
        late = [a.seal(0, 2), b.adopt(0, 2), b.receive(0, 2, old)]
        seen.extend([call.outcome for call in late if await refused(call)])

    on_two_shards(work)
    assert seen == [(V2, "new"), (V2, "new"), "fail", "fail", "fail"]


async def refused(call):
    try:
        await call
    except Exception:
        return True
    return False


def test_a_read_is_not_answered_from_memory_that_a_crash_may_take():
    outcomes = []

    async def work(self):
        a = self.peer("a")
        calls = [a.write(0, 1, 10, "x", V1, timeout=0.5)]
        await asyncio.sleep(0.01)
        calls.append(a.read(0, 1, 10, timeout=0.5))
        calls.append(a.copy(0, 0, 10, timeout=0.5))
        await asyncio.sleep(1.0)
        outcomes.extend(call.outcome for call in calls)
        outcomes.append(await a.read(0, 1, 10))

    plan = FaultPlan().crash("a", at=0.05).restart("a", at=0.06)
    on_two_shards(work, plan, sync_delay=0.1)
    assert outcomes[:3] == ["unknown"] * 3
    assert outcomes[3][1] is None


def test_a_sealed_slot_stays_sealed_over_a_crash():
    seen = []

    async def work(self):
        await self.peer("a").seal(0, 2)
        await asyncio.sleep(0.1)
        seen.append(await self.peer("a").write(0, 1, 10, "x", V1))

    on_two_shards(work, FaultPlan().crash("a", at=0.05).restart("a", at=0.06))
    assert seen == [ELSEWHERE]


def test_a_shard_with_too_much_to_do_refuses():
    outcomes = []

    async def work(self):
        calls = [self.peer("a").read(0, 1, 10, timeout=60) for _ in range(40)]
        await asyncio.sleep(30)
        outcomes.extend(call.outcome for call in calls)

    on_two_shards(work, service_time=0.1, queue=5)
    assert outcomes.count("fail") > 20 and outcomes.count("ok") >= 5


def test_a_mover_that_is_at_work_refuses_another_resize():
    outcomes = []

    async def work(self):
        mover = self.peer("mover")
        await mover.resize(1, ["b", "b"], timeout=5)
        await mover.resize(1, ["b", "b"], timeout=5)  # the same once more
        outcomes.append(await refused(mover.resize(2, ["a", "a"], timeout=5)))
        await asyncio.sleep(1)
        await mover.resize(2, ["a", "a"], timeout=5)
        await asyncio.sleep(1)
        outcomes.append(await mover.progress())
        outcomes.append(await self.peer("directory").routes())

    shards = [node(name, Shard, slots=SLOTS, owns=owns) for name, owns in (("a", (0, 1)), ("b", ()))]
    others = [node("mover", Mover), node("directory", Directory, owners=("a", "a"))]
    simulate_work(work, *shards, *others, sync_delay=0.01)
    assert outcomes == [True, (2, 2, 2), [("a", 3), ("a", 3)]]


@pytest.mark.parametrize("copy_first", [True, False])
def test_nothing_is_sealed_for_a_plan_that_a_crash_could_take_back(copy_first):
    seen = []

    async def work(self):
        await refused(self.peer("mover").resize(1, ["b"], timeout=0.1))
        await asyncio.sleep(2)
        seen.extend([await self.peer("mover").progress(), await self.peer("directory").routes()])

    lone = Modulo(range(1))
    shards = [node(name, Shard, slots=lone, owns=owns) for name, owns in (("a", (0,)), ("b", ()))]
    others = [node("mover", Mover, copy_first=copy_first), node("directory", Directory, owners=("a",))]
    plan = FaultPlan().crash("mover", at=After(note="sealed", delay=0.01))
    plan = plan.restart("mover", at=After(note="sealed", delay=0.02))
    simulate_work(work, *shards, *others, faults=plan, sync_delay=0.03)
    assert seen == [(1, 1, 1), [("b", 2)]]


@pytest.mark.real
@pytest.mark.timed
def test_a_shard_is_killed_while_its_keys_move_on_real_processes():
    settings = {"victim": "old owner", "outage": 0.5, "rate": 100.0, "length": 2.0, "delay": 0.005, "patience": 5.0}
    result = run("sharding", runtime="ray", seed=7, users=60, move_at=0.3, **settings)
    assert [verdict.status for verdict in result.verdicts] == [HOLDS] * 3, "\n".join(map(str, result.verdicts))
    assert [fault.kind for fault in result.faults] == ["crash", "restart"]
    assert result["moved"] == run("sharding", seed=7, users=60, move_at=0.3, **settings)["moved"] > 0


def test_without_any_fence_the_store_is_illegal_even_when_nothing_goes_wrong():
    statuses = [
        run("sharding", seed=seed, fence=False, length=0.6, move_at=0.2).verdicts[0].status for seed in range(3)
    ]
    assert ILLEGAL in statuses
