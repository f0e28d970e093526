"""The clients of lab 20, the same for every protocol: they book, they look, and at the end they take stock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.calls import CallError, Refused, Unanswered
from labkit.node import Node, Peer
from labkit.protocols.stock import Part, Stocktaking
from labkit.protocols.two_phase_commit import STALE
from labkit.workload import open_loop

PAYMENT, PRICE = "payment", 100
PAUSE = 0.1


@dataclass(eq=False, kw_only=True)
class Customer(Node):
    """Books some of each service, `count` times, as a Poisson process; what it wants depends on its seed alone.

    `services` are in the order of a saga's steps. A request is sent again every `resend` seconds, until it has been
    answered or `patience` has run out. A share `declined` of the bookings is paid for with a card that the payment
    service refuses.
    """

    entry: str
    services: Sequence[str]
    choices: int
    accounts: int
    declined: float
    count: int
    rate: float
    patience: float
    resend: float
    _epoch: int | None = field(default=None, init=False)
    _is_done: bool = field(default=False, init=False)

    async def run(self) -> None:
        await open_loop(self, self._book, rate=self.rate, count=self.count)
        self._is_done = True

    async def is_done(self) -> bool:
        """Whether all of its bookings have ended."""
        return self._is_done

    async def _book(self, number: int) -> None:
        request, parts = f"{self.name}.{number}", self._wishes()
        with self.operation("book", tuple(part.key for part in parts), request, process=request):
            await self._submit(request, parts)

    def _wishes(self) -> tuple[Part, ...]:
        others = [service for service in self.services if service != PAYMENT]
        wanted = {name: Part(name, f"{name}-{self.random.randrange(self.choices) + 1}", 1) for name in others}
        account = f"account-{self.random.randrange(self.accounts) + 1}"
        wanted[PAYMENT] = Part(PAYMENT, account, PRICE, self.random.random() >= self.declined)
        return tuple(wanted[service] for service in self.services)

    async def _submit(self, request: str, parts: tuple[Part, ...]) -> None:
        entry, end = self.peer(self.entry), self.clock.now() + self.patience
        is_open = False  # whether a copy that was sent may still be carried out, or have been
        while True:
            epoch = await self._current_epoch(entry, end, is_open)
            try:
                await entry.book(request, epoch, parts, timeout=self.resend)
                return
            except CallError as error:
                is_stale = STALE in str(error)  # every copy so far is aborted for certain, so it may be tried anew
                is_open = not is_stale
                if self.clock.now() >= end or (isinstance(error, Refused) and not is_stale):
                    raise
                if is_stale and self._epoch == epoch:
                    self._epoch = None

    async def _current_epoch(self, entry: Peer, end: float, is_open: bool) -> int:
        while self._epoch is None:
            try:
                epoch = await entry.epoch(timeout=self.resend)
                # Another booking may have heard of a newer one: what is stale by an older one may have been done.
                self._epoch = max(epoch, self._epoch or 0)
            except Unanswered:
                if self.clock.now() >= end:
                    raise (Unanswered if is_open else Refused)("nobody told the epoch") from None
        return self._epoch


@dataclass(eq=False, kw_only=True)
class Reader(Node):
    """Looks who has a seat on some flight, `count` times, as a Poisson process.

    With `both` it then asks the payment service for the latest of those bookings, in an operation ``check``.
    """

    service: str
    choices: int
    count: int
    rate: float
    patience: float
    both: bool = False

    async def run(self) -> None:
        if self.count:
            await open_loop(self, self._look, rate=self.rate, count=self.count)

    async def _look(self, number: int) -> None:
        key = f"{self.service}-{self.random.randrange(self.choices) + 1}"
        with self.operation("look", key, process=f"{self.name}.{number}") as operation:
            operation.value = await self.peer(self.service).look(key, timeout=self.patience)
        if self.both and operation.ok and operation.value:
            latest = operation.value[-1]
            with self.operation("check", latest, process=f"{self.name}.{number}") as check:
                check.value = await self.peer(PAYMENT).has(latest, timeout=self.patience)


@dataclass(eq=False, kw_only=True)
class Auditor(Node):
    """Waits until the customers are done, and then for nothing to be under way any more; takes stock of every service.

    It does not begin before `earliest`, gives up `settle` seconds after it has begun, and allows `timeout` for an
    answer. The longer it has to wait, the less often it asks.
    """

    customers: Sequence[str]
    leaders: Sequence[str]
    services: Sequence[str]
    earliest: float
    settle: float
    timeout: float

    async def run(self) -> None:
        await asyncio.sleep(self.earliest)
        for customer in self.peers(self.customers):
            begun = self.clock.now()
            while not await self._answer(customer.is_done, False):
                await self._pause_since(begun)
        begun = self.clock.now()
        while (left := await self._unfinished()) and self.clock.now() < begun + self.settle:
            await self._pause_since(begun)
        self.note("settled", _after_us=round((self.clock.now() - begun) * 1e6), _unfinished=left)
        for service in self.services:
            with self.operation("audit", service) as operation:
                if left:
                    raise Unanswered(f"{left} transactions were still under way after {self.settle:g} s")
                operation.value = await self._take_stock(service)

    async def _pause_since(self, begun: float) -> None:
        await asyncio.sleep(max(PAUSE, (self.clock.now() - begun) / 4))

    async def _unfinished(self) -> int:
        # Whoever leads is asked first: what it has not begun to tell, no service can have finished.
        silent = 1
        return sum(
            [await self._answer(node.unfinished, silent) for node in self.peers([*self.leaders, *self.services])]
        )

    async def _take_stock(self, service: str) -> Stocktaking | None:
        for _ in range(20):
            found = await self._answer(self.peer(service).take_stock, None)
            if found is not None:
                return found
        raise Unanswered(f"{service} does not answer")

    async def _answer(self, ask: Any, otherwise: Any) -> Any:
        try:
            return await ask(timeout=self.timeout)
        except CallError:
            return otherwise
