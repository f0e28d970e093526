"""Two-phase commit with presumed abort: all participants commit, or none does, whatever crashes.

Gray, Notes on data base operating systems, 1978, section 5.8.3; Bernstein, Hadzilacos and Goodman, Concurrency Control
and Recovery in Database Systems, 1987, chapter 7; Mohan, Lindsay and Obermarck, Transaction management in the R*
distributed database management system, TODS 1986, section 3 (presumed abort: of a transaction that its coordinator
knows nothing about, the outcome is abort; so an abort needs no forced write and no acknowledgement). Taught in lab 20.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.calls import CallError, Refused, Unanswered
from labkit.copying import IMMUTABLE
from labkit.node import Node
from labkit.protocols.locks import DIED, TOOK_TOO_LONG, WITHDRAWN, Age, LockTable, NotGranted
from labkit.protocols.stock import Part, StockService

COMMIT, ABORT = "commit", "abort"
STALE = "aborted: the coordinator has crashed since it gave out this number"

REMEMBERED = 10_000
"""Requests of which a participant remembers which attempts came to nothing."""

Transaction = tuple[str, int, int]
"""The request that it carries out, the coordinator's epoch, and which attempt at it this is: no two are the same."""


class Prepared(NamedTuple):
    """What a participant must know after a crash of a transaction that it has voted yes for."""

    coordinator: str
    part: Part
    locked_us: int
    voted_us: int


class Decision(NamedTuple):
    """A commit, and the participants that have not acknowledged it yet."""

    transaction: Transaction
    unacknowledged: tuple[str, ...]


IMMUTABLE.update({Prepared, Decision})


