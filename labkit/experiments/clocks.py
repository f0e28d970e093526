"""Lab 14: clocks that disagree, what their timestamps do to the order of events, and what synchronising them buys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.checkers.staleness import ReadJudgement, fresh_reads, judge_reads
from labkit.clocks import ClockError, Timestamp
from labkit.dials import Choice, Dial, Switch, unless
from labkit.history import Message, Operation
from labkit.lab import Lab, experiment, require
from labkit.latency import Constant, Exponential, Latency
from labkit.naming import plain
from labkit.network import Link, Network
from labkit.protocols.clocks import NTP_SAMPLES, StampingServer, TimeServer
from labkit.protocols.quorums import Replica
from labkit.results import Measure, Result, Verdict, percentile, share
from labkit.scenes import ended_by
from labkit.workload import open_loop


@dataclass(eq=False, kw_only=True)
class Scribe(StampingServer):
    """A server with a load of its own: `count` writes, as a Poisson process of `rate` a second."""

    rate: float
    count: int
    keys: int

    async def run(self) -> None:
        await open_loop(self, self._write, rate=self.rate, count=self.count)

    async def _write(self, number: int) -> None:
        await self.stamp_and_write(f"key-{self.random.randrange(self.keys)}", number)


SYNCED = unless("synchronisation", "none")


@experiment(title="Clocks", guide="Challenge 5: clock synchronisation")
def clocks(
    lab: Lab,
    *,
    servers: int = Dial(2, 2, 8, help="servers that timestamp writes, each with a clock of its own"),
    offset: float = Dial(0.05, 0.0, 10.0, "s", "how far the last server's clock is ahead of the first's at the start"),
    drift_ppm: float = Dial(0.0, 0.0, 1000.0, "ppm", "how fast the last server's clock gains, and the first's loses"),
    synchronisation: str = Choice("none", ("none", "cristian", "ntp"), "how the servers set their clocks"),
    interval: float = Dial(1.0, 0.01, 3600.0, "s", "time between two synchronisations", needs=SYNCED),
    delay: float = Dial(0.002, 0.0, 1.0, "s", "mean one-way delay"),
    minimum_delay: float = Dial(0.0005, 0.0, 1.0, "s", "one-way delay that no message beats"),
    asymmetry: float = Dial(
        0.0, 0.0, 0.9, "", "how much longer messages take to the time server than back", needs=SYNCED
    ),
    commit_wait: bool = Switch(False, "let a write be seen only when its timestamp has passed on every clock"),
    loss: float = Dial(0.0, 0.0, 0.5, "", "probability that a message is lost"),
    rate: float = Dial(20.0, 0.01, 1000.0, "1/s", "writes a second at each server"),
    writes: int = Dial(500, 1, 100_000, help="writes at each server"),
    keys: int = Dial(5, 1, 10_000, help="keys that all servers write to"),
) -> None:
    """Servers write to one store and let their timestamps decide which write is newer: how often is that wrong?"""
    require(minimum_delay <= delay, "minimum_delay", minimum_delay, f"at most delay, which is {delay:g}")
    lab.node("time-server", TimeServer)
    lab.node("store", Replica)
    for number in range(servers):
        ahead = number / (servers - 1)
        lab.client(
            f"server-{number + 1}",
            Scribe,
            clock=ClockError(offset * ahead, drift_ppm * (2 * ahead - 1)),
            store="store",
            time_server="time-server",
            synchronisation=synchronisation,
            interval=interval,
            minimum_us=math.floor(minimum_delay * (1 - asymmetry) * 1e6),
            drift_bound_ppm=drift_ppm,
            initial_bound=offset,
            commit_wait=commit_wait,
            rate=rate,
            count=writes,
            keys=keys,
        )
    there = _latency(delay, minimum_delay, 1 + asymmetry)
    back = _latency(delay, minimum_delay, 1 - asymmetry)
    legs = {("time", "request"): there, ("time", "reply"): back}
    lab.network = Network(Link(_latency(delay, minimum_delay, 1.0), loss=loss), legs=legs)
    lab.time_limit = 10 * writes / rate + 60


@clocks.measure
def measures(result: Result) -> Iterator[Measure]:
    """Errors of the clocks, and what they did to the order of the writes."""
    writes = [operation for operation in result.operations if operation.function == "write" and operation.ok]
    errors = [abs(write.value.physical_us - write.invoked_us) / 1e6 for write in writes]
    yield Measure("stamp_error_median", percentile(errors, 0.5), "s", "half of the timestamps were this wrong or less")
    yield Measure("stamp_error_max", max(errors, default=math.nan), "s", "the worst timestamp was this wrong")
    wrong, pairs = wrongly_ordered(writes)
    yield Measure("wrongly_ordered", share(wrong, pairs), "", "share of neighbouring writes whose stamps invert them")
    judged = _judged(result)
    lost = sum(judgement.missed is not None for judgement in judged)
    yield Measure("lost_writes", share(lost, len(judged)), "", "share of writes that an older one had beaten")
    latencies = result.latencies("write")
    yield Measure("write_p50", percentile(latencies, 0.5), "s", "half of the writes took at most this")
    yield Measure("write_p99", percentile(latencies, 0.99), "s", "99% of the writes took at most this")
    synchronised = [note for note in result.notes if note.label == "synchronised"]
    left = [abs(note.details["reading_us"] - note.at_us) for note in synchronised]
    bounds = [note.details["bound_us"] for note in synchronised]
    yield Measure("sync_error_max", max(left, default=math.nan) / 1e6, "s", "the worst error just after synchronising")
    yield Measure("sync_bound_max", max(bounds, default=math.nan) / 1e6, "s", "the widest error bound claimed")
    exceeded = sum(error > bound for error, bound in zip(left, bounds, strict=True))
    yield Measure("sync_bound_exceeded", exceeded, "", "synchronisations whose error was above their bound")


@clocks.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether each write could be read back until a later one replaced it."""
    yield fresh_reads(result.operations, _judged(result))


