"""A lease is held once if its margin covers the clocks' difference, and by none of the broken variants."""

from __future__ import annotations

import math

import pytest

from labkit import ClockError, Exponential, FaultPlan, Link, Network
from labkit.checkers.exclusion import one_holder, overlaps, tenures
from labkit.checkers.fencing import fenced
from labkit.experiments.leases import overlap_seconds
from labkit.faults import After
from labkit.protocols.leases import Holder, LeaseServer, Storage
from labkit.results import HOLDS, ILLEGAL
from tests.clusters import client, node, simulate

SEEDS = 15
SEEDS_TO_CATCH = 5
LEASE = 0.3


def compete(seed, *, server=LeaseServer, holder=Holder, margin=0.0, drift_ppm=0.0, fencing=False, pause=0.0):
    plan = FaultPlan()
    if pause:
        held = {"note": "lease held", "node": "holder-1"}
        plan = plan.pause("holder-1", at=After(delay=0.1, **held))
        plan = plan.resume("holder-1", at=After(delay=0.1 + pause, **held))
    return simulate(
        node("lease-server", server, ClockError(drift_ppm=drift_ppm), duration=LEASE),
        node("storage", Storage, fencing=fencing),
        *(client(f"holder-{n}", holder, until=6.0, work=0.02, margin=margin) for n in (1, 2, 3)),
        network=Network(Link(Exponential(0.001), loss=0.02, duplication=0.02)),
        faults=plan,
        seed=seed,
    )


def verdict(recording):
    return one_holder(recording.notes, recording.duration_us)


def overtaken(recording) -> int:
    return sum(note.label == "overtaken write accepted" for note in recording.notes)


@pytest.mark.parametrize("drift_ppm", [-100_000.0, 0.0, 10_000.0, 100_000.0])
def test_a_margin_that_covers_the_drift_keeps_the_lease_with_one_holder(drift_ppm):
    margin = max(drift_ppm / (1e6 + drift_ppm), 0.0)
    for seed in range(SEEDS):
        recording = compete(seed, margin=margin, drift_ppm=drift_ppm)
        found = verdict(recording)
        assert found.status == HOLDS, f"seed {seed}: {found}"
        assert len(tenures(recording.notes, recording.duration_us)) > 10


def caught(seeds=range(SEEDS_TO_CATCH), **variant) -> bool:
    return any(verdict(compete(seed, **variant)).status == ILLEGAL for seed in seeds)


def test_without_a_margin_a_fast_server_gives_the_lease_twice():
    assert caught(drift_ppm=100_000.0)


def test_a_margin_smaller_than_the_drift_is_not_enough():
    assert caught(drift_ppm=100_000.0, margin=0.05)


class ForgetsTokens(LeaseServer):
    """Begins with the first token again after a crash."""

    async def start(self):
        await super().start()
        self._token = 0


class ForgetsLeases(LeaseServer):
    """Grants at once after a crash."""

    async def start(self):
        await super().start()
        self._expires = 0.0


class ForgetsTheHighest(Storage):
    """Takes any token after a crash."""

    async def start(self):
        self.highest = 0


def crash_half_way(seed, server=LeaseServer, storage=Storage, pause=0.0):
    plan = FaultPlan()
    for name in ("lease-server", "storage"):
        plan = plan.crash(name, at=2.0).restart(name, at=2.05)
    if pause:
        plan = plan.pause("holder-1", at=1.7).resume("holder-1", at=1.7 + pause)
    return simulate(
        node("lease-server", server, duration=LEASE),
        node("storage", storage, fencing=True),
        *(client(f"holder-{n}", Holder, until=4.0, work=0.02, margin=0.1) for n in (1, 2, 3)),
        network=Network(Link(Exponential(0.001), loss=0.02, duplication=0.02)),
        faults=plan,
        seed=seed,
    )


def tokens(recording) -> list[int]:
    return [note.details["token"] for note in recording.notes if note.label == "lease held"]


def test_a_crash_of_server_and_storage_makes_no_token_old_again():
    for seed in range(SEEDS):
        recording = crash_half_way(seed)
        granted = tokens(recording)
        assert granted == sorted({*granted}) and len(granted) > 8
        assert verdict(recording).status == HOLDS, f"seed {seed}"
        assert fenced(recording.operations).status != ILLEGAL
        refused = [write for write in recording.operations if write.outcome == "fail"]
        assert not refused, f"seed {seed}: {refused[0]}"


@pytest.mark.parametrize("server", [ForgetsTokens, ForgetsLeases])
def test_a_server_that_forgets_over_a_crash_is_noticed(server):
    recordings = [crash_half_way(seed, server) for seed in range(SEEDS)]
    repeated = any(tokens(recording) != sorted({*tokens(recording)}) for recording in recordings)
    held_twice = any(verdict(recording).status == ILLEGAL for recording in recordings)
    assert repeated if server is ForgetsTokens else held_twice


def test_a_storage_that_forgets_over_a_crash_takes_overtaken_writes():
    def is_caught(storage) -> bool:
        # Stopped before the crash, the first holder goes on after it, between two writes of the next.
        runs = (crash_half_way(seed, storage=storage, pause=0.36) for seed in range(60))
        return any(fenced(recording.operations).status == ILLEGAL for recording in runs)

    assert is_caught(ForgetsTheHighest) and not is_caught(Storage)


class ForgetsExpiry(LeaseServer):
    """Grants whenever asked."""

    async def acquire(self):
        self._expires = 0.0
        return await super().acquire()


class CountsFromTheAnswer(Holder):
    """Believes in its lease from when it heard of it, for somewhat longer than it lasts."""

    async def _believe(self, token, expires):
        await super()._believe(token, expires + 0.05)


@pytest.mark.parametrize("variant", [{"server": ForgetsExpiry}, {"holder": CountsFromTheAnswer}], ids=str)
def test_a_lease_without_its_end_is_caught(variant):
    assert caught(**variant)


def test_a_holder_that_is_stopped_never_learns_that_its_lease_has_ended():
    assert caught(pause=1.0)


def test_fencing_refuses_every_write_that_was_overtaken():
    # Stopped between its look at the clock and its write, the first holder writes under an old token.
    unfenced = [compete(seed, pause=1.0) for seed in range(SEEDS)]
    fenced = [compete(seed, pause=1.0, fencing=True) for seed in range(SEEDS)]
    assert sum(map(overtaken, unfenced)) > 0
    assert sum(map(overtaken, fenced)) == 0
    refused = [operation for recording in fenced for operation in recording.operations if operation.outcome == "fail"]
    assert len(refused) > 0
    assert all("is older than" in operation.error for operation in refused)


def test_tokens_grow_from_lease_to_lease():
    recording = compete(1)
    tokens = [tenure.token for tenure in tenures(recording.notes, recording.duration_us)]
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("drift_ppm", [50_000.0, 150_000.0])
def test_the_overlap_is_as_long_as_the_clocks_disagree(drift_ppm):
    longest = 0
    for seed in range(SEEDS):
        recording = compete(seed, drift_ppm=drift_ppm)
        held = tenures(recording.notes, recording.duration_us)
        longest = max([longest, *(length for _, _, length in overlaps(held))])
    expected = overlap_seconds(LEASE, drift_ppm, 0.0)
    # The holder's count begins before the server's and the next holder hears of its lease later, so it is shorter.
    assert 0.25 * expected < longest / 1e6 <= expected
    assert math.isclose(overlap_seconds(LEASE, drift_ppm, drift_ppm / (1e6 + drift_ppm)), 0, abs_tol=1e-12)
