"""Distances between samples, against SciPy."""

from __future__ import annotations

import math
import statistics
import warnings
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labkit.errors import BadInput
from labkit.results import percentile
from labkit.statistics import (
    deviations_from,
    ks_allowed,
    ks_by_chance,
    ks_distance,
    nearest_rank,
    shares_by_chance,
    widest_gap,
)

# Whole numbers among them, so that ties within and between samples are common.
NUMBERS = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6, allow_nan=False))
SAMPLES = st.lists(NUMBERS, min_size=1, max_size=60)


@given(SAMPLES, SAMPLES)
def test_distance_is_scipys(first, second):
    with warnings.catch_warnings(action="ignore"):  # SciPy's p-value, which nobody asks for, fails on some ties
        expected = stats.ks_2samp(first, second).statistic
    assert ks_distance(first, second) == pytest.approx(expected, abs=1e-12)


@given(SAMPLES, SAMPLES)
def test_widest_gap_is_where_it_says(first, second):
    gap, place = widest_gap(first, second)
    shares = [sum(value <= place for value in sample) / len(sample) for sample in (first, second)]
    assert abs(shares[0] - shares[1]) == pytest.approx(gap, abs=1e-12)


@given(SAMPLES)
def test_a_sample_is_no_distance_from_itself(sample):
    assert ks_distance(sample, list(reversed(sample))) == 0


def test_disjoint_samples_are_as_far_apart_as_can_be():
    assert widest_gap([1.0, 2.0], [3.0, 4.0, 5.0]) == (1.0, 2.0)


@pytest.mark.parametrize("samples", [([], [1.0]), ([1.0], []), ([], [])])
def test_nothing_has_no_distance(samples):
    assert math.isnan(ks_distance(*samples))


@pytest.mark.parametrize(("first", "second", "confidence"), [(50, 80, 0.95), (1000, 1000, 0.95), (200, 30, 0.99)])
def test_distance_by_chance_is_smirnovs(first, second, confidence):
    expected = stats.kstwobign.isf(1 - confidence) * math.sqrt((first + second) / (first * second))
    assert ks_by_chance(first, second, confidence) == pytest.approx(expected, rel=1e-3)


def test_chance_says_nothing_of_empty_samples():
    assert math.isnan(ks_by_chance(0, 10))


@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(1, 3000))
def test_the_nearest_rank_is_the_exact_one_whatever_binary_makes_of_the_share(count, numerator, denominator):
    exact = Fraction(min(numerator, denominator), denominator)
    assert nearest_rank(float(exact), count) == max(math.ceil(exact * count), 1)


@given(st.integers(1, 3000), st.integers(0, 1000))
def test_a_share_of_three_decimals_means_what_it_says(count, thousandths):
    expected = max(math.ceil(Fraction(thousandths, 1000) * count), 1)
    assert nearest_rank(float(f"0.{thousandths:03}") if thousandths < 1000 else 1.0, count) == expected
    samples = list(range(1, count + 1))
    assert percentile(samples, thousandths / 1000) == expected


def test_the_55th_percentile_of_the_numbers_to_100_is_55():
    assert percentile(range(1, 101), 0.55) == 55
    assert [percentile(range(1, 101), share) for share in (0, 0.07, 0.14, 0.28, 0.56, 0.57, 1)] == [
        1, 7, 14, 28, 56, 57, 100,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "ask",
    [
        lambda: percentile([1.0], 1.01),
        lambda: percentile([1.0], -0.1),
        lambda: percentile([1.0], math.nan),
        lambda: percentile([1.0, math.nan, 2.0], 0.5),
        lambda: nearest_rank(0.5, 0),
        lambda: ks_distance([1.0, math.nan], [1.0]),
        lambda: ks_by_chance(-1, 10),
        lambda: ks_by_chance(10, 10, 1.0),
        lambda: ks_by_chance(10, 10, math.nan),
    ],
)
def test_what_has_no_answer_is_refused_in_one_sentence(ask):
    with pytest.raises(BadInput, match=r"(is|are|have) .*: (it|they|each) must be "):
        ask()


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_samples_of_one_distribution_stay_within_what_is_allowed(late, seed):
    draw = Random(seed)
    simulated = [draw.expovariate(1.0) for _ in range(200)]
    measured = [draw.expovariate(1.0) + draw.random() * late for _ in range(150)]
    assert ks_distance(measured, simulated) <= ks_allowed(measured, simulated, late, confidence=1 - 1e-9)


def test_what_is_allowed_grows_with_the_lateness_and_is_exceeded_by_more():
    simulated = [number / 1000 for number in range(1000)]
    allowed = [ks_allowed(simulated, simulated, late) for late in (0.0, 0.1, 0.2)]
    assert allowed[0] == ks_by_chance(1000, 1000, 0.9999)
    assert [more - allowed[0] for more in allowed[1:]] == pytest.approx([0.1, 0.2], abs=0.0011)
    assert ks_distance([each + 0.3 for each in simulated], simulated) > allowed[2]
    with pytest.raises(BadInput, match="late is"):
        ks_allowed(simulated, simulated, -0.1)


@pytest.mark.parametrize(("share", "counts"), [(0.1, (200, 300)), (0.5, (50, 50)), (0.95, (400, 100)), (0.0, (10, 10))])
def test_two_shares_are_apart_by_more_than_chance_as_rarely_as_promised(share, counts):
    """Exactly, from the two binomial distributions, not from draws."""
    allowed = shares_by_chance(share, *counts, confidence=0.99)
    chances = [stats.binom.pmf(range(count + 1), count, share) for count in counts]
    beyond = sum(
        one * other
        for first, one in enumerate(chances[0])
        for second, other in enumerate(chances[1])
        if abs(first / counts[0] - second / counts[1]) > allowed
    )
    assert beyond <= 0.012
    assert math.isnan(shares_by_chance(0.5, 0, 10))


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.floats(-1e3, 1e3))
def test_deviations_are_those_of_a_further_value(sample, value):
    deviation = statistics.stdev(sample) * math.sqrt(1 + 1 / len(sample))
    if deviation > 1e-6:
        expected = abs(value - statistics.fmean(sample)) / deviation
        assert deviations_from(value, sample) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_of_values_that_are_all_alike_another_is_infinitely_far():
    assert deviations_from(1.0, [1.0, 1.0]) == 0.0
    assert deviations_from(1.1, [1.0, 1.0]) == math.inf
    assert math.isnan(deviations_from(1.0, [1.0])) and math.isnan(deviations_from(math.nan, [1.0, 2.0]))


@pytest.mark.parametrize("given", [(1.1, 10, 10), (math.nan, 10, 10), (0.5, -1, 10), (0.5, 10, 10, 1.0)])
def test_shares_of_nothing_that_can_be_are_refused(given):
    with pytest.raises(BadInput):
        shares_by_chance(*given)
