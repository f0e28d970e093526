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
    """Grants one lease at a time, of `duration` seconds by its own clock, each with a higher token.

    The token is on disk before it is granted, so that none is granted twice. When a lease ends is not: after a crash
    the server grants nothing for as long as the last lease may still last.
    """

    duration: float

    async def start(self) -> None:
        self._token = await self.disk.load("token", 0)  # of the last lease; no later one has it
        self._expires = self.clock.now() + self.duration if self._token else 0.0  # nobody holds a lease after this

    async def acquire(self) -> tuple[int, float]:
        """The token and the duration of a new lease; refused while somebody may hold one."""
        if self.clock.now() < self._expires:
            raise Refused("the lease is held")
        self._token = token = self._token + 1
        # From when the lease is granted, not from when the disk has it: meanwhile it is nobody else's.
        self._expires = self.clock.now() + self.duration
        await self.disk.save("token", token)
        self._expires = self.clock.now() + self.duration
        return token, self.duration


@dataclass(eq=False)
class Storage(Node):
    """What the lease protects. With `fencing` it refuses a token lower than one that it has accepted."""

    fencing: bool

    async def start(self) -> None:
        self.highest = await self.disk.load("highest", 0)  # of a write that was accepted; it never falls

    async def put(self, token: int) -> None:
        """Let `write` decide on a holder's write; acknowledge it when the disk has what was decided by."""
        before = self.highest
        await self.write(token)
        if token < before:
            self.note("overtaken write accepted", token=token, highest=before)
        await self.disk.save("highest", self.highest)

    async def write(self, token: int) -> None:
        """Accept a holder's write, or refuse a holder that has been overtaken."""
        if self.fencing and token < self.highest:
            raise Refused(f"token {token} is older than {self.highest}")
        self.highest = max(self.highest, token)


@dataclass(eq=False, kw_only=True)
class Holder(Node):
    """Takes the lease, writes while its own clock says that it holds it, and starts again.

    It gives the lease up a share `margin` of its duration early: the allowance for clocks that differ. It waits
    `patience` seconds for the answer to a write.
    """

    until: float
    work: float
    margin: float
    patience: float = 0.2

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
                await self.peer("storage").put(token, timeout=self.patience)
