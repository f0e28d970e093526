"""Latency distributions: the curves, the percentiles, and what is said of two runs."""

from __future__ import annotations

import numpy as np
import pytest

from labkit import run
from labkit.figures import latency_distribution, measured_over_simulated
from labkit.history import Operation, Recording
from labkit.results import Result, percentile
from labkit.statistics import ks_distance
from labkit.wording import duration
from tests.figures.legibility import assert_legible


def made_of(latencies: list[float], failed: int = 0, runtime: str = "simulated") -> Result:
    """A result whose reads took so many seconds each."""
    reads = [Operation("c", "read", "x", 1, 0, round(latency * 1e6), "ok") for latency in latencies]
    reads += [Operation("c", "read", "x", None, 0, None, "unknown") for _ in range(failed)]
    return Result("made", runtime, 3, {}, Recording(operations=reads, duration_us=1_000_000))


def curves(figure) -> list:
    """The distributions that are drawn."""
    return [line for axes in figure.axes for line in axes.lines if line.get_drawstyle() == "steps-post"]


def test_one_result(quorum_run, theme):
    figure = latency_distribution(quorum_run)
    assert_legible(figure)
    for function in ("read", "write"):
        latencies = quorum_run.latencies(function)
        for level in (0.5, 0.99):
            assert duration(percentile(latencies, level)) in figure.alt_text
    assert "seed 7" in figure._supxlabel.get_text()


def test_curve_is_the_share_of_operations_within_a_time():
    (curve,) = curves(latency_distribution(made_of([0.004, 0.001, 0.002, 0.002])))
    times, shares = curve.get_xdata(), curve.get_ydata()
    assert np.interp([0.5, 4.0], times, shares).tolist() == [0, 1]
    assert dict(zip(times, shares, strict=True)) == {1: 0.25, 2: 0.75, 4: 1}


def test_many_operations_make_a_small_curve_with_the_same_ends():
    latencies = [0.001 + number * 1e-6 for number in range(50_000)]
    (curve,) = curves(latency_distribution(made_of(latencies)))
    assert len(curve.get_xdata()) <= 2001
    assert curve.get_xdata()[-1] == pytest.approx(max(latencies) * 1e3, abs=1e-3)


def test_several_results_are_told_apart_by_their_parameters(quorum_run, strict_run, theme):
    figure = latency_distribution([quorum_run, strict_run])
    assert_legible(figure)
    assert len(figure.axes) == 2
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [name.split(":")[0] for name in names] == [f"read quorum {n}, write quorum {n}" for n in (1, 2)]


def test_several_results_by_name(quorum_run, strict_run):
    figure = latency_distribution({"one": quorum_run, "two": strict_run}, functions=("read",))
    assert_legible(figure)
    assert [text.get_text().split(":")[0] for text in figure.legends[0].get_texts()] == ["one", "two"]
    assert "with two: half within" in figure.alt_text and "write" not in figure.alt_text


def test_operations_without_latency_are_counted():
    figure = latency_distribution(made_of([0.001] * 7, failed=3))
    assert "3 of 10 operations did not succeed" in figure.alt_text
    assert "3 of 10 operations did not succeed" in figure._supxlabel.get_text()


def test_nothing_but_failures_is_drawn_and_said():
    figure = latency_distribution(made_of([], failed=3))
    assert_legible(figure)
    assert "No read succeeded." in figure.alt_text


@pytest.mark.parametrize(("slowest", "scale"), [(0.02, "linear"), (2.0, "log")])
def test_a_long_tail_is_drawn_on_a_logarithmic_axis(slowest, scale):
    figure = latency_distribution(made_of([0.001 + number * 1e-5 for number in range(100)] + [slowest]))
    assert_legible(figure)
    assert figure.axes[0].get_xscale() == scale


def test_measured_over_simulated_states_the_distance(quorum_run, theme):
    measured = run("quorums", seed=8, pairs=100, delay=0.021)
    measured.runtime = "ray"
    figure = measured_over_simulated(measured, quorum_run)
    assert_legible(figure)
    for function in ("Read", "Write"):
        samples = [result.latencies(function.lower()) for result in (measured, quorum_run)]
        expected = f"{function}s: at most {100 * ks_distance(*samples):.1f} percentage points apart"
        assert expected in figure.alt_text and expected in figure._supxlabel.get_text()


def test_distance_of_known_samples_is_marked_where_it_is():
    figure = measured_over_simulated(made_of([0.001, 0.002, 0.003, 0.010]), made_of([0.001, 0.002, 0.008, 0.010]))
    assert_legible(figure)
    assert "at most 25.0 percentage points apart, at 3 ms" in figure.alt_text
    (gap,) = figure.axes[0].collections
    assert gap.get_segments()[0].tolist() == [[3, 0.5], [3, 0.75]]


def test_equal_runs_are_no_distance_apart(quorum_run):
    figure = measured_over_simulated(quorum_run, quorum_run, functions=["write"])
    assert "at most 0.0 percentage points apart" in figure.alt_text
    assert not figure.axes[0].collections


def test_a_run_in_which_nothing_succeeded_cannot_be_compared(quorum_run):
    figure = measured_over_simulated(made_of([], failed=2, runtime="ray"), quorum_run, functions=["read"])
    assert_legible(figure)
    assert "cannot be compared" in figure.alt_text
