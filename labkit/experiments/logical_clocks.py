"""Lab 15: what each kind of clock can tell of cause and order, and what its stamps take."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.causality import CONCURRENT, Lamport, Vector, ordered
from labkit.checkers.causality import (
    Execution,
    Order,
    Tally,
    by_number,
    by_vector,
    execution_of,
    respects_causality,
    tally,
    tells_causality,
)
from labkit.clocks import ClockError, Timestamp
from labkit.dials import Choice, Dial, Switch, only_while
from labkit.lab import Lab, experiment, require
from labkit.latency import Constant, Exponential
from labkit.network import Link, Network
from labkit.protocols.logical_clocks import Stamps, Talker
from labkit.results import HOLDS, ILLEGAL, Measure, Result, Verdict, share
from labkit.workload import open_loop

CLOCKS = ("physical", "lamport", "hybrid", "version vector", "vector")
NAMES = "ABCDEFGHIJKLMNOPQRSTUVWX"
MOST_EVENTS = 5000
PHYSICAL_BYTES, HYBRID_BYTES = 8, 8
"""A hybrid time has the size of a physical time, as Kulkarni et al. require: 48 bits of time and 16 of counter."""


@dataclass(eq=False, kw_only=True)
class Chatterer(Talker):
    """Acts `count` times, as a Poisson process of `rate` a second."""

    rate: float
    count: int
    local: float

    async def run(self) -> None:
        await open_loop(self, lambda _: self.act(self.local), rate=self.rate, count=self.count)


@experiment(title="Logical clocks", guide="Challenge 5: clock synchronisation")
def logical_clocks(
    lab: Lab,
    *,
    nodes: int = Dial(3, 2, len(NAMES), help="nodes that stamp events and send each other messages"),
    clock: str = Choice("vector", CLOCKS, "which of the clocks that every message carries is judged"),
    offset: float = Dial(0.05, 0.0, 10.0, "s", "how far the last node's clock is ahead of the first's at the start"),
    drift_ppm: float = Dial(0.0, 0.0, 1000.0, "ppm", "how fast the last node's clock gains, and the first's loses"),
    rate: float = Dial(50.0, 0.01, 10_000.0, "1/s", "how often each node acts, by a step of its own or a message"),
    local: float = Dial(0.8, 0.0, 1.0, "", "share of a node's acts that are steps of its own"),
    events: int = Dial(20, 1, 2500, help="acts of each node"),
    delay: float = Dial(0.02, 0.0, 1.0, "s", "mean one-way delay, exponential"),
    work: float = Dial(0.001, 0.0, 1.0, "s", "mean time between a receipt and the answer to it"),
    loss: float = Dial(0.0, 0.0, 0.5, "", "probability that a message is lost"),
    lamport_advance: bool = Switch(True, "move the Lamport clock past the message's on receipt"),
    vector_merge: bool = Switch(True, "merge the message's vector on receipt"),
    hybrid_maximum: bool = Switch(True, "let the hybrid clock keep the maximum that it has seen"),
) -> None:
    """Nodes take steps and send messages that carry every kind of clock: which clock tells what caused what?"""
    require(nodes * events <= MOST_EVENTS, "events", events, f"at most {MOST_EVENTS} on all nodes, which are {nodes}")
    names = NAMES[:nodes]
    # An answer that comes too late is not received, and those that are would be the quick ones.
    timeout = max(1.0, 40 * delay + 20 * work)
    for number, name in enumerate(names):
        ahead = number / (nodes - 1)
        lab.client(
            name,
            Chatterer,
            clock=ClockError(offset * ahead, drift_ppm * (2 * ahead - 1)),
            others=[other for other in names if other != name],
            rate=rate,
            count=events,
            local=local,
            work=work,
            call_timeout=timeout,
            lamport_advance=lamport_advance,
            vector_merge=vector_merge,
            hybrid_maximum=hybrid_maximum,
        )
    lab.network = Network(Link(Exponential(delay) if delay else Constant(0.0), loss=loss))
    lab.time_limit = 10 * events / rate + 60 + timeout


@logical_clocks.measure
def measures(result: Result) -> Iterator[Measure]:
    """The judged clock's shares, every clock's share of right pairs, sizes, and how far the hybrid clock strays."""
    judged = shares(result)
    chosen = judged[result.parameters["clock"]]
    yield Measure("right", share(chosen.right, chosen.pairs), "", "share of pairs of which the clock says what is true")
    yield Measure("inverted", share(chosen.inverted, chosen.ordered), "", "share of ordered pairs that it inverts")
    yield Measure("missed", share(chosen.missed, chosen.ordered), "", "share of ordered pairs that it leaves unordered")
    invented = share(chosen.invented, chosen.concurrent)
    yield Measure("invented", invented, "", "share of concurrent pairs that it gives an order")
    against = share(chosen.against_time, chosen.claimed)
    yield Measure("against_time", against, "", "share of pairs it orders that happened the other way round")
    yield Measure("concurrent", share(chosen.concurrent, chosen.pairs), "", "share of pairs that are concurrent")
    for clock, found in judged.items():
        name = clock.replace(" ", "_")
        what = f"share of pairs of which the {clock} clock says what is true"
        yield Measure(f"{name}_right", share(found.right, found.pairs), "", what)
    yield from _updates(result)
    yield from _inversions(result)
    yield from _sizes(result)
    yield from _strays(result)


@logical_clocks.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether Lamport and hybrid clocks respect causality, and vector clocks tell it."""
    execution, said = judged_execution(result), orders(result)
    stamps = [event.stamps for event in execution.events]
    yield respects_causality("Lamport", execution, said["lamport"], [f"L = {each.lamport}" for each in stamps])
    yield respects_causality("hybrid", execution, said["hybrid"], [f"H = {_hybrid(each)}" for each in stamps])
    yield tells_causality("vector", execution, said["vector"], [f"V = {each.vector}" for each in stamps])


