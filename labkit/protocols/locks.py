"""Two-phase locking: exclusive locks on keys, held until their transaction ends, and what is done about deadlock.

Eswaran, Gray, Lorie and Traiger, The notions of consistency and predicate locks in a database system, CACM 1976 (two
phases make it serializable); Rosenkrantz, Stearns and Lewis, System level concurrency control for distributed
database systems, TODS 1978, section 3 (wait-die); Bernstein, Hadzilacos and Goodman, Concurrency Control and Recovery
in Database Systems, 1987, chapter 3 (timeouts). Taught in lab 20.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

WAIT_DIE, TIMEOUT = "wait-die", "timeout"
DIED, TOOK_TOO_LONG, WITHDRAWN = "died: an older transaction is ahead", "waited too long for a lock", "withdrawn"

Age = tuple[int, str]
"""When a transaction first began, and something of its own to break ties: the smaller, the older."""


class NotGranted(Exception):
    """The lock was not granted: the transaction must give up all that it holds, and may begin anew."""


@dataclass(eq=False)
class _Request:
    owner: Any
    age: Age
    answer: asyncio.Future[str]  # why not; empty once the lock is granted


@dataclass(eq=False)
class _Lock:
    holder: _Request
    queue: list[_Request] = field(default_factory=list)
    watchers: list[asyncio.Future[None]] = field(default_factory=list)


class LockTable:
    """The exclusive locks of one node, each with a queue, first come, first served.

    `policy` says what keeps transactions that hold locks at several nodes from waiting for each other for ever.
    ``wait-die``: a transaction may wait for younger ones only, and otherwise dies at once; so no cycle of waiting can
    close, and whoever begins anew with its old age is the oldest in the end. ``timeout``: it waits for `patience`
    seconds at most (None: for as long as it takes), whether there is a deadlock or not.
    """

    def __init__(self, policy: str = WAIT_DIE, patience: float | None = None):
        self._policy = policy
        self._patience = patience if policy == TIMEOUT else None
        self._locks: dict[Any, _Lock] = {}

    async def acquire(self, owner: Any, age: Age, key: Any) -> None:
        """Return once `owner` holds `key`; raises `NotGranted` if it dies, waits too long, or is released meanwhile."""
        request = _Request(owner, age, asyncio.get_running_loop().create_future())
        lock = self._locks.get(key)
        if lock is None:
            self._locks[key] = _Lock(request)
            return
        # Whoever stands ahead in the queue will hold the lock first, so it is waited for as well. Of the same age is
        # only an earlier attempt of the same transaction, which is on its way out.
        last = lock.queue[-1] if lock.queue else lock.holder
        if self._policy == WAIT_DIE and age > last.age:
            raise NotGranted(DIED)
        lock.queue.append(request)
        refusal = await self._answer(lock, request)
        if refusal:
            raise NotGranted(refusal)

    def release(self, owner: Any, key: Any) -> None:
        """Let go of `key`, or stop waiting for it; does nothing if `owner` does neither."""
        lock = self._locks.get(key)
        if lock is None:
            return
        for request in [entry for entry in lock.queue if entry.owner == owner]:
            lock.queue.remove(request)
            request.answer.set_result(WITHDRAWN)
        if lock.holder.owner == owner:
            self._pass_on(key, lock)

    def holder(self, key: Any) -> Any:
        """Who holds `key`, or None."""
        lock = self._locks.get(key)
        return None if lock is None else lock.holder.owner

    async def free(self, key: Any) -> None:
        """Return at an instant at which nobody holds `key`: enough for a read that keeps no lock after it."""
        while (lock := self._locks.get(key)) is not None:
            watcher = asyncio.get_running_loop().create_future()
            lock.watchers.append(watcher)
            await watcher

    async def _answer(self, lock: _Lock, request: _Request) -> str:
        try:
            async with asyncio.timeout(self._patience):
                return await request.answer
        except TimeoutError:
            if request not in lock.queue:  # granted at the very instant at which it ran out of patience
                return ""
            lock.queue.remove(request)
            return TOOK_TOO_LONG

    def _pass_on(self, key: Any, lock: _Lock) -> None:
        if lock.queue:
            lock.holder = lock.queue.pop(0)
            if not lock.holder.answer.done():
                lock.holder.answer.set_result("")
            return
        del self._locks[key]
        for watcher in lock.watchers:
            watcher.set_result(None)
