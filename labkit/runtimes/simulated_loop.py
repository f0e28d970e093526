"""An asyncio event loop in virtual time: its clock is a SimPy environment in whole microseconds.

It keeps asyncio's contract: what is ready runs first in, first out; all that is due at an instant runs before what it
wakes; a timer is never early. Only the waiting is left out: when nothing is ready, the clock moves to what is due
next. Plain `asyncio.sleep`, `timeout`, `gather`, `TaskGroup`, `Queue` and `Event` work unchanged.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Any

import simpy
from simpy.events import NORMAL, Event

from labkit.eager import tell
from labkit.errors import LabkitError, NodeFailure
from labkit.runtimes.shared_loop import SharedLoop
from labkit.runtimes.simulated_tasks import Handle, Incarnation, SimulatedFuture, SimulatedTask, Timer, at_its_end

Callback = Callable[..., object]

SAME_INSTANT_LIMIT = 1_000_000
"""Steps at one instant of virtual time after which a run is taken to be stuck."""

EVENTS_AT_A_TIME = 4096
"""How many events run between two looks at whether somebody wants the run to stop."""

_new_handle = asyncio.Handle.__new__  # the constructor would cost as much as all that a handle is for

RESOLUTION_US = 1e-3
"""By how much of a microsecond a sum of floats may be off: the nanosecond that asyncio allows for, too."""

FEW_CANCELLED = 100
"""Cancelled timers that may stay in the queue whatever its length."""


class SimulatedLoop(SharedLoop):
    """Runs coroutines in virtual time; one object, one run.

    Entries of SimPy's queue are events of SimPy's own, callbacks and timers, functions to call, or tuples: messages,
    whose third is the name of their receiver.
    """

    def __init__(self) -> None:
        super().__init__()
        self.receivers: dict[str, tuple[Callable[[tuple], None], Incarnation]] = {}
        self.environment = simpy.Environment(0)
        self.numbers = 0
        self._cancelled = 0  # timers in the queue that will never fire
        self._fired = 0.0  # the latest time that a timer which has fired was set to

    # What asyncio itself asks of a loop.

    def time(self) -> float:
        """Virtual time in seconds, and never before a timer that has fired."""
        # 0.1 + 0.2 is a little more than 0.3: a timer set to it fires at 300,000 µs, and must not seem early.
        now = self.environment._now / 1e6
        return now if now > self._fired else self._fired

    def set_debug(self, enabled: bool) -> None:
        """Asyncio's debug mode; off unless somebody asks for it."""
        self._debug = self._careful = enabled
        self.get_debug = partial(bool, enabled)  # in C: asked for by every future that is made

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> asyncio.Handle:
        """Run `callback` after everything that is ready now, at the same instant."""
        if callback is at_its_end or callback is tell:  # they need not wait: they only look at what has ended
            callback(*args)
            return None
        if self._careful:
            self._check(callback, "call_soon")
        handle = _new_handle(Handle)
        handle._callback = callback
        handle._args = args
        handle._loop = self
        handle.owner = self.owner
        handle._context = copy_context() if context is None else context
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callback, *args: Any, context: Context | None = None) -> Any:
        """Run `callback` in `delay` virtual seconds; never if that is infinite."""
        if delay is None:
            raise TypeError("delay must not be None")
        return self._set_timer(self.time() + delay, callback, args, context)

    def call_at(self, when: float, callback: Callback, *args: Any, context: Context | None = None) -> Any:
        """Run `callback` at the virtual time `when`: in the first microsecond that is not before it."""
        if when is None:
            raise TypeError("when cannot be None")
        return self._set_timer(when, callback, args, context)

    def _set_timer(self, when: float, callback: Callback, args: tuple, context: Context | None) -> Timer:
        if self._careful:
            self._check(callback, "call_at")
        timer = _new_handle(Timer)
        timer._callback, timer._args, timer._loop, timer.owner = callback, args, self, self.owner
        timer._context = copy_context() if context is None else context
        timer._when, timer._scheduled = when, True
        environment = self.environment
        try:
            due_us = ceil(when * 1e6 - RESOLUTION_US)
        except OverflowError:
            if when > 0:  # infinity
                timer._scheduled = False
                return timer
            due_us = 0
        if due_us < environment._now:
            due_us = environment._now
        heappush(environment._queue, (due_us, NORMAL, next(environment._eid), timer))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose place in a set is the same in every run."""
        return SimulatedFuture(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None, **more: Any
    ) -> asyncio.Task[Any]:
        """A task; it belongs to the node that creates it."""
        if self._task_factory is not None or self._closed:
            return super().create_task(coro, name=name, context=context, **more)
        task = SimulatedTask(coro, loop=self, name=name, context=context, **more)
        if self.owner is not None:
            self.owner.keep(task)
        return task

    def timer_cancelled(self) -> None:
        """Note that a timer in the queue will not fire; now and then, drop all of those."""
        self._cancelled += 1
        queue = self.environment._queue
        if self._cancelled > FEW_CANCELLED and self._cancelled > len(queue) // 2:
            queue[:] = [entry for entry in queue if type(entry[3]) is not Timer or entry[3]._callback is not None]
            heapify(queue)
            self._cancelled = 0

    def close(self) -> None:
        """Drop all that is left."""
        super().close()
        self._careful = True
        self.environment._queue.clear()

    def _check(self, callback: Callback, method: str) -> None:
        self._check_closed()
        self._check_callback(callback, method)

    # What the simulated runtime asks of it.

    def handle_for(self, owner: Incarnation, callback: Callback) -> Handle:
        """What calls ``callback()`` as a node, once it is due."""
        handle = _new_handle(Handle)
        handle._callback, handle._args, handle._loop = callback, (), self
        handle._context, handle.owner = owner.context, owner
        return handle

    def schedule_us(self, delay_us: int, run: Callable[[], object]) -> None:
        """Call ``run()`` after `delay_us`, on behalf of no node; or a `Handle`, on behalf of its own."""
        environment = self.environment
        heappush(environment._queue, (environment._now + delay_us, NORMAL, next(environment._eid), run))

    def make_ready(self, backlog: deque[Any]) -> None:
        """Let what has waited for a paused node run now, in the order in which it came."""
        self._ready.extend(backlog)
        backlog.clear()

    def run_until(self, limit_us: int, check: Callable[[], None]) -> bool:
        """Run until `end` is called; False if the limit came, or nothing was left to do, or an error was kept.

        `check` is called now and then, so that it can raise to interrupt the run.
        """
        self._stopping = bool(self.errors)
        with self.running():
            instant, steps = -1, 0
            while self._run_some(limit_us):
                check()
                now = self.environment._now
                instant, steps = now, steps + EVENTS_AT_A_TIME if now == instant else 0
                if steps > SAME_INSTANT_LIMIT:
                    raise self._stuck()
        return self._stopping and not self.errors

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop; unlike `run_forever`, also within another: a notebook's kernel runs its cells in one."""
        previous, hooks = events._get_running_loop(), sys.get_asyncgen_hooks()
        self._thread_id = threading.get_ident()
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(previous)
            self._thread_id = self.owner = None

    def _run_some(self, limit_us: int) -> bool:
        # Some thousand events; False when there is nothing more to do, or no leave to do it.
        environment, ready, receivers = self.environment, self._ready, self.receivers
        queue = environment._queue
        for _ in range(EVENTS_AT_A_TIME):
            left = SAME_INSTANT_LIMIT
            while ready:
                if queue and queue[0][0] <= environment._now:  # a delay of nothing
                    self._become_ready()
                left -= self._run_pass()
                if left < 0:
                    raise self._stuck()
            if self._stopping or not queue:
                return False
            now, _, _, entry = queue[0]
            if now > limit_us:
                return False
            environment._now = now
            if type(entry) is tuple:
                heappop(queue)
                if not queue or queue[0][0] != now:
                    receive, owner = receivers[entry[2]]
                    if owner.runs:
                        self.owner = owner
                        try:
                            receive(entry)
                        except BaseException as error:
                            self._failed(receive, owner, error)
                    else:
                        owner.put_off(entry)
                    continue
                ready.append(entry)
            elif isinstance(entry, Event):  # what node code makes with SimPy itself takes SimPy's own way
                environment.step()
                continue
            self._become_ready()
        return True

    def _run_once(self) -> None:
        # One turn, as `run_forever` asks for it.
        environment = self.environment
        if not self._ready and not self._stopping:
            if not environment._queue:
                raise RuntimeError("nothing is left that could happen: what is awaited will never come")
            environment._now = max(environment._queue[0][0], environment._now)
        self._become_ready()
        self._run_pass()

    def _become_ready(self) -> None:
        # All that is due at this instant, before anything that it wakes: timers in the order of their times, as in
        # asyncio, after the messages, which a real loop would have read from its sockets first.
        environment, ready = self.environment, self._ready
        queue, now = environment._queue, environment._now
        timers = []
        while queue and queue[0][0] <= now:
            entry = queue[0][3]
            if type(entry) is Timer:
                timers.append(entry)
            elif isinstance(entry, Event):
                break
            else:
                ready.append(entry)
            heappop(queue)
        if len(timers) > 1:
            timers.sort(key=_when)
        for timer in timers:
            if self._fire(timer):
                ready.append(timer)

    def _fire(self, timer: Timer) -> bool:
        timer._scheduled = False
        if timer._callback is None:
            self._cancelled -= 1
            return False
        if timer._when > self._fired:
            self._fired = timer._when
        return True

    def _run_pass(self) -> int:
        # What was ready at its begin: what that makes ready has to wait for the next.
        ready = self._ready
        count = len(ready)
        for _ in range(count):
            entry = ready.popleft()
            kind = type(entry)
            if kind is Handle or kind is Timer:
                callback = entry._callback
                if callback is None:
                    continue
                owner = self.owner = entry.owner
                if owner is not None and not owner.runs:
                    owner.put_off(entry)
                    continue
                try:
                    entry._context.run(callback, *entry._args)
                except BaseException as error:
                    self._failed(entry, owner, error)
            elif kind is tuple:
                self.receive(entry)
            else:
                self.owner = None
                entry()
        return count

    def receive(self, message: tuple) -> None:
        # As `_run_some` does for nearly every message.
        receive, owner = self.receivers[message[2]]
        if not owner.runs:
            owner.put_off(message)
            return
        self.owner = owner
        try:
            receive(message)
        except BaseException as error:
            self._failed(receive, owner, error)

    def _failed(self, handle: Any, owner: Incarnation | None, error: BaseException) -> None:
        # SystemExit in a node is the end of that node, not of the process that simulates it.
        if isinstance(error, KeyboardInterrupt):
            raise error
        if isinstance(error, SystemExit):
            if owner is None:
                raise error
            self.fail(error, owner)
            return
        message = f"Exception in callback {handle!r}"
        self.call_exception_handler({"message": message, "exception": error, "handle": handle})

    def _stuck(self) -> LabkitError:
        now = self.environment._now / 1e6
        return NodeFailure(f"{SAME_INSTANT_LIMIT} steps at {now:.6f} s: some node loops without letting time pass")


def _when(timer: Timer) -> float:
    return timer._when
