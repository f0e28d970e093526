"""Run as a program: every experiment, and a cluster under every kind of fault; prints a hash for each history."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import asdict

from labkit import CallError, ClockError, Exponential, FaultPlan, Link, Network, Node, Refused, answers, run
from labkit.cluster import Cluster
from labkit.dials import parse
from labkit.host import NodeSpec
from labkit.lab import find
from labkit.runtimes.simulated import execute

NAMES = ("a", "b", "c")


class Busy(Node):
    """Waits in every way that asyncio knows, and keeps things in sets."""

    async def start(self) -> None:
        self.gate, self.queue = asyncio.Event(), asyncio.Queue()
        self.seen = set(await self.disk.load("seen", ()))
        self.spawn(self.consume())

    async def consume(self) -> None:
        while True:
            self.seen.add(await self.queue.get())
            await self.disk.save("seen", tuple(sorted(self.seen)))
            self.note("seen", count=len(self.seen))

    async def ask(self, word: str) -> int:
        if self.random.random() < 0.1:
            raise Refused(word)
        await asyncio.sleep(self.random.expovariate(100))
        self.queue.put_nowait(word)
        return len(self.seen)


class Asker(Node):
    async def run(self) -> None:
        for number in range(40):
            with self.operation("ask", value=number) as operation:
                operation.value = await self.ask_all(number)
            await self.race(number)
            await asyncio.sleep(self.random.random() / 20)

    async def ask_all(self, number: int) -> list:
        calls = [peer.ask(f"{self.name}{number % 17}", timeout=0.2) for peer in self.peers(NAMES)]
        return [(call.target, call.outcome, call.value) async for call in answers(calls)]

    async def race(self, number: int) -> None:
        async def attempt(peer) -> None:
            try:
                await peer.ask(f"race{number}", timeout=0.1)
            finally:
                self.note("attempted", target=peer.name)

        try:
            async with asyncio.timeout(0.05), asyncio.TaskGroup() as group:
                for peer in self.peers(NAMES):
                    group.create_task(attempt(peer))
        except* (TimeoutError, CallError):
            self.note("race lost")


def chaos(seed: int) -> str:
    plan = (
        FaultPlan()
        .outages(["a", "b"], 0.8, 0.2, until=5, seed=seed)
        .pause("c", at=0.5)
        .resume("c", at=1.1)
        .partition(["a"], ["b", "client-1"], at=1.2, both_ways=False)
        .heal(at=1.6)
        .hold(["client-2"], ["a", "c"], at=1.7)
        .release(at=2.0)
        .step_clock("b", -0.5, at=1.0)
        .drift_clock("client-1", 50_000, at=0.7)
        .change_links(at=2.2, loss=0.2, duplication=0.3)
    )
    nodes = [NodeSpec(name, Busy, {}, ClockError(0.1, 100)) for name in NAMES]
    nodes += [NodeSpec(f"client-{number}", Asker, {}, ClockError(), is_client=True) for number in (1, 2)]
    network = Network(Link(Exponential(0.01), loss=0.05, duplication=0.05, reordering=0.5))
    return json.dumps(asdict(execute(Cluster(nodes, network, plan, sync_delay=0.003), seed)), sort_keys=True)


def main(settings: dict) -> None:
    histories = {f"chaos-{seed}": chaos(seed) for seed in (1, 2)}
    for name, variants in settings.items():
        for number, variant in enumerate(variants):
            dials = find(name).dials
            values = {dial: parse(dial, dials[dial], str(value)) for dial, value in variant.items()}
            histories[f"{name}-{number}"] = run(name, seed=7, **values).to_json(trace=True)
    for name, history in histories.items():
        print(name, hashlib.sha256(history.encode()).hexdigest(), sep="\t")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
