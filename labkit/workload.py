"""Loads on a cluster: open loops, whose arrivals wait for nobody, and closed loops, whose sessions do.

An open loop is how strangers arrive: when the system slows down, work piles up. A closed loop sends a new request
only when the last one has ended, and so hides a slow system from its own measurement.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from labkit.errors import BadInput
from labkit.node import Node

FEW = 1000
"""Tasks that may be kept after they have ended."""

Action = Callable[[int], Coroutine[Any, Any, None]]


async def open_loop(node: Node, action: Action, *, rate: float, count: int) -> None:
    """Start ``action(i)`` for i below `count` as a Poisson process of `rate` a second; return when all have ended.

    Arrivals are planned on an absolute schedule, so that a slow action delays none of them.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    under_way: list[asyncio.Task[None]] = []
    room = FEW
    for index in range(count):
        due += node.random.expovariate(rate)
        await asyncio.sleep(due - loop.time())
        under_way.append(node.spawn(action(index)))
        if len(under_way) > room:  # now and then: a callback for each would take as long as the action itself
            under_way = [task for task in under_way if not task.done()]
            room = 2 * len(under_way) + FEW
    await asyncio.gather(*under_way)


async def closed_loop(node: Node, action: Action, *, sessions: int, count: int, think_time: float = 0.0) -> None:
    """Run ``action(i)`` for i below `count` in `sessions` concurrent sessions, each with pauses of `think_time`."""
    numbers = iter(range(count))

    async def session() -> None:
        for index in numbers:
            await action(index)
            await asyncio.sleep(think_time)

    await asyncio.gather(*(node.spawn(session()) for _ in range(sessions)))


def zipf_weights(count: int, exponent: float) -> list[float]:
    """How often the first, second, … most popular of `count` is asked for: in proportion to 1 / rank^exponent.

    Raises `BadInput` unless `count` is 1 or more and `exponent` 0 or more.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadInput(f"count is {count!r}: it must be a whole number from 1 up")
    if not 0 <= exponent < math.inf:
        raise BadInput(f"exponent is {exponent!r}: it must be 0 or more")
    # To 13 digits, since powers differ in the last bit between C libraries; not to 13 places, which would make the
    # rarest of many keys be asked for never.
    return [float(f"{rank**-exponent:.12e}") for rank in range(1, count + 1)]
