"""Lab 17: a sharded store under load: hot keys, scans that ask many shards, and keys that move while it serves."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from random import Random
from typing import Any

from labkit.calls import CallError, Unanswered
from labkit.chaos import chaos as chaotic
from labkit.checkers.lost_writes import PROPERTY as LOST
from labkit.checkers.lost_writes import no_lost_writes
from labkit.checkers.scans import COMPLETE, no_scan_misses
from labkit.checkers.settling import all_succeeded
from labkit.checkers.staleness import fresh_reads
from labkit.dials import Choice, Dial, Switch, only_while, unless
from labkit.experiments.sharding_measures import (
    SETTLES,
    meets_hiccups_alone,
    scan_shards,
    sharding_measures,
    slot_layout,
    slow_scan_share,
)
from labkit.faults import After, FaultPlan
from labkit.lab import Lab, experiment, require
from labkit.latency import Constant, Exponential, Latency, Mixture
from labkit.network import Link, Network
from labkit.protocols.moving import Mover
from labkit.protocols.sharding import OWNED, RELEASED, Directory, Shard, StoreClient
from labkit.results import HOLDS, ILLEGAL, Measure, Result, Verdict
from labkit.wording import count
from labkit.workload import closed_loop, open_loop, zipf_weights

SESSIONS = 10
POLL = 0.05
PLACEMENTS = ("ring", "modulo", "rendezvous", "jump", "range")
VICTIMS = ("nobody", "old owner", "new owner", "mover", "directory")
STRIKES = ("moving", "copied", "sealed", "incoming", "owned", "released", "moved")


@dataclass(eq=False, kw_only=True)
class Customer(StoreClient):
    """Writes every user of `mine` once, then reads, writes and scans at random, and at the end reads all users.

    It reads them once the `others` have ended their loads as well, since they write to its users too. User numbers are
    drawn by `popularity`, their cumulative weights in the order of `users`. There are so many `resizes`; the client
    that has `plans`, the owners after each, is also the operator, who asks for them after `move_at` seconds.
    """

    others: Sequence[str]
    mine: Sequence[int]
    users: Sequence[int]
    popularity: Sequence[float]
    rate: float
    count: int
    write_share: float
    scan_share: float
    span: int
    move_at: float
    resizes: int
    plans: Sequence[Sequence[str]] = ()
    limit: float
    _ended: bool = field(default=False, init=False)

    async def run(self) -> None:
        await closed_loop(self, self._store, sessions=SESSIONS, count=len(self.mine))
        load = self.spawn(open_loop(self, self._act, rate=self.rate, count=self.count))
        await asyncio.gather(load, self.spawn(self._resize()))
        self._ended = True
        await asyncio.gather(*(self.spawn(self._wait_for(name)) for name in self.others))
        await self._renew()  # the audit goes where anyone would be sent who comes now
        await closed_loop(self, self._audit, sessions=SESSIONS, count=len(self.mine))

    async def has_ended(self) -> bool:
        """Whether this client asks for nothing more, apart from its audit."""
        return self._ended

    async def _wait_for(self, name: str) -> None:
        while True:
            try:
                if await self.peer(name).has_ended():
                    return
            except CallError:
                pass  # lost: ask again
            await asyncio.sleep(POLL)

    async def _store(self, index: int) -> None:
        process = f"{self.name}.first.{index}"
        with self.operation("write", self.mine[index], process, process=process):
            await self.put(self.mine[index], process)

    async def _audit(self, index: int) -> None:
        with self.operation("read", self.mine[index], process=f"{self.name}.audit.{index}") as read:
            read.value = await self.get(self.mine[index])

    async def _act(self, index: int) -> None:
        process, kind = f"{self.name}.{index}", self.random.random()
        user = self.users[bisect(self.popularity, self.random.random() * self.popularity[-1])]
        if kind < self.scan_share:
            with self.operation("scan", user, process=process) as scan:
                scan.value = [key for key, _ in await self.scan(user, user + self.span - 1)]
        elif kind < self.scan_share + self.write_share:
            with self.operation("write", user, process, process=process):
                await self.put(user, process)
        else:
            with self.operation("read", user, process=process) as read:
                read.value = await self.get(user)

    async def _resize(self) -> None:
        if not self.resizes:
            return
        await asyncio.sleep(self.move_at)
        for number, owners in enumerate(self.plans, start=1):
            with self.operation("resize", number):
                await self._ask_for(number, owners)
                if not await self._until_moved(number):
                    raise Unanswered("the keys have not all moved in time")
        await self._until_moved(self.resizes)

    async def _ask_for(self, number: int, owners: Sequence[str]) -> None:
        while True:
            try:
                return await self.peer("mover").resize(number, owners)
            except CallError:
                if self.clock.now() > self.limit:
                    raise

    async def _until_moved(self, number: int) -> bool:
        while self.clock.now() < self.limit:
            await asyncio.sleep(POLL)
            try:
                known, done, moves = await self.peer("mover").progress()
            except CallError:
                continue
            if known >= number and done == moves:
                return True
        return False


@experiment(title="Sharding", guide="Partitioning (sharding): split data across multiple servers")
def sharding(
    lab: Lab,
    *,
    placement: str = Choice("ring", PLACEMENTS, "what says which shard keeps a slot"),
    shards: int = Dial(3, 1, 100, help="shards at the start"),
    shards_after: int = Dial(4, 1, 100, help="shards after the resize; the same number means that there is none"),
    points: int = Dial(
        100, 1, 1000, help="virtual nodes of each shard on the ring", needs=only_while("placement", "ring")
    ),
    slots: int = Dial(48, 1, 4096, help="slots that the keys are divided into: what moves as a whole"),
    users: int = Dial(200, 1, 100_000, help="keys: users 1, 2, 3, …"),
    skew: float = Dial(0.0, 0.0, 3.0, "", "exponent of Zipf's law: how much more popular the popular users are"),
    clients: int = Dial(2, 1, 8, help="clients, each with a routing table of its own"),
    rate: float = Dial(200.0, 1.0, 20_000.0, "1/s", "requests a second in all, at random instants"),
    length: float = Dial(2.0, 0.1, 600.0, "s", "how long requests arrive"),
    write_share: float = Dial(0.5, 0.0, 1.0, "", "share of the requests that write"),
    scan_share: float = Dial(0.0, 0.0, 1.0, "", "share of the requests that ask for a range of users"),
    span: int = Dial(10, 1, 10_000, help="users that a scan asks for", needs=unless("scan_share", 0.0)),
    service_time: float = Dial(0.0, 0.0, 1.0, "s", "mean time that a shard works on a request, one at a time"),
    queue: int = Dial(50, 1, 100_000, help="requests that may wait at a shard; more are refused"),
    slow: float = Dial(0.0, 0.0, 1.0, "", "share of the requests at which a shard hiccups"),
    slow_time: float = Dial(0.1, 0.001, 10.0, "s", "how long a hiccup takes", needs=unless("slow", 0.0)),
    delay: float = Dial(0.001, 0.0, 1.0, "s", "mean one-way delay, exponentially distributed"),
    stragglers: float = Dial(0.0, 0.0, 0.5, "", "share of the messages whose delay is 50 times as long on average"),
    sync_delay: float = Dial(0.001, 0.0, 1.0, "s", "how long a simulated disk takes to sync"),
    loss: float = Dial(0.0, 0.0, 0.5, "", "probability that a message is lost"),
    duplication: float = Dial(0.0, 0.0, 0.5, "", "probability that a message arrives twice"),
    timeout: float = Dial(0.1, 0.001, 10.0, "s", "how long a call waits for its answer"),
    patience: float = Dial(1.0, 0.001, 60.0, "s", "how long a client tries again"),
    move_at: float = Dial(0.5, 0.0, 600.0, "s", "when, after the load begins, the resize is asked for"),
    back: bool = Switch(False, "then resize once more, to the number of shards at the start"),
    copy_first: bool = Switch(True, "copy a slot while its owner serves it, and again what has changed"),
    batch: int = Dial(50, 1, 10_000, help="keys that are copied in one message"),
    victim: str = Choice("nobody", VICTIMS, "who is killed, and restarts from its disk"),
    strike: str = Choice(
        "copied", STRIKES, "the first step of the move at which the victim is killed", needs=unless("victim", "nobody")
    ),
    outage: float = Dial(0.3, 0.0, 60.0, "s", "how long the victim stays down", needs=unless("victim", "nobody")),
    chaos: bool = Switch(False, "crashes, pauses and partitions at random while requests arrive"),
    incidents: int = Dial(5, 0, 100, help="how many of them", needs=only_while("chaos", True)),
    settle: float = Dial(10.0, 0.1, 600.0, "s", "time after load and faults within which the resize must have ended"),
    fence: bool = Switch(True, "let a shard refuse requests for what it does not own at their epoch"),
    sync_moved: bool = Switch(True, "let the new owner acknowledge moved keys only when they are on its disk"),
    newest_wins: bool = Switch(True, "let the new owner keep a newer value than the copy that arrives"),
    keep_plan: bool = Switch(True, "let the mover keep its plan and progress on disk"),
) -> None:
    """A store of n shards serves requests, then moves keys to have another number of shards: who notices?"""
    require(
        write_share + scan_share <= 1, "scan_share", scan_share, f"at most {1 - write_share:g}, what is not written"
    )
    values = {name: value for name, value in locals().items() if name != "lab"}
    layout = slot_layout(values)
    guards = {"fence": fence, "sync_moved": sync_moved, "newest_wins": newest_wins}
    work = {"service_time": service_time, "queue": queue, "slow": slow, "slow_time": slow_time}
    for name in layout.names:
        owns = [slot for slot, owner in enumerate(layout.before) if owner == name]
        lab.node(name, Shard, slots=layout.slots, owns=owns, **work, **guards)
    lab.node("directory", Directory, owners=layout.before)
    lab.node("mover", Mover, copy_first=copy_first, batch=batch, keep_plan=keep_plan, call_timeout=timeout)
    lab.network = Network(Link(_latency(delay, stragglers), loss=loss, duplication=duplication))
    lab.sync_delay = sync_delay
    last = max(length, move_at) + users / 50 + outage + patience
    lab.time_limit = 3 * (last + settle) + 60
    names = [f"client-{number}" for number in range(1, clients + 1)]
    plans = [layout.after, layout.before][: 1 + back] if layout.moves else []
    lab.faults = _strike(victim, strike, outage, layout.moves) if layout.moves else FaultPlan()
    if chaos:
        servers = [*layout.names, "mover", "directory"]
        plan = chaotic(servers, length, lab.seed, bystanders=names, incidents=incidents)
        lab.faults = lab.faults + plan
    ranked = Random(f"{lab.seed}/popularity").sample(range(1, users + 1), users)
    for position, name in enumerate(names):
        lab.client(
            name,
            Customer,
            slots=layout.slots,
            patience=patience,
            call_timeout=timeout,
            others=[other for other in names if other != name],
            mine=range(1 + position, users + 1, clients),
            users=ranked,
            popularity=list(accumulate(zipf_weights(users, skew))),
            rate=rate / clients,
            count=max(round(rate * length / clients), 1),
            write_share=write_share,
            scan_share=scan_share,
            span=span,
            move_at=move_at,
            resizes=len(plans),
            plans=plans if position == 0 else (),
            limit=last + settle,
        )


@sharding.measure
def measures(result: Result) -> Iterator[Measure]:
    """See `labkit.experiments.sharding_measures`."""
    yield from sharding_measures(result)


@sharding.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether a write was lost, a read was stale, and whether all keys were moved, served, and found by scans."""
    yield no_lost_writes(result.operations)
    yield fresh_reads(result.operations)
    awaited = [each for each in result.operations if each.function == "resize" or ".audit." in each.process]
    yield all_succeeded(awaited, SETTLES)
    if result.parameters["scan_share"]:
        yield no_scan_misses(result.operations, result.parameters["span"])


