"""The experiment's own promises: both verdicts, what a crash takes, what asking first and writing back cost."""

from __future__ import annotations

import pytest

from labkit import run
from labkit.experiments.quorums import ATOMIC, FRESH, LINEARIZABLE
from labkit.lab import find
from labkit.results import HOLDS, ILLEGAL

CRASHING = {"read_quorum": 2, "write_quorum": 2, "availability": 0.8, "mean_outage": 0.3, "read_after": 0.1}
RACING = {
    "read_quorum": 2,
    "write_quorum": 2,
    "keys": 1,
    "mixed": True,
    "delay": 0.005,
    "write_delay": 0.1,
    "pairs": 60,
}


def judged(**dials) -> dict[str, str]:
    return {verdict.property: verdict.status for verdict in run("quorums", trace=False, **dials).verdicts}


@pytest.mark.parametrize("seed", [7, 8])
def test_what_is_acknowledged_must_survive_a_crash(seed):
    volatile, durable = (
        run("quorums", seed=seed, durable=durable, trace=False, **CRASHING) for durable in (False, True)
    )
    assert volatile["stale_reads"] > 0 == durable["stale_reads"]
    assert [verdict.status for verdict in volatile.verdicts] == [ILLEGAL, ILLEGAL]
    assert [verdict.status for verdict in durable.verdicts] == [HOLDS, HOLDS]


def test_overlapping_quorums_are_fresh_but_not_linearizable_unless_reads_write_back():
    plain = [judged(seed=seed, **RACING) for seed in range(20)]
    assert all(verdicts[FRESH] == HOLDS for verdicts in plain)
    assert sum(verdicts[LINEARIZABLE] == ILLEGAL for verdicts in plain) >= 10
    cured = [judged(seed=seed, write_back=True, **RACING) for seed in range(20)]
    assert all(verdicts == {FRESH: HOLDS, LINEARIZABLE: HOLDS} for verdicts in cured)


@pytest.mark.parametrize("offset", [-0.2, 0.2])
def test_writes_that_ask_first_are_right_whatever_clocks_show(offset):
    for seed in range(10):
        assert judged(seed=seed, clock_offset=offset, **ATOMIC) == {FRESH: HOLDS, LINEARIZABLE: HOLDS}
    lying = [judged(seed=seed, clock_offset=offset, **{**ATOMIC, "timestamps": "hybrid"}) for seed in range(20)]
    assert any(verdicts[LINEARIZABLE] == ILLEGAL for verdicts in lying)


def test_each_costs_a_round_trip_more():
    plain, careful = (
        run("quorums", seed=7, trace=False, read_quorum=2, write_quorum=2, **dials)
        for dials in ({}, {"write_back": True, "timestamps": "read first"})
    )
    for latency in ("read_p50", "write_p50"):
        assert 1.7 < careful[latency] / plain[latency] < 2.5
    quorums = find("quorums")
    for result in (plain, careful):
        expected = sum(quorums.expected_events(result.parameters).values())
        assert 0.5 < expected / (2 * result.recording.messages_sent) < 2
