"""What a service of a booking keeps: stock by key (seats of a flight, money in an account), and who has some of it.

Both protocols of lab 20 change it, each in its own way; the clients that look at it and audit it are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.copying import IMMUTABLE
from labkit.node import Node
from labkit.protocols.locks import LockTable


class Part(NamedTuple):
    """One service's part of a booking: take `amount` of `key`. A part that is not `sound` is always refused."""

    service: str
    key: str
    amount: int
    sound: bool = True


IMMUTABLE.add(Part)


class Stocktaking(NamedTuple):
    """A service's state as an audit finds it: what is `left` by key, and each booking's part of what is gone."""

    left: tuple[tuple[str, int], ...]
    booked: tuple[tuple[str, Part], ...]


IMMUTABLE.add(Stocktaking)


@dataclass(eq=False, kw_only=True)
class StockService(Node):
    """Keeps stock on its disk. `stock` is what there is of each key before the first booking.

    A look waits while a transaction has the row locked. With `old_versions` it does not: as in stores that keep several
    versions of a row, it is answered with the last that was committed.
    """

    stock: Mapping[str, int]
    old_versions: bool = False

    async def start(self) -> None:
        self.locks = self._lock_table()
        self.records = await self.disk.load_all()
        self.left = {key: self.records.get(("left", key), amount) for key, amount in self.stock.items()}
        self.booked: dict[str, Part] = {
            name: part for (kind, name), part in self.records.items() if kind == "booked" and part is not None
        }

    async def look(self, key: str) -> tuple[str, ...]:
        """The bookings that hold some of `key`."""
        if not self.old_versions:
            await self.locks.free(key)
        return tuple(request for request, part in self.booked.items() if part.key == key)

    async def has(self, request: str) -> bool:
        """Whether a booking has its part here."""
        key = self.promised(request)
        if key is not None and not self.old_versions:
            await self.locks.free(key)
        return request in self.booked

    def promised(self, request: str) -> str | None:
        """The row that is locked for a booking whose outcome is not known here; None if there is none."""
        return None

    async def take_stock(self) -> Stocktaking:
        """All of its state, for an audit."""
        return Stocktaking(tuple(self.left.items()), tuple(self.booked.items()))

    async def unfinished(self) -> int:
        """How many transactions are neither done nor undone here."""
        raise NotImplementedError

    def _lock_table(self) -> LockTable:
        raise NotImplementedError

    def refusal(self, part: Part) -> str:
        """Why the part cannot be had, or an empty string."""
        if not part.sound:
            return f"{self.name}: {part.key} was declined"
        return "" if self.left[part.key] >= part.amount else f"{self.name}: not enough left of {part.key}"

    def take(self, request: str, part: Part) -> None:
        """Give the booking its part; volatile until the next `force`."""
        self.booked[request] = part
        self.disk.write(("booked", request), part)
        self.put_back(part, -1)

    def give_back(self, request: str, part: Part) -> None:
        """Take the booking's part from it; volatile until the next `force`."""
        self.booked.pop(request, None)
        self.disk.write(("booked", request), None)
        self.put_back(part, 1)

    def put_back(self, part: Part, times: int) -> None:
        """Change what is left, and nothing else."""
        self.left[part.key] += times * part.amount
        self.disk.write(("left", part.key), self.left[part.key])

    async def force(self, what: str, transaction: Any) -> None:
        """A forced write: return once all that was written is durable."""
        await self.disk.sync()
        self.note(f"{what} forced", _transaction=transaction)