@sharding.law(measure="slow_scans", label="1 − (1 − p)^n")
def expected_slow_scans(values: Mapping[str, Any]) -> float | None:
    """The law of `slow_scan_share`, where hashing makes every scan ask every shard that has a slot."""
    asks_all = values["placement"] != "range" and values["shards"] == values["shards_after"]
    if not (asks_all and meets_hiccups_alone(values)):
        return None
    return slow_scan_share(len(set(slot_layout(values).before)), values["slow"])


@sharding.law(measure="scan_shards", label="all shards, or those of the range")
def expected_scan_shards(values: Mapping[str, Any]) -> float:
    """By hashing, all shards that have a slot; by range those of the slots between, averaged over the users."""
    layout = slot_layout(values)
    if values["placement"] != "range":
        return float(len(set(layout.before)))
    weights = range(1, values["users"] + 1)
    return math.fsum(scan_shards(layout, layout.before, low, values["span"]) for low in weights) / values["users"]


@sharding.law(measure="hot_throughput", label="1 / (service time × (1 + share of writes))")
def capacity(values: Mapping[str, Any]) -> float | None:
    """The most that one shard gets done, for a service time above 0 and no scans: a write is two requests."""
    if not values["service_time"] or values["scan_share"]:
        return None
    return 1 / (values["service_time"] * (1 + values["write_share"]))


