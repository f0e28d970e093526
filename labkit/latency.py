"""Distributions of the time that a message takes on its way. All parameters are seconds.

Samples are drawn by inverse transform from `random()` alone and rounded to whole microseconds at once, because
`math.log` may differ in its last bit between C libraries: a microsecond is too coarse to notice.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from statistics import NormalDist

from labkit.errors import BadInput
from labkit.statistics import nearest_rank

Sampler = Callable[[], int]


class Latency:
    """A distribution of one-way delays; draw from it with `sampler`. ``latency + 0.075`` takes 75 ms more."""

    def quantile(self, share: float) -> float:
        """The delay in seconds that a `share` (0 ≤ share < 1) of the messages stays at or below.

        Raises `BadInput` for another share, and `TypeError` for a distribution that has no closed quantile.
        """
        _require(0 <= share < 1, "share", share, "from 0 to below 1")
        return self._quantile(share)

    def _quantile(self, share: float) -> float:
        raise TypeError(f"{type(self).__name__} has no closed quantile")

    def sampler(self, random: Random) -> Sampler:
        """A function that draws the next delay, in whole microseconds, from `random`."""
        draw, quantile = random.random, self._quantile
        return lambda: round(quantile(draw()) * 1e6)

    def __add__(self, seconds: float) -> Latency:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            return NotImplemented
        return Shifted(self, seconds)


def _require(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise BadInput(f"latency {name} is {value!r}: it must be {allowed}")


@dataclass(frozen=True)
class Constant(Latency):
    """Every message takes `value` seconds."""

    value: float

    def __post_init__(self) -> None:
        _require(0 <= self.value < math.inf, "value", self.value, "0 or more seconds")

    def _quantile(self, share: float) -> float:
        return self.value

    def sampler(self, random: Random) -> Sampler:
        fixed = round(self.value * 1e6)
        return lambda: fixed


@dataclass(frozen=True)
class Uniform(Latency):
    """Any delay between `low` and `high` seconds is equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require(0 <= self.low <= self.high < math.inf, "range", (self.low, self.high), "0 ≤ low ≤ high seconds")

    def _quantile(self, share: float) -> float:
        return self.low + (self.high - self.low) * share


@dataclass(frozen=True)
class Exponential(Latency):
    """Memoryless: on average `mean` seconds, above a fixed `minimum`."""

    mean: float
    minimum: float = 0.0

    def __post_init__(self) -> None:
        usable = 0 <= self.minimum <= self.mean < math.inf
        _require(usable, "mean", self.mean, "at least the minimum, which is 0 or more")

    def _quantile(self, share: float) -> float:
        return self.minimum - (self.mean - self.minimum) * math.log(1.0 - share)

    def sampler(self, random: Random) -> Sampler:
        draw, log = random.random, math.log
        scale, base = -(self.mean - self.minimum) * 1e6, self.minimum * 1e6 + 0.5
        return lambda: int(scale * log(1.0 - draw()) + base)


@dataclass(frozen=True)
class Lognormal(Latency):
    """The logarithm of the delay is normal: half of the messages take at most `median`; `sigma` is its spread."""

    median: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        _require(0 < self.median < math.inf, "median", self.median, "more than 0 seconds")
        _require(0 < self.sigma < math.inf, "sigma", self.sigma, "more than 0")

    def _quantile(self, share: float) -> float:
        # inv_cdf refuses 0 exactly, which random() can return once in 2**53 draws.
        return self.median * math.exp(self.sigma * NormalDist().inv_cdf(max(share, 2.0**-54)))


@dataclass(frozen=True)
class Pareto(Latency):
    """Heavy-tailed: never below `minimum`; the smaller `shape` (above 0), the longer the tail."""

    minimum: float
    shape: float

    def __post_init__(self) -> None:
        _require(0 < self.minimum < math.inf, "minimum", self.minimum, "more than 0 seconds")
        _require(0 < self.shape < math.inf, "shape", self.shape, "more than 0")

    def _quantile(self, share: float) -> float:
        return self.minimum * (1.0 - share) ** (-1.0 / self.shape)


