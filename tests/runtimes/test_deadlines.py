"""A call ends when its time is up: at that microsecond, and in the order in which times are up."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import Node, Unanswered
from tests.clusters import node, simulate_work


@given(timeouts=st.lists(st.sampled_from([0.001, 0.002, 0.5, 1.0, 3.0]) | st.floats(1e-6, 4.0), max_size=40))
@settings(max_examples=150, deadline=None)
def test_calls_end_when_their_time_is_up_whatever_the_order_of_their_timeouts(timeouts):
    class Silent(Node):
        async def ask(self) -> None:
            await asyncio.Event().wait()

    async def work(self) -> None:
        async def one(index: int, timeout: float) -> None:
            begin = self._host._now_us()
            with pytest.raises(Unanswered):
                await self.peer("silent").ask(timeout=timeout)
            ends.append((self._host._now_us(), begin + self.clock.true_delay_us(timeout), index))

        tasks = []
        for index, timeout in enumerate(timeouts):
            tasks.append(self.spawn(one(index, timeout)))
            await asyncio.sleep(0.0007)
        await asyncio.gather(*tasks)

    ends: list[tuple[int, int, int]] = []
    simulate_work(work, node("silent", Silent))
    assert len(ends) == len(timeouts)
    assert all(ended_us == due_us for ended_us, due_us, _ in ends)
    assert ends == sorted(ends)
