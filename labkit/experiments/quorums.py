"""Lab 09: consistency, latency and availability of a quorum store, as its three numbers N, R and W are turned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import comb
from typing import Any

from labkit.checkers.linearizability import PROPERTY as LINEARIZABLE
from labkit.checkers.linearizability import linearizable
from labkit.checkers.settling import enough
from labkit.checkers.staleness import PROPERTY as FRESH
from labkit.checkers.staleness import ReadJudgement, fresh_reads, judge_reads
from labkit.clocks import ClockError
from labkit.dials import Choice, Dial, Switch, only_while, unless
from labkit.faults import FaultPlan
from labkit.history import Message, Stretch
from labkit.lab import Lab, experiment, require
from labkit.latency import LINKEDIN_DISK_WRITE, LINKEDIN_SSD, of_mean
from labkit.latency import SHAPES as USUAL_SHAPES
from labkit.network import Link, Network
from labkit.protocols.quorums import QuorumClient, Replica, StandIn
from labkit.results import Measure, Result, Verdict, percentile, share
from labkit.workload import open_loop

MEASURED = ("linkedin ssd", "linkedin disk")
SHAPES = (*USUAL_SHAPES, *MEASURED)


@dataclass(eq=False, kw_only=True)
class Shopper(QuorumClient):
    """Writes a key, waits, and reads a key: the same one, or (`mixed`) any."""

    pairs: int
    rate: float
    keys: int
    read_after: float
    mixed: bool

    async def run(self) -> None:
        await open_loop(self, self._write_then_read, rate=self.rate, count=self.pairs)

    async def _write_then_read(self, index: int) -> None:
        process = f"{self.name}.{index}"
        key = self._key(index)
        with self.operation("write", key, process, process=process) as write:
            await self.put(key, process)
        if not (write.ok or self.mixed):
            return
        if self.read_after:
            await asyncio.sleep(self.read_after)
        key = self._key(index) if self.mixed else key
        with self.operation("read", key, process=process) as read:
            read.value = await self.get(key)

    def _key(self, index: int) -> str:
        return f"key-{self.random.randrange(self.keys)}" if self.keys else f"{self.name}/{index}"


OF_A_MEAN = unless("shape", *MEASURED)
OUTAGES = unless("availability", 1.0)
DURABLE = only_while("durable", True)


@experiment(title="Quorums", guide="CAP theorem: consistency and availability as a choice")
def quorums(
    lab: Lab,
    *,
    replicas: int = Dial(3, 1, 9, help="copies of each key (N)"),
    read_quorum: int = Dial(1, 1, 9, help="answers that a read waits for (R)"),
    write_quorum: int = Dial(1, 1, 9, help="acknowledgements that a write waits for (W)"),
    delay: float = Dial(
        0.02, 0.0, 1.0, "s", "mean one-way delay of acknowledgements, reads and responses", needs=OF_A_MEAN
    ),
    write_delay: float = Dial(0.02, 0.0, 1.0, "s", "mean one-way delay of write requests", needs=OF_A_MEAN),
    shape: str = Choice("exponential", SHAPES, "distribution of the delays; the LinkedIn fits ignore the means"),
    loss: float = Dial(0.0, 0.0, 0.5, "", "probability that a message is lost"),
    read_after: float = Dial(0.0, 0.0, 10.0, "s", "pause between a write's acknowledgement and the read"),
    contact: str = Choice("all", ("all", "quorum"), "ask every replica, or just a random quorum of them"),
    availability: float = Dial(1.0, 0.5, 1.0, "", "share of the time that each replica is up"),
    mean_outage: float = Dial(
        1.0, 0.001, 100.0, "s", "how long a replica that goes down stays down, on average", needs=OUTAGES
    ),
    partition: float = Dial(0.0, 0.0, 60.0, "s", "how long client-1 and replica-1 are cut off from the rest"),
    kill_after: float = Dial(0.0, 0.0, 600.0, "s", "when replica-1 is killed; 0 means never"),
    sloppy: bool = Switch(False, "let stand-ins answer for replicas that do not"),
    clock_offset: float = Dial(0.0, -10.0, 10.0, "s", "how far the last client's clock is ahead"),
    timestamps: str = Choice("physical", ("physical", "hybrid", "read first"), "what orders the writes"),
    write_back: bool = Switch(False, "let a read wait until W replicas have the version that it returns"),
    durable: bool = Switch(False, "sync each write to disk before it is acknowledged"),
    sync_delay: float = Dial(0.0, 0.0, 1.0, "s", "how long a simulated disk takes to sync", needs=DURABLE),
    clients: int = Dial(2, 1, 8, help="clients, each a node that coordinates its own requests"),
    pairs: int = Dial(1000, 1, 1_000_000, help="writes, each followed by a read"),
    rate: float = Dial(50.0, 0.1, 10_000.0, "1/s", "pairs a second that each client starts"),
    keys: int = Dial(0, 0, 100_000, help="keys shared by all; 0 gives each pair a key of its own"),
    mixed: bool = Switch(False, "let each read pick a key of its own instead of the one just written"),
    timeout: float = Dial(0.5, 0.001, 10.0, "s", "how long a call waits for its answer"),
) -> None:
    """Clients write to N replicas and wait for W, then read and wait for R; who sees stale data, and at what price?"""
    require(read_quorum <= replicas, "read_quorum", read_quorum, f"at most replicas, which is {replicas}")
    require(write_quorum <= replicas, "write_quorum", write_quorum, f"at most replicas, which is {replicas}")
    homes = [lab.node(f"replica-{number}", Replica, durable=durable) for number in range(1, replicas + 1)]
    spares = range(1, replicas + 1) if sloppy else ()
    stand_ins = [lab.node(f"stand-in-{number}", StandIn, durable=durable) for number in spares]
    names = [f"client-{number}" for number in range(1, clients + 1)]
    for position, name in enumerate(names):
        lab.client(
            name,
            Shopper,
            clock=ClockError(clock_offset if position == clients - 1 else 0.0),
            replicas=homes,
            read_quorum=read_quorum,
            write_quorum=write_quorum,
            contact=contact,
            timestamps=timestamps,
            write_back=write_back,
            # Each side of a partition finds other stand-ins first, as nodes next to each other do.
            stand_ins=stand_ins if position == 0 else stand_ins[::-1],
            call_timeout=timeout,
            pairs=pairs // clients + (position < pairs % clients),
            rate=rate,
            keys=keys,
            read_after=read_after,
            mixed=mixed,
        )
    lab.network = _network(shape, delay, write_delay, loss)
    expected = pairs / clients / rate
    lab.drain = 0.1  # so that most of what is on its way when the last client is done still arrives
    lab.time_limit = 10 * expected + 60 + partition
    lab.faults = _partition(homes, stand_ins, names, partition, expected / 3)
    if availability < 1:
        lab.faults = lab.faults.outages(homes, availability, mean_outage, until=1.5 * expected + 10, seed=lab.seed)
    if kill_after:
        lab.faults = lab.faults.crash(homes[0], at=kill_after)


@quorums.measure
def measures(result: Result) -> Iterator[Measure]:
    """Staleness as seen in real time, latencies, and the share of operations that were answered."""
    judged = _judged(result)
    stale = sum(judgement.missed is not None for judgement in judged)
    yield Measure("stale_reads", share(stale, len(judged)), "", "share of reads that missed an acknowledged write")
    yield Measure("reads", len(judged), "", "reads that were answered")
    for function in ("read", "write"):
        operations = [operation for operation in result.operations if operation.function == function]
        answered = sum(operation.ok for operation in operations)
        yield Measure(
            f"{function}_availability", share(answered, len(operations)), "", f"share of {function}s that succeeded"
        )
        latencies = sorted(result.latencies(function))  # once, not for each percentile
        for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
            what = f"{100 * level:g}% of {function}s took at most this"
            yield Measure(f"{function}_{name}", percentile(latencies, level), "s", what)
    per_operation = share(result.recording.messages_sent, len(result.operations))
    yield Measure("messages_per_operation", per_operation, "", "messages sent for each read or write")


@quorums.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether every read by itself was fresh, and whether all of them together fit a single copy."""
    yield fresh_reads(result.operations, _judged(result))
    yield linearizable(result.operations)


