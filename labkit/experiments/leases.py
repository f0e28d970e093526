"""Lab 14, second half: a lease that two nodes hold at once, because their clocks or a pause let them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from labkit.calls import FAIL
from labkit.checkers.exclusion import PROPERTY as ONE_HOLDER
from labkit.checkers.exclusion import one_holder, overlaps, tenures
from labkit.checkers.fencing import FENCED, admitted, fenced
from labkit.clocks import ClockError
from labkit.dials import Dial, Switch
from labkit.faults import After
from labkit.history import Message, Stretch
from labkit.lab import Lab, experiment
from labkit.latency import Constant, Exponential
from labkit.network import Link, Network
from labkit.protocols.leases import Holder, LeaseServer, Storage
from labkit.results import Measure, Result, Verdict, share
from labkit.scenes import ended_by


@experiment(title="Leases", guide="Challenge 5: clock synchronisation; leader election")
def leases(
    lab: Lab,
    *,
    lease: float = Dial(0.5, 0.05, 10.0, "s", "how long a lease lasts by the lease server's clock"),
    drift_ppm: float = Dial(
        0.0, -200_000.0, 200_000.0, "ppm", "how fast the lease server's clock gains on the holders'"
    ),
    margin: float = Dial(0.0, 0.0, 0.5, "", "share of the lease that a holder gives up early"),
    pause: float = Dial(0.0, 0.0, 10.0, "s", "how long the first holder is stopped, once it has the lease"),
    fencing: bool = Switch(False, "let the storage refuse tokens that have been overtaken"),
    holders: int = Dial(2, 2, 6, help="nodes that compete for the lease"),
    work: float = Dial(0.02, 0.001, 1.0, "s", "work between a holder's look at its clock and its write"),
    write_delay: float = Dial(0.001, 0.0, 1.0, "s", "mean one-way delay of a write to the storage"),
    down: float = Dial(0.0, 0.0, 10.0, "s", "how long lease server and storage are down, half-way, after a crash"),
    duration: float = Dial(5.0, 0.5, 600.0, "s", "how long the holders compete"),
) -> None:
    """Holders take turns by lease and write to a storage; is there ever more than one, and what does it cost?"""
    lab.node("lease-server", LeaseServer, clock=ClockError(drift_ppm=drift_ppm), duration=lease)
    lab.node("storage", Storage, fencing=fencing)
    for number in range(1, holders + 1):
        lab.client(
            f"holder-{number}", Holder, until=duration, work=work, margin=margin, patience=max(0.2, 20 * write_delay)
        )
    slow = Exponential(write_delay) if write_delay else Constant(0.0)
    lab.network = Network(Link(Exponential(0.001)), legs={("put", "request"): slow})
    lab.time_limit = 2 * duration + pause + down + 20 * write_delay + 60
    if pause:
        # A garbage collection, a virtual machine that moves: the process knows nothing of it.
        begin = After(note="lease held", node="holder-1", delay=lease / 2)
        ends = replace(begin, delay=lease / 2 + pause)
        lab.faults = lab.faults.pause("holder-1", at=begin).resume("holder-1", at=ends)
    if down:
        for name in ("lease-server", "storage"):
            lab.faults = lab.faults.crash(name, at=duration / 2).restart(name, at=duration / 2 + down)


@leases.measure
def measures(result: Result) -> Iterator[Measure]:
    """How often and how long two nodes held the lease, and what overtaken holders did with it."""
    held = tenures(result.notes, result.recording.duration_us, result.faults)
    found = list(overlaps(held))
    yield Measure("tenures", len(held), "", "times that a node took the lease")
    yield Measure(
        "held_twice", share(len(found), len(held)), "", "share of tenures that began before the last had ended"
    )
    longest = max((length for _, _, length in found), default=0)
    yield Measure("held_twice_longest", longest / 1e6, "s", "the longest time with two holders")
    accepted = sum(note.label == "overtaken write accepted" for note in result.notes)
    yield Measure("overtaken_writes_accepted", accepted, "", "writes that the storage took after one of a newer lease")
    refused = sum(operation.outcome == "fail" for operation in result.operations)
    yield Measure("overtaken_writes_refused", refused, "", "writes that it refused, having taken one of a newer lease")


@leases.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether there was ever more than one holder; and with fencing, whether it kept out those that were overtaken."""
    yield one_holder(result.notes, result.recording.duration_us, result.faults)
    if result.parameters["fencing"]:
        yield fenced(result.operations)


HOLDS_IT = "believes that it holds the lease"


@leases.states(HOLDS_IT)
def states(result: Result) -> Iterator[Stretch]:
    """Who believes that it holds the lease."""
    for tenure in tenures(result.notes, result.recording.duration_us, result.faults):
        yield replace(tenure.stretch, label=HOLDS_IT)


@leases.answers
def answers(result: Result) -> Iterator[tuple[Message, str]]:
    """Whether the storage took a write."""
    for message in result.messages:
        if message.is_reply and message.method == "put":
            write = ended_by(message, result.operations)
            if write is not None:
                yield message, "no" if write.outcome == FAIL else "ack"


leases.ablation(
    "no margin for the clocks' drift", without={"margin": 0.0}, breaks=ONE_HOLDER, margin=0.2, drift_ppm=100_000.0
)

leases.rule(
    "write", of=Storage, breaks=FENCED, excused=[ONE_HOLDER],
    verify=lambda result: [fenced(result.operations), admitted(result.operations)],
    costs={"overtaken_writes_refused": "writes refused"},
    task="Accept the write of a holder, or raise Refused if a holder with a higher token has written before.",
    drift_ppm=200_000.0, holders=3, lease=0.2, work=0.003, duration=1.0, pause=0.3,
)  # fmt: skip


def overlap_seconds(lease: float, drift_ppm: float, margin: float) -> float:
    """How long two nodes hold the lease at once if the server's clock gains `drift_ppm`; 0 or less means never.

    The server ends it after lease / (1 + drift) true seconds, the holder after lease · (1 − margin), delays aside.
    """
    return lease * (1 - margin) - lease / (1 + drift_ppm / 1e6) if math.isfinite(lease) else math.nan


@leases.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """The holder writes once in `work` and a round trip; the others ask again, on average twice as often."""
    lasts = values["duration"] + values["lease"]
    writes = 6 * lasts / (values["work"] + 0.002)
    asking = 4 * (values["holders"] - 1) * lasts / (values["work"] / 2 + 0.002)
    return {"duration": writes + asking}
