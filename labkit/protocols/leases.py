"""Leases: a lock that ends by itself, if only everybody agrees on how long a second is.

Gray and Cheriton, Leases, SOSP 1989; fencing tokens as in Burrows, The Chubby lock service, OSDI 2006, section 2.4
(there called sequencers). Taught in lab 14.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from labkit.calls import CallError, Refused
from labkit.node import Node


@dataclass(eq=False)
class LeaseServer(Node):
    """Grants one lease at a time, of `duration` seconds by its own clock, each with a higher token."""

    duration: float

    async def start(self) -> None:
        self._token = 0
        self._expires = 0.0

    async def acquire(self) -> tuple[int, float]:
        """The token and the duration of a new lease; refused while somebody may hold one."""
        if self.clock.now() < self._expires:
            raise Refused("the lease is held")
        self._token += 1
        self._expires = self.clock.now() + self.duration
        return self._token, self.duration


@dataclass(eq=False)
class Storage(Node):
    """What the lease protects. With `fencing` it refuses a token lower than one that it has seen."""

    fencing: bool

    async def start(self) -> None:
        self.highest = 0  # the highest token of a write that was accepted; it never falls

    async def write(self, token: int) -> None:
        """Accept a holder's write, or refuse a holder that has been overtaken."""
        if token < self.highest:
            if self.fencing:
                raise Refused(f"token {token} is older than {self.highest}")
            self.note("overtaken write accepted", token=token, highest=self.highest)
        self.highest = max(self.highest, token)


@dataclass(eq=False, kw_only=True)
class Holder(Node):
    """Takes the lease, writes while its own clock says that it holds it, and starts again.

    It gives the lease up a share `margin` of its duration early: the allowance for clocks that differ.
    """

    until: float
    work: float
    margin: float

    async def run(self) -> None:
        end = asyncio.get_running_loop().time() + self.until
        while asyncio.get_running_loop().time() < end:
            asked = self.clock.now()  # before the request: the lease cannot have begun earlier
            try:
                token, duration = await self.peer("lease-server").acquire(timeout=0.2)
            except CallError:
                await asyncio.sleep(self.work * self.random.random())
                continue
            expires = asked + duration * (1 - self.margin)
            self.note("lease held", token=token)
            await asyncio.gather(self.spawn(self._believe(token, expires)), self._use(token, expires))

    async def _believe(self, token: int, expires: float) -> None:
        while (left := expires - self.clock.now()) > 0:
            await asyncio.sleep((self.clock.true_delay_us(left) + 1) / 1e6)
        self.note("lease given up", token=token)

    async def _use(self, token: int, expires: float) -> None:
        # It starts only what its lease leaves time for. But between this check and the write lies work, and a
        # process can be stopped in the middle of it without ever knowing.
        while self.clock.now() + 2 * self.work < expires:
            await asyncio.sleep(self.work)
            with self.operation("write", "storage", token):
                await self.peer("storage").write(token, timeout=0.2)
