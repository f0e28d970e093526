"""Who moves the slots of a sharded store: one at a time, each step safe to repeat, the plan on disk.

Copy while the owner serves, seal, copy the rest, hand over. The steps are those of Das et al. (Albatross, VLDB 2011,
section 3), which moves a cache over shared storage; here the shards share nothing, so the entries themselves move, and
must be on the new owner's disk before the old one deletes them. If the mover dies in between, it goes on where its disk
says, and whatever it does twice changes nothing the second time. Taught in lab 17.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.calls import Call, Refused, Unanswered
from labkit.node import Node, Peer

Move = tuple[int, str, str, int]
"""Slot, the shard that owns it, the shard that will, and the epoch from which it will."""


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
            routes = await self._insist(lambda: self.peer("directory").routes())
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
            await self._move(*plan["moves"][plan["next"]])
            plan["next"], plan["cursor"] = plan["next"] + 1, 0
            self._keep()
            await self.disk.sync()

    async def _move(self, slot: int, source_name: str, target_name: str, epoch: int) -> None:
        source, target = self.peer(source_name), self.peer(target_name)
        self.note("moving", slot=slot, source=source_name, target=target_name)
        if self.copy_first:
            await self._copy(slot, source, target, epoch)
        await self._insist(lambda: source.seal(slot, epoch))
        await self._copy(slot, source, target, epoch)
        await self._insist(lambda: target.adopt(slot, epoch))
        await self._insist(lambda: self.peer("directory").assign(slot, target_name, epoch))
        await self._insist(lambda: source.release(slot, epoch))
        self.note("moved", slot=slot)

    async def _copy(self, slot: int, source: Peer, target: Peer, epoch: int) -> None:
        """Copy what the target has not been sent; ends with a page that is not full.

        While the owner serves, a few writes may come after that page. Copying ahead does not wait for a page to be
        empty, which under a steady load might never be: those writes are left for the copy after the seal.
        """
        while True:
            after = self._plan["cursor"]
            entries, reached = await self._insist(lambda after=after: source.copy(slot, after, self.batch))
            if not entries:
                return
            await self._insist(lambda entries=entries: target.receive(slot, epoch, entries))
            # Recorded only now: a cursor ahead of what the target has would leave entries behind.
            self._plan["cursor"] = reached
            self._keep()
            await self.disk.sync()
            self.note("copied", slot=slot, entries=len(entries))
            if len(entries) < self.batch:
                return

    def _keep(self) -> None:
        if self.keep_plan:
            self.disk.write("plan", self._plan)

    async def _insist(self, ask: Callable[[], Call]) -> Any:
        while True:
            try:
                return await ask()
            except Unanswered:  # down, cut off, or slow: every step can be repeated
                await asyncio.sleep(self.pause)