@dataclass(eq=False, kw_only=True)
class Coordinator(Node):
    """Asks every participant to prepare, decides, and tells them until all have acknowledged.

    A vote is waited for `give_up` seconds, each message sent again every `resend`. A transaction that loses to another
    over a lock begins anew up to `restarts` times, as old as it was, after `backoff` seconds on average. It thinks for
    `deliberation` seconds between the last vote and the decision. `force_decision` is a safeguard: never false but to
    show what it is for.
    """

    give_up: float = 1.0
    resend: float = 0.25
    restarts: int = 10
    backoff: float = 0.02
    deliberation: float = 0.0
    force_decision: bool = True

    async def start(self) -> None:
        records = await self.disk.load_all()
        self._epoch = records.pop(("epoch", ""), 0) + 1
        await self.disk.save(("epoch", ""), self._epoch)
        self._committed: dict[str, Decision] = {request: decision for (_, request), decision in records.items()}
        self._aborted: dict[str, str] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._attempts: dict[str, Transaction] = {}
        for request in self._committed:
            self._tell_all(request)

    async def epoch(self) -> int:
        """A number that every request bears, so that one from before a crash is known as such."""
        return self._epoch

    async def book(self, request: str, epoch: int, parts: tuple[Part, ...]) -> None:
        """Commit all parts or none; answers once the decision is durable, and the same to every copy of a request.

        Refused: it has been aborted.
        """
        if request not in self._committed and epoch != self._epoch:
            raise Refused(STALE)  # whatever of it was prepared, its participants will learn this too
        if request not in self._committed and request not in self._aborted:
            if request not in self._under_way:
                self._under_way[request] = self.spawn(self._carry_out(request, parts))
            await self._under_way[request]
        if request in self._aborted:
            raise Refused(self._aborted[request])

    async def outcome(self, transaction: Transaction) -> str:
        """What a participant in doubt asks: commit, abort, or an empty string while it is not decided.

        Also abort once all have acknowledged their commits: from then on a coordinator may have forgotten it.
        """
        request = transaction[0]
        decision = self._committed.get(request)
        if decision is not None and decision.transaction == transaction and decision.unacknowledged:
            return COMMIT
        return "" if self._attempts.get(request) == transaction else ABORT

    async def unfinished(self) -> int:
        """How many transactions are undecided, or committed and not acknowledged by all."""
        telling = sum(bool(decision.unacknowledged) for decision in self._committed.values())
        return telling + len(self._under_way)

    async def _carry_out(self, request: str, parts: Sequence[Part]) -> None:
        age = (self.clock.now_us(), request)
        for attempt in range(self.restarts + 1):
            refusal = await self._attempt((request, self._epoch, attempt), age, parts)
            if DIED not in refusal and TOOK_TOO_LONG not in refusal:
                break
            await asyncio.sleep(self.random.expovariate(1 / self.backoff))
        if refusal:
            self._aborted[request] = refusal
        del self._under_way[request]

    async def _attempt(self, transaction: Transaction, age: Age, parts: Sequence[Part]) -> str:
        """One attempt; returns why it was aborted, or an empty string once its commit is durable."""
        request = transaction[0]
        self._attempts[request] = transaction
        refusal, refusing = await self._vote(transaction, age, parts)
        if refusal:
            del self._attempts[request]  # from here on, whoever asks is told that it was aborted
            self.note("decided", outcome=ABORT, _transaction=transaction, _why=refusal)
            for service in [part.service for part in parts if part.service != refusing]:
                self.peer(service).abort(transaction)  # nobody waits for an answer: who misses it will ask
            return refusal
        self.note("all have voted yes", _transaction=transaction)
        if self.deliberation:
            await asyncio.sleep(self.deliberation)
        await self._commit(transaction, tuple(part.service for part in parts))
        return ""

    async def _vote(self, transaction: Transaction, age: Age, parts: Sequence[Part]) -> tuple[str, str]:
        votes: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        for part in parts:
            self.spawn(self._ask(transaction, age, part, votes))
        for _ in parts:
            refusal, service = await votes.get()
            if refusal:
                return refusal, service
        return "", ""

    async def _ask(self, transaction: Transaction, age: Age, part: Part, votes: asyncio.Queue[tuple[str, str]]) -> None:
        participant, end = self.peer(part.service), self.clock.now() + self.give_up
        while self.clock.now() < end and self._attempts.get(transaction[0]) == transaction:
            try:
                await participant.prepare(transaction, age, self.name, part, timeout=self.resend)
            except Unanswered:
                continue
            except Refused as refused:
                votes.put_nowait((str(refused), part.service))
                return
            votes.put_nowait(("", part.service))
            return
        votes.put_nowait((f"no vote from {part.service}", ""))

    async def _commit(self, transaction: Transaction, participants: tuple[str, ...]) -> None:
        request = transaction[0]
        decision = Decision(transaction, participants)
        self.disk.write(("decision", request), decision)
        if self.force_decision:
            await self.disk.sync()
            self.note("decision forced", _transaction=transaction)
        self._committed[request] = decision  # not before it is durable: nobody may learn what a crash could take back
        del self._attempts[request]
        self.note("decided", outcome=COMMIT, _transaction=transaction)
        self._tell_all(request)

    def _tell_all(self, request: str) -> None:
        for participant in self._committed[request].unacknowledged:
            self.spawn(self._tell(request, participant))

    async def _tell(self, request: str, participant: str) -> None:
        transaction = self._committed[request].transaction
        while True:
            try:
                await self.peer(participant).commit(transaction, timeout=self.resend)
                break
            except CallError:
                continue  # a participant that has voted yes must learn it in the end
        left = tuple(name for name in self._committed[request].unacknowledged if name != participant)
        self._committed[request] = Decision(transaction, left)
        # Not forced: if a crash loses it, they are told again. The decision itself stays, for late copies of a request.
        self.disk.write(("decision", request), self._committed[request])


@dataclass(frozen=True)
class Doubt:
    """A transaction that a participant has voted yes for, and of which it does not know the outcome.

    It may be committed or aborted by its coordinator at any time; until then it is among the prepared ones.
    """

    participant: Participant
    transaction: Transaction
    record: Prepared

    async def lock(self) -> None:
        """Lock the key once more: a crash has taken all locks."""
        await self.participant.locks.acquire(self.transaction, (0, self.transaction[0]), self.record.part.key)

    def ask(self) -> None:
        """Ask the coordinator in the background until it tells the outcome, and do what it says."""
        self.participant.spawn(self.participant._resolve(self.transaction, 0.0))

    async def commit(self) -> None:
        """Take the part, for good."""
        await self.participant.commit(self.transaction)

    async def abort(self) -> None:
        """Forget it, and give the key free."""
        await self.participant.abort(self.transaction)