class Mixture(Latency):
    """Each message takes its delay from one of several distributions, chosen with the given weights."""

    def __init__(self, *parts: tuple[float, Latency]):
        _require(bool(parts) and all(0 < weight < math.inf for weight, _ in parts), "weights", parts, "above 0")
        self.parts = parts

    def __repr__(self) -> str:
        return f"Mixture{self.parts!r}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def sampler(self, random: Random) -> Sampler:
        draw = random.random
        samplers = [part.sampler(random) for _, part in self.parts]
        limits = list(accumulate(weight for weight, _ in self.parts))
        total, last = limits[-1], len(limits) - 1
        return lambda: samplers[min(bisect(limits, draw() * total), last)]()


class Empirical(Latency):
    """Delays that somebody measured, in seconds, each as likely as the others."""

    def __init__(self, samples: Sequence[float]):
        usable = len(samples) > 0 and all(0 <= sample < math.inf for sample in samples)
        _require(usable, "samples", f"{len(samples)} samples", "one or more delays, 0 or longer")
        self.samples = sorted(samples)

    def __repr__(self) -> str:
        return f"Empirical({len(self.samples)} samples)"

    def _quantile(self, share: float) -> float:
        return self.samples[nearest_rank(share, len(self.samples)) - 1]

    def sampler(self, random: Random) -> Sampler:
        draw, fixed = random.random, [round(sample * 1e6) for sample in self.samples]
        return lambda: fixed[int(draw() * len(fixed))]


@dataclass(frozen=True)
class Shifted(Latency):
    """What `latency` takes, and `by` seconds more: the same distribution over a longer way."""

    latency: Latency
    by: float

    def __post_init__(self) -> None:
        _require(isinstance(self.latency, Latency), "to shift", self.latency, "a distribution")
        _require(0 <= self.by < math.inf, "shift", self.by, "0 or more seconds")

    def _quantile(self, share: float) -> float:
        return self.latency.quantile(share) + self.by

    def sampler(self, random: Random) -> Sampler:
        draw, more = self.latency.sampler(random), round(self.by * 1e6)
        return lambda: draw() + more


SHAPES = ("exponential", "constant", "uniform", "lognormal", "pareto")


def of_mean(shape: str, mean: float) -> Latency:
    """The distribution of this shape with this mean; a mean of 0 is no time at all.

    Above the mean, `uniform` ends at twice of it, `lognormal` has sigma 1, and `pareto` a shape of 1.5, so that its
    variance is infinite.
    """
    _require(shape in SHAPES, "shape", shape, f"one of {', '.join(SHAPES)}")
    if mean == 0:
        return Constant(0.0)
    return {
        "exponential": Exponential(mean),
        "constant": Constant(mean),
        "uniform": Uniform(0.0, 2 * mean),
        # sigma 1 puts the mean of a lognormal at e^(1/2) times its median
        "lognormal": Lognormal(mean / 1.6487212707, 1.0),
        "pareto": Pareto(mean / 3, 1.5),
    }[shape]


def _wars_leg(exponential_share: float, rate_per_ms: float, pareto_minimum_ms: float, pareto_shape: float) -> Mixture:
    return Mixture(
        (exponential_share, Exponential(0.001 / rate_per_ms)),
        (1.0 - exponential_share, Pareto(pareto_minimum_ms / 1000, pareto_shape)),
    )


# One-way delays fitted to LinkedIn's Voldemort clusters: Bailis et al., PBS, VLDB 2012, table 3.
LINKEDIN_SSD = _wars_leg(0.0878, 1.66, 0.235, 10.0)
LINKEDIN_DISK_WRITE = _wars_leg(0.62, 0.183, 1.05, 1.51)