HAS_IT, HAS_NOT = "has the value", "does not have it yet"


@quorums.states(HAS_IT, HAS_NOT)
def states(result: Result) -> Iterator[Stretch]:
    """Who has the value, in a run with one write: of several, only the store's own versions say which is the newest.

    A replica that crashes may lose it, so that its state is known until then.
    """
    writes = [operation for operation in result.operations if operation.function == "write"]
    if len(writes) != 1:
        return
    stored = {node: at_us for node, (at_us, _) in _stored(result).items()}
    for node in sorted({message.target for message in result.messages if message.method == "write"} - _clients(result)):
        ends = [round(fault.at * 1e6) for fault in result.faults if fault.kind == "crash" and node in fault.nodes]
        end_us = min([*ends, result.recording.duration_us])
        if stored.get(node, end_us) > writes[0].invoked_us:
            yield Stretch(node, HAS_NOT, writes[0].invoked_us, min(stored.get(node, end_us), end_us))
        if stored.get(node, end_us) < end_us:
            yield Stretch(node, HAS_IT, stored[node], end_us)


@quorums.answers
def answers(result: Result) -> Iterator[tuple[Message, str]]:
    """Acknowledgements of writes; and, in a run with one write, whether a replica answered a read with it."""
    writes = [operation for operation in result.operations if operation.function == "write"]
    stored = _stored(result)
    for message in result.messages:
        if message.is_reply and message.method in ("write", "hold_for"):
            yield message, "ack"
        elif message.is_reply and message.method == "read" and len(writes) == 1:
            answered = message.sent_us, message.sent_order
            yield message, "new" if stored.get(message.source, answered) < answered else "old"


