"""Nodes that stamp each of their events with every kind of clock, and a store that keeps concurrent versions.

Lamport, CACM 1978; Mattern, Virtual Time and Global States of Distributed Systems, 1989; Kulkarni et al., Logical
Physical Clocks, OPODIS 2014, figure 5; DeCandia et al., Dynamo, SOSP 2007, section 4.4; Preguiça et al., Dotted
Version Vectors, 2010. Taught in lab 15.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.calls import Call, CallError
from labkit.causality import Lamport, Vector, Version, joined, maximal
from labkit.clocks import Reading, Timestamp, following
from labkit.copying import IMMUTABLE
from labkit.node import Node


class Stamps(NamedTuple):
    """One event's stamps by every clock. `event` is its node and number; messages carry the stamps of their sending."""

    event: tuple[str, int]
    lamport: Lamport
    vector: Vector
    versions: Vector
    hybrid: Timestamp
    physical_us: int


@dataclass(eq=False, kw_only=True)
class Stamper(Node):
    """Stamps steps, sendings and receipts, and notes each of them. The switches take the clocks' safeguards out.

    A node that restarts has forgotten how many events it had: it counts anew, under another name.
    """

    lamport_advance: bool = True
    vector_merge: bool = True
    hybrid_maximum: bool = True

    async def start(self) -> None:
        life = await self.disk.load("life", 0) + 1
        await self.disk.save("life", life)
        self.known_as = self.name if life == 1 else f"{self.name}#{life}"
        self._events = 0
        self._lamport, self._vector, self._versions = Lamport(), Vector(), Vector()

    def step(self) -> Stamps:
        """An event of the node's own: an update, the only kind of event that a version vector counts."""
        self._versions = self._versions.tick(self.known_as)
        return self._own("step")

    def send(self) -> Stamps:
        """The sending of a message, which must carry the stamps."""
        return self._own("send")

    def receive(self, message: Stamps) -> Stamps:
        """The receipt of a message that carries `message`."""
        seen = message.lamport if self.lamport_advance else Lamport()
        self._lamport = self._lamport.receive(seen)
        self._vector = self.receive_vector(self._vector, message.vector if self.vector_merge else Vector())
        self._versions = self._versions.merge(message.versions)
        hybrid = self._received(message.hybrid) if self.hybrid_maximum else self._forgetful()
        return self._noted("receive", hybrid, message.event)

    def receive_vector(self, mine: Vector, message: Vector) -> Vector:
        """The vector of a receipt: all that this node or the message knew, and the receipt itself (Mattern 1989)."""
        return mine.merge(message).tick(self.known_as)

    def receive_hybrid(self, now_us: int, mine: Reading, message: Reading) -> Reading:
        """The hybrid reading of a receipt: after this node's last, after the message's, and never before `now_us`."""
        return following(now_us, max(mine, message))

    def _received(self, message: Timestamp) -> Timestamp:
        hybrid = self.clock.hybrid
        return hybrid.move_to(self.receive_hybrid(self.clock.now_us(), hybrid.latest, message[:2]))

    def _own(self, label: str) -> Stamps:
        self._lamport = self._lamport.tick()
        self._vector = self._vector.tick(self.known_as)
        return self._noted(label, self.clock.hybrid.tick() if self.hybrid_maximum else self._forgetful(), None)

    def _forgetful(self) -> Timestamp:
        # Without the maximum the clock is the physical one with another name.
        return Timestamp(self.clock.now_us(), 0, self.name)

    def _noted(self, label: str, hybrid: Timestamp, cause: tuple[str, int] | None) -> Stamps:
        self._events += 1
        event = (self.known_as, self._events)
        stamps = Stamps(event, self._lamport, self._vector, self._versions, hybrid, self.clock.now_us())
        self.note(label, L=stamps.lamport, V=stamps.vector, _stamps=stamps, _cause=cause)
        return stamps


@dataclass(eq=False, kw_only=True)
class Talker(Stamper):
    """A node that, now and then, takes a step of its own or sends a message to a node that it picks at random."""

    others: Sequence[str] = ()
    work: float = 0.0
    call_timeout: float = 1.0

    async def tell(self, message: Stamps) -> Stamps:
        """Receive a message, work on it for a while, and answer; an answer is a message like any other."""
        self.receive(message)
        if self.work:
            await asyncio.sleep(self.random.expovariate(1 / self.work))
        return self.send()

    async def act(self, local: float) -> None:
        """One event of the node's own with probability `local`, else a message and what comes back."""
        if self.random.random() < local:
            self.step()
            return
        other = self.peer(self.others[self.random.randrange(len(self.others))])
        try:
            answer = await other.tell(self.send())
        except CallError:
            return  # lost: the sending happened all the same
        self.receive(answer)


Sibling = tuple[Version, Any]


