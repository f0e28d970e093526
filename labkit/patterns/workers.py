"""A bounded number of workers before a bounded waiting line: what a thread pool is, and a server's request slots.

Nothing here knows how work reaches it. Taught in lab 07.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from labkit.calls import Refused

BUSY = "busy"
"""What a refusal for want of room begins with."""


class Workers:
    """`count` workers; at most `queue_limit` wait for one, first come first served, and nobody else gets in.

    ``async with workers:`` holds one of them; it raises `Refused` if the line is full. A `queue_limit` of 0 lets
    nobody wait, None lets everybody. `changed`, if given, is called with the pool after each change.
    """

    def __init__(self, count: int, queue_limit: int | None, changed: Callable[[Workers], None] | None = None):
        self.count = count
        self.busy = 0
        self._queue_limit = queue_limit
        self._changed = changed
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    async def __aenter__(self) -> None:
        if self.busy < self.count:
            self.busy += 1
        elif self._queue_limit is None or len(self._line) < self._queue_limit:
            place = asyncio.get_running_loop().create_future()
            self._line.append(place)
            await self._turn(place)  # whoever leaves hands its worker over, so `busy` stays as it is
        else:
            raise Refused(f"{BUSY}: {self.busy} served and {len(self._line)} waiting are all that there is room for")
        self._tell()

    async def __aexit__(self, *_: object) -> None:
        while self._line:
            place = self._line.popleft()
            if not place.done():  # whoever gave up waiting needs no worker
                place.set_result(None)
                break
        else:
            self.busy -= 1
        self._tell()

    async def _turn(self, place: asyncio.Future[None]) -> None:
        try:
            await place
        except asyncio.CancelledError:
            if place in self._line:
                self._line.remove(place)  # its room is another's
            elif not place.cancelled():
                await self.__aexit__()  # its turn had come in the same instant: the worker goes to the next
            raise

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed(self)