def _stored(result: Result) -> dict[str, tuple[int, int]]:
    """When the first write came to each replica, and its place among what the replica did then."""
    arrivals = [
        ((message.arrived_us, message.arrived_order), message.target)
        for message in result.messages
        if message.method in ("write", "hold_for") and not message.is_reply and message.arrived_us is not None
    ]
    return {node: when for when, node in sorted(arrivals, reverse=True)}


def _clients(result: Result) -> set[str]:
    return {message.source for message in result.messages if message.method == "read" and not message.is_reply}


def _judged(result: Result) -> list[ReadJudgement]:
    return result.once("judged reads", lambda: list(judge_reads(result.operations)))


def miss_probability(replicas: int, read_quorum: int, write_quorum: int) -> float:
    """P(a random read quorum misses a random write quorum) = C(N−W, R) / C(N, R); Bailis et al. 2012, eq. 1."""
    return comb(replicas - write_quorum, read_quorum) / comb(replicas, read_quorum)


def quorum_availability(replicas: int, quorum: int, up: float) -> float:
    """P(at least `quorum` of `replicas` are up), each independently with probability `up`."""
    return sum(comb(replicas, k) * up**k * (1 - up) ** (replicas - k) for k in range(quorum, replicas + 1))


@quorums.law(measure="stale_reads", label="C(N−W, R) / C(N, R)")
def expected_stale_reads(values: Mapping[str, Any]) -> float | None:
    """The law of `miss_probability`, for requests that go to a random quorum only, and a key of its own each."""
    exact = values["contact"] == "quorum" and not values["keys"] and not values["sloppy"]
    if not exact or values["availability"] < 1 or values["partition"] or values["kill_after"]:
        return None
    return miss_probability(values["replicas"], values["read_quorum"], values["write_quorum"])


