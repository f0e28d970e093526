"""Delays follow the distributions they are named after."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labkit import BadInput, Constant, Empirical, Exponential, Lognormal, Mixture, Pareto, Shifted, Uniform
from labkit.latency import LINKEDIN_DISK_WRITE, LINKEDIN_SSD, Latency

DRAWS = 20_000
SHAPES = [
    Uniform(0.01, 0.05),
    Exponential(0.02),
    Exponential(0.02, 0.015),
    Lognormal(0.02, 1.0),
    Pareto(0.01, 3.0),
]
MEANS = [
    (Constant(0.003), 0.003, 0.0),
    (Uniform(0.01, 0.05), 0.03, 0.04 / math.sqrt(12)),
    (Exponential(0.02, 0.005), 0.02, 0.015),
    (Lognormal(0.02, 0.5), 0.02 * math.exp(0.125), 0.02 * math.exp(0.125) * math.sqrt(math.exp(0.25) - 1)),
    (Pareto(0.01, 4.0), 0.01 * 4 / 3, 0.01 * math.sqrt(4 / (9 * 2))),
]
SHARES = st.floats(0, 1, exclude_max=True)


def draws(latency: Latency, count: int = DRAWS, seed: str = "draws") -> list[float]:
    draw = latency.sampler(Random(seed))
    return [draw() / 1e6 for _ in range(count)]


@pytest.mark.parametrize("latency", SHAPES, ids=repr)
@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.99])
def test_the_sampler_agrees_with_the_quantile(latency, share):
    below = sum(delay <= latency.quantile(share) for delay in draws(latency))
    assert abs(below - DRAWS * share) <= 4 * math.sqrt(DRAWS * share * (1 - share)) + DRAWS * 2e-4


@pytest.mark.parametrize(("latency", "mean", "deviation"), MEANS, ids=lambda value: repr(value)[:20])
def test_the_mean_is_the_distributions(latency, mean, deviation):
    found = math.fsum(draws(latency)) / DRAWS
    assert abs(found - mean) <= 4 * deviation / math.sqrt(DRAWS) + 1e-6


@pytest.mark.parametrize("latency", [*SHAPES, Constant(0.01), Empirical([0.1, 0.2]), LINKEDIN_SSD], ids=repr)
def test_delays_are_whole_microseconds_and_one_seed_gives_one_sequence(latency):
    first, again = ([latency.sampler(Random("one"))() for _ in range(5)] for _ in range(2))
    assert first == again
    assert all(type(delay) is int and delay >= 0 for delay in first)


class OnlyRandom:
    """A generator that has nothing but `random`, and counts its use."""

    def __init__(self):
        self.used = 0
        self._random = Random("only").random

    def random(self) -> float:
        self.used += 1
        return self._random()


@pytest.mark.parametrize(
    ("latency", "each"),
    [(Constant(1), 0), (Mixture((1, Constant(1))), 1), (LINKEDIN_SSD, 2), (Empirical([1.0]), 1)]
    + [(latency, 1) for latency in SHAPES],
    ids=lambda value: repr(value)[:30],
)
def test_samplers_draw_from_random_alone_and_always_as_often(latency, each):
    source = OnlyRandom()
    draw = latency.sampler(source)
    for _ in range(100):
        draw()
    assert source.used == 100 * each


@given(SHARES, st.sampled_from([*SHAPES, Constant(0.01), Empirical([0.3, 0.1, 0.2])]))
def test_quantiles_are_delays_and_grow(share, latency):
    assert 0 <= latency.quantile(share / 2) <= latency.quantile(share) < math.inf


@given(st.floats(1e-6, 1), st.floats(0.1, 3), st.floats(0.001, 0.999))
def test_quantiles_are_scipys(scale, shape, share):
    assert Lognormal(scale, shape).quantile(share) == pytest.approx(stats.lognorm.ppf(share, shape, scale=scale))
    assert Pareto(scale, shape).quantile(share) == pytest.approx(stats.pareto.ppf(share, shape, scale=scale))
    assert Exponential(scale).quantile(share) == pytest.approx(stats.expon.ppf(share, scale=scale))
    assert Uniform(scale, 2 * scale).quantile(share) == pytest.approx(stats.uniform.ppf(share, scale, scale))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), SHARES)
def test_empirical_delays_are_the_samples(samples, share):
    assert Empirical(samples).quantile(share) in samples


def test_empirical_delays_are_equally_likely():
    found = draws(Empirical([0.003, 0.001, 0.002]))
    for delay in (0.001, 0.002, 0.003):
        assert abs(found.count(delay) - DRAWS / 3) <= 4 * math.sqrt(DRAWS * 2 / 9)


def test_a_mixture_keeps_its_weights_whatever_they_add_up_to():
    found = draws(Mixture((3, Constant(0.001)), (1, Constant(0.002)), (4, Constant(0.003))))
    for delay, share in ((0.001, 3 / 8), (0.002, 1 / 8), (0.003, 4 / 8)):
        assert abs(found.count(delay) - DRAWS * share) <= 4 * math.sqrt(DRAWS * share * (1 - share))


def test_a_mixture_has_no_closed_quantile():
    with pytest.raises(TypeError, match="Mixture"):
        LINKEDIN_SSD.quantile(0.5)


def test_the_linkedin_fits_have_their_papers_medians():
    # The exponential part alone: 38% of it lies below its mean times ln(1/0.62).
    slow = draws(LINKEDIN_DISK_WRITE)
    assert sum(delay < 0.00105 for delay in slow) / DRAWS == pytest.approx(
        0.62 * (1 - math.exp(-0.183 * 1.05)), abs=0.01
    )
    fast = draws(LINKEDIN_SSD)
    assert sum(delay < 0.000235 for delay in fast) / DRAWS == pytest.approx(
        0.0878 * (1 - math.exp(-1.66 * 0.235)), abs=0.005
    )


NAN, INF = math.nan, math.inf
BAD = [
    *((Constant, (value,)) for value in (-1, NAN, INF)),
    *((Uniform, pair) for pair in ((0.2, 0.1), (-0.1, 0.1), (0, INF), (NAN, 1))),
    *((Exponential, pair) for pair in ((-1,), (0.01, 0.02), (NAN,), (INF,), (1, -1))),
    *((Lognormal, pair) for pair in ((0,), (1, 0), (INF,), (1, NAN))),
    *((Pareto, pair) for pair in ((0, 1), (1, 0), (1, -2), (INF, 1), (1, NAN))),
    *((Mixture, parts) for parts in ((), ((0, Constant(1)),), ((NAN, Constant(1)),), ((INF, Constant(1)),))),
    *((Empirical, (samples,)) for samples in ([], [-1.0], [1.0, NAN], [INF])),
]


@pytest.mark.parametrize(("kind", "arguments"), BAD, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_bad_parameters_are_refused_in_one_sentence(kind, arguments):
    with pytest.raises(BadInput, match=r"^latency \w+ is .*: it must be "):
        kind(*arguments)


@given(st.sampled_from([*SHAPES, Constant(0.01), Empirical([0.3, 0.1, 0.2])]), SHARES, st.floats(0, 10))
def test_a_shift_moves_every_quantile_by_as_much(latency, share, by):
    shifted = latency + by
    assert shifted == Shifted(latency, by)
    assert shifted.quantile(share) == latency.quantile(share) + by


@pytest.mark.parametrize("latency", [*SHAPES, LINKEDIN_SSD, LINKEDIN_DISK_WRITE], ids=repr)
def test_a_shifted_sampler_draws_what_the_other_does_and_75_ms_more(latency):
    plain, shifted = (each.sampler(Random("shift")) for each in (latency, latency + 0.075))
    assert [shifted() for _ in range(100)] == [plain() + 75_000 for _ in range(100)]


def test_shifts_add_up_and_only_seconds_can_be_added():
    assert draws(Constant(0.01) + 0.02 + 0.03, 3) == [0.06] * 3
    with pytest.raises(TypeError):
        Constant(0.01) + Constant(0.02)
    with pytest.raises(TypeError):
        (LINKEDIN_SSD + 0.1).quantile(0.5)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=100), st.integers(0, 999))
def test_a_quantile_of_samples_is_the_smallest_that_the_share_does_not_exceed(samples, thousandths):
    found = Empirical(samples).quantile(thousandths / 1000)
    assert found == sorted(samples)[max(math.ceil(Fraction(thousandths, 1000) * len(samples)) - 1, 0)]


@pytest.mark.parametrize("latency", [*SHAPES, Constant(0.01), Empirical([1.0]), Constant(0.01) + 1], ids=repr)
@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, NAN])
def test_a_share_is_from_0_to_below_1(latency, share):
    with pytest.raises(BadInput, match="share is"):
        latency.quantile(share)


@pytest.mark.parametrize(("latency", "by"), [(Constant(1), -0.1), (Constant(1), NAN), (Constant(1), INF), (0.1, 0.1)])
def test_a_shift_is_of_a_distribution_and_by_seconds(latency, by):
    with pytest.raises(BadInput, match=r"^latency .* is .*: it must be "):
        Shifted(latency, by)
