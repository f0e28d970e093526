"""What labkit is measured against: the same quorum workload by hand on bare SimPy, and Ray's own actor calls.

Both are written the way a careful user of SimPy or Ray would write them, with nothing left out that the workload
needs and nothing in that it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from math import log
from random import Random
from time import perf_counter
from typing import Any

import simpy

MEAN_DELAY_US = 20_000
TIMEOUT_US = 500_000
PAIRS_A_SECOND = 200


class _Replica:
    def __init__(self) -> None:
        self._values: dict[int, tuple[int, int]] = {}

    def write(self, key: int, value: int, version: int) -> None:
        if version > self._values.get(key, (-1, 0))[0]:
            self._values[key] = (version, value)

    def read(self, key: int) -> tuple[int, int]:
        return self._values.get(key, (-1, 0))


class BareStore:
    """N = 3, R = W = 2 on SimPy processes: an exchange is a process of two timeouts, a quorum an event.

    A replica waits for `wait_us` microseconds before it does what it is asked, if that is not 0.
    """

    def __init__(self, pairs: int, seed: int, wait_us: int = 0):
        self.messages = 0
        self._wait_us = wait_us
        self.history: list[tuple] = []
        self._environment = simpy.Environment()
        self._random = Random(seed)
        self._replicas = [_Replica() for _ in range(3)]
        self._environment.process(self._client(pairs))

    def run(self) -> None:
        """Run to the end of the last pair."""
        self._environment.run()

    def _client(self, pairs: int) -> Generator:
        for key in range(pairs):
            yield self._environment.timeout(int(self._random.expovariate(PAIRS_A_SECOND) * 1e6))
            self._environment.process(self._pair(key))

    def _pair(self, key: int) -> Generator:
        begin = self._environment.now
        answers = yield from self._quorum(2, "write", (key, key, begin))
        self.history.append(("write", key, key, begin, self._environment.now, answers is not None))
        begin = self._environment.now
        answers = yield from self._quorum(2, "read", (key,))
        value = max(answers)[1] if answers is not None else None
        self.history.append(("read", key, value, begin, self._environment.now, answers is not None))

    def _quorum(self, needed: int, method: str, arguments: tuple) -> Generator:
        answers: list[Any] = []
        enough = self._environment.event()
        for replica in self._replicas:
            self._environment.process(self._exchange(replica, method, arguments, answers, needed, enough))
        outcome = yield enough | self._environment.timeout(TIMEOUT_US)
        return answers if enough in outcome else None

    def _exchange(
        self, replica: _Replica, method: str, arguments: tuple, answers: list, needed: int, enough: simpy.Event
    ) -> Generator:
        yield self._environment.timeout(self._delay())
        if self._wait_us:
            yield self._environment.timeout(self._wait_us)
        answer = getattr(replica, method)(*arguments)
        yield self._environment.timeout(self._delay())
        answers.append(answer)
        if len(answers) == needed:
            enough.succeed()

    def _delay(self) -> int:
        self.messages += 1
        return int(-log(1 - self._random.random()) * MEAN_DELAY_US + 0.5)


class RayEcho:
    """A raw Ray actor that answers."""

    async def echo(self, value: int) -> int:
        """Return `value`."""
        return value


class RayPinger:
    """A raw Ray actor that calls another: what a node would do if Ray's own calls were the wire."""

    async def measure(self, echo: Any, calls: int, outstanding: int) -> tuple[list[float], float]:
        """Seconds of each of `calls` calls one after the other; calls a second with `outstanding` at a time."""
        await echo.echo.remote(0)
        return await measure_calls(lambda number: echo.echo.remote(number), calls, outstanding)


async def measure_calls(call: Any, calls: int, outstanding: int) -> tuple[list[float], float]:
    """Time ``await call(i)`` one by one, then `calls` more of them by `outstanding` concurrent callers."""
    times = []
    for number in range(calls):
        begin = perf_counter()
        await call(number)
        times.append(perf_counter() - begin)
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    begin = perf_counter()
    await asyncio.gather(*(caller() for _ in range(outstanding)))
    return times, calls / (perf_counter() - begin)