@dataclass(eq=False, kw_only=True)
class Participant(StockService):
    """Votes, and is bound by its vote until it learns the outcome; in doubt for `ask_after` seconds, it asks.

    `locking` is its lock table's policy; with timeouts, a lock is waited for `lock_patience` seconds. `force_prepare`,
    `force_commit`, `wait_in_doubt` and `hold_locks` are safeguards: never false but to show what they are for.
    """

    locking: str = "wait-die"
    lock_patience: float = 0.5
    ask_after: float = 0.5
    force_prepare: bool = True
    force_commit: bool = True
    wait_in_doubt: bool = True
    hold_locks: bool = True

    async def start(self) -> None:
        await super().start()
        self._voting: dict[Transaction, tuple[asyncio.Task[str], str]] = {}
        # By request, the latest attempt that has come to nothing, and what every copy of its prepare is told.
        # Invariant: neither that attempt nor one before it was or will be committed, for it was refused here, or
        # aborted, or followed by another; none of them is prepared here, and none will be. So a copy of its prepare,
        # however late, is refused at once and takes no lock.
        # To forget this is safe at any time: a copy may then lock and prepare once more, but that leaves it in doubt,
        # and presumed abort ends it. It costs a lock for a while, never atomicity. So it is not on the disk, a crash
        # may lose it, and only the latest REMEMBERED are kept.
        self._ended: dict[str, tuple[Transaction, str]] = {}
        self._prepared: dict[Transaction, Prepared] = {
            transaction: record
            for (kind, transaction), record in self.records.items()
            if kind == "prepared" and record is not None
        }
        await self._recover([Doubt(self, transaction, record) for transaction, record in self._prepared.items()])

    async def _recover(self, doubts: Sequence[Doubt]) -> None:
        """After a crash, before anything else is served: what becomes of the transactions that it has voted yes for."""
        for doubt in doubts:
            if self.hold_locks:
                await doubt.lock()  # its vote still binds it: nobody else may have what it promised
            doubt.ask()  # only the coordinator knows; until it answers, neither outcome may be assumed

    async def prepare(self, transaction: Transaction, age: Age, coordinator: str, part: Part) -> None:
        """Vote: an answer is a yes, which binds this node whatever happens to it; a refusal is a no."""
        if transaction[0] in self.booked or transaction in self._prepared:
            return
        refusal = self._refusal_before(transaction)
        if refusal:
            raise Refused(refusal)
        if transaction not in self._voting:
            await self._supersede(transaction)
            self._voting[transaction] = self.spawn(self._vote(transaction, age, coordinator, part)), part.key
        refusal = await self._voting[transaction][0]
        if refusal:
            raise Refused(refusal)

    async def commit(self, transaction: Transaction) -> None:
        """Take the part, for good; the answer is the acknowledgement, and comes once that is durable."""
        record = self._prepared.pop(transaction, None)
        if record is None:
            if self.force_commit:
                await self.disk.sync()  # a copy; its original may still be on its way to the disk
            return
        self._learned(transaction, record, COMMIT)
        self.take(transaction[0], record.part)
        self.disk.write(("prepared", transaction), None)
        if self.force_commit:  # once all have acknowledged, the coordinator may forget what it decided
            await self.force("commit", transaction)
        self._unlock(transaction, record)

    async def abort(self, transaction: Transaction) -> None:
        """Forget it. Nothing is forced: who forgets that it has forgotten will ask, and learn the same."""
        self._end(transaction, WITHDRAWN)  # a prepare of it may still be on its way, and would lock what nobody wants
        record = self._prepared.pop(transaction, None)
        if record is not None:
            self._learned(transaction, record, ABORT)
            self.disk.write(("prepared", transaction), None)
            self._unlock(transaction, record)
            return
        if transaction in self._voting:
            _, key = self._voting[transaction]
            if self.locks.holder(key) != transaction:  # if it has the lock already, it lets go when it sees this
                self.locks.release(transaction, key)

    def promised(self, request: str) -> str | None:
        """The row that a booking has locked here."""
        return next((record.part.key for known, record in self._prepared.items() if known[0] == request), None)

    async def unfinished(self) -> int:
        """How many transactions it is in doubt about, or voting on."""
        return len(self._prepared) + len(self._voting)

    def _lock_table(self) -> LockTable:
        return LockTable(self.locking, self.lock_patience)

    async def _supersede(self, transaction: Transaction) -> None:
        """End the attempts before this one: the coordinator has aborted them all, or it would not have begun it."""
        request, epoch, attempt = transaction
        under_way = [known for known in (*self._prepared, *self._voting) if known[0] == request]
        for earlier in [known for known in under_way if known < transaction]:
            await self.abort(earlier)  # that news was lost, or is late
        self._end((request, epoch, attempt - 1), WITHDRAWN)

    async def _vote(self, transaction: Transaction, age: Age, coordinator: str, part: Part) -> str:
        refusal = await self._lock(transaction, age, part.key)
        if not refusal:
            record = Prepared(coordinator, part, self.clock.now_us(), 0)
            refusal = await self._prepare(transaction, record)
            if refusal:
                self._unlock(transaction, record)
        if refusal:
            self._end(transaction, refusal)
        del self._voting[transaction]
        return refusal

    def _end(self, transaction: Transaction, refusal: str) -> None:
        request = transaction[0]
        known = self._ended.pop(request, None)
        # An attempt's first refusal stays the answer to its copies; those before it need no record of their own.
        is_known = known is not None and known[0] >= transaction
        self._ended[request] = known if is_known else (transaction, refusal)
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _refusal_before(self, transaction: Transaction) -> str:
        """What this attempt, or a later one of the same request, has ended with here; empty if neither has ended."""
        ended, refusal = self._ended.get(transaction[0], (None, ""))
        if ended is None or ended < transaction:
            return ""
        return refusal if ended == transaction else WITHDRAWN

    async def _lock(self, transaction: Transaction, age: Age, key: str) -> str:
        if self.hold_locks:
            try:
                await self.locks.acquire(transaction, age, key)
            except NotGranted as refused:
                return str(refused)
        return ""

    async def _prepare(self, transaction: Transaction, record: Prepared) -> str:
        refusal = self._refusal_before(transaction) or self.refusal(record.part)
        if refusal:
            return refusal
        record = record._replace(voted_us=self.clock.now_us())
        self.disk.write(("prepared", transaction), record)
        if self.force_prepare:
            await self.force("prepare", transaction)
        refusal = self._refusal_before(transaction)
        if refusal:  # withdrawn meanwhile; it has not voted yet, so it is still free
            self.disk.write(("prepared", transaction), None)
            return refusal
        self._prepared[transaction] = record
        self.note("votes yes", _transaction=transaction)
        self.spawn(self._resolve(transaction, self.ask_after))
        return ""

    async def _resolve(self, transaction: Transaction, patience: float) -> None:
        """After `patience` seconds ask for the outcome until it is told; here only the coordinator is asked."""
        await asyncio.sleep(patience)
        while (record := self._prepared.get(transaction)) is not None:
            outcome = "" if self.wait_in_doubt else ABORT
            if not outcome:
                try:
                    outcome = await self.peer(record.coordinator).outcome(transaction, timeout=self.ask_after)
                except CallError:
                    continue
            if outcome:
                await (self.commit if outcome == COMMIT else self.abort)(transaction)
            else:
                await asyncio.sleep(self.ask_after)

    def _learned(self, transaction: Transaction, record: Prepared, outcome: str) -> None:
        doubt_us = self.clock.now_us() - record.voted_us
        self.note("learned", outcome=outcome, _transaction=transaction, _doubt_us=doubt_us)

    def _unlock(self, transaction: Transaction, record: Prepared) -> None:
        self.note("unlocked", _transaction=transaction, _held_us=self.clock.now_us() - record.locked_us)
        self.locks.release(transaction, record.part.key)
