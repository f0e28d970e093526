"""What lab 17 measures in a run of the sharded store, and where its dials put the keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from labkit.history import Operation
from labkit.lab import require
from labkit.placement import Jump, Modulo, Placement, Range, Rendezvous, Ring
from labkit.results import Measure, Result, percentile, share

SETTLES = "the store settles"


@dataclass(frozen=True)
class Layout:
    """The names of all shards, how keys are divided into slots, and each slot's owner before and after the resize."""

    names: tuple[str, ...]
    slots: Placement
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def moves(self) -> list[tuple[str, str]]:
        """Old and new owner of each slot that moves, in the order in which they do."""
        return [pair for pair in zip(self.before, self.after, strict=True) if pair[0] != pair[1]]

    @property
    def moving(self) -> list[int]:
        """The slots that move."""
        return [slot for slot, pair in enumerate(zip(self.before, self.after, strict=True)) if pair[0] != pair[1]]


def slot_layout(values: Mapping[str, Any]) -> Layout:
    """The layout that the dials of the experiment ask for."""
    sizes = values["shards"], values["shards_after"]
    return _layout(values["placement"], sizes, values["points"], values["slots"], values["users"])


@lru_cache(maxsize=64)
def _layout(placement: str, sizes: tuple[int, int], points: int, count: int, users: int) -> Layout:
    names = tuple(f"shard-{number}" for number in range(1, max(sizes) + 1))
    slots: Placement = Modulo(range(count))
    if placement == "range":
        slots = Range.by_number(range(count), max(math.ceil(users / count), 1))
    placed = placement_of(placement, names[: sizes[0]], points, count)
    before, after = (
        [rule.shard_of(slot) for slot in range(count)] for rule in (placed, placed.resized(names[: sizes[1]]))
    )
    return Layout(names, slots, tuple(before), tuple(after))


def placement_of(kind: str, shards: Sequence[str], points: int, count: int) -> Placement:
    """What puts slots 0 to `count` − 1 on shards."""
    if kind == "range":
        return Range(shards, partial(_evenly, count))
    if kind == "ring":
        return Ring(shards, points)
    return {"modulo": Modulo, "rendezvous": Rendezvous, "jump": Jump}[kind](shards)


def _evenly(count: int, shards: int) -> list[int]:
    return [math.ceil(count * index / shards) for index in range(1, shards)]


def slow_scan_share(shards: int, slow: float) -> float:
    """P(at least one of `shards` answers is slow) = 1 − (1 − p)^n; Dean and Barroso, The tail at scale, CACM 2013."""
    require(shards >= 1, "shards", shards, "1 or more")
    require(0 <= slow <= 1, "slow", slow, "a probability from 0 to 1")
    return -math.expm1(shards * math.log1p(-slow)) if slow < 1 else 1.0


def meets_hiccups_alone(values: Mapping[str, Any]) -> bool:
    """Whether nothing else makes a scan take as long as a hiccup, or shorter than one that it meets.

    A round trip is 20 times its mean delay once in some 20 million; a duplicate may be answered before its original.
    """
    disturbed = any(values[name] for name in ("loss", "duplication", "chaos", "service_time", "stragglers"))
    usual = 20 * (values["delay"] + values["sync_delay"])
    return not disturbed and usual <= values["slow_time"] <= values["timeout"]


def sharding_measures(result: Result) -> Iterator[Measure]:
    """Balance and moves; availability and latency, while keys move and otherwise; the busiest shard; scans."""
    layout = slot_layout(result.parameters)
    asked = [operation for operation in result.operations if is_load(operation)]
    yield from _whole(asked)
    yield from _moving(result, layout, asked)
    yield from _hottest(result, layout, asked)
    yield from _scans(result, layout, asked)


def is_load(operation: Operation) -> bool:
    """Whether it is one of the requests that arrive at random, rather than part of the preparation or the audit."""
    return operation.process.count(".") == 1


def answered(operations: Sequence[Operation]) -> float:
    """The share of them that succeeded."""
    return share(sum(operation.ok for operation in operations), len(operations))


def _latency(operations: Sequence[Operation], level: float) -> float:
    return percentile([operation.latency for operation in operations if operation.ok], level)


def _whole(asked: Sequence[Operation]) -> Iterator[Measure]:
    yield Measure("availability", answered(asked), "", "share of the requests that succeeded")
    yield Measure("throughput", _rate(asked), "1/s", "requests that succeeded, a second")
    for name, level in (("p50", 0.5), ("p99", 0.99)):
        yield Measure(name, _latency(asked, level), "s", f"{level:.0%} of the requests took at most this")


