"""A measure against a dial: estimates, laws, units and failing seeds."""

from __future__ import annotations

import math

import pytest
from matplotlib.container import ErrorbarContainer

from labkit.figures import measure_against
from labkit.sweeping import Estimate, Sweep, SweepPoint
from tests.figures.legibility import assert_legible


def swept(values: dict, measure: str = "stale_reads", failures: dict | None = None, **fixed) -> Sweep:
    """A sweep over dials given as tuples of (name, value) pairs, or over the dial "x"."""
    points = []
    for value, mean in values.items():
        parameters = dict(value) if isinstance(value, tuple) else {"x": value}
        found = Estimate(mean, mean - 0.1 * abs(mean), mean + 0.2 * abs(mean), 20)
        points.append(SweepPoint(parameters, {measure: found}, (failures or {}).get(value, {})))
    return Sweep("quorums", fixed, points)


def bars(figure) -> list[ErrorbarContainer]:
    """The lines with their intervals."""
    return figure.axes[0].containers


def law_lines(figure) -> list:
    """The lines of laws: those without error bars."""
    measured = {line for container in bars(figure) for part in container for line in _flat(part)}
    return [line for line in figure.axes[0].lines if line not in measured]


def _flat(part):
    return part if isinstance(part, tuple) else (part,)


def test_means_and_intervals(theme):
    figure = measure_against(swept({1: 0.8, 2: 0.4, 3: 0.1}, replicas=5), "x", "stale_reads")
    assert_legible(figure)
    (line,) = bars(figure)
    assert line[0].get_xdata().tolist() == [1, 2, 3]
    assert line[0].get_ydata().tolist() == [0.8, 0.4, 0.1]
    intervals = [segment[:, 1].tolist() for segment in line[2][0].get_segments()]
    assert intervals == [
        pytest.approx([0.72, 0.96]),
        pytest.approx([0.36, 0.48]),
        pytest.approx([0.09, 0.12]),
    ]
    assert "1: 0.8 (0.72 to 0.96)" in figure.alt_text
    assert "replicas 5" in figure._supxlabel.get_text() and "20 seeds" in figure._supxlabel.get_text()


def test_law_of_whole_numbers_is_asked_at_whole_numbers(theme):
    asked = []

    def law(x: int) -> float:
        asked.append(x)
        return math.comb(5, x) / 20

    figure = measure_against(swept({1: 0.24, 2: 0.5, 4: 0.1}), "x", "stale_reads", law=law, law_label="C(5, x)")
    assert_legible(figure)
    (line,) = law_lines(figure)
    assert line.get_xdata().tolist() == [1, 2, 3, 4]
    assert line.get_ydata().tolist() == [0.25, 0.5, 0.5, 0.25]
    assert all(isinstance(x, int) for x in asked)
    assert "C(5, x): inside the interval at 2 of 3 points." in figure.alt_text


def test_law_of_two_dials_has_a_line_for_each_value():
    grid = {(("x", x), ("w", w)): x / w for w in (1, 2) for x in (1.0, 1.5, 2.0)}
    figure = measure_against(swept(grid), "x", "stale_reads", by="w", law=lambda x, w: x / w)
    assert_legible(figure)
    for line, w in zip(law_lines(figure), (1, 2), strict=True):
        assert line.get_ydata().tolist() == pytest.approx([x / w for x in line.get_xdata()])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["w 1", "w 2", "law"]
    assert "inside the interval at 6 of 6 points" in figure.alt_text


def test_seconds_become_milliseconds_on_both_axes():
    sweep = swept({0.001: 0.005, 0.01: 0.05, 0.1: 0.5}, measure="read_p99")
    figure = measure_against(sweep, "x", "read_p99", law=lambda delay: 5 * delay, units={"x": "s", "read_p99": "s"})
    assert_legible(figure)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (ms)", "read p99 (ms)")
    assert axes.get_xscale() == "log"
    (line,) = bars(figure)
    assert line[0].get_xdata().tolist() == pytest.approx([1, 10, 100])
    assert line[0].get_ydata().tolist() == pytest.approx([5, 50, 500])
    (law,) = law_lines(figure)
    assert law.get_ydata().tolist() == pytest.approx([5 * delay for delay in law.get_xdata()])
    assert "10 ms: 50 ms (45 to 60)" in figure.alt_text


def test_failing_seeds_are_crossed_and_named(theme):
    sweep = swept({1: 0.8, 2: 0.4, 3: 0.1}, failures={2: {3: "stale", 17: "stale"}})
    figure = measure_against(sweep, "x", "stale_reads")
    assert_legible(figure)
    assert "A checker found runs illegal, or they failed, at x 2: seeds 3 and 17." in figure.alt_text
    assert "3 and 17" in figure._supxlabel.get_text()
    (crosses,) = law_lines(figure)
    assert (crosses.get_xdata(), crosses.get_ydata()) == ([2], [0.4])


def test_options_are_points_without_a_line_between_them():
    figure = measure_against(swept({"constant": 1.0, "pareto": 3.0}), "x", "stale_reads", law=lambda shape: 2.0)
    assert_legible(figure)
    (line,) = bars(figure)
    assert line[0].get_linestyle() == "None"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["constant", "pareto"]


def test_points_without_an_estimate_are_left_out():
    sweep = swept({1: 0.8, 2: math.nan, 3: 0.1})
    sweep.points.append(SweepPoint({"x": 4}, {}, {0: "never ended"}))
    figure = measure_against(sweep.points, "x", "stale_reads", log_y=True)
    assert_legible(figure)
    (line,) = bars(figure)
    assert line[0].get_xdata().tolist() == [1, 3]
    assert figure.axes[0].get_yscale() == "log"


def test_one_seed_is_not_held_against_a_law():
    points = [SweepPoint({"x": 1}, {"m": Estimate(0.5, 0.5, 0.5, 1)})]
    figure = measure_against(points, "x", "m", law=lambda x: 0.4)
    assert "interval at" not in figure.alt_text