def judged_execution(result: Result) -> Execution:
    """The run's events with what is true of them: → by following the messages."""
    return result.once("execution", lambda: execution_of(result.notes))


def orders(result: Result) -> dict[str, Order]:
    """What each kind of clock says of all pairs of events."""

    def read() -> dict[str, Order]:
        stamps = [event.stamps for event in judged_execution(result).events]
        return {
            "physical": by_number([each.physical_us for each in stamps]),
            "lamport": by_number([each.lamport.time for each in stamps]),
            "hybrid": by_number([each.hybrid[:2] for each in stamps]),
            "version vector": by_vector([each.versions for each in stamps]),
            "vector": by_vector([each.vector for each in stamps]),
        }

    return result.once("orders", read)


def shares(result: Result) -> dict[str, Tally]:
    """Every kind of clock held against the true order of all pairs of events."""
    return result.once(
        "shares", lambda: {clock: tally(judged_execution(result), said) for clock, said in orders(result).items()}
    )


def inverted_messages(nodes: int, offset: float, delay: float) -> float:
    """P(a message is stamped later at its sending than at its receipt), for clocks whose offsets are spread evenly.

    From a clock that is ahead by d to one that is behind: the delay, exponential with mean `delay`, must be below d;
    so 1 − e^(−d/delay) for those, never for messages the other way, on average over all pairs of nodes.
    """
    require(nodes >= 2, "nodes", nodes, "2 or more")
    require(0 <= offset < math.inf, "offset", offset, "0 or more seconds")
    require(0 <= delay < math.inf, "delay", delay, "0 or more seconds")
    gaps = [offset * (one - other) / (nodes - 1) for one in range(nodes) for other in range(one)]
    if not delay:
        return sum(gap > 0 for gap in gaps) / len(gaps) / 2
    return math.fsum(-math.expm1(-gap / delay) for gap in gaps) / len(gaps) / 2


@logical_clocks.law(measure="messages_inverted", label="(1 − exp(−offset / delay)) / 2, averaged over pairs of nodes")
def expected_inversions(values: Mapping[str, Any]) -> float | None:
    """The law of `inverted_messages`, for clocks that do not drift."""
    if values["drift_ppm"] or values["loss"]:
        return None
    return inverted_messages(values["nodes"], values["offset"], values["delay"])


@logical_clocks.law(measure="right", label="a → b if and only if V(a) < V(b)")
def expected_right(values: Mapping[str, Any]) -> float | None:
    """All pairs, whatever the run; for vector clocks alone (Fidge 1988, Mattern 1989). No law for the others."""
    return 1.0 if values["clock"] == "vector" and values["vector_merge"] else None


