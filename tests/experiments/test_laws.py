"""Measurements against closed forms and published numbers, each with its tolerance."""

from __future__ import annotations

import math

import pytest

from labkit import run
from labkit.checkers.staleness import judge_reads
from labkit.errors import BadInput
from labkit.experiments.clocks import inversion_probability
from labkit.experiments.leases import overlap_seconds
from labkit.experiments.logical_clocks import inverted_messages
from labkit.experiments.placement import moved_by_consistent_hashing, moved_by_modulo, ring_spread, spread
from labkit.experiments.quorums import miss_probability, quorum_availability
from labkit.experiments.sharding_measures import slow_scan_share
from labkit.results import percentile


def within(found: float, expected: float, count: int, sigmas: float = 3.0) -> bool:
    """Whether a share of `count` independent trials is as near to what was expected as chance allows."""
    return abs(found - expected) <= sigmas * math.sqrt(expected * (1 - expected) / count) + 1e-12


def measure(name: str, **dials):
    result = run(name, seed=7, trace=False, **dials)
    return {name: measure.value for name, measure in result.measures.items()}


@pytest.mark.parametrize(
    ("n", "r", "w"), [(3, 1, 1), (3, 2, 1), (3, 1, 2), (3, 2, 2), (5, 1, 1), (5, 2, 2), (5, 3, 2), (9, 3, 3)]
)
def test_partial_quorums_miss_as_often_as_pbs_says(n, r, w):
    found = measure("quorums", replicas=n, read_quorum=r, write_quorum=w, contact="quorum", pairs=4000)
    assert found["reads"] == 4000
    assert within(found["stale_reads"], miss_probability(n, r, w), 4000)


def test_overlapping_partial_quorums_never_miss():
    assert miss_probability(3, 2, 2) == 0
    assert miss_probability(3, 1, 1) == pytest.approx(2 / 3)
    assert miss_probability(5, 2, 2) == pytest.approx(3 / 10)


def test_being_k_versions_behind_takes_k_misses():
    # One key and one client at a slow pace: each write is over before the next begins.
    result = run(
        "quorums", seed=7, trace=False, contact="quorum", pairs=4000, clients=1, keys=1, rate=0.5, delay=0.001,
        write_delay=0.001,
    )  # fmt: skip
    behind = [judgement.versions_behind for judgement in judge_reads(result.operations)]
    settled = behind[20:]
    miss = miss_probability(3, 1, 1)
    for versions in (1, 2, 3, 5):
        found = sum(number >= versions for number in settled) / len(settled)
        # Successive reads share the writes they miss; five sigmas allow for what that adds to the variance.
        assert within(found, miss**versions, len(settled), sigmas=5)


PBS_PAIRS = 40_000
PBS_DISK_LATENCY_MS = {(1, 1): (0.66, 10.99), (1, 2): (0.65, 20.97), (2, 1): (1.63, 10.9), (2, 2): (1.64, 20.96)}


@pytest.fixture(scope="module", params=PBS_DISK_LATENCY_MS, ids=lambda pair: "R{}W{}".format(*pair))
def disk_run(request):
    read_quorum, write_quorum = request.param
    found = measure(
        "quorums", shape="linkedin disk", read_quorum=read_quorum, write_quorum=write_quorum, pairs=PBS_PAIRS,
        timeout=10.0,
    )  # fmt: skip
    return request.param, found


def test_latencies_are_those_published_for_linkedins_disks(disk_run):
    quorums, found = disk_run
    read_ms, write_ms = PBS_DISK_LATENCY_MS[quorums]
    assert found["read_p999"] * 1000 == pytest.approx(read_ms, rel=0.05)
    assert found["write_p999"] * 1000 == pytest.approx(write_ms, rel=0.05)


def test_consistency_at_once_is_that_published_for_linkedins_disks(disk_run):
    (read_quorum, write_quorum), found = disk_run
    if (read_quorum, write_quorum) == (1, 1):
        assert 1 - found["stale_reads"] == pytest.approx(0.439, abs=0.01)
    elif read_quorum + write_quorum > 3:
        assert found["stale_reads"] == 0
    else:
        assert 0 < found["stale_reads"] < 0.561


