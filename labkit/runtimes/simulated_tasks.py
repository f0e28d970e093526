"""What the simulated loop runs: callbacks, timers, futures and tasks, each of which knows the node it belongs to."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import Any
from weakref import ref

from labkit.eager import kinds_of


class Incarnation:
    """One life of a simulated node: all that it has begun stops with it, or waits while it is paused.

    What belongs to it is what was begun while `SimulatedLoop.owner` was this object, whatever context it runs in.
    """

    def __init__(self, name: str):
        self.name = name
        self.alive = True
        self.runs = True  # it is alive and not paused
        self.backlog: deque[Any] = deque()
        self.exception_handler: Any = None
        self.task_factory: Any = None
        self.context = copy_context()
        self.failed: list[ref[SimulatedTask]] = []
        self._running: dict[int, SimulatedTask] = {}

    def crash(self) -> None:
        """End it for good."""
        self.alive = self.runs = False
        self.backlog.clear()

    def put_off(self, entry: Any) -> None:
        """Keep what is due until the node is resumed; a dead one never is."""
        if self.alive:
            self.backlog.append(entry)

    def keep(self, task: SimulatedTask) -> None:
        """Keep a task for as long as it runs: asyncio holds tasks only weakly."""
        task.owner = self
        self._running[id(task)] = task
        task.add_done_callback(at_its_end)

    def forget(self, task: SimulatedTask) -> None:
        """Let go of a task that has ended, so that a failed one of which nobody asks is reported at once."""
        del self._running[id(task)]
        if task._exception is not None:
            task.failed_us = task._loop.environment.now
            self.failed = [*(known for known in self.failed if known() is not None), ref(task)]

    def tasks(self) -> list[SimulatedTask]:
        """Those that have not ended, in the order in which they began."""
        return list(self._running.values())

    def never_asked(self) -> list[SimulatedTask]:
        """Tasks that have failed, and somebody still holds them, but has not asked how they ended."""
        if not self.alive:
            return []
        return [task for failed in self.failed if (task := failed()) is not None and task._log_traceback]


def at_its_end(task: SimulatedTask) -> None:
    """The callback of every kept task; the loop calls it at once instead of soon."""
    task.owner.forget(task)


class Handle(asyncio.Handle):
    """A callback that will run unless cancelled, or unless its node is dead by then; `SimulatedLoop` fills it in.

    Asyncio's own constructor asks the loop for its debug mode and keeps a stack for it.
    """

    __slots__ = ("owner",)
    _source_traceback = _repr = None

    def __init__(self) -> None:
        pass

    def cancel(self) -> None:
        self._callback = self._args = None

    def cancelled(self) -> bool:
        return self._callback is None

    @property
    def _cancelled(self) -> bool:
        return self._callback is None


class Timer(asyncio.TimerHandle):
    """A callback that is due at the virtual time `when`; `SimulatedLoop` fills it in."""

    __slots__ = ("owner",)
    _source_traceback = _repr = None

    def __init__(self) -> None:
        pass

    def cancel(self) -> None:
        if self._callback is not None:
            self._callback = self._args = None
            if self._scheduled:
                self._loop.timer_cancelled()

    def cancelled(self) -> bool:
        return self._callback is None

    @property
    def _cancelled(self) -> bool:
        return self._callback is None


class Numbered:
    """Gives tasks and futures a hash from a counter: asyncio keeps them in sets, and a hash made of an address
    would let the order of iteration, and so the history, differ from run to run."""

    def __hash__(self) -> int:
        # Numbered when first asked: that order is the same in every run too, and most futures are never asked.
        try:
            return self._number
        except AttributeError:
            loop = self._loop
            loop.numbers += 1
            self._number = loop.numbers
            return self._number


class SimulatedFuture(Numbered, asyncio.Future):
    """A future whose place in a set is the same in every run."""


class SimulatedTask(Numbered, asyncio.Task):
    """A task of one node's; to code of another node it belongs to some other loop, as it would on processes."""

    owner: Incarnation | None = None
    failed_us: int | None = None

    def get_loop(self) -> Any:
        loop, owner = self._loop, self.owner
        return loop if owner is None or loop.owner is None or loop.owner is owner else owner


KINDS = kinds_of(SimulatedTask, SimulatedFuture)
