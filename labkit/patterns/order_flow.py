"""Order, payment, notification: one flow, by call, by queue, or payment by call and notification by queue.

Each node does its own work and knows the names of its neighbours; how they are reached is the runtime's business.
The guide, Synchronous vs Asynchronous Communication. Taught in lab 07.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labkit.calls import FAIL, UNKNOWN, CallError, Refused, Unanswered
from labkit.latency import Latency
from labkit.node import Node
from labkit.patterns.queues import ANSWER, consume
from labkit.patterns.workers import BUSY, Workers

MODES = ("call", "queue", "hybrid")
PAID, PROCESSING = "paid", "processing"

ALL_TAKEN, ONE_FREE, IN_USE = "all request slots taken", "a request slot is free again", "request slots in use"
CHARGED, KNOWN, NOTIFIED = "charged", "had been charged", "notified"

FOR_EVER = 1e6
"""Seconds: what a call without a timeout waits."""


@dataclass(eq=False, kw_only=True)
class OrderService(Node):
    """Takes orders, each on one of `slots` request slots; who finds none free is refused at the door.

    A call waits `timeout` seconds (0: for ever) and is tried `retries` more times. With `admits_doubt`, an order whose
    payment did not answer ends ``unknown``; without, it is told to have failed, which nobody can know.
    """

    mode: str
    slots: int
    timeout: float
    retries: int
    admits_doubt: bool = True

    async def start(self) -> None:
        self._slots = Workers(self.slots, 0, self._note_slots)
        self._most = 0
        self._is_full = False

    async def place(self, order: str) -> str:
        """Take an order: ``paid`` once it has been, ``processing`` if that is yet to come."""
        async with self._slots:
            if self.mode == "queue":
                await self._publish("payments", order)
                return PROCESSING
            await self._charge(order)
            # The money has moved: whatever fails from here on, "nothing was done" is no longer true.
            if self.mode == "hybrid":
                await self._publish("notifications", order, UNKNOWN)
            else:
                notify = self.peer("notification").notify
                await self._until_done(lambda: notify(order, timeout=self.timeout or FOR_EVER), UNKNOWN)
            return PAID

    async def _charge(self, order: str) -> None:
        """Have an order paid; raises `Refused` if nothing was charged, `Unanswered` if nobody can know."""
        await self._until_done(lambda: self.peer("payment").pay(order, timeout=self.timeout or FOR_EVER))

    async def _publish(self, queue: str, order: str, outcome: str = FAIL) -> None:
        publish = self.peer("broker").publish
        await self._until_done(lambda: publish(queue, order, timeout=self.timeout or ANSWER), outcome)

    async def _until_done(self, call: Callable[[], Awaitable[None]], outcome: str = FAIL) -> None:
        # `outcome` is what the order ends with if nothing comes of the call.
        reason = ""
        for _ in range(1 + self.retries):
            try:
                return await call()
            except CallError as error:
                reason = str(error)
                if error.outcome == UNKNOWN:  # a later refusal does not undo what an earlier attempt may have done
                    outcome = UNKNOWN
        if outcome == FAIL or not self.admits_doubt:
            raise Refused(reason)
        raise Unanswered(f"may have happened: {reason}")

    def _note_slots(self, slots: Workers) -> None:
        if slots.busy > self._most:
            self._most = slots.busy
            self.note(f"{IN_USE}: {slots.busy}", _busy=slots.busy)
        if (slots.busy == slots.count) != self._is_full:
            self._is_full = not self._is_full
            self.note(ALL_TAKEN if self._is_full else ONE_FREE)


@dataclass(eq=False, kw_only=True)
class Service(Node):
    """Base of payment and notification: `workers` of them, each order takes one of them a time drawn from `time`.

    Orders come by call, and wait in a line of `queue_limit` (None: of any length), or out of the queue `inbox`.
    """

    workers: int
    time: Latency
    queue_limit: int | None = None
    inbox: str = ""
    acknowledge_after: bool = True

    async def start(self) -> None:
        self._pool = Workers(self.workers, self.queue_limit)
        draw_us = self.time.sampler(self.random)
        self._draw = lambda: draw_us() / 1e6
        if self.inbox:
            for _ in range(self.workers):
                self.spawn(consume(self, "broker", self.inbox, self._handle, acknowledge_after=self.acknowledge_after))

    async def _handle(self, order: str) -> None:
        raise NotImplementedError


@dataclass(eq=False, kw_only=True)
class Payment(Service):
    """Charges orders: a charge is an entry of its ledger on disk. A share `failure_rate` of its attempts fail.

    If `idempotent`, an order that the ledger has is not charged again. `outbox` is the queue that hears of paid orders.
    """

    failure_rate: float = 0.0
    idempotent: bool = True
    outbox: str = ""

    async def start(self) -> None:
        entries = await self.disk.load_all()
        self._ledger = set(entries.values())
        self._entries = len(entries)
        await super().start()

    async def pay(self, order: str) -> None:
        """Charge an order; refused, with nothing charged, if it fails or if too many are waiting."""
        async with self._pool:
            await self._charge(order)

    async def _handle(self, order: str) -> None:
        await self._charge(order)
        if self.outbox:
            await self.peer("broker").publish(self.outbox, order, timeout=ANSWER)

    async def _charge(self, order: str) -> None:
        if self.idempotent and order in self._ledger:
            await self._confirm(order)
            return
        await asyncio.sleep(self._draw())
        if self.failure_rate and self.random.random() < self.failure_rate:
            raise Refused(f"the payment of {order} failed, nothing was charged")
        if self.idempotent and order in self._ledger:  # another worker had it too
            await self._confirm(order)
            return
        self._ledger.add(order)
        self._entries += 1
        await self.disk.save(self._entries, order)
        self.note(CHARGED, order=order)

    async def _confirm(self, order: str) -> None:
        # The entry may still be on its way to the disk; and a crash may have come between it and its note.
        await self.disk.sync()
        self.note(KNOWN, order=order)


@dataclass(eq=False, kw_only=True)
class Notification(Service):
    """Tells users that their order is complete: the user of order ``users-1/17`` is the node ``users-1``."""

    async def notify(self, order: str) -> None:
        """Tell the user of an order."""
        async with self._pool:
            await self._handle(order)

    async def _handle(self, order: str) -> None:
        await asyncio.sleep(self._draw())
        self.peer(order.split("/")[0]).notified(order)  # as with an e-mail, nobody waits to see whether it was read
        self.note(NOTIFIED, order=order)


def is_refusal_at_the_door(error: str) -> bool:
    """Whether an order's error says that there was no room for it."""
    return f": {BUSY}: " in error
