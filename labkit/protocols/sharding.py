"""A sharded store that moves its keys from shard to shard while it serves, and loses no write over it.

Keys belong to slots, and slots to shards, as in Redis Cluster and in the fixed partitions of Dynamo (DeCandia et al.,
SOSP 2007, section 6.2). A slot moves by copying ahead while its owner serves, sealing it there, copying what was
written meanwhile, and handing it over. The steps are those of Das et al. (Albatross, VLDB 2011, section 3), which moves
a cache over shared storage; here the shards share nothing, so the entries themselves move, and must be on the new
owner's disk before the old one deletes them. What decides is never a clock and never the mover: a shard serves a slot
only at the epoch at which its own disk says that it owns it, and a write is newer than what its client read before it.
Who moves the slots is in `labkit.protocols.moving`. Taught in lab 17.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labkit.calls import Call, CallError, Refused, Unanswered, settled
from labkit.clocks import Timestamp
from labkit.node import Node
from labkit.placement import Placement

NEVER = Timestamp(-(2**62), 0)
"""Older than every write."""

OWNED, SEALED, INCOMING, RELEASED = "owned", "sealed", "incoming", "released"
ELSEWHERE = "elsewhere"
"""What a shard answers to a request for a slot that it does not own at the epoch that the client believes in."""

Route = tuple[str, int]
"""The shard that owns a slot, and the epoch since which it does."""


class Entry(NamedTuple):
    """One key at one shard; `position` says when, in the shard's own count, it came to have this version."""

    version: Timestamp
    value: Any
    position: int


