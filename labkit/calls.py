"""Calls between nodes: three-valued outcomes, and waiting for a quorum of them.

A call ends in one of three ways, and the difference between the last two is what much of the book is about:

* ``ok``: the answer arrived;
* ``fail``: the callee answered that it did *not* do it (it raised `Refused`);
* ``unknown``: no answer arrived in time, so it may or may not have happened.

A broken connection is no answer: a caller cannot tell a crashed process from a slow network, so neither can a
node of this package. Only its own timeout ends the wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from typing import Any

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"


class CallError(Exception):
    """A call, or a quorum of calls, that did not end in ``ok``; `outcome` is ``fail`` or ``unknown``."""

    outcome = UNKNOWN


class Refused(CallError):
    """The callee answered that it has done nothing. Raise it in a handler to refuse a request."""

    outcome = FAIL


class Unanswered(CallError):
    """No answer within the timeout: the request, the answer, or neither may have been lost."""


class QuorumNotReached(CallError):
    """Too many calls ended without ``ok`` for the quorum still to be reached.

    The outcome is ``fail`` only when every call was refused: one answer or one silence means that some node may
    have acted.
    """

    def __init__(self, needed: int, calls: Iterable[Call]):
        outcomes = [call.outcome for call in calls]
        super().__init__(f"{outcomes.count(OK)} of {len(outcomes)} answered, {needed} needed")
        self.outcome = FAIL if all(outcome == FAIL for outcome in outcomes) else UNKNOWN


class Call:
    """One request under way; await it for the answer, or hand it to `first`, `settled` or `answers`.

    Awaiting returns the answer or raises `Refused` or `Unanswered`. Cancelling the waiter does not take the
    request back: it may still be carried out.
    """

    __slots__ = ("_watchers", "method", "outcome", "target", "value")

    def __init__(self, target: str, method: str):
        self.target = target
        self.method = method
        self.outcome: str | None = None
        self.value: Any = None
        self._watchers: Callable[[Call], None] | list[Callable[[Call], None]] | None = None

    def __repr__(self) -> str:
        return f"<Call {self.target}.{self.method}: {self.outcome or 'under way'}>"

    def settle(self, outcome: str, value: Any) -> None:
        """End the call (runtimes call this once, when the answer arrives or the time is up)."""
        self.outcome, self.value = outcome, value
        watchers = self._watchers
        if watchers is not None:
            self._watchers = None
            if type(watchers) is list:
                for watcher in watchers:
                    watcher(self)
            else:
                watchers(self)

    def watch(self, watcher: Callable[[Call], None]) -> None:
        """Call `watcher(self)` when the call ends, or now if it has ended."""
        if self.outcome is not None:
            watcher(self)
        elif self._watchers is None:
            self._watchers = watcher  # nearly always the only one
        elif type(self._watchers) is list:
            self._watchers.append(watcher)
        else:
            self._watchers = [self._watchers, watcher]

    def result(self) -> Any:
        """The answer of a call that has ended; raises `Refused` or `Unanswered` where there is none."""
        if self.outcome == OK:
            return self.value
        error = Refused if self.outcome == FAIL else Unanswered
        raise error(f"{self.target}.{self.method}: {self.value or 'no answer'}")

    def __await__(self) -> Generator[Any, None, Any]:
        if self.outcome is None:
            future = asyncio.get_running_loop().create_future()
            self.watch(lambda _: None if future.done() else future.set_result(None))
            yield from future
        return self.result()


async def first(needed: int, calls: Iterable[Call]) -> list[Any]:
    """The first `needed` answers, in order of arrival, as soon as they are there.

    The other calls go on. Raises `QuorumNotReached` as soon as the quorum has become impossible, and
    `ValueError` at once if there are fewer calls than answers needed.
    """
    calls = list(calls)
    if not 0 <= needed <= len(calls):
        raise ValueError(f"a quorum of {needed} cannot be reached with {len(calls)} calls")
    reached = asyncio.get_running_loop().create_future()
    answered: list[Any] = []
    spare = len(calls) - needed

    def ended(call: Call) -> None:
        nonlocal spare
        if call.outcome == OK:
            answered.append(call.value)
        else:
            spare -= 1
        if (len(answered) >= needed or spare < 0) and not reached.done():
            reached.set_result(spare >= 0)

    for call in calls:
        call.watch(ended)
    if needed and not await reached:
        raise QuorumNotReached(needed, calls)
    return answered[:needed]


async def settled(calls: Iterable[Call]) -> list[Call]:
    """All of the calls, in the order given, once every one of them has ended; raises nothing."""
    calls = list(calls)
    async for _ in answers(calls):
        pass
    return calls


async def answers(calls: Iterable[Call]) -> AsyncIterator[Call]:
    """The calls one by one as they end, whatever their outcome; each ends by its own timeout at the latest."""
    calls = list(calls)
    ended: asyncio.Queue[Call] = asyncio.Queue()
    for call in calls:
        call.watch(ended.put_nowait)
    for _ in calls:
        yield await ended.get()
