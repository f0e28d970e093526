"""A key-value store replicated by quorums, as in Dynamo: N replicas, R answers to read, W to write.

DeCandia et al., Dynamo, SOSP 2007, sections 4.4 to 4.6; Bailis et al., PBS, VLDB 2012, section 2. Reads that
write back are those of Attiya, Bar-Noy and Dolev, JACM 1995, whose register has one writer; writes that ask first are
those of Lynch and Shvartsman, FTCS 1997, for several writers. Taught in lab 09.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from labkit.calls import Call, CallError, first
from labkit.clocks import Timestamp
from labkit.node import Node, Peer

NEVER = Timestamp(-(2**62), 0)
"""Older than every write."""

Versioned = tuple[Timestamp, Any]


@dataclass(eq=False)
class Replica(Node):
    """Keeps the newest version of each key that it has heard of.

    Unless `durable`, it acknowledges a write before its disk has it, and a crash may lose the write.
    """

    durable: bool = False

    async def start(self) -> None:
        self._values: dict[Any, Versioned] = await self.disk.load_all()

    async def write(self, key: Any, value: Any, version: Timestamp) -> Timestamp:
        """Take the value if its version is newer than what is here; returns the version that is here then."""
        current, _ = self._values.get(key, (NEVER, None))
        if version > current:
            self._values[key] = (version, value)
            self.disk.write(key, (version, value))
            current = version
        if self.durable:
            # Also for a repeated or overtaken write: what it is answered with may still be on its way to the disk.
            await self.disk.sync()
        return current

    async def read(self, key: Any) -> Versioned:
        """The version and the value that are here."""
        return self._values.get(key, (NEVER, None))


@dataclass(frozen=True)
class Hint:
    """Under what a stand-in keeps on its disk what `home` should have; a type of its own, so that no key is like it."""

    home: str
    key: Any


class StandIn(Replica):
    """Takes writes for replicas that do not answer, and hands them over when they do (hinted handoff).

    A hint is as durable as the write itself, for it stands for an acknowledgement of its home.
    """

    async def start(self) -> None:
        await super().start()
        self._hints: dict[str, dict[Any, Versioned]] = {}
        for name in [name for name in self._values if isinstance(name, Hint)]:
            held = self._values.pop(name)
            if held is not None:
                self._remember(name, held)

    async def hold_for(self, home: str, key: Any, value: Any, version: Timestamp) -> Timestamp:
        """Keep a write that `home` should have, and a reminder to bring it there."""
        held, _ = self._hints.get(home, {}).get(key, (NEVER, None))
        if version > held:
            self._remember(Hint(home, key), (version, value))
            self.disk.write(Hint(home, key), (version, value))
        return await self.write(key, value, version)  # which syncs the hint, too

    def _remember(self, hint: Hint, held: Versioned) -> None:
        if hint.home not in self._hints:
            self._hints[hint.home] = {}
            self.spawn(self._hand_over(hint.home))  # a task for each home: a dead one must not hold up the others
        self._hints[hint.home][hint.key] = held

    async def _hand_over(self, home: str, pause: float = 0.05) -> None:
        while hints := self._hints[home]:
            await asyncio.sleep(pause)
            for key, (version, value) in list(hints.items()):
                try:
                    await self.peer(home).write(key, value, version)
                except CallError:
                    break  # still cut off: try again after the pause
                if hints[key][0] == version:
                    del hints[key]
                    # Not synced: if a crash brings the hint back, handing it over once more does no harm.
                    self.disk.write(Hint(home, key), None)
        del self._hints[home]


@dataclass(eq=False)
class QuorumClient(Node):
    """Coordinates its own reads and writes.

    `contact` says whom it asks: ``all`` replicas (Dynamo, Cassandra), or just a random ``quorum`` of the size that
    it needs (the model in which the staleness law is exact). `timestamps` says what orders the writes: the
    ``physical`` clock, a ``hybrid`` one that also learns from every answer, or that one after it has asked: with
    ``read first``, a write learns the newest version of a read quorum before it chooses its own. With `write_back` a
    read returns a version only once `write_quorum` replicas have it. With `stand_ins` the quorum is sloppy: whoever has
    not answered after `patience` seconds is replaced.

    If quorums overlap, replicas are durable and there are no stand-ins, then ``read first`` and `write_back` make the
    store linearizable, whatever clocks show. If all clocks show the true time, ``physical`` is as good.
    """

    replicas: Sequence[str]
    read_quorum: int
    write_quorum: int
    contact: str = "all"
    timestamps: str = "physical"
    write_back: bool = False
    stand_ins: Sequence[str] = ()
    patience: float = 0.05
    call_timeout: float = 0.5
    _last: Timestamp = field(default=NEVER, init=False)

    async def start(self) -> None:
        self._homes, self._spares = self.peers(self.replicas), self.peers(self.stand_ins)

    async def put(self, key: Any, value: Any) -> None:
        """Write `value`; returns when `write_quorum` nodes have acknowledged it, or raises `QuorumNotReached`."""
        if self.timestamps == "read first":
            # Without this, a writer whose clock is behind chooses a version that is older than what it replaces.
            newest, _ = await self._newest(key)
            self._learn([newest])
        version = self._next_version()
        self._learn(await self._store(key, value, version))

    async def get(self, key: Any) -> Any:
        """The newest value among `read_quorum` answers; raises `QuorumNotReached`."""
        version, value = await self._newest(key)
        self._learn([version])
        if self.write_back and version > NEVER:
            # Also if all have answered alike: a replica may answer with what a crash would still take from it.
            await self._store(key, value, version)
        return value

    async def _newest(self, key: Any) -> Versioned:
        calls = [replica.read(key) for replica in self._contacts(self.read_quorum)]
        answers = await self._quorum(self.read_quorum, calls, lambda stand_in, _: stand_in.read(key))
        return max(answers, key=itemgetter(0))

    async def _store(self, key: Any, value: Any, version: Timestamp) -> list[Timestamp]:
        calls = [replica.write(key, value, version) for replica in self._contacts(self.write_quorum)]
        return await self._quorum(
            self.write_quorum, calls, lambda stand_in, home: stand_in.hold_for(home, key, value, version)
        )

    def _contacts(self, quorum: int) -> list[Peer]:
        return self._homes if self.contact == "all" else self.random.sample(self._homes, quorum)

    async def _quorum(self, needed: int, calls: list[Call], replace: Callable[[Peer, str], Call]) -> list[Any]:
        if not self.stand_ins:
            return await first(needed, calls)
        try:
            async with asyncio.timeout(self.patience):
                return await first(needed, calls)
        except (TimeoutError, CallError):
            silent = [call.target for call in calls if call.outcome != "ok"]
        replacements = zip(self._spares, silent, strict=False)
        return await first(needed, calls + [replace(*pair) for pair in replacements])

    def _next_version(self) -> Timestamp:
        if self.timestamps != "physical":
            return self.clock.hybrid.tick()
        # Two writes of one client within a microsecond still need two versions, in the order of the writes.
        now = self.clock.timestamp()
        repeated = now.physical_us == self._last.physical_us
        self._last = now._replace(counter=self._last.counter + 1) if repeated else now
        return self._last

    def _learn(self, versions: Sequence[Timestamp]) -> None:
        if self.timestamps != "physical":
            for version in versions:
                if version > NEVER:
                    self.clock.hybrid.receive(version)
