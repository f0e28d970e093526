"""Synchronising physical clocks, and writing with the timestamps they give.

Cristian, Probabilistic clock synchronization, Distributed Computing 1989; Mills et al., RFC 5905 (NTPv4), section 8;
Corbett et al., Spanner, OSDI 2012, section 4.1.2 (commit wait). Taught in lab 14.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from labkit.calls import CallError
from labkit.clocks import Timestamp
from labkit.node import Node, Peer

NTP_SAMPLES = 8
"""NTP keeps the last eight exchanges and trusts the quickest: RFC 5905, section 10, the clock filter."""


class TimeServer(Node):
    """A node whose clock is right; it answers with when it received a request and when it answers."""

    async def time(self) -> tuple[int, int]:
        """Its clock on arrival and on departure, in microseconds; the two are the same here, it never queues."""
        now = self.clock.now_us()
        return now, now


@dataclass
class Estimate:
    """How far a clock was behind the time server, and by how much that can be wrong, in microseconds."""

    offset_us: int
    bound_us: int


async def cristian(clock: Callable[[], int], server: Peer, minimum_us: int, drift_ppm: float = 0.0) -> Estimate:
    """One exchange: the server's time is taken to have been read half-way. Error at most RTT/2 − `minimum_us`.

    To that comes what a clock that is up to `drift_ppm` wrong may have miscounted of the RTT.
    """
    sent = clock()
    server_time, _ = await server.time()
    received = clock()
    # Rounded up: a bound that rounding could break would be none.
    bound = (received - sent + 1) // 2 - minimum_us + 1 + _drifted(received - sent, drift_ppm)
    return Estimate(server_time - (sent + received) // 2, bound)


async def ntp(clock: Callable[[], int], server: Peer, minimum_us: int, drift_ppm: float = 0.0) -> Estimate:
    """Several exchanges of four timestamps each; the one with the least delay counts. Error at most delay/2 − minimum.

    As its dispersion does in RFC 5905, section 10, drift makes a sample worse with its age.
    """
    samples: list[tuple[Estimate, int]] = []
    for _ in range(NTP_SAMPLES):
        t1 = clock()
        t2, t3 = await server.time()
        t4 = clock()
        delay = (t4 - t1) - (t3 - t2)
        samples.append((Estimate(((t2 - t1) + (t3 - t4)) // 2, (delay + 1) // 2 - minimum_us + 1), t1))
    now = clock()
    aged = [Estimate(sample.offset_us, sample.bound_us + _drifted(now - t1, drift_ppm)) for sample, t1 in samples]
    return min(aged, key=lambda sample: sample.bound_us)


def _drifted(elapsed_us: int, drift_ppm: float) -> int:
    # By a clock that may itself be slow.
    return math.ceil(elapsed_us * drift_ppm / (1e6 - drift_ppm))


METHODS: dict[str, Callable[..., Awaitable[Estimate]]] = {"cristian": cristian, "ntp": ntp}


@dataclass(eq=False, kw_only=True)
class StampingServer(Node):
    """Serves writes to a shared store and orders them by its own clock, which it may keep in step with a server's.

    `synchronisation` is ``none``, ``cristian`` or ``ntp``, every `interval` seconds. `minimum_us` is the one-way
    delay that it knows no message can beat; `drift_bound_ppm` how fast it must assume that its clock goes wrong.
    With `commit_wait` a write is acknowledged only when its timestamp is certain to have passed everywhere.
    """

    store: str
    time_server: str
    synchronisation: str = "none"
    interval: float = 1.0
    minimum_us: int = 0
    drift_bound_ppm: float = 200.0
    initial_bound: float = 0.0
    commit_wait: bool = False
    _correction_us: int = field(default=0, init=False)
    _synchronised_us: int = field(default=0, init=False)
    _bound_us: int = field(default=0, init=False)
    _last_us: int = field(default=0, init=False)

    async def start(self) -> None:
        self._bound_us = round(self.initial_bound * 1e6)
        if self.synchronisation != "none":
            await self._synchronise()
            self.spawn(self._keep_synchronised())

    def reading_us(self) -> int:
        """The clock as corrected by the last synchronisation, in microseconds."""
        return self.clock.now_us() + self._correction_us

    def uncertainty_us(self) -> int:
        """By how much the reading may be wrong: the last bound, and what the clock may have drifted since."""
        elapsed = abs(self.reading_us() - self._synchronised_us)
        return self._bound_us + int(elapsed * self.drift_bound_ppm / 1e6) + 1

    async def stamp_and_write(self, key: Any, number: int) -> None:
        """Write with this server's timestamp as both version and value; record it as an operation."""
        process = f"{self.name}.{number}"
        with self.operation("write", key, process=process) as operation:
            operation.value = stamp = self._stamp()
            # First the wait: whoever read the value before would know of a time that has not come yet.
            await self._wait_out(stamp)
            await self.peer(self.store).write(key, stamp, stamp)
        if operation.outcome != "ok":
            return
        with self.operation("read", key, process=process) as operation:
            _, operation.value = await self.peer(self.store).read(key)

    def _stamp(self) -> Timestamp:
        # Spanner: not before the latest that it can be now; never twice the same on one server.
        now = self.reading_us() + (self.uncertainty_us() if self.commit_wait else 0)
        self._last_us = max(now, self._last_us + 1)
        return Timestamp(self._last_us, 0, self.name)

    async def _wait_out(self, stamp: Timestamp) -> None:
        while self.commit_wait and self.reading_us() - self.uncertainty_us() <= stamp.physical_us:
            behind_us = stamp.physical_us - self.reading_us() + self.uncertainty_us()
            await asyncio.sleep((behind_us + 1) / 1e6)

    async def _keep_synchronised(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            await self._synchronise()

    async def _synchronise(self) -> None:
        try:
            method = METHODS[self.synchronisation]
            server = self.peer(self.time_server)
            estimate = await method(self.reading_us, server, self.minimum_us, self.drift_bound_ppm)
        except CallError:
            return  # a lost exchange is tried again at the next interval
        self._correction_us += estimate.offset_us
        self._synchronised_us = self.reading_us()
        self._bound_us = estimate.bound_us
        self.note("synchronised", reading_us=self._synchronised_us, bound_us=estimate.bound_us)
