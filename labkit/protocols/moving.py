"""Who moves the slots of a sharded store: one at a time, each step safe to repeat, the plan on disk.

Copy while the owner serves, seal, copy the rest, hand over. The steps are those of Das et al. (Albatross, VLDB 2011,
section 3), which moves a cache over shared storage; here the shards share nothing, so the entries themselves move, and
must be on the new owner's disk before the old one deletes them. If the mover dies in between, it goes on where its disk
says, and whatever it does twice changes nothing the second time. Taught in lab 17.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.calls import Call, Refused, Unanswered
from labkit.node import Node, Peer

Move = tuple[int, str, str, int]
"""Slot, the shard that owns it, the shard that will, and the epoch from which it will."""


@dataclass(frozen=True)
class Handover:
    """One slot on its way from `source` to `target`, who will own it from `epoch` on: the steps, in any order.

    Each step is asked for until it is acknowledged, may be asked for again without harm, and raises `Refused` where it
    cannot come next. Between any two steps clients read and write, and nodes may crash.
    """

    mover: Mover
    slot: int
    source: Peer
    target: Peer
    epoch: int

    async def copy(self) -> None:
        """Send the target what it has not been sent; ends with a page that is not full.

        While the owner serves, a few writes may come after that page. Copying ahead does not wait for a page to be
        empty, which under a steady load might never be: those writes are left for the copy after the seal.
        """
        slot, source, target, batch = self.slot, self.source, self.target, self.mover.batch
        while True:
            after = self.mover.cursor
            entries, reached = await self._insist(lambda after=after: source.copy(slot, after, batch))
            if not entries:
                return
            await self._insist(lambda entries=entries: target.receive(slot, self.epoch, entries))
            # Recorded only now: a cursor ahead of what the target has would leave entries behind.
            await self.mover.reach(reached)
            self.mover.note("copied", slot=slot, entries=len(entries))
            if len(entries) < batch:
                return

    async def seal(self) -> None:
        """Let the source serve the slot no more."""
        await self._insist(lambda: self.source.seal(self.slot, self.epoch))

    async def adopt(self) -> None:
        """Let the target own the slot, and serve it."""
        await self._insist(lambda: self.target.adopt(self.slot, self.epoch))

    async def assign(self) -> None:
        """Let the directory send clients to the target."""
        directory = self.mover.peer("directory")
        await self._insist(lambda: directory.assign(self.slot, self.target.name, self.epoch))

    async def release(self) -> None:
        """Let the source delete what it has of the slot, if it is sealed."""
        await self._insist(lambda: self.source.release(self.slot, self.epoch))

    def _insist(self, ask: Callable[[], Call]) -> Coroutine[Any, Any, Any]:
        return insist(ask, self.mover.pause)


@dataclass(eq=False, kw_only=True)
class Mover(Node):
    """Carries out one resize at a time: moves every slot whose owner is not the one that it should have.

    `copy_first` copies a slot before it is sealed, while its owner still serves it; `batch` entries go in one message.
    Without the safeguard `keep_plan`, what it has been told to do is in its memory alone.
    """

    copy_first: bool = True
    batch: int = 50
    keep_plan: bool = True
    call_timeout: float = 0.1
    pause: float = 0.02
    _plan: dict[str, Any] = field(default_factory=dict, init=False)

    async def start(self) -> None:
        self._plan = await self.disk.load("plan", {"number": 0, "moves": [], "next": 0, "cursor": 0})
        if self._plan["next"] < len(self._plan["moves"]):
            self.spawn(self._work())

    async def resize(self, number: int, owners: Sequence[str]) -> None:
        """Resize `number`: give each slot to its owner among `owners`. Acknowledged once it cannot be forgotten."""
        if number > self._plan["number"]:
            routes = await insist(lambda: self.peer("directory").routes(), self.pause)
            # A copy of the same request may have been faster while this one waited.
            if number > self._plan["number"]:
                if self._plan["next"] < len(self._plan["moves"]):
                    raise Refused(f"resize {self._plan['number']} is under way")
                moves = [
                    (slot, source, target, epoch + 1)
                    for slot, ((source, epoch), target) in enumerate(zip(routes, owners, strict=True))
                    if source != target
                ]
                self._plan = {"number": number, "moves": moves, "next": 0, "cursor": 0}
                self._keep()
                self.spawn(self._work())
        await self.disk.sync()

    async def progress(self) -> tuple[int, int, int]:
        """The number of the latest resize known, the moves done, and the moves to do in all."""
        return self._plan["number"], self._plan["next"], len(self._plan["moves"])

    async def _work(self) -> None:
        plan = self._plan
        await self.disk.sync()  # nothing may be sealed for a plan that a crash could take back
        while plan["next"] < len(plan["moves"]):
            await self._carry_out(*plan["moves"][plan["next"]])
            plan["next"], plan["cursor"] = plan["next"] + 1, 0
            self._keep()
            await self.disk.sync()

    async def _carry_out(self, slot: int, source: str, target: str, epoch: int) -> None:
        self.note("moving", slot=slot, source=source, target=target)
        await self._move(Handover(self, slot, self.peer(source), self.peer(target), epoch))
        self.note("moved", slot=slot)

    async def _move(self, move: Handover) -> None:
        """Let a slot change its owner while clients read and write it. The order of the steps is the protocol."""
        if self.copy_first:
            await move.copy()  # while its owner serves it: a seal then lasts only as long as the rest
        await move.seal()  # from here on nobody serves the slot, so nothing can be written behind the copy
        await move.copy()  # what was written during the first copy
        await move.adopt()  # the new owner has everything, and serves
        await move.assign()  # clients learn where to go
        await move.release()  # last, since it deletes

    @property
    def cursor(self) -> int:
        """The position up to which the target of the move under way has been sent everything."""
        return self._plan["cursor"]

    def reach(self, position: int) -> Coroutine[Any, Any, None]:
        """Move the cursor on; once this is awaited, no crash moves it back."""
        self._plan["cursor"] = position
        self._keep()
        return self.disk.sync()

    def _keep(self) -> None:
        if self.keep_plan:
            self.disk.write("plan", self._plan)


async def insist(ask: Callable[[], Call], pause: float) -> Any:
    """The answer to a request that may be repeated, which is asked again for as long as there is none."""
    while True:
        try:
            return await ask()
        except Unanswered:  # down, cut off, or slow: every step can be repeated
            await asyncio.sleep(pause)
