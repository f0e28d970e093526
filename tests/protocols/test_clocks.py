"""Synchronised clocks are never further off than they say, whatever the network and the drift."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from labkit import ClockError, Exponential, Link, Network, run
from labkit.checkers.linearizability import linearizable
from labkit.protocols import clocks
from labkit.protocols.clocks import Estimate, StampingServer, TimeServer, cristian, ntp
from labkit.protocols.quorums import Replica
from tests.clusters import client, node, simulate

SEEDS = 10
ROUNDS = 40
SEEDS_TO_CATCH = 10


@dataclass(eq=False, kw_only=True)
class Synchroniser(StampingServer):
    """Does nothing but set its clock, a number of times."""

    async def run(self) -> None:
        while self.clock.now() < self.interval * ROUNDS:
            await asyncio.sleep(self.interval)


def exceeded(seed: int, method: str, asymmetry: float, drift_ppm: float, minimum: float = 0.0005) -> int:
    """How many synchronisations were further off than their bound, by true time."""
    legs = {
        ("time", "request"): Exponential(0.01 * (1 + asymmetry), minimum * (1 + asymmetry)),
        ("time", "reply"): Exponential(0.01 * (1 - asymmetry), minimum * (1 - asymmetry)),
    }
    recording = simulate(
        node("time-server", TimeServer),
        node("store", Replica),
        client(
            "server", Synchroniser, ClockError(0.3, drift_ppm), store="store", time_server="time-server",
            synchronisation=method, interval=0.5, minimum_us=int(minimum * (1 - asymmetry) * 1e6),
            drift_bound_ppm=abs(drift_ppm),
        ),
        network=Network(Link(loss=0.02), legs=legs),
        seed=seed,
    )  # fmt: skip
    synchronised = [note for note in recording.notes if note.label == "synchronised"]
    assert len(synchronised) > ROUNDS / 8
    return sum(abs(note.details["reading_us"] - note.at_us) > note.details["bound_us"] for note in synchronised)


@pytest.mark.parametrize("drift_ppm", [0.0, 200.0, -200.0, 1000.0, -1000.0])
@pytest.mark.parametrize("asymmetry", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("method", ["cristian", "ntp"])
def test_the_error_is_never_above_its_bound(method, asymmetry, drift_ppm):
    assert [exceeded(seed, method, asymmetry, drift_ppm) for seed in range(SEEDS)] == [0] * SEEDS


async def forgets_the_round_trip(clock, server, minimum_us, drift_ppm=0.0):
    """Cristian's estimate, as sure of itself as if the answer had taken no time."""
    return Estimate((await cristian(clock, server, minimum_us, drift_ppm)).offset_us, 1)


async def halves_the_bound(clock, server, minimum_us, drift_ppm=0.0):
    """A quarter of the delay, as if the two ways were always about equally long."""
    found = await ntp(clock, server, minimum_us, drift_ppm)
    return Estimate(found.offset_us, found.bound_us // 2)


async def forgets_drift(clock, server, minimum_us, drift_ppm=0.0):
    """NTP's best sample, however old."""
    return await ntp(clock, server, minimum_us)


async def takes_the_servers_time(clock, server, minimum_us, drift_ppm=0.0):
    """The server's time on arrival, without the half of the round trip that has passed since."""
    found = await cristian(clock, server, minimum_us, drift_ppm)
    return Estimate(found.offset_us - found.bound_us, found.bound_us)


BROKEN = [
    (forgets_the_round_trip, 0.0, 0.0),
    (halves_the_bound, 0.9, 0.0),
    (forgets_drift, 0.9, 1000.0),
    (takes_the_servers_time, 0.5, 0.0),
]


@pytest.mark.parametrize(("method", "asymmetry", "drift_ppm"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bound_that_is_too_small_is_caught(method, asymmetry, drift_ppm, monkeypatch):
    monkeypatch.setitem(clocks.METHODS, "broken", method)
    assert any(exceeded(seed, "broken", asymmetry, drift_ppm) for seed in range(SEEDS_TO_CATCH))


def lost_writes(**dials) -> float:
    return run("clocks", seed=3, trace=False, writes=150, **dials).measures["lost_writes"].value


def test_clocks_that_lie_lose_writes_and_waiting_out_the_uncertainty_does_not():
    assert lost_writes(offset=0.05) > 0
    assert lost_writes(offset=0.05, commit_wait=True) == 0
    assert lost_writes(offset=0.05, synchronisation="ntp", commit_wait=True, drift_ppm=200.0, interval=0.5) == 0


@pytest.mark.parametrize("synchronisation", ["none", "ntp"])
def test_commit_wait_lets_nobody_read_of_a_time_that_has_not_come(synchronisation: str) -> None:
    """A write that is seen before its timestamp has passed lets a later, acknowledged write bear an earlier one."""
    for seed in range(8):
        result = run("clocks", seed=seed, commit_wait=True, synchronisation=synchronisation, writes=200)
        assert linearizable(result.operations).status == "OK"