@sharding.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """Requests of one or of many shards, the users written first and read last, and the copying."""
    requests = values["rate"] * values["length"]
    single = requests * (1 - values["scan_share"])
    writes = requests * values["write_share"]  # each reads first
    scans = requests * values["scan_share"] * 4 * values["shards"]
    moves = len(slot_layout(values).moves)
    waiting = values["clients"] * values["length"] / POLL * 4
    return {
        "rate": 6 * (single + writes) + scans,
        "users": 18.0 * values["users"],
        "slots": 30.0 * moves,
        "length": waiting if moves else 0.0,
    }


def _latency(mean: float, stragglers: float) -> Latency:
    usual = Exponential(mean) if mean else Constant(0.0)
    return Mixture((1 - stragglers, usual), (stragglers, Exponential(50 * mean))) if stragglers and mean else usual


def _strike(victim: str, step: str, outage: float, moves: Sequence[tuple[str, str]]) -> FaultPlan:
    node = {"old owner": moves[0][0], "new owner": moves[0][1]}.get(victim, victim)
    if victim == "nobody":
        return FaultPlan()
    begin = After(note=step)
    return FaultPlan().crash(node, at=begin).restart(node, at=replace(begin, delay=outage))


BRIEF = {"users": 24, "slots": 12, "length": 0.6, "move_at": 0.3, "rate": 200.0}
"""A run of some hundred messages, for hunts through many seeds."""