def _rate(operations: Sequence[Operation]) -> float:
    # To the last answer, not the last request: what is then still in a queue took its time as well.
    succeeded = [operation for operation in operations if operation.ok]
    if not succeeded:
        return 0.0 if operations else math.nan
    lasted_us = max(each.returned_us for each in succeeded) - min(each.invoked_us for each in operations)
    return len(succeeded) / (lasted_us / 1e6) if lasted_us else math.nan


def _moving(result: Result, layout: Layout, asked: Sequence[Operation]) -> Iterator[Measure]:
    users = range(1, result.parameters["users"] + 1)
    per_slot: dict[int, int] = {}
    for user in users:
        slot = layout.slots.shard_of(user)
        per_slot[slot] = per_slot.get(slot, 0) + 1
    kept = dict.fromkeys(layout.before, 0)
    for slot, number in per_slot.items():
        kept[layout.before[slot]] += number
    balance = max(kept.values()) / (len(users) / result.parameters["shards"])
    yield Measure("balance", balance, "", "users of the fullest shard at the start, over the mean")
    moved = {note.details["slot"] for note in result.notes if note.label == "moved"}
    there = sum(per_slot.get(slot, 0) for slot in sorted(moved))
    yield Measure("moved", share(there, len(users)), "", "share of the users who were moved to another shard")
    resize = next((operation for operation in result.operations if operation.function == "resize"), None)
    during: list[Operation] = []
    if resize is not None and resize.returned_us is not None:
        during = [each for each in asked if resize.invoked_us <= each.invoked_us <= resize.returned_us]
    yield Measure("move_time", resize.latency if resize and resize.ok else math.nan, "s", "how long the resize took")
    yield Measure("availability_moving", answered(during), "", "share of the requests during it that succeeded")
    yield Measure("p99_moving", _latency(during, 0.99), "s", "99% of the requests during it took at most this")
    yield Measure("sealed_longest", _sealed_longest(result), "s", "the longest time that no shard served a slot")


def _sealed_longest(result: Result) -> float:
    sealed: dict[int, int] = {}
    gaps = []
    for note in result.notes:
        if note.label == "sealed":
            sealed.setdefault(note.details["slot"], note.at_us)
        elif note.label == "owned" and note.details["slot"] in sealed:
            gaps.append((note.at_us - sealed.pop(note.details["slot"])) / 1e6)
    return max(gaps, default=math.nan)


def _hottest(result: Result, layout: Layout, asked: Sequence[Operation]) -> Iterator[Measure]:
    by_shard: dict[str, list[Operation]] = {name: [] for name in layout.names}
    for operation in asked:
        if operation.function != "scan":
            by_shard[layout.before[layout.slots.shard_of(operation.key)]].append(operation)
    hottest = max(by_shard.values(), key=len)
    others = [each for operations in by_shard.values() if operations is not hottest for each in operations]
    single = len(hottest) + len(others)
    yield Measure("hot_share", share(len(hottest), single), "", "share of the reads and writes for the busiest shard")
    yield Measure(
        "hot_throughput", _rate(hottest), "1/s", "reads and writes for the busiest shard that succeeded, a second"
    )
    yield Measure(
        "hot_availability", answered(hottest), "", "share of the requests for the busiest shard that succeeded"
    )
    yield Measure(
        "hot_p99", _latency(hottest, 0.99), "s", "99% of the requests for the busiest shard took at most this"
    )
    yield Measure("other_p99", _latency(others, 0.99), "s", "99% of the requests for other shards took at most this")


def _scans(result: Result, layout: Layout, asked: Sequence[Operation]) -> Iterator[Measure]:
    scans = [operation for operation in asked if operation.function == "scan"]
    span, slow_time = result.parameters["span"], result.parameters["slow_time"]
    reached = [scan_shards(layout, layout.before, scan.key, span) for scan in scans]
    mean = sum(reached) / len(reached) if reached else math.nan
    yield Measure("scan_shards", mean, "", "shards that a scan has to ask, on average")
    slow = sum(scan.latency >= slow_time for scan in scans)
    yield Measure(
        "slow_scans", share(slow, len(scans)), "", "share of the scans that took as long as a hiccup or longer"
    )
    for name, level in (("scan_p50", 0.5), ("scan_p99", 0.99)):
        yield Measure(name, _latency(scans, level), "s", f"{level:.0%} of the scans took at most this")


def scan_shards(layout: Layout, owners: Sequence[str], low: int, span: int) -> int:
    """How many shards hold a slot that may hold users from `low` on."""
    return len({owners[slot] for slot in layout.slots.shards_between(low, low + span - 1)})
