"""Lab 15, second half: versions of a value that two clients write at once, and who must be named for both to stay."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.chaos import chaos
from labkit.checkers.causality import NO_WRITE_DROPPED, dropped_writes, no_write_dropped
from labkit.dials import Choice, Dial, Switch, unless
from labkit.lab import Lab, experiment
from labkit.latency import Constant, Exponential
from labkit.network import Link, Network
from labkit.protocols.logical_clocks import Auditor, VersionClient, VersionStore
from labkit.results import Measure, Result, Verdict, share
from labkit.workload import closed_loop


@dataclass(eq=False, kw_only=True)
class Editor(VersionClient):
    """Edits `count` times one of `keys` that it picks at random, with `think` seconds between read and write."""

    count: int
    keys: int
    think: float

    async def run(self) -> None:
        await closed_loop(self, self._edit, sessions=1, count=self.count)
        await self.leave()

    async def _edit(self, number: int) -> None:
        key = f"key-{self.random.randrange(self.keys)}"
        await self.read_modify_write(key, self.think, f"{self.name}.{number + 1}")


@experiment(title="Siblings", guide="Challenge 5: clock synchronisation; version numbers as the remedy")
def siblings(
    lab: Lab,
    *,
    ids: str = Choice("dotted", ("dotted", "client", "server"), "who names a version: a dot, the client, the server"),
    clients: int = Dial(3, 1, 32, help="clients that read, think and write"),
    servers: int = Dial(2, 1, 5, help="servers, each with a copy; a client always asks the same one"),
    edits: int = Dial(10, 1, 1000, help="edits of each client: a read, then a write that replaces what was read"),
    keys: int = Dial(2, 1, 100, help="keys that all clients edit"),
    think: float = Dial(0.02, 0.0, 10.0, "s", "mean time between a read and the write that follows it"),
    delay: float = Dial(0.005, 0.0, 1.0, "s", "mean one-way delay, exponential"),
    loss: float = Dial(0.0, 0.0, 0.3, "", "probability that a message is lost"),
    crashes: int = Dial(0, 0, 20, help="times that a server is killed at a random instant, and restarts from its disk"),
    downtime: float = Dial(
        0.02, 0.001, 10.0, "s", "the longest time that it then stays down", needs=unless("crashes", 0)
    ),
    sync_delay: float = Dial(0.0, 0.0, 1.0, "s", "how long a simulated disk takes to sync"),
    durable_names: bool = Switch(
        True, "let a server keep on disk the number that named its last version", needs=unless("crashes", 0)
    ),
    replace: bool = Switch(True, "let a version go once another comes after it"),
) -> None:
    """Clients edit through servers that keep concurrent versions: is a write ever lost that nobody had read?"""
    stores = [f"server-{number}" for number in range(1, servers + 1)]
    for name in stores:
        others = [other for other in stores if other != name]
        lab.node(name, VersionStore, others=others, ids=ids, durable_names=durable_names, replace=replace)
    for number in range(clients):
        home = _home(number, servers)
        lab.client(f"client-{number + 1}", Editor, store=home, count=edits, keys=keys, think=think)
    every_key = [f"key-{number}" for number in range(keys)]
    lab.client("auditor", Auditor, stores=stores, keys=every_key, clients=clients)
    lab.network = Network(Link(Exponential(delay) if delay else Constant(0.0), loss=loss))
    lab.sync_delay = sync_delay
    lab.time_limit = 10 * edits * (think + 4 * delay + 4 * sync_delay + loss) + crashes * downtime + 120
    if crashes:
        until = max(edits * (think + 4 * delay + 2 * sync_delay), downtime)  # about as long as the clients work
        shortest = min(0.001, downtime)
        lab.faults = chaos(
            stores, until, lab.seed, kinds=["crash"], incidents=crashes, shortest=shortest, longest=downtime
        )


@siblings.measure
def measures(result: Result) -> Iterator[Measure]:
    """What was lost, how many siblings readers met, and what a version takes."""
    writes = [operation for operation in result.operations if operation.function == "write" and operation.ok]
    dropped = sum(1 for _ in dropped_writes(result.operations))
    yield Measure(
        "dropped_writes", share(dropped, len(writes)), "", "share of writes that vanished before anybody read them"
    )
    reads = [len(operation.value) for operation in result.operations if operation.function == "read" and operation.ok]
    several = sum(number > 1 for number in reads)
    yield Measure("reads_of_siblings", share(several, len(reads)), "", "share of reads that returned several values")
    yield Measure("siblings_max", max(reads, default=math.nan), "", "the most values that one read returned")
    versions = [note.details for note in result.notes if note.label == "version"]
    entries = max((version["entries"] for version in versions), default=math.nan)
    yield Measure("version_entries", entries, "", "entries of the largest version vector")
    largest = max((version["bytes"] for version in versions), default=math.nan)
    yield Measure("version_bytes", largest, "bytes", "size of the largest version")


@siblings.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether every acknowledged write was left in the end, or read by whoever replaced it."""
    servers = result.parameters["servers"]
    yield no_write_dropped(result.operations, lambda write: _home(int(re.split("[-.]", write.process)[1]) - 1, servers))


def _home(client: int, servers: int) -> str:
    """The one server that a client asks; clients are numbered from 0, and servers named from 1."""
    return f"server-{client % servers + 1}"


@siblings.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """An edit is two exchanges and a pause, and an exchange with every other server."""
    return {"edits": values["clients"] * values["edits"] * (14.0 + 5.0 * (values["servers"] - 1))}


siblings.ablation("versions that nothing replaces", without={"replace": False}, breaks=NO_WRITE_DROPPED, edits=5)
siblings.ablation(
    "version numbers that a crash forgets",
    without={"durable_names": False},
    breaks=NO_WRITE_DROPPED,
    clients=6,
    crashes=5,
)
siblings.ablation(
    "version vectors without a client id", without={"ids": "server"}, breaks=NO_WRITE_DROPPED, clients=3, edits=5
)