@logical_clocks.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """An act is a timer; if it is a message, it is sent, worked on and answered."""
    return {"events": values["nodes"] * values["events"] * (2.0 + 4.0 * (1 - values["local"]))}


_CROWD = {"nodes": 3, "events": 15}
logical_clocks.ablation(
    "Lamport clock not advanced past the message's",
    without={"lamport_advance": False},
    breaks="Lamport clocks respect causality",
    **_CROWD,
)
logical_clocks.ablation(
    "vector clock not merged on receipt",
    without={"vector_merge": False},
    breaks="vector clocks tell causality",
    **_CROWD,
)
logical_clocks.ablation(
    "hybrid clock without the maximum",
    without={"hybrid_maximum": False},
    breaks="hybrid clocks respect causality",
    offset=0.05,
    **_CROWD,
)

CLOSE = "hybrid clocks stay close to physical ones"
SLACK = {"simulated": 1e-6, "ray": 0.1}
"""Seconds between two readings that belong to one event: a process may be stopped between them, while others run."""


def _stays_close(result: Result) -> Iterator[Verdict]:
    ahead, behind = result["hybrid_ahead_max"], -result["hybrid_ahead_min"]
    slack = SLACK[result.runtime]
    bound = result["hybrid_ahead_bound"] + slack
    why = f"up to {ahead:.3f} s ahead of its node's clock and {max(behind, 0.0):.3f} s behind it; clocks differ by "
    kept = ahead <= bound and behind <= slack
    yield Verdict(CLOSE, HOLDS if kept else ILLEGAL, f"{why}{result['hybrid_ahead_bound']:.3f} s")


logical_clocks.rule(
    "receive_vector", of=Talker, breaks="vector clocks tell causality", returns=Vector,
    costs={"vector_entries": "entries of the largest vector"},
    task="Return the vector of the receipt of a message: what this node and the message know, and the receipt itself.",
    **_CROWD,
)  # fmt: skip
logical_clocks.rule(
    "receive_hybrid", of=Talker, breaks="hybrid clocks respect causality", returns=tuple, verify=_stays_close,
    costs={"hybrid_ahead_max": "at most ahead of the physical clock"},
    task="Return the hybrid reading of a receipt: later than this node's last and the message's, as close to now_us as "
    "that allows, and never before it.",
    offset=0.05, local=0.5, delay=0.005, **_CROWD,
)  # fmt: skip


@dataclass(eq=False, kw_only=True)
class Witness(Talker):
    """Takes a step at a given moment of true time, and, if asked to, tells another node of it."""

    at: float
    tells: str = ""

    async def run(self) -> None:
        await asyncio.sleep(self.at)
        self.step()
        if self.tells:
            self.receive(await self.peer(self.tells).tell(self.send()))


FIRST_AT = 0.09


@experiment(title="Two events", guide="Challenge 5: clock synchronisation, the example")
def two_events(
    lab: Lab,
    *,
    offset: float = Dial(0.05, -1.0, 1.0, "s", "how far server B's clock is ahead of server A's"),
    apart: float = Dial(0.055, 0.001, 1.0, "s", "true time between the two events"),
    first: str = Choice("B", ("A", "B"), "the server that has the earlier event"),
    message: bool = Switch(False, "let the first server tell the other of its event"),
    delay: float = Dial(0.02, 0.0, 1.0, "s", "how long that message takes", needs=only_while("message", True)),
) -> None:
    """The guide's example: an event on each of two servers, one of whose clocks is ahead. Which happened first?"""
    second = "A" if first == "B" else "B"
    require(not message or delay < apart, "delay", delay, f"below apart, which is {apart:g}, to be there in time")
    for name in ("A", "B"):
        lab.client(
            name,
            Witness,
            clock=ClockError(offset if name == "B" else 0.0),
            at=FIRST_AT + (0 if name == first else apart),
            tells=second if message and name == first else "",
            call_timeout=1 + 2 * delay,
        )
    lab.network = Network(Link(Constant(delay)))


def sayings(result: Result) -> dict[str, str]:
    """What is true of the two events of `two_events`, and what each clock says: how the first stands to the second."""
    execution = execution_of(result.notes)
    steps = [event for event in execution.events if event.label == "step"]
    one, other = sorted(steps, key=lambda event: event.at_us)
    caused = execution.happened_before((one.node, one.number), (other.node, other.number))
    return {"true cause": "before" if caused else CONCURRENT} | _said(one.stamps, other.stamps)


