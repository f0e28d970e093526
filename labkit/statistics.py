"""How far apart two samples are, in pure Python, so that the page in the browser can say it too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import log, nan, sqrt


def ks_distance(first: Sequence[float], second: Sequence[float]) -> float:
    """The Kolmogorov–Smirnov distance of two samples: the widest gap between their distributions, 0 to 1.

    NaN if either sample is empty.
    """
    return widest_gap(first, second)[0]


def widest_gap(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """The Kolmogorov–Smirnov distance, and the smallest value at which it is reached."""
    if not first or not second:
        return nan, nan
    ones, twos = sorted(first), sorted(second)
    gap, place = 0.0, min(ones[0], twos[0])
    below_one = below_two = 0
    # Once one sample is used up its distribution is 1 and the gap can only close.
    while below_one < len(ones) and below_two < len(twos):
        value = min(ones[below_one], twos[below_two])
        below_one = bisect_right(ones, value, below_one)
        below_two = bisect_right(twos, value, below_two)
        here = abs(below_one / len(ones) - below_two / len(twos))
        if here > gap:
            gap, place = here, value
    return gap, place


def ks_by_chance(first_count: int, second_count: int, confidence: float = 0.95) -> float:
    """The distance that two samples of one distribution stay below with probability `confidence`.

    Smirnov's asymptotic bound, for independent samples of some dozens and more.
    """
    if not first_count or not second_count:
        return nan
    return sqrt(-log((1 - confidence) / 2) / 2 * (first_count + second_count) / (first_count * second_count))