@clocks.answers
def answers(result: Result) -> Iterator[tuple[Message, str]]:
    """Acknowledgements of writes, and the timestamps that reads return."""
    for message in result.messages:
        if message.is_reply and message.method == "write":
            yield message, "ack"
        elif message.is_reply and message.method == "read":
            read = ended_by(message, result.operations)
            if read is not None and isinstance(read.value, Timestamp):
                yield message, plain(read.value)


def _judged(result: Result) -> list[ReadJudgement]:
    return result.once("judged reads", lambda: list(judge_reads(result.operations)))


def wrongly_ordered(writes: Sequence[Operation]) -> tuple[int, int]:
    """How many writes bear an earlier timestamp than the last write that another server had finished before they
    began, and how many writes had such a predecessor."""
    wrong = pairs = 0
    by_return = sorted(writes, key=lambda write: write.returned_us)
    position, latest = 0, {}
    for write in sorted(writes, key=lambda write: write.invoked_us):
        while position < len(by_return) and by_return[position].returned_us < write.invoked_us:
            finished = by_return[position]
            latest[finished.value.node] = finished
            position += 1
        others = [finished for node, finished in latest.items() if node != write.value.node]
        if others:
            before = max(others, key=lambda finished: finished.returned_us)
            pairs += 1
            wrong += before.value > write.value
    return wrong, pairs


def inversion_probability(offset: float, rate: float) -> float:
    """P(an event's timestamp is earlier than that of the other server's last event) = (1 − e^(−rate·offset)) / 2.

    Each of two servers has events as a Poisson process of `rate` a second. Half of the events are on the server
    whose clock is behind; of these, inverted are those that follow the other's last within `offset` seconds.
    """
    return -math.expm1(-rate * offset) / 2


@clocks.law(measure="wrongly_ordered", label="(1 − exp(−rate · offset)) / 2")
def expected_inversions(values: Mapping[str, Any]) -> float | None:
    """The law of `inversion_probability`, for two unsynchronised servers whose writes take no time."""
    exact = values["servers"] == 2 and values["synchronisation"] == "none" and not values["commit_wait"]
    if not exact or values["delay"] or values["drift_ppm"] or values["loss"]:
        return None
    return inversion_probability(values["offset"], values["rate"])


@clocks.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """Each write is followed by a read; each is invoked, sent, received, answered, and returns."""
    events = {"writes": 12.0 * values["servers"] * values["writes"]}
    if values["synchronisation"] != "none":
        exchanges = NTP_SAMPLES if values["synchronisation"] == "ntp" else 1
        lasts = values["writes"] / values["rate"]
        times = lasts / (values["interval"] + 2 * exchanges * values["delay"]) + 1
        events["interval"] = values["servers"] * times * (4 * exchanges + 1)
    return events


def _latency(mean: float, minimum: float, factor: float) -> Latency:
    return Exponential(mean * factor, minimum * factor) if mean else Constant(0.0)
