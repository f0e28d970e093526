"""Sweeps: estimates with their intervals, failing seeds by number, and nothing run on bad input."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labkit import BadInput, RunTimedOut, run, sweeping
from labkit.sweeping import among_simulations, estimate, sweep

SAMPLES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60)


@given(SAMPLES)
def test_the_interval_is_students(samples):
    found = estimate(samples)
    mean, error = np.mean(samples), stats.sem(samples)
    half = stats.t.ppf(0.975, len(samples) - 1) * error
    assert found.count == len(samples)
    assert found.mean == pytest.approx(mean, abs=1e-6)
    # Beyond 31 samples the normal distribution stands in, up to 4% too narrow.
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-3 if len(samples) <= 31 else 0.045, abs=1e-6)
    assert found.low <= found.mean <= found.high


def test_what_is_no_number_is_left_out():
    assert estimate([1.0, math.nan, 3.0, math.inf]).count == 2
    assert estimate([1.0, math.nan, 3.0]).mean == 2.0
    lone = estimate([4.0])
    assert (lone.mean, lone.low, lone.high, lone.count) == (4.0, 4.0, 4.0, 1)
    assert math.isnan(estimate([math.nan]).mean)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        found = estimate(random.normal(10, 3, size=6).tolist())
        covered += found.low <= 10 <= found.high
    assert abs(covered - 1900) <= 4 * math.sqrt(2000 * 0.95 * 0.05)


def small(over, **settings):
    return sweep("quorums", over, parallel=False, progress=False, pairs=30, **settings)


def test_a_point_for_each_combination_in_the_order_of_the_grid():
    found = small({"read_quorum": [1, 2], "write_quorum": [1, 3]}, seeds=2)
    assert [tuple(point.parameters.values()) for point in found.points] == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert found.fixed == {"pairs": 30}


def test_each_point_is_the_mean_of_its_runs():
    (point,) = small({"replicas": [3]}, seeds=[4, 9, 2]).points
    runs = [run("quorums", seed=seed, pairs=30).measures["stale_reads"].value for seed in (4, 9, 2)]
    assert point.estimates["stale_reads"] == estimate(runs)


def test_failing_seeds_are_listed_with_why():
    weak, strong = small({"read_quorum": [1, 2]}, write_quorum=2, seeds=12).points
    illegal = [
        seed
        for seed in range(12)
        if run("quorums", seed=seed, pairs=30, write_quorum=2).verdicts[0].status == "ILLEGAL"
    ]
    assert weak.failing_seeds == illegal != []
    assert all("every read is fresh" in why for why in weak.failures.values())
    assert strong.failing_seeds == []


def test_a_run_that_does_not_end_is_a_failure_of_its_seed(monkeypatch):
    def sometimes(name, *, seed, **parameters):
        if seed == 1:
            raise RunTimedOut("client-1 had not finished")
        return run(name, seed=seed, **parameters)

    monkeypatch.setattr(sweeping, "run", sometimes)
    (point,) = small({"replicas": [3]}, seeds=3).points
    assert point.failures[1] == "client-1 had not finished"
    assert point.estimates["stale_reads"].count == 2


@pytest.mark.parametrize(
    ("over", "settings"),
    [
        ({"replica": [1]}, {}),
        ({"replicas": [3, 99]}, {}),
        ({"read_quorum": [1, 2, 4]}, {}),
        ({"replicas": [3]}, {"loss": 2}),
        ({"replicas": [3]}, {"seeds": 0}),
        ({"replicas": [3]}, {"seeds": []}),
    ],
)
def test_bad_input_is_refused_before_anything_runs(over, settings, monkeypatch):
    monkeypatch.setattr(sweeping, "run_job", lambda job: pytest.fail("something ran"))
    with pytest.raises(BadInput):
        small(over, **settings)


def test_numpys_numbers_are_numbers():
    found = small({"replicas": np.arange(3, 5), "loss": np.linspace(0, 0.1, 2)}, seeds=1)
    assert len(found.points) == 4


def test_progress_is_told_run_by_run():
    steps = []
    sweep("quorums", {"replicas": [3, 4]}, seeds=2, parallel=False, progress=lambda *step: steps.append(step), pairs=5)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_json_and_frame_hold_every_point():
    found = sweep("clocks", {"servers": [2, 3]}, seeds=2, parallel=False, progress=False, writes=10)
    data = json.loads(found.to_json())
    assert [point["parameters"] for point in data["points"]] == [{"servers": 2}, {"servers": 3}]
    assert data["points"][0]["estimates"]["sync_error_max"]["mean"] is None
    frame = found.frame()
    assert list(frame["servers"]) == [2, 3]
    assert {"lost_writes", "lost_writes_low", "lost_writes_high", "failing_seeds"} <= set(frame.columns)


def test_a_simulation_is_one_that_the_simulation_could_have_made_and_of_other_dials_is_not():
    dials = {"pairs": 200, "clients": 1}
    like = among_simulations(run("quorums", seed=3, trace=False, **dials), ["stale_reads", "read_p50"], seeds=10)
    assert like["deviations apart"].max() < 5
    unlike = run("quorums", seed=3, trace=False, read_quorum=3, **dials)
    unlike.parameters["read_quorum"] = 1
    table = among_simulations(unlike, ["stale_reads", "read_p50"], seeds=10)
    assert table["deviations apart"].min() > 5
    assert list(table.index) == ["stale_reads", "read_p50"] and table.measured["stale_reads"] == unlike["stale_reads"]
    with pytest.raises(BadInput, match="seeds is 1"):
        among_simulations(unlike, ["stale_reads"], seeds=1)
