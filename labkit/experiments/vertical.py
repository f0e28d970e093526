"""Lab 17: profile, orders and payments of a user on three servers or on one: what does a page cost, and who is hurt?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.dials import Choice, Dial, Switch
from labkit.faults import FaultPlan
from labkit.lab import Lab, experiment
from labkit.latency import Exponential
from labkit.network import Link, Network
from labkit.placement import Placement, Vertical
from labkit.protocols.sharding import Directory, Shard, StoreClient
from labkit.results import Measure, Result, percentile, share
from labkit.workload import open_loop

PARTS = ("profile", "orders", "payments")


@dataclass(frozen=True)
class _Parts(Placement):
    """Slot i is part i of every user's record."""

    shards: tuple[int, ...] = tuple(range(len(PARTS)))

    def shard_of(self, key: tuple[int, str]) -> int:
        return PARTS.index(key[1])

    def resized(self, shards: Any) -> Placement:
        return self


@dataclass(eq=False, kw_only=True)
class Visitor(StoreClient):
    """Opens pages: some need one part of a user's record, others all three, which they ask for at once."""

    rate: float
    count: int
    checkouts: float
    users: int

    async def run(self) -> None:
        await open_loop(self, self._visit, rate=self.rate, count=self.count)

    async def _visit(self, index: int) -> None:
        user, process = self.random.randrange(self.users), f"{self.name}.{index}"
        whole = self.random.random() < self.checkouts
        part = PARTS[index % len(PARTS)]
        with self.operation("checkout" if whole else part, user, process=process):
            if whole:  # one request to each server that has a part
                await self.scan((user, ""), (user, "~"))
            else:
                await self.get((user, part))


@experiment(title="Vertical partitioning", guide="Vertical partitioning: profile, orders, payments on servers 1, 2, 3")
def vertical(
    lab: Lab,
    *,
    apart: bool = Switch(True, "put each part on a server of its own, rather than all three on one"),
    down: str = Choice("nobody", ("nobody", *PARTS), "whose server is down for the second half"),
    checkouts: float = Dial(0.5, 0.0, 1.0, "", "share of the pages that need all three parts; others need one"),
    rate: float = Dial(100.0, 1.0, 10_000.0, "1/s", "pages a second"),
    pages: int = Dial(400, 1, 100_000, help="pages in all"),
    users: int = Dial(100, 1, 100_000, help="users"),
    service_time: float = Dial(0.002, 0.0, 1.0, "s", "mean time that a server works on a request, one at a time"),
    delay: float = Dial(0.005, 0.0, 1.0, "s", "mean one-way delay, exponentially distributed"),
) -> None:
    """A user's record is split by what it is about: which pages get slower, and which ones survive a server?"""
    placed = Vertical([f"server-{number}" for number in range(1, (3 if apart else 1) + 1)], PARTS)
    owners = [placed.shard_of((0, part)) for part in PARTS]
    for name in placed.shards:
        owns = [slot for slot, owner in enumerate(owners) if owner == name]
        lab.node(name, Shard, slots=_Parts(), owns=owns, service_time=service_time)
    lab.node("directory", Directory, owners=owners)
    work = {"rate": rate, "count": pages, "checkouts": checkouts, "users": users}
    lab.client("visitor", Visitor, slots=_Parts(), patience=0.3, call_timeout=0.2, **work)
    lab.network = Network(Link(Exponential(delay)))
    if down != "nobody":
        lab.faults = FaultPlan().crash(placed.shard_of((0, down)), at=pages / rate / 2)
    lab.time_limit = 3 * pages / rate + 60


@vertical.measure
def measures(result: Result) -> Iterator[Measure]:
    """Latency and availability of the pages, by what they need; availability while the server is down."""
    begin = min((fault.at for fault in result.faults), default=result.duration)
    for name in (*PARTS, "checkout"):
        asked = [operation for operation in result.operations if operation.function == name]
        before = [operation.latency for operation in asked if operation.ok and operation.invoked_us < begin * 1e6]
        yield Measure(f"{name}_p50", percentile(before, 0.5), "s", f"half of the {name} pages took at most this")
        yield Measure(f"{name}_p99", percentile(before, 0.99), "s", f"99% of the {name} pages took at most this")
        during = [operation for operation in asked if operation.invoked_us >= begin * 1e6]
        up = share(sum(operation.ok for operation in during), len(during))
        yield Measure(f"{name}_while_down", up, "", f"share of the {name} pages that came while the server was down")


@vertical.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """A page asks for one part or for three."""
    return {"pages": values["pages"] * (4.0 + 10 * values["checkouts"])}
