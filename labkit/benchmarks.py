"""`bench`: labkit measured against what it stands on, as ratios taken in one run."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from labkit.baselines import MEAN_DELAY_US, PAIRS_A_SECOND, BareStore, RayEcho, RayPinger, measure_calls
from labkit.clocks import Timestamp
from labkit.experiments.transactions import FAULTY
from labkit.lab import Lab, find
from labkit.node import Node
from labkit.protocols.quorums import Replica, Versioned
from labkit.results import percentile
from labkit.running import run
from labkit.runtimes import ray_actors, simulated
from labkit.runtimes.ray_session import open_session, ray_session
from labkit.sweeping import sweep

REPOSITORY = Path(__file__).resolve().parents[1]

HANDLER_WAITS_US = 1000

FIVE_NODES = """
import time; begin = time.perf_counter()
import labkit, psutil
def observe(event, details):
    ready = time.perf_counter() - begin
    me = psutil.Process()
    pss = sum(process.memory_full_info().pss for process in [me, *me.children(recursive=True)])
    print(ready, pss / 1e6)
labkit.run("quorums", runtime="ray", pairs=20, observe=observe)
"""


ROUND_TRIPS = """
import json, sys
from labkit.benchmarks import measured_round_trips
print(json.dumps(measured_round_trips(int(sys.argv[1]))))
"""


def bench(quick: bool = False) -> dict[str, float]:
    """Every figure by name; `quick` repeats less. Takes one to three minutes; starts Ray."""
    return {
        **simulation(rounds=3 if quick else 5, pairs=1500 if quick else 4000),
        **five_nodes(),
        **round_trips(calls=1000 if quick else 4000),
        **sweeping(seeds=16 if quick else 48),
        **chaos_seeds(seeds=40 if quick else 150),
        **placing(keys=100_000 if quick else 1_000_000),
        **pages(),
    }


def simulation(rounds: int, pairs: int) -> dict[str, float]:
    """Simulated messages a second, against the same workload by hand on bare SimPy: medians of several rounds.

    A round runs both one right after the other, so that a busy machine slows down both. Handlers answer at once, or
    they wait first.
    """
    figures: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for waits, handlers in ((0.0, ""), (HANDLER_WAITS_US / 1e6, ", handlers that wait")):
            store = BareStore(pairs, seed=1, wait_us=round(waits * 1e6))
            bare = _rate(store.run, lambda store=store: store.messages)
            figures[f"bare SimPy messages a second{handlers}"].append(bare)
            for name, trace in (("untraced", False), ("traced", True)):
                simulated_rate = _simulated_rate(pairs, trace, waits)
                figures[f"simulation over bare SimPy, {name}{handlers}"].append(simulated_rate / bare)
                if not trace:
                    figures[f"simulated messages a second{handlers}"].append(simulated_rate)
    return {name: median(values) for name, values in figures.items()}


def chaos_seeds(seeds: int) -> dict[str, float]:
    """Seeds of chaos a second by two-phase commit, each a whole run with its verdicts; one core."""
    begin = perf_counter()
    for seed in range(seeds):
        run("transactions", seed=seed, trace=False, **FAULTY)
    return {"two-phase commit, chaos seeds a second": seeds / (perf_counter() - begin)}


def placing(keys: int) -> dict[str, float]:
    """Seconds to place so many keys on 10 shards and again on 11."""
    begin = perf_counter()
    run("placement", rule="jump", keys=keys, shards=10, shards_after=11, trace=False)
    return {f"{keys:,} keys placed on 10 shards and on 11 (s)": perf_counter() - begin}


def five_nodes() -> dict[str, float]:
    """Seconds from `import labkit` until five nodes answer, and the memory that all their processes share out."""
    done = subprocess.run(
        [sys.executable, "-c", FIVE_NODES], capture_output=True, text=True, timeout=120, check=True, env=_own_ray()
    )
    seconds, megabytes = map(float, done.stdout.split()[-2:])
    return {"five nodes answer after (s)": seconds, "five nodes, memory in all (MB)": megabytes}


def round_trips(calls: int) -> dict[str, float]:
    """Node to node against actor to actor: one at a time, and many at once; in a process that is Ray's own driver."""
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIPS, str(calls)],
        capture_output=True, text=True, timeout=200, check=True, env=_own_ray(),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def measured_round_trips(calls: int, outstanding: int = 32) -> dict[str, float]:
    """What `round_trips` measures, in this process, which must not have imported Ray before."""
    ray = ray_session()
    echo = ray.remote(num_cpus=0)(RayEcho).remote()
    pinger = ray.remote(num_cpus=0)(RayPinger).remote()
    ray_times, ray_rate = ray.get(pinger.measure.remote(echo, calls, outstanding), timeout=120)
    ray.kill(echo)
    ray.kill(pinger)
    lab = Lab(seed=0)
    lab.node("echo", _Echo)
    lab.client("pinger", _Pinger, calls=calls, outstanding=outstanding)
    recording = ray_actors.execute(lab.cluster(), 0, trace=False)
    (note,) = [note for note in recording.notes if note.label == "measured"]
    times, rate = note.details["times"], note.details["rate"]
    return {
        "node round trip p50 (ms)": 1000 * percentile(times, 0.5),
        "Ray actor call p50 (ms)": 1000 * percentile(ray_times, 0.5),
        "node round trip over Ray call, p50": percentile(times, 0.5) / percentile(ray_times, 0.5),
        "node round trips a second": rate,
        "Ray actor calls a second": ray_rate,
        "node throughput over Ray throughput": rate / ray_rate,
    }