@dataclass(eq=False, kw_only=True)
class Shard(Node):
    """Keeps the keys of the slots that it owns, and serves them one request at a time.

    A request takes `service_time` seconds on average, exponentially distributed; beyond `queue` waiting requests it is
    refused. A share `slow` of the answers then takes `slow_time` seconds more, which holds up nobody else. `owns` are
    the slots that a new shard starts with, at epoch 1.

    Safeguards: `fence` refuses requests for a slot that is not owned at their epoch; `sync_moved` makes what was moved
    here durable before it is acknowledged; `newest_wins` keeps a moved copy from replacing a newer value.
    """

    slots: Placement
    owns: Sequence[int] = ()
    service_time: float = 0.0
    queue: int = 1000
    slow: float = 0.0
    slow_time: float = 0.1
    fence: bool = True
    sync_moved: bool = True
    newest_wins: bool = True

    async def start(self) -> None:
        self._roles: dict[int, tuple[int, str]] = dict.fromkeys(self.owns, (1, OWNED))
        self._entries: dict[int, dict[Any, Entry]] = {slot: {} for slot in self.slots.shards}
        for (kind, name), kept in (await self.disk.load_all()).items():
            if kind == "role":
                self._roles[name] = kept
            elif kept is not None:
                self._entries[self.slots.shard_of(name)][name] = Entry(*kept)
        entries = [entry for slot in self._entries.values() for entry in slot.values()]
        self._position = self._synced = max((entry.position for entry in entries), default=0)
        self._free = 0.0

    async def write(self, slot: int, epoch: int, key: Any, value: Any, version: Timestamp) -> str:
        """Take the value unless a newer one is here; acknowledged once it is on disk."""
        await self._turn()
        if not self._serves(slot, epoch):
            return ELSEWHERE
        self._merge(slot, key, value, version)
        # Also for a repeated write: the one that it repeats may still be on its way to the disk.
        await self._sync()
        return "written"

    async def read(self, slot: int, epoch: int, key: Any) -> tuple[Timestamp, Any] | str:
        """The version and the value that are here, on disk."""
        await self._turn()
        if not self._serves(slot, epoch):
            return ELSEWHERE
        entry = self._entries[slot].get(key)
        if entry is None:
            return NEVER, None
        if entry.position > self._synced:  # a crash may still take it back: nobody must have seen it
            await self._sync()
        return entry.version, entry.value

    async def scan(self, epochs: Mapping[int, int], low: Any, high: Any) -> list[tuple[Any, Any]] | str:
        """The keys from `low` to `high` in these slots, with their values."""
        await self._turn()
        if not all(self._serves(slot, epoch) for slot, epoch in epochs.items()):
            return ELSEWHERE
        found = [item for slot in epochs for item in self._entries[slot].items()]
        chosen = sorted((key, entry.value) for key, entry in found if low <= key <= high)
        await self._sync()
        return chosen

    async def copy(self, slot: int, after: int, limit: int) -> tuple[list[tuple[Any, Any, Timestamp]], int]:
        """Up to `limit` entries that came after position `after`, oldest first, and the position reached.

        All of them are on disk: what a crash could take back must not live on elsewhere.
        """
        later = [(key, entry) for key, entry in self._entries[slot].items() if entry.position > after]
        page = sorted(later, key=lambda item: item[1].position)[:limit]
        await self._sync()
        return [(key, entry.value, entry.version) for key, entry in page], page[-1][1].position if page else after

    async def seal(self, slot: int, epoch: int) -> None:
        """Serve the slot no more: `epoch` will be another's. Once acknowledged, no crash undoes it."""
        known, role = self._role(slot)
        if known > epoch or (known < epoch and role != OWNED) or (known == epoch and role not in (SEALED, RELEASED)):
            raise Refused(f"slot {slot} is {role} here at epoch {known}")
        if known < epoch:
            self._become(slot, epoch, SEALED)
        await self._sync()

    async def receive(self, slot: int, epoch: int, entries: Iterable[tuple[Any, Any, Timestamp]]) -> None:
        """Take entries of a slot that will be owned here from `epoch` on."""
        known, role = self._role(slot)
        if known > epoch:
            raise Refused(f"slot {slot} is {role} here at epoch {known}")
        if known < epoch:
            self._become(slot, epoch, INCOMING)
        for key, value, version in entries:
            self._merge(slot, key, value, version, self.newest_wins)
        if self.sync_moved:
            await self._sync()

    async def adopt(self, slot: int, epoch: int) -> None:
        """Own the slot from now on; all of its entries have been received."""
        known, role = self._role(slot)
        if known > epoch or (known == epoch and role not in (INCOMING, OWNED)):
            raise Refused(f"slot {slot} is {role} here at epoch {known}")
        if (known, role) != (epoch, OWNED):
            self._become(slot, epoch, OWNED)
        if self.sync_moved:
            await self._sync()

    async def release(self, slot: int, epoch: int) -> None:
        """Forget a sealed slot that another shard owns since `epoch`."""
        if self._role(slot) == (epoch, SEALED):
            for key in self._entries[slot]:
                self.disk.write(("entry", key), None)
            self._entries[slot] = {}
            self._become(slot, epoch, RELEASED)
        await self._sync()

    def _role(self, slot: int) -> tuple[int, str]:
        return self._roles.get(slot, (0, RELEASED))

    def _become(self, slot: int, epoch: int, role: str) -> None:
        self._roles[slot] = (epoch, role)
        self.disk.write(("role", slot), (epoch, role))
        self.note(role, slot=slot, epoch=epoch)

    def _serves(self, slot: int, epoch: int) -> bool:
        return not self.fence or self._role(slot) == (epoch, OWNED)

    def _merge(self, slot: int, key: Any, value: Any, version: Timestamp, newest_wins: bool = True) -> None:
        entries = self._entries[slot]
        if newest_wins and key in entries and version <= entries[key].version:
            return
        self._position += 1
        entries[key] = Entry(version, value, self._position)
        self.disk.write(("entry", key), tuple(entries[key]))

    async def _sync(self) -> None:
        position = self._position
        await self.disk.sync()
        self._synced = max(self._synced, position)

    async def _turn(self) -> None:
        if self.service_time:
            now = asyncio.get_running_loop().time()
            if self._free - now > self.queue * self.service_time:
                raise Refused("too many requests are waiting")
            self._free = max(now, self._free) + self.random.expovariate(1 / self.service_time)
            await asyncio.sleep(self._free - now)
        if self.slow and self.random.random() < self.slow:
            await asyncio.sleep(self.slow_time)