@dataclass(eq=False, kw_only=True)
class VersionStore(Node):
    """A server that keeps all concurrent versions of a key, its siblings, and tells the other servers of each write.

    `ids` says who names a version: the server by a dot (``dotted``), the ``client``, or the ``server`` by its entry
    in a plain version vector, which is wrong. A server sends all siblings of a key at once: what it sends has then
    no gaps, and a context may be a plain vector (Preguiça et al. 2010).

    Nobody is told of a version before it is on disk, and so is the count that named it: a server that began to count
    anew after a crash would name a second write like its first. Safeguards: `durable_names` keeps the count on disk;
    `replace` lets a version go once another comes after it.
    """

    others: Sequence[str] = ()
    ids: str = "dotted"
    durable_names: bool = True
    replace: bool = True

    async def start(self) -> None:
        self._siblings: dict[str, tuple[Sibling, ...]] = {}  # of each key; no version of them comes after another
        self._numbers: dict[str, int] = {}  # of each key the number of the last version named here
        self._gone: dict[str, bool] = {}
        kinds = {"siblings": self._siblings, "number": self._numbers, "gone": self._gone}
        for (kind, name), kept in (await self.disk.load_all()).items():
            kinds[kind][name] = kept

    async def read(self, key: str) -> tuple[tuple[Any, ...], Vector]:
        """The values of all siblings, and the context that a write which has seen them must bring back."""
        siblings = await self.siblings(key)
        return tuple(value for _, value in siblings), joined(version.vector for version, _ in siblings)

    async def write(self, key: str, value: Any, context: Vector, client: str, number: int) -> Version:
        """Keep a value in place of all that its writer had seen; `number` is the client's own count of its writes."""
        version = Version(client, number, context) if self.ids == "client" else self._named(key, context)
        self._keep(key, [(version, value)])
        await self.disk.sync()
        for other in self.peers(self.others):
            self.spawn(self._tell(other, key))
        return version

    async def merge(self, key: str, siblings: tuple[Sibling, ...]) -> None:
        """Take what another server has of a key, and keep what no other version comes after."""
        self._keep(key, siblings)
        await self.disk.sync()

    async def leave(self, client: str) -> None:
        """A client has done its work here; it may say so more than once."""
        self._gone[client] = True
        await self.disk.save(("gone", client), True)

    async def gone(self) -> int:
        """How many clients have left."""
        return len(self._gone)

    async def siblings(self, key: str) -> tuple[Sibling, ...]:
        """All that is here of a key, on disk: a crash must not take back what somebody has seen."""
        known = self._siblings.get(key, ())
        await self.disk.sync()
        return known

    def _named(self, key: str, context: Vector) -> Version:
        # Later than any that the writer can have seen, also by way of another server.
        number = max(self._numbers.get(key, 0), context[self.name]) + 1
        self._numbers[key] = number
        if self.durable_names:
            self.disk.write(("number", key), number)
        return Version(self.name, number, context)

    def _keep(self, key: str, arrived: Sequence[Sibling]) -> None:
        values = dict([*self._siblings.get(key, ()), *arrived])
        kept = maximal(values, by_vector=self.ids == "server") if self.replace else list(values)
        self._siblings[key] = tuple((version, values[version]) for version in kept)
        self.disk.write(("siblings", key), self._siblings[key])

    async def _tell(self, other: Any, key: str) -> None:
        try:
            await other.merge(key, await self.siblings(key))
        except CallError:
            pass  # lost: a later write brings it, or the exchange at the end


@dataclass(eq=False, kw_only=True)
class VersionClient(Node):
    """Reads a key from its own server, thinks, and writes a value that replaces what it has read."""

    store: str
    call_timeout: float = 0.5

    async def start(self) -> None:
        self._writes = await self.disk.load("writes", 0)

    async def read_modify_write(self, key: str, think: float, session: str) -> None:
        """One read and one write, as operations of the process `session`."""
        server, context = self.peer(self.store), Vector()
        with self.operation("read", key, process=session) as read:
            values, context = await server.read(key)
            read.value = values
        if not read.ok:
            return
        await asyncio.sleep(self.random.expovariate(1 / think) if think else 0)
        self._writes += 1
        await self.disk.save("writes", self._writes)  # as durable as the server's own count: it may name the version
        with self.operation("write", key, session, process=session):
            version = await server.write(key, session, context, self.name, self._writes)
            self.note("version", key=key, entries=len(version.vector.entries), bytes=version.size_bytes)

    async def leave(self) -> None:
        """Tell the server that this was all."""
        await until_answered(self.peer(self.store).leave, self.name)


@dataclass(eq=False, kw_only=True)
class Auditor(Node):
    """Waits until all clients have left, lets the servers exchange what they have, and reads every key everywhere."""

    stores: Sequence[str]
    keys: Sequence[str]
    clients: int

    async def run(self) -> None:
        servers = self.peers(self.stores)
        while sum([await until_answered(server.gone) for server in servers]) < self.clients:
            await asyncio.sleep(0.02)
        for key in self.keys:
            found = [await until_answered(server.siblings, key) for server in servers]
            for server in servers:
                for siblings in found:
                    await until_answered(server.merge, key, siblings)
        for key in self.keys:
            for server in servers:
                with self.operation("read", key) as read:
                    values, _ = await until_answered(server.read, key)
                    read.value = values


async def until_answered(call: Callable[..., Call], *given: Any) -> Any:
    """Ask again until there is an answer; only for requests that may be served twice without harm."""
    while True:
        try:
            return await call(*given)
        except CallError:
            continue


IMMUTABLE.add(Stamps)