sharding.ablation("keys moved without a fence", without={"fence": False}, breaks=LOST, **BRIEF)
sharding.ablation(
    "scans without a fence", without={"fence": False}, breaks=COMPLETE, scan_share=0.5, write_share=0.4, **BRIEF
)
sharding.ablation(
    "moved keys acknowledged before they are on disk",
    without={"sync_moved": False},
    breaks=LOST,
    victim="new owner",
    strike="copied",
    sync_delay=0.003,
    **BRIEF,
)
sharding.ablation(
    "a moved copy replaces a newer value",
    without={"newest_wins": False},
    breaks=LOST,
    placement="modulo",
    duplication=0.5,
    stragglers=0.2,
    write_share=0.9,
    **BRIEF,
)
sharding.ablation(
    "the mover forgets its plan",
    without={"keep_plan": False},
    breaks=SETTLES,
    victim="mover",
    strike="copied",
    **BRIEF,
)

MOVED = "every slot has changed its owner"


def _has_moved(result: Result) -> Iterator[Verdict]:
    # What the shards themselves note; what the mover believes is not asked.
    layout = slot_layout(result.parameters)
    noted = {(note.label, note.node, note.details["slot"]) for note in result.notes if note.label in (OWNED, RELEASED)}
    wanted = [(slot, layout.before[slot], layout.after[slot]) for slot in layout.moving]
    done = [each for each in wanted if {(OWNED, each[2], each[0]), (RELEASED, each[1], each[0])} <= noted]
    why = f"{len(done)} of {count(len(wanted), 'slot')} served by the new owner, and deleted by the old one"
    yield Verdict(MOVED, HOLDS if len(done) == len(wanted) else ILLEGAL, why)


sharding.rule(
    "hand_over", of=Mover, method="_move", breaks=LOST, verify=_has_moved,
    costs={"sealed_longest": "a slot is served by nobody for up to"},
    task="Let a slot change its owner while clients read and write its keys: take the steps of move in an order in "
    "which nothing is lost.",
    chaos=True, incidents=3, placement="modulo", sync_delay=0.003, delay=0.002,
    **BRIEF | {"slots": 8, "users": 16, "move_at": 0.1},
)  # fmt: skip
