"""A message broker with bounded queues that hands every message over at least once, and those who take from it.

A message leaves its queue when its consumer acknowledges it. One that is not acknowledged within the lease, because
its consumer crashed, was stopped, or never got it, is handed over again: twice is possible, never is not. Compare
AMQP 0-9-1 (basic.get, basic.ack, basic.reject) and the visibility timeout of Amazon SQS. Taught in lab 07.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from labkit.calls import CallError, Refused
from labkit.node import Node
from labkit.patterns.workers import BUSY

POLL = 1.0
"""Seconds that a consumer waits at an empty queue before it asks again."""

ANSWER = 1.0
"""Seconds that a call to the broker waits for its answer."""

REST = 0.1
"""Seconds that a message rests after it was given back: what failed just now would most likely fail again."""

BOOTS = "boots"
"""The key under which a broker's disk counts its starts."""

RECEIPTS_A_BOOT = 1 << 40

Delivery = tuple[int, Any]
"""(receipt, message): the receipt is of this delivery, and a later delivery of the same message has another."""


class _Queue:
    def __init__(self) -> None:
        self.ready: deque[int] = deque()  # numbers of messages, oldest first
        self.takers: deque[asyncio.Future[Delivery | None]] = deque()


@dataclass(eq=False, kw_only=True)
class Broker(Node):
    """Queues by name, each with room for `limit` messages that nobody has taken (None: for all), kept on disk.

    A message is durable before `publish` returns. `lease` is how long a consumer may keep one, by this node's clock: a
    shorter one than handling takes hands messages over twice although nothing has failed. `confirm_after` is a
    safeguard: never false but to show what it is for.
    """

    limit: int | None
    lease: float
    confirm_after: bool = True

    async def start(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._messages: dict[int, tuple[str, Any]] = {}  # number → queue, message: all that is not acknowledged
        self._leases: dict[int, tuple[int, float]] = {}  # receipt → number, expiry; in order of expiry
        self._last = 0
        records = await self.disk.load_all()
        boots = records.pop(BOOTS, 0) + 1
        await self.disk.save(BOOTS, boots)
        self._receipts = boots * RECEIPTS_A_BOOT  # none from before a crash may fit a delivery after it
        for number, kept in sorted(records.items()):
            self._last = number
            if kept is not None:
                self._messages[number] = kept
                self._queue(kept[0]).ready.append(number)
        self.spawn(self._take_back_expired())

    async def publish(self, queue: str, message: Any) -> None:
        """Put a message into a queue; refused if the queue is full."""
        ready = self._queue(queue).ready
        if self.limit is not None and len(ready) >= self.limit:
            raise Refused(f"{BUSY}: queue {queue!r} is full with {len(ready)} messages")
        self._last = number = self._last + 1
        self._messages[number] = (queue, message)
        ready.append(number)  # before the disk has it, so that the limit counts it
        self.disk.write(number, (queue, message))
        if self.confirm_after:
            await self.disk.sync()
        self._hand_over(queue)

    async def take(self, queue: str) -> Delivery | None:
        """The oldest message that nobody else has, with a receipt; None if there was none for a while."""
        taker = asyncio.get_running_loop().create_future()
        self._queue(queue).takers.append(taker)
        self._hand_over(queue)
        try:
            async with asyncio.timeout(POLL):
                return await taker
        except TimeoutError:
            takers = self._queue(queue).takers
            if taker in takers:
                takers.remove(taker)
            return None

    async def acknowledge(self, receipt: int) -> None:
        """Forget the message of this delivery; without effect if the lease is over."""
        number = self._leases.pop(receipt, (None, 0.0))[0]
        if number is not None:
            del self._messages[number]
            self.disk.write(number, None)  # if a crash undoes it, the message comes once more: at least once

    async def give_back(self, receipt: int) -> None:
        """Let somebody try again, a little later, what this delivery's consumer could not do."""
        number = self._leases.pop(receipt, (None, 0.0))[0]
        if number is not None:
            self.spawn(self._make_ready_later(number))

    async def waiting(self, queue: str) -> int:
        """How many messages nobody has taken."""
        return len(self._queue(queue).ready)

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue())

    def _hand_over(self, name: str) -> None:
        queue = self._queue(name)
        while queue.ready and queue.takers:
            taker = queue.takers.popleft()
            if taker.done():
                continue
            self._receipts += 1
            number = queue.ready.popleft()
            self._leases[self._receipts] = (number, self.clock.now() + self.lease)
            taker.set_result((self._receipts, self._messages[number][1]))

    async def _make_ready_later(self, number: int) -> None:
        await asyncio.sleep(REST)
        self._make_ready(number)

    def _make_ready(self, number: int) -> None:
        queue = self._messages[number][0]
        self._queue(queue).ready.append(number)
        self._hand_over(queue)

    async def _take_back_expired(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 4)
            now = self.clock.now()
            for receipt, (number, expiry) in list(self._leases.items()):
                if expiry > now:
                    break
                del self._leases[receipt]
                self._make_ready(number)


async def consume(
    node: Node, broker: str, queue: str, handle: Callable[[Any], Awaitable[None]], *, acknowledge_after: bool = True
) -> None:
    """Take from `queue` one message after the other, for ever; one for which `handle` raises `CallError` goes back.

    Without `acknowledge_after`, each message is acknowledged before it is handled: what then fails is lost.
    """
    queues = node.peer(broker)
    while True:
        try:
            delivery = await queues.take(queue, timeout=POLL + ANSWER)
        except CallError:
            continue
        if delivery is None:
            continue
        receipt, message = delivery
        if not acknowledge_after:
            await _tell(queues.acknowledge(receipt, timeout=ANSWER))
        try:
            await handle(message)
        except CallError:
            await _tell(queues.give_back(receipt, timeout=ANSWER))
        else:
            if acknowledge_after:
                await _tell(queues.acknowledge(receipt, timeout=ANSWER))


async def _tell(call: Awaitable[None]) -> None:
    # Whether the broker heard it or not, the lease ends: the worst is that the message comes once more.
    try:
        await call
    except CallError:
        pass
