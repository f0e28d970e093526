"""Distances between samples, against SciPy."""

from __future__ import annotations

import math
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labkit.statistics import ks_by_chance, ks_distance, widest_gap

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
