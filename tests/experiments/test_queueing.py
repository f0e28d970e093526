"""One waiting line: it moves as its recursion says, and so it is as long as queueing theory says."""

from __future__ import annotations

import heapq
import math
from itertools import pairwise
from random import Random

import pytest

from labkit import run
from labkit.errors import BadInput
from labkit.experiments.queueing import mean_time, probability_of_waiting
from labkit.lab import find
from labkit.latency import SHAPES, of_mean
from labkit.results import percentile

CUSTOMERS = 2_500_000
"""Successive customers wait alike: of so many, the mean time of M/M/1 at 80% has a standard error of 0.6%."""


def measure(seed=7, **dials):
    return run("queueing", seed=seed, trace=False, **dials)


@pytest.mark.parametrize(("workers", "published"), [(1, 0.8), (2, 0.711), (5, 0.554), (10, 0.409)])
def test_erlangs_formula_gives_the_published_values(workers, published):
    assert probability_of_waiting(workers, 0.8) == pytest.approx(published, abs=0.0005)
    assert mean_time(1, 0.8, 1.0) == pytest.approx(5.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("workers", [1, 3, 10])
def test_everybody_waits_exactly_as_long_as_the_recursion_says(shape, workers):
    # Kiefer and Wolfowitz 1955, for one queue before c servers: a customer starts when it is there and some server is.
    visits = measure(shape=shape, workers=workers, customers=3000).operations
    free = [0] * workers
    for visit in visits:
        waited_us = round(visit.value * 1e6)
        begin = max(visit.invoked_us, free[0])
        assert begin - visit.invoked_us == waited_us
        heapq.heapreplace(free, visit.returned_us)


def waits_and_services(workers: int, seed: int) -> tuple[list[float], list[float]]:
    """The same recursion on its own, with labkit's service times and a Poisson process: millions in seconds."""
    random = Random(seed)
    draw_us, gap = of_mean("exponential", 1.0).sampler(random), random.expovariate
    rate, now, free = 0.8 * workers, 0.0, [0.0] * workers
    waits, services = [], []
    for _ in range(CUSTOMERS):
        now += gap(rate)
        begin = max(now, free[0])
        services.append(draw_us() / 1e6)
        waits.append(begin - now)
        heapq.heapreplace(free, begin + services[-1])
    return waits, services


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5, 10])
def test_lines_that_move_so_are_as_long_as_m_m_c(workers):
    waits, services = waits_and_services(workers, seed=0)
    times = sorted(wait + service for wait, service in zip(waits, services, strict=True))
    assert math.fsum(times) / CUSTOMERS == pytest.approx(mean_time(workers, 0.8, 1.0), rel=0.03)
    assert sum(wait > 0 for wait in waits) / CUSTOMERS == pytest.approx(probability_of_waiting(workers, 0.8), abs=0.01)
    if workers == 1:
        assert percentile(times, 0.99) == pytest.approx(math.log(100) / 0.2, rel=0.03)


def standard_error(customers: int, utilisation: float) -> float:
    """Of the mean waiting time of successive customers of M/M/1 with mean service 1: Daley 1968."""
    rho = utilisation
    return math.sqrt(rho * (2 + 5 * rho - 4 * rho**2 + rho**3) / customers) / (1 - rho) ** 2


@pytest.mark.parametrize("utilisation", [0.3, 0.5, 0.8])
def test_the_simulation_itself_is_within_its_standard_error(utilisation):
    found = measure(customers=60_000, utilisation=utilisation)
    error = standard_error(54_000, utilisation) + 1 / math.sqrt(54_000)  # of the waits, and of the services
    assert abs(found["time_in_system"] - mean_time(1, utilisation, 1.0)) < 3 * error
    assert found["customers_present"] == pytest.approx(found["rate_times_time"], rel=0.02)


def test_arrivals_are_a_poisson_process_and_services_exponential():
    runs = [measure(seed, customers=6000, utilisation=0.5).operations for seed in range(4)]
    gaps = [(later.invoked_us - one.invoked_us) / 1e6 for visits in runs for one, later in pairwise(visits)]
    services = [visit.latency - visit.value for visits in runs for visit in visits]
    for samples, mean in ((gaps, 2.0), (services, 1.0)):
        found = math.fsum(samples) / len(samples)
        assert found == pytest.approx(mean, rel=3 / math.sqrt(len(samples)))
        beyond = sum(sample > mean for sample in samples) / len(samples)
        assert beyond == pytest.approx(1 / math.e, abs=3 * math.sqrt(0.25 / len(samples)))


@pytest.mark.parametrize("shape", ["constant", "uniform", "lognormal"])
def test_littles_law_and_pollaczek_and_khinchines_formula_hold_for_other_service_times(shape):
    found = measure(shape=shape, utilisation=0.5, customers=40_000)
    expected = find("queueing").laws["time_in_system"].expected(found.parameters)
    assert found["time_in_system"] == pytest.approx(expected, rel=0.05)
    assert found["customers_present"] == pytest.approx(found["rate_times_time"], rel=0.02)


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_a_distribution_of_a_mean_has_that_mean(shape):
    latency = of_mean(shape, 0.2)
    steps = 20_000
    mean = math.fsum(latency.quantile((step + 0.5) / steps) for step in range(steps)) / steps
    assert mean == pytest.approx(0.2, rel=0.01)
    assert of_mean(shape, 0.0).quantile(0.5) == 0


def test_a_shape_that_nobody_knows_is_refused():
    with pytest.raises(BadInput, match="shape"):
        of_mean("triangle", 1.0)