def sweeping(seeds: int) -> dict[str, float]:
    """How much faster a sweep is on all cores than on one."""
    timing = {}
    open_session()
    sweep("quorums", {"read_quorum": [1]}, seeds=4, parallel=True, progress=False, pairs=50)  # warms the workers
    for parallel in (False, True):
        begin = perf_counter()
        sweep("quorums", {"read_quorum": [1, 2]}, seeds=seeds, parallel=parallel, progress=False, pairs=500)
        timing[parallel] = perf_counter() - begin
    return {"cores": float(os.cpu_count() or 1), "sweep, all cores over one": timing[False] / timing[True]}


def pages() -> dict[str, float]:
    """How the built pages do in Chromium; nothing, and a sentence on standard error, where there are none to measure.

    The pages belong to the book, not to labkit: its own tool measures them.
    """
    if not (REPOSITORY / "book" / "tools" / "measuring.py").is_file():
        print("labkit: pages are not measured: labkit runs outside the book's repository", file=sys.stderr)
        return {}
    done = subprocess.run(
        [sys.executable, "-m", "book.tools.measuring"], capture_output=True, text=True, timeout=300, cwd=REPOSITORY
    )
    if done.returncode:
        print(f"labkit: pages are not measured: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout)


@dataclass(eq=False)
class _Pinger(Node):
    calls: int
    outstanding: int

    async def run(self) -> None:
        echo = self.peer("echo")
        await echo.echo(0)
        times, rate = await measure_calls(echo.echo, self.calls, self.outstanding)
        self.note("measured", times=times, rate=rate)


class _Echo(Node):
    async def echo(self, value: int) -> int:
        return value


@dataclass(eq=False)
class _SlowReplica(Replica):
    waits: float = 0.0

    async def write(self, key: Any, value: Any, version: Timestamp) -> Timestamp:
        await asyncio.sleep(self.waits)
        return await super().write(key, value, version)

    async def read(self, key: Any) -> Versioned:
        await asyncio.sleep(self.waits)
        return await super().read(key)


def _simulated_rate(pairs: int, trace: bool, waits: float) -> float:
    delay, rate = MEAN_DELAY_US / 1e6, float(PAIRS_A_SECOND)
    settings = {"pairs": pairs, "clients": 1, "rate": rate, "delay": delay, "write_delay": delay}
    experiment = find("quorums")
    cluster = experiment.cluster(1, experiment.settings({**settings, "read_quorum": 2, "write_quorum": 2}))
    cluster.trace_limit = 10**9
    if waits:
        slow = {"node_class": _SlowReplica, "parameters": {"waits": waits}}
        cluster.nodes = [replace(spec, **slow) if spec.node_class is Replica else spec for spec in cluster.nodes]
    done: list[Any] = []
    return _rate(lambda: done.append(simulated.execute(cluster, 1, trace=trace)), lambda: done[0].messages_sent)


def _rate(work: Any, count: Any) -> float:
    gc.collect()  # so that nobody pays for the garbage of the one before
    begin = perf_counter()
    work()
    return count() / (perf_counter() - begin)


def _own_ray() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