def test_consistency_at_once_is_that_published_for_linkedins_ssds():
    found = measure("quorums", shape="linkedin ssd", pairs=8_000, timeout=10.0)
    assert 1 - found["stale_reads"] == pytest.approx(0.974, abs=0.01)


@pytest.mark.parametrize(
    ("replicas", "quorum", "up", "published"), [(3, 2, 0.9, 0.972), (5, 3, 0.9, 0.99144), (3, 3, 0.9, 0.729)]
)
def test_writes_are_available_as_often_as_enough_replicas_are_up(replicas, quorum, up, published):
    assert quorum_availability(replicas, quorum, up) == pytest.approx(published)
    found = measure(
        "quorums", replicas=replicas, write_quorum=quorum, availability=up, mean_outage=0.1, rate=0.2, delay=0.0005,
        write_delay=0.0005, mixed=True, keys=100, timeout=0.2, pairs=1500,
    )  # fmt: skip
    assert within(found["write_availability"], published, 1500)


@pytest.mark.parametrize("synchronisation", ["cristian", "ntp"])
@pytest.mark.parametrize(("asymmetry", "drift_ppm"), [(0.0, 0.0), (0.8, 0.0), (0.0, 1000.0), (0.8, 1000.0)])
def test_synchronised_clocks_are_never_further_off_than_their_bound(synchronisation, asymmetry, drift_ppm):
    found = measure(
        "clocks", synchronisation=synchronisation, asymmetry=asymmetry, drift_ppm=drift_ppm, writes=600, delay=0.02
    )
    assert found["sync_bound_exceeded"] == 0
    assert 0 < found["sync_error_max"] <= found["sync_bound_max"]


def test_ten_ppm_are_864_milliseconds_a_day_exactly():
    # Writes are stamped at once; the first server loses 10 ppm, the second gains them.
    result = run("clocks", seed=7, offset=0.0, drift_ppm=10.0, writes=300, rate=0.01, delay=0.0, minimum_delay=0.0)
    writes = [operation for operation in result.operations if operation.function == "write"]
    assert writes[-1].invoked_us > 10_000_000_000
    for write in writes:
        gained_us = write.value.physical_us - write.invoked_us
        sign = -1 if write.value.node == "server-1" else 1
        assert gained_us == sign * write.invoked_us * 864_000 // 86_400_000_000


@pytest.mark.parametrize(("offset", "rate"), [(0.05, 20.0), (0.01, 20.0), (0.2, 5.0)])
def test_timestamps_invert_as_many_neighbours_as_the_offset_lets_them(offset, rate):
    writes = 5000
    found = measure("clocks", offset=offset, rate=rate, writes=writes, delay=0.0, minimum_delay=0.0, keys=1000)
    assert within(found["wrongly_ordered"], inversion_probability(offset, rate), 2 * writes, sigmas=4)


def test_a_lease_is_held_twice_for_as_long_as_the_law_says_at_most():
    for drift_ppm in (50_000.0, 200_000.0):
        found = measure("leases", drift_ppm=drift_ppm, lease=1.0, duration=120.0)
        law = overlap_seconds(1.0, drift_ppm, 0.0)
        assert 0.7 * law < found["held_twice_longest"] <= law
    found = measure("leases", drift_ppm=50_000.0, margin=0.05, lease=1.0, duration=120.0)
    assert overlap_seconds(1.0, 50_000.0, 0.05) < 0
    assert (found["held_twice"], found["held_twice_longest"]) == (0, 0)


def test_percentiles_leave_at_least_their_share_below():
    samples = [float(number) for number in range(1, 1001)]
    assert [percentile(samples, level) for level in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1000]
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: moved_by_consistent_hashing(0, 3),
        lambda: moved_by_modulo(3, 0),
        lambda: ring_spread(0, 100),
        lambda: ring_spread(3, 0),
        lambda: spread([]),
        lambda: spread([0, 0]),
        lambda: slow_scan_share(0, 0.1),
        lambda: slow_scan_share(3, -0.1),
        lambda: slow_scan_share(3, math.nan),
        lambda: inverted_messages(1, 0.05, 0.02),
        lambda: inverted_messages(2, math.nan, 0.02),
        lambda: inverted_messages(2, 0.05, -0.02),
    ],
)
def test_a_law_is_not_asked_beyond_where_it_means_something(ask):
    with pytest.raises(BadInput, match="it must be"):
        ask()