@dataclass(eq=False)
class Directory(Node):
    """Knows where each slot is, so that clients can ask. It decides nothing: a shard knows itself what it owns."""

    owners: Sequence[str]

    async def start(self) -> None:
        self._routes: list[Route] = await self.disk.load("routes", [(owner, 1) for owner in self.owners])

    async def routes(self) -> list[Route]:
        """Owner and epoch of each slot, by its number."""
        return self._routes

    async def assign(self, slot: int, owner: str, epoch: int) -> None:
        """Take note of a slot's new owner; one that is older than what is known changes nothing."""
        if epoch > self._routes[slot][1]:
            self._routes[slot] = (owner, epoch)
            self.note("assigned", slot=slot, owner=owner, epoch=epoch)
        await self.disk.save("routes", self._routes)


@dataclass(eq=False, kw_only=True)
class StoreClient(Node):
    """Finds the shard of a key by its own copy of the directory, which it renews whenever a shard says "elsewhere".

    It tries for up to `patience` seconds, `call_timeout` a time, and waits `pause` before it tries again. A write is
    two requests, since it reads first.
    """

    slots: Placement
    patience: float = 1.0
    call_timeout: float = 0.1
    pause: float = 0.005
    _routes: list[Route] = field(default_factory=list, init=False)
    _renewal: asyncio.Task | None = field(default=None, init=False)

    async def put(self, key: Any, value: Any) -> None:
        """Write; raises `Refused` if it was not even tried, `Unanswered` if it may have happened, or may yet."""
        slot, until = self.slots.shard_of(key), self._now() + self.patience
        # Newer than what is there, as in Lynch and Shvartsman 1997: by a slow clock alone it might be older.
        seen, _ = await self._insist(slot, until, lambda owner, epoch: self.peer(owner).read(slot, epoch, key))
        version = self.clock.hybrid.receive(seen)
        # Every attempt bears the same version, so that it does not matter how many of them arrive, and when.
        try:
            await self._insist(
                slot, until, lambda owner, epoch: self.peer(owner).write(slot, epoch, key, value, version)
            )
        except Refused as refusal:
            raise Unanswered("a duplicate of the refused request may yet be carried out") from refusal

    async def get(self, key: Any) -> Any:
        """Read the newest value; None if there is none."""
        slot, until = self.slots.shard_of(key), self._now() + self.patience
        return (await self._insist(slot, until, lambda owner, epoch: self.peer(owner).read(slot, epoch, key)))[1]

    async def scan(self, low: Any, high: Any) -> list[tuple[Any, Any]]:
        """All keys from `low` to `high`: one request to each shard that has a slot which may hold some."""
        slots = self.slots.shards_between(low, high)
        until = self._now() + self.patience
        while True:
            calls = self._scatter(slots, low, high) if self._routes else []
            ended = await settled(calls)
            if calls and all(call.outcome == "ok" and call.value != ELSEWHERE for call in ended):
                return sorted(item for call in ended for item in call.value)
            if self._now() >= until:
                raise Unanswered(f"keys {low!r} to {high!r} were not all there in time")
            await self._renew()

    def _scatter(self, slots: Iterable[int], low: Any, high: Any) -> list[Call]:
        asked: dict[str, dict[int, int]] = {}
        for slot in slots:
            owner, epoch = self._routes[slot]
            asked.setdefault(owner, {})[slot] = epoch
        return [self.peer(owner).scan(epochs, low, high) for owner, epochs in asked.items()]

    async def _insist(self, slot: int, until: float, ask: Callable[[str, int], Call]) -> Any:
        while True:
            if self._routes:
                try:
                    answer = await ask(*self._routes[slot])
                    if answer != ELSEWHERE:
                        return answer
                except Unanswered:
                    pass  # it may have happened: whoever asks must be ready for that
            if self._now() >= until:
                raise Unanswered(f"slot {slot} was not to be had in time")
            await self._renew()

    async def _renew(self) -> None:
        await asyncio.sleep(self.pause)
        if self._renewal is None:
            self._renewal = self.spawn(self._ask_directory())
        await self._renewal

    async def _ask_directory(self) -> None:
        try:
            routes = await self.peer("directory").routes()
        except CallError:
            pass  # it may be down for a while: what is known may still do
        else:
            known = self._routes or routes
            self._routes = [max(pair, key=lambda route: route[1]) for pair in zip(known, routes, strict=True)]
        self._renewal = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