@quorums.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """Requests and replies of a write and a read; what stand-ins do by the clock, and nodes that come and go."""
    reads = writes = values["replicas"]
    if values["contact"] == "quorum":
        reads, writes = values["read_quorum"], values["write_quorum"]
    asked = reads + writes + reads * (values["timestamps"] == "read first") + writes * values["write_back"]
    lasts = values["pairs"] / values["clients"] / values["rate"]
    events = {"pairs": values["pairs"] * (4.0 + 4 * asked)}
    if values["sloppy"]:
        events["rate"] = values["replicas"] * lasts / 0.05
    if values["availability"] < 1:
        mean_cycle = values["mean_outage"] / (1 - values["availability"])
        events["mean_outage"] = 2 * values["replicas"] * (1.5 * lasts + 10) / mean_cycle
    return events


OVERLAPPING = {"read_quorum": 2, "write_quorum": 2, "keys": 2, "mixed": True, "pairs": 60}
ATOMIC = {**OVERLAPPING, "write_back": True, "timestamps": "read first", "durable": True}
"""What a store needs that is linearizable; with clocks that show the true time, any timestamps will do."""

quorums.ablation("quorums do not overlap", without={"read_quorum": 1, "write_quorum": 1}, breaks=FRESH, **ATOMIC)
quorums.ablation(
    "stand-ins answer for silent replicas", without={"sloppy": True}, breaks=FRESH, partition=0.5, **ATOMIC
)
quorums.ablation(
    "one client's clock is behind", without={"clock_offset": -0.2}, breaks=FRESH, **{**ATOMIC, "timestamps": "physical"}
)
quorums.ablation(
    "writers do not ask for the newest version first",
    without={"timestamps": "hybrid"}, breaks=LINEARIZABLE, clock_offset=-0.2, **ATOMIC,
)  # fmt: skip
quorums.ablation(
    "reads do not write back",
    without={"write_back": False}, breaks=LINEARIZABLE, delay=0.005, write_delay=0.1, **{**ATOMIC, "keys": 1},
)  # fmt: skip
quorums.ablation(
    "a crash takes what was acknowledged",
    without={"durable": False}, breaks=FRESH, availability=0.7, mean_outage=0.2, **{**ATOMIC, "pairs": 200},
)  # fmt: skip

ANSWERED = "most requests are answered"


def _does_its_work(result: Result) -> Iterator[Verdict]:
    answered = sum(operation.ok for operation in result.operations)
    yield enough(ANSWERED, share(answered, len(result.operations)), 0.5)


quorums.rule(
    "get", of=QuorumClient, breaks=LINEARIZABLE, verify=_does_its_work, costs={"read_p50": "median read"},
    task="Return the newest value that read_quorum replicas know, such that no read that begins later returns an "
    "older one.",
    delay=0.005, write_delay=0.1, availability=0.95, mean_outage=0.2, **{**ATOMIC, "write_back": False, "keys": 1},
)  # fmt: skip


def _network(shape: str, delay: float, write_delay: float, loss: float) -> Network:
    if shape.startswith("linkedin"):
        write = LINKEDIN_DISK_WRITE if shape == "linkedin disk" else LINKEDIN_SSD
        return Network(Link(LINKEDIN_SSD, loss=loss), legs={("write", "request"): write})
    legs = {("write", "request"): of_mean(shape, write_delay)}
    return Network(Link(of_mean(shape, delay), loss=loss), legs=legs)


def _partition(homes: list[str], stand_ins: list[str], clients: list[str], length: float, begin: float) -> FaultPlan:
    if not length:
        return FaultPlan()
    here = [clients[0], homes[0], *stand_ins[:-1]]
    there = [*clients[1:], *homes[1:], *stand_ins[-1:]]
    return FaultPlan().partition(here, there, at=begin).heal(at=begin + length)
