"""Operations over time: rates, latencies, and the shading of faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle, StepPatch

from labkit.faults import FaultWindow
from labkit.figures import time_series
from labkit.history import Recording
from labkit.results import Result
from labkit.scenes import MOST_ROWS, bin_width, fault_label, fault_rows
from tests.figures.legibility import assert_legible


def rates(figure) -> list[StepPatch]:
    """The rates that are drawn, one an outcome."""
    return [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, StepPatch)]


def test_every_operation_is_in_the_rates(cut_run, theme):
    figure = time_series(cut_run)
    assert_legible(figure)
    outcomes = [operation.outcome for operation in cut_run.operations]
    drawn = [data.values @ np.diff(data.edges) for data in (patch.get_data() for patch in rates(figure))]
    scale = 1 if cut_run.duration >= 1 else 1e3
    expected = [outcomes.count(outcome) for outcome in ("ok", "fail", "unknown") if outcome in outcomes]
    assert [total / scale for total in drawn] == pytest.approx(expected)
    for outcome in set(outcomes):
        assert f"{outcomes.count(outcome):,} {outcome}" in figure.alt_text


def test_one_function_alone(cut_run):
    figure = time_series(cut_run, "read")
    reads = sum(operation.function == "read" for operation in cut_run.operations)
    assert figure.alt_text.startswith(f"{reads} reads in ")
    assert figure.legends[0].get_title().get_text() == "Reads over time"


def test_fault_windows_are_shaded_where_they_were(cut_run):
    figure = time_series(cut_run)
    (window,) = cut_run.fault_windows
    scale = 1 if cut_run.duration >= 1 else 1e3
    strip, *panels = figure.axes
    for axes in panels:
        (shade,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert shade.get_x() == pytest.approx(window.begin * scale)
        assert shade.get_x() + shade.get_width() == pytest.approx(window.end * scale)
    (bar,) = strip.collections
    across = bar.get_paths()[0].vertices[:, 0]
    assert (across.min(), across.max()) == pytest.approx((window.begin * scale, window.end * scale))
    assert bar.get_hatch()
    assert fault_label(window) in [text.get_text() for text in strip.texts]


def test_crashes_have_a_row_for_each_node(outage_run, theme):
    figure = time_series(outage_run, "write")
    assert_legible(figure)
    crashed = {window.nodes[0] for window in outage_run.fault_windows}
    assert {f"crash {node}" for node in crashed} == {label.get_text() for label in figure.axes[0].get_yticklabels()}


def test_a_quiet_run_has_two_panels(quorum_run):
    figure = time_series(quorum_run)
    assert_legible(figure)
    assert len(figure.axes) == 2


def test_an_empty_run_is_drawn():
    figure = time_series(Result("made", "simulated", 0, {}, Recording(duration_us=1000)))
    assert_legible(figure)
    assert figure.alt_text == "0 operations in 1 ms."


def test_faults_of_many_nodes_share_the_last_row():
    windows = [FaultWindow("crash", (f"node-{number}",), 0.0, 1.0) for number in range(20)]
    rows = fault_rows(windows)
    assert len(rows) == MOST_ROWS
    assert sum(len(row) for row in rows.values()) == 20
    assert list(rows)[-1] == "and of 15 others"


@pytest.mark.parametrize(
    ("window", "label"),
    [
        (FaultWindow("crash", ("replica-1",), 0, 1), "crash replica-1"),
        (FaultWindow("partition", ("a",), 0, 1, ("b", "c")), "partition a | 2 nodes"),
        (
            FaultWindow("partition", ("client-1", "replica-1"), 0, 1, ("x", "y", "z")),
            "partition 2 nodes | 3 nodes",
        ),
    ],
)
def test_fault_labels(window, label):
    assert fault_label(window) == label


@given(st.floats(1e-3, 1e4), st.integers(0, 100_000))
def test_bins_are_round_and_neither_few_nor_many(length, operations):
    width = bin_width(length, operations)
    digits = f"{width:.6e}".split("e")[0]
    assert float(digits) in (1, 2, 5)
    assert 8 - 1e-9 <= length / width <= 100 + 1e-9
    if operations >= 400:
        assert length / width >= 40 - 1e-9
