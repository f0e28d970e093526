"""Successes over time: every success is drawn, and the distance of two runs is the greatest there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labkit import run
from labkit.figures import succeeded_over_time
from labkit.figures.progress import furthest_apart
from tests.figures.legibility import assert_legible

INSTANTS = st.lists(st.integers(0, 30), max_size=12).map(sorted)


def test_every_success_is_drawn_and_told(theme):
    dials = {"orders": 60, "outage": 1.0, "outage_at": 1.0}
    pairs = {
        f"by {mode}": tuple(run("sync_vs_async", seed=seed, mode=mode, **dials) for seed in (1, 2))
        for mode in ("call", "queue")
    }
    figure = succeeded_over_time(pairs, "completion")
    assert_legible(figure)
    (axes,) = figure.axes
    totals = [max(line.get_ydata()) for line in axes.lines]
    expected = [len(result.latencies("completion")) for pair in pairs.values() for result in pair]
    assert totals == expected
    for name, (measured, simulated) in pairs.items():
        for kind, result in (("measured", measured), ("simulated", simulated)):
            told = f"{name}, {kind}: {len(result.latencies('completion'))}."
            assert told.capitalize() in figure.alt_text
    assert "Shaded: pause payment from 1 s to 2 s." in figure.alt_text


@given(INSTANTS, INSTANTS)
def test_the_distance_is_the_greatest_difference_of_the_counts(ones, twos):
    counted = [abs(sum(x <= at for x in ones) - sum(x <= at for x in twos)) for at in range(31)]
    assert furthest_apart(ones, twos) == max(counted)
