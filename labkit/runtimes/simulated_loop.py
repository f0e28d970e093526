"""An asyncio event loop in virtual time: its clock is a SimPy environment in whole microseconds.

Ready callbacks run first in, first out; when none is left, SimPy's next event moves the clock. Plain
`asyncio.sleep`, `timeout`, `gather`, `TaskGroup`, `Queue` and `Event` work unchanged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL, Event

from labkit.errors import NodeFailure

Callback = Callable[..., object]

SAME_INSTANT_LIMIT = 1_000_000
"""Steps at one instant of virtual time after which a run is taken to be stuck."""

FEW = 1000
"""Tasks that may be kept after they have ended."""

EVENTS_AT_A_TIME = 4096
"""How many events run between two looks at whether somebody wants the run to stop."""


class Incarnation:
    """One life of a simulated node: everything that runs in its context stops with it, or waits while it waits."""

    def __init__(self, name: str):
        self.name = name
        self.alive = True
        self.paused = False
        self.backlog: list[Callable[[], object]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._room = FEW
        self.context = copy_context()
        self.context.run(_INCARNATION.set, self)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task for as long as it runs: asyncio holds tasks only weakly."""
        self._tasks.append(task)
        if len(self._tasks) > self._room:  # now and then: a callback for each would cost each a step of the loop
            self._tasks = self.tasks()
            self._room = 2 * len(self._tasks) + FEW

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those that have not ended, in the order in which they began."""
        return [task for task in self._tasks if not task.done()]


_INCARNATION: ContextVar[Incarnation | None] = ContextVar("incarnation", default=None)


class _Handle:
    """A callback that will run unless cancelled (asyncio's own handles drag in logging and source tracking)."""

    __slots__ = ("args", "callback", "cancelled_", "context", "when_")

    def __init__(self, callback: Callback, args: tuple, context: Context, when: float = 0.0):
        self.callback = callback
        self.args = args
        self.context = context
        self.cancelled_ = False
        self.when_ = when

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self.when_


class _Numbered:
    """Gives tasks and futures a hash from a counter: asyncio keeps them in sets, and a hash made of an address
    would let the order of iteration, and so the history, differ from run to run."""

    def __hash__(self) -> int:
        # Numbered when first asked: that order is the same in every run too, and most futures are never asked.
        try:
            return self._number
        except AttributeError:
            loop = self.get_loop()
            loop.numbers += 1
            self._number = loop.numbers
            return self._number


class _Future(_Numbered, asyncio.Future):
    pass


class _Task(_Numbered, asyncio.Task):
    pass


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs coroutines in virtual time; one object, one run.

    Entries of SimPy's queue are events of SimPy's own, functions to call, or tuples, which go to `arrive`.
    """

    def __init__(self, arrive: Callable[[tuple], None] | None = None) -> None:
        self._arrive = arrive
        self.environment = simpy.Environment(0)
        self.numbers = 0
        self.errors: list[BaseException] = []
        self._ready: deque[_Handle] = deque()
        self._running = False
        self._stopped = False

    # What asyncio itself asks of a loop.

    def time(self) -> float:
        """Virtual time in seconds."""
        return self.environment.now / 1e6

    def get_debug(self) -> bool:
        """Asyncio's debug mode: off."""
        return False

    def is_running(self) -> bool:
        """Whether `run_until` is under way."""
        return self._running

    def is_closed(self) -> bool:
        """Never: a simulated loop holds nothing that needs closing."""
        return False

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> Any:
        """Run `callback` after everything that is ready now, at the same instant."""
        handle = _Handle(callback, args, context or copy_context())
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callback, *args: Any, context: Context | None = None) -> Any:
        """Run `callback` in `delay` virtual seconds."""
        return self._call_in_us(round(delay * 1e6), callback, args, context or copy_context())

    def call_at(self, when: float, callback: Callback, *args: Any, context: Context | None = None) -> Any:
        """Run `callback` at the virtual time `when`."""
        delay_us = round(when * 1e6) - self.environment.now
        return self._call_in_us(delay_us, callback, args, context or copy_context())

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose place in a set is the same in every run."""
        return _Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: object,
    ) -> asyncio.Task[Any]:
        """A task; it belongs to the node in whose context it is created."""
        task = _Task(coro, loop=self, context=context)
        if name is not None:
            task.set_name(name)
        owner = (context or copy_context()).get(_INCARNATION)
        if owner is not None:
            owner.keep(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep an error that nobody awaited, so that the run reports it."""
        self.fail(context.get("exception") or NodeFailure(context["message"]))

    # What the simulated runtime asks of it.

    def schedule_us(self, delay_us: int, run: Callable[[], object]) -> None:
        """Call ``run()`` after `delay_us`, outside every node's context."""
        environment = self.environment
        heappush(environment._queue, (environment._now + delay_us, NORMAL, next(environment._eid), run))

    def fail(self, error: BaseException) -> None:
        """Keep an error and let `run_until` return."""
        self.errors.append(error)
        self.stop()

    def stop(self) -> None:
        """Let `run_until` return at the end of this instant."""
        self._stopped = True

    def run_until(self, limit_us: int, check: Callable[[], None]) -> bool:
        """Run until `stop` is called; False if the limit came, or nothing was left to do, or an error was kept.

        `check` is called now and then, so that it can raise to interrupt the run.
        """
        self._running, self._stopped = True, bool(self.errors)
        previous = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            instant, steps = -1, 0
            while self._run_some(limit_us):
                check()
                now = self.environment.now
                instant, steps = now, steps + EVENTS_AT_A_TIME if now == instant else 0
                if steps > SAME_INSTANT_LIMIT:
                    raise self._stuck()
        finally:
            asyncio._set_running_loop(previous)
            self._running = False
        return self._stopped and not self.errors

    def _run_some(self, limit_us: int) -> bool:
        # Some thousand events; False when there is nothing more to do, or no leave to do it.
        environment, ready, arrive = self.environment, self._ready, self._arrive
        queue = environment._queue
        for _ in range(EVENTS_AT_A_TIME):
            if ready:
                self._run_ready()
            if self._stopped or not queue or queue[0][0] > limit_us:
                return False
            # Our own entries are messages and plain functions, without the callbacks and values of a SimPy event;
            # what node code makes with SimPy itself takes SimPy's own way.
            entry = queue[0][3]
            if type(entry) is tuple:
                environment._now = heappop(queue)[0]
                arrive(entry)
            elif isinstance(entry, Event):
                environment.step()
            else:
                environment._now = heappop(queue)[0]
                entry()
        return True

    def _run_ready(self) -> None:
        ready = self._ready
        left = SAME_INSTANT_LIMIT
        while ready:
            handle = ready.popleft()
            left -= 1
            if not left:
                raise self._stuck()
            if handle.cancelled_:
                continue
            owner = handle.context.get(_INCARNATION)
            if owner is None or (owner.alive and not owner.paused):
                handle.context.run(handle.callback, *handle.args)
            elif owner.alive:
                owner.backlog.append(lambda handle=handle: ready.append(handle))

    def _stuck(self) -> NodeFailure:
        now = self.time()
        return NodeFailure(f"{SAME_INSTANT_LIMIT} steps at {now:.6f} s: some node loops without letting time pass")

    def _call_in_us(self, delay_us: int, callback: Callback, args: tuple, context: Context) -> _Handle:
        # Never earlier than now: asyncio allows a time that has passed and means "as soon as possible".
        delay_us = max(delay_us, 0)
        handle = _Handle(callback, args, context, (self.environment.now + delay_us) / 1e6)
        self.schedule_us(delay_us, partial(self._ready.append, handle))
        return handle
