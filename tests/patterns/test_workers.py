"""A pool serves so many at once, keeps so many waiting, in order, and sends the rest away."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.calls import Refused
from labkit.patterns.workers import BUSY, Workers
from tests.clusters import simulate_work


def serve(count, queue_limit, jobs, changed=None):
    """Run jobs of (arrival, length) through a pool; what became of each: its (begin, end), or None if refused."""
    found = [None] * len(jobs)

    async def work(node) -> None:
        pool, loop = Workers(count, queue_limit, changed), asyncio.get_running_loop()

        async def job(number, arrival, length) -> None:
            await asyncio.sleep(arrival)
            try:
                async with pool:
                    begin = loop.time()
                    await asyncio.sleep(length)
                    found[number] = (round(begin * 1e6), round(loop.time() * 1e6))
            except Refused as refusal:
                assert str(refusal).startswith(BUSY)

        await asyncio.gather(*(job(number, *each) for number, each in enumerate(jobs)))
        assert pool.busy == pool.waiting == 0

    simulate_work(work)
    return found


def test_who_gives_up_waiting_takes_nobodys_turn():
    served = []

    async def work(node) -> None:
        pool = Workers(1, None)

        async def job(name, patience) -> None:
            try:
                async with asyncio.timeout(patience), pool:
                    await asyncio.sleep(1.0)
                    served.append(name)
            except TimeoutError:
                pass

        await asyncio.gather(job("first", 9.0), job("impatient", 0.5), job("last", 9.0))
        assert pool.busy == pool.waiting == 0

    simulate_work(work)
    assert served == ["first", "last"]


def test_who_finds_all_busy_waits_in_line_and_who_finds_the_line_full_is_refused():
    jobs = [(0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (0.3, 1.0)]
    assert serve(1, 2, jobs) == [(0, 1_000_000), (1_000_000, 2_000_000), (2_000_000, 3_000_000), None]
    assert serve(2, 0, jobs) == [(0, 1_000_000), (100_000, 1_100_000), None, None]
    assert None not in serve(1, None, jobs)


@given(
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(0, 3)),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), max_size=14),
)
def test_never_more_than_its_workers_at_once_and_first_come_first_served(count, queue_limit, jobs):
    # No two at the same instant: who of them comes first would be anybody's guess.
    jobs = [(arrival / 10 + number / 1e4, length / 10 + number / 3e3) for number, (arrival, length) in enumerate(jobs)]
    levels = []
    found = serve(count, queue_limit, jobs, lambda pool: levels.append((pool.busy, pool.waiting)))
    assert all(busy <= count for busy, _ in levels)
    assert queue_limit is None or all(waiting <= queue_limit for _, waiting in levels)
    served = sorted((arrival, span) for (arrival, _), span in zip(jobs, found, strict=True) if span)
    begins = [span[0] for _, span in served]
    assert begins == sorted(begins)
    for number, (arrival, _) in enumerate(jobs):
        if found[number] is None:
            at_us = arrival * 1e6
            inside = sum(jobs[other][0] * 1e6 < at_us < span[1] for other, span in enumerate(found) if span)
            assert inside >= count + queue_limit


def test_a_worker_is_free_again_after_an_error():
    async def work(node) -> None:
        pool = Workers(1, 0)
        with pytest.raises(ZeroDivisionError):
            async with pool:
                raise ZeroDivisionError
        async with pool:
            assert pool.busy == 1

    simulate_work(work)


def test_whoever_is_cancelled_leaves_neither_a_worker_taken_nor_a_place_in_line():
    async def work(node) -> None:
        pool = Workers(1, 1)

        async def job() -> None:
            async with pool:
                await asyncio.sleep(1.0)

        first, second = node.spawn(job()), asyncio.ensure_future(job())
        await asyncio.sleep(0.5)
        second.cancel()
        await asyncio.sleep(0)
        assert (pool.busy, pool.waiting) == (1, 0)
        third = asyncio.ensure_future(job())  # the place of the one who left is free
        await asyncio.sleep(0)
        assert pool.waiting == 1
        await first
        third.cancel()  # in the very turn in which its turn came
        await asyncio.sleep(0.1)
        assert (pool.busy, pool.waiting) == (0, 0)

    simulate_work(work)
