"""Sagas: a booking as a sequence of local transactions, each of which a compensation can undo later.

Garcia-Molina and Salem, Sagas, SIGMOD 1987: either all steps are done, or some of them and their compensations
(section 1); a log of the saga makes that survive a crash (section 4). If a step fails, the steps before it are
compensated, all at once: they are at different services and do not need each other (the paper compensates last first).
A compensation that was busy or down is tried again until it succeeds; one that is wrong somebody must repair
(section 6). Every step and compensation here is idempotent by the request that it belongs to, since any message may
come twice, late, or after its own compensation. Taught in lab 20.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.calls import CallError, Refused, Unanswered
from labkit.copying import IMMUTABLE
from labkit.node import Node
from labkit.protocols.locks import TIMEOUT, LockTable
from labkit.protocols.stock import Part, StockService

RUNNING, DONE, CANCELLED = "running", "done", "cancelled"
NO_ANSWER = "no answer"


class Saga(NamedTuple):
    """A saga in the log of whoever is responsible for it; a cancelled one may have steps left to `compensate`."""

    parts: tuple[Part, ...]
    state: str = RUNNING
    why: str = ""
    compensate: tuple[Part, ...] = ()


IMMUTABLE.add(Saga)


@dataclass(eq=False, kw_only=True)
class SagaService(StockService):
    """Does a step as a local transaction that is over, and visible to everybody, before the next step begins.

    An attempt at a compensation fails with probability `compensation_failure`. `idempotent_steps` and
    `idempotent_compensations` are safeguards: never false but to show what they are for.
    """

    compensation_failure: float = 0.0
    idempotent_steps: bool = True
    idempotent_compensations: bool = True

    async def start(self) -> None:
        await super().start()
        # By request, why its step is not done here and never will be: on disk before anybody is told, and for good.
        self._cancelled: dict[str, str] = {
            name: why for (kind, name), why in self.records.items() if kind == "cancelled"
        }

    async def do_step(self, request: str, part: Part) -> None:
        """Take the part, once, however often this is asked; refused if there is none or it has been cancelled."""
        async with self._locked(request, part.key):
            if request in self._cancelled:  # a copy of what was refused; or the compensation has overtaken the step
                raise Refused(self._cancelled[request])
            if request in self.booked and self.idempotent_steps:
                return
            refusal = self.refusal(part)
            if refusal:
                self._cancel(request, refusal)  # or a copy might be told something else, or find enough after all
            else:
                self.take(request, part)
            self._write_with_step(request, refusal)
            await self.force("refusal" if refusal else "step", request)
            if refusal:
                raise Refused(refusal)
            self.note("step done", _transaction=request)

    async def compensate(self, request: str, part: Part) -> None:
        """Undo the step, once, however often this is asked; of a step that has not come, see to it that it never will.

        Refused if it does not succeed this time.
        """
        if self.random.random() < self.compensation_failure:
            self.note("compensation failed", _transaction=request)
            raise Refused(f"{self.name}: busy")
        async with self._locked(request, part.key):
            if request in self._cancelled and self.idempotent_compensations:
                return
            is_done = request in self.booked
            if is_done:
                self.give_back(request, part)
            elif not self.idempotent_compensations:
                self.put_back(part, 1)
            self._cancel(request, f"{self.name}: cancelled before")
            await self.force("compensation", request)
            if is_done:
                self.note("compensated", _transaction=request)

    async def unfinished(self) -> int:
        """No step is ever in doubt here: each is over when it is answered."""
        return 0

    def _write_with_step(self, request: str, refusal: str) -> None:
        """Write what must become durable together with the step, or its refusal, or not at all."""

    def _cancel(self, request: str, why: str) -> None:
        self._cancelled[request] = why
        self.disk.write(("cancelled", request), why)

    @asynccontextmanager
    async def _locked(self, request: str, key: str) -> AsyncIterator[None]:
        # A local transaction's lock: it holds no other, so nobody can wait for it for ever.
        owner = object()  # two copies of one message wait for each other, too
        await self.locks.acquire(owner, (0, request), key)
        locked_us = self.clock.now_us()
        try:
            yield
        finally:
            self.note("unlocked", _transaction=request, _held_us=self.clock.now_us() - locked_us)
            self.locks.release(owner, key)

    def _lock_table(self) -> LockTable:
        return LockTable(TIMEOUT, patience=None)


@dataclass(eq=False, kw_only=True)
class Orchestrator(Node):
    """Does a saga's steps one after the other; if one is refused or not answered, compensates those begun, all at once.

    A step is sent again every `resend` seconds, and given up after `give_up`; a compensation never is, unless
    `retry_compensations`, a safeguard, is false. It thinks for `deliberation` seconds between two steps.
    """

    give_up: float = 1.0
    resend: float = 0.25
    deliberation: float = 0.0
    retry_compensations: bool = True

    async def start(self) -> None:
        records = await self.disk.load_all()
        self._sagas: dict[str, Saga] = {request: saga for (_, request), saga in records.items()}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        for request, saga in self._sagas.items():
            if saga.state == RUNNING:
                # From its first step: to do a step again does nothing, so no step's end needed a forced write.
                self._under_way[request] = self.spawn(self._go_on(request))
            else:
                self._compensate_all(request)

    async def epoch(self) -> int:
        """Always the same: a saga is in the log before its first step, so copies of a request are known for ever."""
        return 0

    async def book(self, request: str, epoch: int, parts: tuple[Part, ...]) -> None:
        """Do all parts, or undo those done; answers once it is decided and durable which. Refused: undone, or to be."""
        if request not in self._sagas:
            self._sagas[request] = Saga(parts)
            self._under_way[request] = self.spawn(self._go_on(request, is_new=True))
        if request in self._under_way:
            await self._under_way[request]
        if self._sagas[request].state == CANCELLED:
            raise Refused(self._sagas[request].why)

    async def unfinished(self) -> int:
        """How many sagas have steps or compensations before them."""
        return sum(saga.state == RUNNING or bool(saga.compensate) for saga in self._sagas.values())

    async def _go_on(self, request: str, is_new: bool = False) -> None:
        parts = self._sagas[request].parts
        if is_new:
            await self._log(request, self._sagas[request])
        ended = Saga(parts, DONE)
        for number, part in enumerate(parts):
            if number and self.deliberation:
                await asyncio.sleep(self.deliberation)
            refusal = await self._step(request, part)
            if refusal:
                # A step that was refused has done nothing; one that was not answered may have, and after a crash any.
                begun = parts[: number + 1] if refusal.startswith(NO_ANSWER) else parts[:number]
                ended = Saga(parts, CANCELLED, refusal, begun if is_new else parts)
                break
        await self._log(request, ended)
        self.note("decided", outcome=ended.state, _transaction=request, _why=ended.why)
        del self._under_way[request]
        self._compensate_all(request)

    async def _step(self, request: str, part: Part) -> str:
        end = self.clock.now() + self.give_up
        while self.clock.now() < end:
            try:
                await self.peer(part.service).do_step(request, part, timeout=self.resend)
                return ""
            except Unanswered:
                continue
            except Refused as refused:
                return str(refused)
        return f"{NO_ANSWER} from {part.service}"

    def _compensate_all(self, request: str) -> None:
        for part in self._sagas[request].compensate:
            self.spawn(self._compensate(request, part))

    async def _compensate(self, request: str, part: Part) -> None:
        # None waits for another, since a service that is down would hold up all the others.
        while True:
            try:
                await self.peer(part.service).compensate(request, part, timeout=self.resend)
                break
            except CallError as error:
                if not self.retry_compensations:
                    break
                if isinstance(error, Refused):
                    await asyncio.sleep(self.resend)
        saga = self._sagas[request]
        left = tuple(other for other in saga.compensate if other != part)
        self._sagas[request] = saga._replace(compensate=left)
        self.disk.write(("saga", request), self._sagas[request])  # not forced: done twice is done once

    async def _log(self, request: str, saga: Saga) -> None:
        self.disk.write(("saga", request), saga)
        await self.disk.sync()
        self.note(f"{saga.state} forced", _transaction=request)
        self._sagas[request] = saga


class Event(NamedTuple):
    """What one service tells another in a choreography; `kind` is the name of the method that hears it."""

    kind: str
    request: str
    parts: tuple[Part, ...]
    why: str = ""


IMMUTABLE.add(Event)


@dataclass(eq=False, kw_only=True)
class ChoreographedService(SagaService):
    """A service that hears of another's step and does its own, or undoes it; nobody leads.

    The first service of a saga has taken the request, and so answers for its end: done when it hears that the last
    step is, cancelled when it hears of a refusal or has heard nothing for `give_up` seconds. What a service tells
    others becomes durable in the same forced write as what it did (an outbox), and is told until it has been heard; it
    lies there for `deliberation` seconds before the next service is told to do its step.
    """

    give_up: float = 1.0
    resend: float = 0.25
    deliberation: float = 0.0
    retry_compensations: bool = True

    async def start(self) -> None:
        await super().start()
        self._parts: dict[str, tuple[Part, ...]] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._ending: set[str] = set()
        self._sagas: dict[str, Saga] = {name: saga for (kind, name), saga in self.records.items() if kind == "saga"}
        outbox = [entry for (kind, entry), is_waiting in self.records.items() if kind == "outbox" and is_waiting]
        self._fresh: list[tuple[str, Event]] = []
        self._outbox = dict.fromkeys(outbox)
        for entry in outbox:
            self.spawn(self._tell(*entry))
        for request, saga in self._sagas.items():
            if saga.state == RUNNING:
                self.spawn(self._watch(request))

    async def epoch(self) -> int:
        """Always the same: the first step makes a saga durable, so copies of a request are known for ever."""
        return 0

    async def book(self, request: str, epoch: int, parts: tuple[Part, ...]) -> None:
        """Do the first step and wait for the end of the saga. Refused: it is undone, or will be."""
        if request not in self._sagas:
            self._sagas[request] = Saga(parts)
            self.spawn(self._begin(request, parts))
        if self._sagas[request].state == RUNNING:
            await self._ended.setdefault(request, asyncio.Event()).wait()
        if self._sagas[request].state == CANCELLED:
            raise Refused(self._sagas[request].why)

    async def proceed(self, event: Event) -> None:
        """Hear that the step before this service's own is done."""
        self._parts[event.request] = event.parts
        try:
            await self.do_step(event.request, event.parts[self._place(event.parts)])
        except Refused:
            pass  # the first service hears of it

    async def completed(self, event: Event) -> None:
        """Hear that the last step is done."""
        await self._end(event.request, DONE)

    async def refused(self, event: Event) -> None:
        """Hear that a step was refused: `parts` are those before it."""
        await self._end(event.request, CANCELLED, event.why, event.parts)

    async def undo(self, event: Event) -> None:
        """Hear that the saga is cancelled."""
        await self.compensate(event.request, event.parts[self._place(event.parts)])

    async def unfinished(self) -> int:
        """How many sagas it answers for that have not ended, and events that have not been heard."""
        return len(self._outbox) + sum(saga.state == RUNNING for saga in self._sagas.values())

    async def _begin(self, request: str, parts: tuple[Part, ...]) -> None:
        self._parts[request] = parts
        try:
            await self.do_step(request, parts[0])
        except Refused as refused:
            await self._end(request, CANCELLED, str(refused))
            return
        await self._watch(request)

    async def _watch(self, request: str) -> None:
        await asyncio.sleep(self.give_up)
        parts = self._sagas[request].parts
        await self._end(request, CANCELLED, "no answer in time", parts)

    async def _end(self, request: str, state: str, why: str = "", undo: tuple[Part, ...] = ()) -> None:
        if self._sagas[request].state != RUNNING:
            return  # it has been decided, and whoever comes second must live with it
        has_ended = self._ended.setdefault(request, asyncio.Event())
        if request in self._ending:
            await has_ended.wait()  # who told of it forgets it once it is acknowledged, so not before it is durable
            return
        self._ending.add(request)
        ended = Saga(self._sagas[request].parts, state, why)
        self.disk.write(("saga", request), ended)
        for part in undo:
            self._put(part.service, Event("undo", request, ended.parts))
        await self.force(state, request)
        self._sagas[request] = ended
        self.note("decided", outcome=state, _transaction=request, _why=why)
        has_ended.set()

    def _place(self, parts: tuple[Part, ...]) -> int:
        return [part.service for part in parts].index(self.name)

    async def force(self, what: str, transaction: Any) -> None:
        """A forced write, after which the events written with it may be told."""
        fresh, self._fresh = self._fresh, []
        await super().force(what, transaction)
        for entry in fresh:
            self.spawn(self._tell(*entry))

    def _write_with_step(self, request: str, refusal: str) -> None:
        parts = self._parts[request]
        place = self._place(parts)
        if place == 0 and not refusal:
            self.disk.write(("saga", request), self._sagas[request])
        if refusal and place > 0:
            self._put(parts[0].service, Event("refused", request, parts[:place], refusal))
        elif not refusal and place + 1 < len(parts):
            self._put(parts[place + 1].service, Event("proceed", request, parts))
        elif not refusal:
            self._put(parts[0].service, Event("completed", request, parts))

    def _put(self, target: str, event: Event) -> None:
        self._fresh.append((target, event))
        self._outbox[target, event] = None
        self.disk.write(("outbox", (target, event)), True)

    async def _tell(self, target: str, event: Event) -> None:
        if event.kind == "proceed" and self.deliberation:
            await asyncio.sleep(self.deliberation)
        while True:
            try:
                await getattr(self.peer(target), event.kind)(event, timeout=self.resend)
                break
            except CallError as error:
                if event.kind == "undo" and not self.retry_compensations:
                    break
                if isinstance(error, Refused):
                    await asyncio.sleep(self.resend)
        self._outbox.pop((target, event), None)
        self.disk.write(("outbox", (target, event)), False)  # not forced: heard twice is heard once