@two_events.measure
def two_measures(result: Result) -> Iterator[Measure]:
    """Whether each clock says of the two events what is true of their causes."""
    said = sayings(result)
    for clock in CLOCKS:
        # Two equal readings say that neither caused the other.
        truth = said[clock] == said["true cause"] or (said[clock] == "equal" and said["true cause"] == CONCURRENT)
        what = f"1 if the {clock} clock says what is true of the two events"
        yield Measure(f"{clock.replace(' ', '_')}_right", float(truth), "", what)


@two_events.size
def two_size(values: Mapping[str, Any]) -> dict[str, float]:
    """Two timers, and perhaps an exchange."""
    return {"apart": 2.0 + 8.0 * values["message"]}


def _said(one: Stamps, other: Stamps) -> dict[str, str]:
    return {
        "physical": ordered(one.physical_us, other.physical_us),
        "lamport": one.lamport.relation(other.lamport),
        "hybrid": ordered(one.hybrid[:2], other.hybrid[:2]),
        "version vector": one.versions.relation(other.versions),
        "vector": one.vector.relation(other.vector),
    }


def _updates(result: Result) -> Iterator[Measure]:
    # Version vectors are made for updates; of the other kinds of events several share one.
    execution, (before, _) = judged_execution(result), orders(result)["version vector"]
    steps = sum(1 << index for index, event in enumerate(execution.events) if event.label == "step")
    wrong = 0
    for index, event in enumerate(execution.events):
        if event.label == "step":
            wrong += ((execution.before[index] ^ before[index]) & steps).bit_count()
    pairs = steps.bit_count() * (steps.bit_count() - 1) // 2
    right = share(pairs - wrong, pairs)
    yield Measure("version_vector_updates", right, "", "the same for version vectors, of pairs of steps alone")


def _inversions(result: Result) -> Iterator[Measure]:
    execution = judged_execution(result)
    events = execution.events
    received = [(execution.place[event.cause], place) for place, event in enumerate(events) if event.cause]

    def inverted(clock: str) -> float:
        before, _ = orders(result)[clock]
        return share(sum(before[sent] >> receipt & 1 for sent, receipt in received), len(received))

    judged = inverted(result.parameters["clock"])
    yield Measure("receipts_inverted", judged, "", "share of receipts that the clock puts before their sendings")
    yield Measure("messages_inverted", inverted("physical"), "", "share of receipts stamped before sendings")
    yield Measure("recorded_events", len(events), "", "steps, sendings and receipts")


def _sizes(result: Result) -> Iterator[Measure]:
    stamps = [event.stamps for event in judged_execution(result).events]
    largest = max((each.vector for each in stamps), key=lambda each: len(each.entries), default=Vector())
    versions = max((each.versions.size_bytes for each in stamps), default=0)
    sizes = {
        "physical": PHYSICAL_BYTES,
        "lamport": Lamport().size_bytes,
        "hybrid": HYBRID_BYTES,
        "version vector": versions,
        "vector": largest.size_bytes,
    }
    yield Measure("clock_bytes", sizes[result.parameters["clock"]], "bytes", "size of the clock's largest stamp")
    yield Measure("vector_entries", len(largest.entries), "", "entries of the largest vector")


def _strays(result: Result) -> Iterator[Measure]:
    stamps = [event.stamps for event in judged_execution(result).events]
    strays = [each.hybrid.physical_us - each.physical_us for each in stamps]
    drifted = 2 * result.parameters["drift_ppm"] / 1e6 * result.duration
    yield Measure("hybrid_ahead_max", max(strays, default=math.nan) / 1e6, "s", "hybrid clock ahead of the node's own")
    yield Measure("hybrid_ahead_min", min(strays, default=math.nan) / 1e6, "s", "the same at the least; never below 0")
    bound = result.parameters["offset"] + drifted
    yield Measure("hybrid_ahead_bound", bound, "s", "how far two of the clocks were apart at most")
    counters = max((each.hybrid.counter for each in stamps), default=0)
    yield Measure("hybrid_counter_max", counters, "", "the largest counter of a hybrid timestamp")


def _hybrid(stamps: Stamps) -> str:
    stamp: Timestamp = stamps.hybrid
    return f"{stamp.physical_us / 1e3:.3f} ms" + (f"+{stamp.counter}" if stamp.counter else "")
