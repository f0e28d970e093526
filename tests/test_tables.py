"""Tables of sweeps: each quantity in the unit that a reader would choose, with as many digits as are known."""

from __future__ import annotations

import math

import pytest

from labkit.errors import BadInput
from labkit.sweeping import Estimate, Sweep, SweepPoint
from labkit.tables import left_out

UNITS = {"loss": "", "delay": "s", "read_p50": "s", "stale_reads": "", "reads": ""}
MEANINGS = {"stale_reads": "share of reads that missed a write", "reads": "reads", "read_p50": "half took at most this"}


def point(delay: float, stale: float, spread: float, failures: dict[int, str]) -> SweepPoint:
    estimates = {
        "stale_reads": Estimate(stale, stale - spread, stale + spread, 10),
        "read_p50": Estimate(0.016712, 0.016612, 0.016812, 10),
        "reads": Estimate(12000.0, 12000.0, 12000.0, 10),
    }
    return SweepPoint({"delay": delay}, estimates, failures)


def sweep(*points: SweepPoint) -> Sweep:
    return Sweep("quorums", {}, list(points), UNITS, MEANINGS)


def test_each_quantity_has_its_unit_and_its_digits():
    table = sweep(point(0.02, 0.2463, 0.0071, {}), point(0.1, 0.0, 0.0, {})).table("stale_reads", "read_p50", "reads")
    assert table.head == ("delay (ms)", "stale reads (%)", "read p50 (ms)", "reads")
    assert table.rows == (("20", "24.63 ± 0.71", "16.71 ± 0.10", "12,000"), ("100", "0", "16.71 ± 0.10", "12,000"))


def test_a_mean_without_an_interval_has_three_digits():
    one = SweepPoint({"delay": 0.02}, {"read_p50": Estimate(0.016712, 0.016712, 0.016712, 1)}, {})
    assert sweep(one).table("read_p50").rows == (("20", "16.7"),)


def test_seeds_that_failed_are_counted_and_the_first_named():
    table = sweep(point(0.02, 0.2, 0.01, {3: "why", 7: "why"}), point(0.1, 0.0, 0.0, {})).table("reads")
    assert table.head[-1] == "failing seeds"
    assert [row[-1] for row in table.rows] == ["2, first 3", "0"]


def test_a_measure_without_samples_is_a_dash():
    empty = SweepPoint({"delay": 0.02}, {"stale_reads": Estimate(math.nan, math.nan, math.nan, 0)}, {})
    assert sweep(empty).table("stale_reads").rows == (("20", "–"),)


def test_a_table_nobody_chose_says_how_much_it_leaves_out():
    many = SweepPoint({"delay": 0.02}, {f"measure_{n}": Estimate(1.5, 1.4, 1.6, 10) for n in range(30)}, {})
    table = sweep(many).table()
    assert table.width <= 100
    assert left_out(sweep(many), table) == 30 - (len(table.head) - 1) > 0
    assert table.measures == tuple(f"measure_{n}" for n in range(len(table.head) - 1))


def test_a_measure_that_is_not_there_is_one_sentence():
    with pytest.raises(BadInput, match="there is no measure 'stale': did you mean 'stale_reads'"):
        sweep(point(0.02, 0.2, 0.01, {})).table("stale")


def test_html_escapes_what_a_dial_holds():
    odd = SweepPoint({"name": "<b>"}, {"reads": Estimate(1.0, 1.0, 1.0, 1)}, {})
    assert "&lt;b&gt;" in sweep(odd).table("reads")._repr_html_()
