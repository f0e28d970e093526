"""What figures share before they draw: the widths of bins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.scenes import ENOUGH_BINS, FEWEST_BINS, bin_width


@given(st.floats(1e-6, 1e6), st.integers(0, 10_000))
def test_bins_are_of_a_round_width_and_enough(length, operations):
    width = bin_width(length, operations)
    digits = f"{width:e}"
    assert float(digits) == pytest.approx(width) and digits[0] in "125"
    bins = min(max(operations // 10, FEWEST_BINS), ENOUGH_BINS)
    assert bins * (1 - 1e-9) <= length / width <= 2.5 * bins * (1 + 1e-9)


def test_a_length_just_below_a_power_of_ten_has_a_width_too():
    length = 8 * math.nextafter(1e-3, 0.0)
    assert bin_width(length, 0) == 5e-4
