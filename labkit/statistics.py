"""Ranks of a sample, and how far apart two samples are, in pure Python, so that the page in the browser has it too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, fsum, inf, isfinite, log, nan, sqrt
from statistics import NormalDist

from labkit.errors import BadInput


def nearest_rank(share: float, count: int) -> int:
    """The smallest k from 1 up with k / `count` ≥ `share`: in so many samples in order, that percentile is the k-th.

    Raises `BadInput` unless `share` is from 0 to 1 and `count` 1 or more.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"share is {share!r}: it must be from 0 to 1")
    if count < 1:
        raise BadInput(f"count is {count!r}: it must be 1 or more")
    # The ceiling of the product may be one too far: 0.55 × 100 is 55.00000000000001 in binary, and 55 / 100 is 0.55.
    rank = max(ceil(share * count), 1)
    if rank > 1 and (rank - 1) / count >= share:
        return rank - 1
    return rank if rank / count >= share else rank + 1


def ks_distance(first: Sequence[float], second: Sequence[float]) -> float:
    """The Kolmogorov–Smirnov distance of two samples: the widest gap between their distributions, 0 to 1.

    NaN if either sample is empty. Raises `BadInput` for samples that are no numbers.
    """
    return widest_gap(first, second)[0]


def widest_gap(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """The Kolmogorov–Smirnov distance, and the smallest value at which it is reached."""
    if not first or not second:
        return nan, nan
    if any(sample != sample for sample in (*first, *second)):
        raise BadInput("the samples have a NaN: each must be a number")
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

    Smirnov's asymptotic bound, for independent samples of some dozens and more. NaN if either sample is empty.
    """
    if first_count < 0 or second_count < 0:
        raise BadInput(f"the samples' sizes are {first_count!r} and {second_count!r}: they must be 0 or more")
    if not 0 <= confidence < 1:
        raise BadInput(f"confidence is {confidence!r}: it must be from 0 to below 1")
    if not first_count or not second_count:
        return nan
    return sqrt(-log((1 - confidence) / 2) / 2 * (first_count + second_count) / (first_count * second_count))


def ks_allowed(
    measured: Sequence[float], simulated: Sequence[float], late: float = 0.0, confidence: float = 0.9999
) -> float:
    """The distance that a measurement stays below if the simulation is right, but for up to `late` seconds each.

    What chance alone may do to two independent samples, and how far the simulated one moves if all of it is `late`.
    Samples of one run that wait for each other, in a queue for example, count for fewer than they are.
    """
    if not 0 <= late < inf:
        raise BadInput(f"late is {late!r}: it must be 0 or more seconds")
    moved = ks_distance(simulated, [sample + late for sample in simulated])
    return ks_by_chance(len(measured), len(simulated), confidence) + moved


def shares_by_chance(share: float, first_count: int, second_count: int, confidence: float = 0.9999) -> float:
    """How far apart the shares of two independent samples stay if both are drawn from this share.

    The binomial distribution's normal approximation, with half a case of each for the steps between cases. NaN if
    either sample is empty.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"share is {share!r}: it must be from 0 to 1")
    if first_count < 0 or second_count < 0:
        raise BadInput(f"the samples' sizes are {first_count!r} and {second_count!r}: they must be 0 or more")
    if not 0 <= confidence < 1:
        raise BadInput(f"confidence is {confidence!r}: it must be from 0 to below 1")
    if not first_count or not second_count:
        return nan
    inverse = 1 / first_count + 1 / second_count
    deviations = NormalDist().inv_cdf((1 + confidence) / 2)
    return deviations * sqrt(share * (1 - share) * inverse) + inverse / 2


def deviations_from(value: float, sample: Sequence[float]) -> float:
    """How many standard deviations of the sample a further value is from its mean; infinite if they are all alike.

    The deviation of the difference, so that the mean's own uncertainty counts. NaN for fewer than two samples.
    """
    known = [each for each in sample if isfinite(each)]
    if len(known) < 2 or not isfinite(value):
        return nan
    mean = fsum(known) / len(known)
    variance = fsum((each - mean) ** 2 for each in known) / (len(known) - 1) * (1 + 1 / len(known))
    if variance == 0:
        return 0.0 if value == mean else inf
    return abs(value - mean) / sqrt(variance)
