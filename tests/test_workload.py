"""Open loops wait for nobody; closed loops wait for their own sessions."""

from __future__ import annotations

import asyncio
import math

import pytest
from scipy import stats

from labkit import closed_loop, open_loop
from labkit.errors import BadInput
from labkit.workload import zipf_weights
from tests.clusters import simulate_work


def arrivals(service_time: float, rate: float = 50.0, count: int = 400, seed: int = 0) -> list[float]:
    found: list[float] = []

    async def work(self):
        async def action(index):
            assert index == len(found)
            found.append(asyncio.get_running_loop().time())
            await asyncio.sleep(service_time)

        await open_loop(self, action, rate=rate, count=count)

    simulate_work(work, seed=seed)
    return found


def test_a_slow_action_delays_no_arrival():
    quick = arrivals(0.0)
    assert len(quick) == 400
    assert quick == arrivals(10.0)
    assert quick != arrivals(0.0, seed=1)


def test_arrivals_are_a_poisson_process_of_the_given_rate():
    times = arrivals(0.0, rate=50.0, count=4000)
    assert abs(times[-1] * 50.0 - 4000) <= 4 * math.sqrt(4000)
    gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.001


def test_an_open_loop_returns_when_all_have_ended():
    ended = []

    async def work(self):
        async def action(index):
            await asyncio.sleep(5 - index)
            ended.append(index)

        await open_loop(self, action, rate=1000.0, count=4)
        ended.append("all")

    simulate_work(work)
    assert ended == [3, 2, 1, 0, "all"]


@pytest.mark.parametrize(("sessions", "count"), [(1, 10), (4, 10), (10, 4), (3, 0)])
def test_a_closed_loop_never_has_more_under_way_than_sessions(sessions, count):
    under_way, most, done = 0, 0, []

    async def work(self):
        async def action(index):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01 * (1 + index % 3))
            under_way -= 1
            done.append(index)

        await closed_loop(self, action, sessions=sessions, count=count)

    simulate_work(work)
    assert sorted(done) == list(range(count))
    assert most == min(sessions, count)


def test_a_closed_loop_slows_down_with_its_system():
    # Little's law with a fixed number of sessions: throughput = sessions / (service + think time).
    for service, think in ((0.01, 0.0), (0.1, 0.0), (0.1, 0.15)):

        async def work(self, service=service, think=think):
            await closed_loop(self, lambda _: asyncio.sleep(service), sessions=5, count=100, think_time=think)

        taken = simulate_work(work).duration_us / 1e6
        assert taken == pytest.approx(100 / 5 * (service + think))


def test_zipf_weights_fall_as_a_power_of_the_rank_and_none_is_nought():
    weights = zipf_weights(100_000, 3.0)
    assert weights[:3] == [1.0, 0.125, pytest.approx(1 / 27, rel=1e-12)]
    assert weights[-1] == pytest.approx(1e-15, rel=1e-12)
    assert zipf_weights(3, 0.0) == [1.0] * 3


@pytest.mark.parametrize(("count", "exponent"), [(0, 1.0), (-1, 1.0), (1.5, 1.0), (3, -1.0), (3, math.nan)])
def test_popularity_needs_keys_and_an_exponent(count, exponent):
    with pytest.raises(BadInput, match="it must be"):
        zipf_weights(count, exponent)
