"""Starting a handler at once, in a task of its own that costs next to nothing unless the handler waits.

Most request handlers never wait: they look something up and answer. A task for each would cost as much as all the rest
of a simulated message, and Python 3.12's eager tasks are no cheaper (and the order of events must be the same on 3.11).
So the task of a handler begins *unborn*: an object of the final identity, but not yet a task of anything. It is born,
which makes it an ordinary task of asyncio's, as soon as anybody touches it (`timeout`, `TaskGroup`, `cancel`), as soon
as the handler waits, or when somebody still holds it at the handler's end.

Asyncio's own task then steps the handler. It must not take the first step again, so where it is born with the handler
as its coroutine, the wait that the first step has come to is ours to end; elsewhere another coroutine stands between.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import tasks
from asyncio.tasks import _enter_task, _leave_task, _unregister_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from sys import getrefcount
from types import coroutine
from typing import Any, NamedTuple
from weakref import getweakrefcount, ref

Finish = Callable[[Any, Any, BaseException | None], None]


class Kinds(NamedTuple):
    """The classes of a handler's task, and of the futures that cannot be cancelled in vain."""

    unborn: type[asyncio.Task]
    born: type[asyncio.Task]
    waiting: type[asyncio.Task]
    future: type[asyncio.Future]


def kinds_of(base: type[asyncio.Task], future: type[asyncio.Future]) -> Kinds:
    """Classes for handlers' tasks that are, once born, tasks of the class `base`, on a loop that makes such futures."""

    class Common(base):
        __slots__ = ("_finish", "_starter", "_subject", "_waiter", "_work")

    class HandlerTask(Common):
        """The task of a handler; its coroutine is the handler's own, not what goes on with it after its first step."""

        __slots__ = ()

        def get_coro(self) -> Coroutine[Any, Any, Any]:
            return self._work

        @property
        def _coro(self) -> Coroutine[Any, Any, Any]:
            return self._work

    class WaitingTask(Common):
        """The task of a handler whose first step has come to wait for the future `_waiter`."""

        __slots__ = ()

        def cancel(self, msg: Any = None) -> bool:
            is_asked = super().cancel(msg)
            if is_asked:
                self._waiter.cancel(msg)  # of which asyncio does not know; later it is done, and this does nothing
            return is_asked

    class UnbornTask(Common):
        """A handler's task during its first step: whoever touches it gives birth to it."""

        __slots__ = ()

        def __setattr__(self, name: str, value: Any) -> None:
            self._starter.bear(self)
            setattr(self, name, value)

    for name in {*dir(HandlerTask)} - {*Common.__slots__}:
        if not name.startswith("__") or name in _SPECIAL:
            setattr(UnbornTask, name, _BornAtTouch(name))
    return Kinds(UnbornTask, HandlerTask, WaitingTask, future)


_SPECIAL = ("__await__", "__iter__", "__hash__", "__repr__")
"""The special methods that look into a task."""


class _BornAtTouch:
    """An attribute of an unborn task, which is born by the asking."""

    def __init__(self, name: str):
        self._name = name

    def __get__(self, task: Any, kind: Any) -> Any:
        if task is None:  # asked of the class, for some task that may be unborn
            return lambda task, *args, **kwargs: getattr(task, self._name)(*args, **kwargs)
        task._starter.bear(task)
        return getattr(task, self._name)

    def __set__(self, task: Any, value: Any) -> None:
        raise AssertionError("UnbornTask.__setattr__ goes before this, which only makes a data descriptor of it")


PLAIN = kinds_of(asyncio.Task, asyncio.Future)


class EagerStarter:
    """Starts the handlers of one node, each in a copy of `context`.

    `keep` is given each task that has to wait, and holds it for as long as it runs.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        keep: Callable[[asyncio.Task[Any]], object],
        kinds: Kinds = PLAIN,
    ):
        self._loop = loop
        self._context = context
        self._keep = keep
        self._unborn, self._born, self._waiting, self._future = kinds
        self._spare: Any = None  # an unborn task that nobody else has ever seen
        self._task: Any = None  # the one whose first step is under way
        self._work: Coroutine[Any, Any, Any]  # and what it does
        self._begun: _Begun | None = None  # and what follows that step, if the task has been born in it
        self._own: Context  # and its context
        _show_to_all_tasks(self)

    def start(self, work: Coroutine[Any, Any, Any], finish: Finish, subject: Any) -> None:
        """Run `work` up to its first wait, now; its task goes on with it if it does wait.

        When it ends, now or later, `finish` is called with `subject`, its value and None, or its error in their place.
        Not if it has been cancelled: cancelled work has no end to tell of. To be called outside every task.
        """
        self._own = context = self._context.copy()
        self._work = work
        self._task = task = self._spare or self._make_spare()
        loop = self._loop
        _enter_task(loop, task)
        try:
            awaited = context.run(work.send, None)
        except StopIteration as stop:
            _leave_task(loop, task)
            self._task = None
            if self._begun is None and getrefcount(task) == HELD_BY_US and not getweakrefcount(task):
                finish(subject, stop.value, None)
                return
            first = FirstStep(False, None, stop.value, None)
        except Exception as error:
            _leave_task(loop, task)
            self._task = None
            if self._begun is None and getrefcount(task) == HELD_BY_US and not getweakrefcount(task):
                finish(subject, None, error)  # a refusal, as a rule
                return
            first = FirstStep(False, None, None, error)
        except asyncio.CancelledError as error:
            _leave_task(loop, task)
            first = FirstStep(False, None, None, error)
        except BaseException:
            _leave_task(loop, task)
            self._task = self._begun = None
            raise
        else:
            _leave_task(loop, task)
            if type(awaited) is self._future and self._begun is None and awaited._asyncio_future_blocking:
                self._wait(task, awaited, finish, subject)
                return
            first = FirstStep(True, awaited, None, None)
        self._go_on(task, first, finish, subject)

    def _make_spare(self) -> Any:
        # To make one takes as long as all the rest of a first step, so one serves all handlers for which it is not
        # born. Initialised all the same: whoever calls asyncio's own methods with it must not meet an empty object.
        nothing = _nothing()
        nothing.close()
        self._spare = task = self._born.__new__(self._born)
        task._starter = self
        self._initialise(task, nothing, lambda step, context: None)
        task._log_destroy_pending = False
        _unregister_task(task)
        task.__class__ = self._unborn
        return task

    def _go_on(self, task: Any, first: FirstStep, finish: Finish, subject: Any) -> None:
        begun = self._begun or self._give_birth(task)
        self._task = self._begun = None
        if first.waits:
            self._keep(task)
        begun.go_on(first, finish, subject)

    def _wait(self, task: Any, awaited: asyncio.Future[Any], finish: Finish, subject: Any) -> None:
        self._task = self._spare = None
        _become(task, self._waiting)
        task._finish, task._subject, task._waiter = finish, subject, awaited
        steps: list[Callable[[], None]] = []
        self._initialise(task, self._work, lambda step, context: steps.append(step))
        (step,) = steps
        awaited._asyncio_future_blocking = False  # that it is awaited has been seen
        awaited.add_done_callback(lambda _: step(), context=self._own)
        task.add_done_callback(tell)
        self._keep(task)

    def _initialise(self, task: Any, work: Coroutine[Any, Any, Any], take_step: Callable[..., None]) -> None:
        # A new task asks its loop to call its step soon. Here that step is already under way, so it is ours to call.
        loop = self._loop
        loop.call_soon = take_step
        try:
            task.__init__(work, loop=loop, context=self._own)
        finally:
            del loop.call_soon

    def bear(self, task: Any) -> None:
        """Make the task whose first step is under way an ordinary task."""
        self._begun = self._give_birth(task)

    def _give_birth(self, task: Any) -> _Begun:
        self._spare = None
        _become(task, self._born)
        task._work = self._work
        begun = _Begun(task, self._own)
        self._initialise(task, begun.coroutine, begun.take_step)
        return begun


def tell(task: Any) -> None:
    """Tell of the end of a handler that had to wait; a callback of its task, which a loop may call at once."""
    if not task.cancelled():
        error = task.exception()
        task._finish(task._subject, None if error is not None else task.result(), error)
        if error is not None:
            # It has been told: asyncio need not complain of it. Asked once more later, since a task that calls this at
            # once will only then note that nobody has asked.
            task._loop.call_soon(task.exception)


class FirstStep(NamedTuple):
    """What a first step came to: it waits for something, has returned a value, or has raised an error."""

    waits: bool
    awaited: Any
    value: Any
    error: BaseException | None


class _Begun:
    """Lets a born task see, as the first thing that its coroutine does, what the first step has come to."""

    def __init__(self, task: Any, context: Context):
        self._task = task
        self._context = context
        self._take_it: Callable[[], None]
        self.coroutine = self._rest()
        self.coroutine.send(None)  # to its first await, where it can take a cancellation

    def take_step(self, step: Callable[[], None], context: Context | None = None) -> None:
        """What stands in for `call_soon` while the task is born."""
        self._take_it = step

    def go_on(self, first: FirstStep, finish: Finish, subject: Any) -> None:
        """Let the task go on from `first`."""
        self._first, self._finish, self._subject = first, finish, subject
        self._context.run(self._take_it)

    async def _rest(self) -> Any:
        # Since Python 3.12 a task takes nothing but a native coroutine.
        cancelled = await _cancelled_meanwhile()
        waits, awaited, value, error = self._first
        task, self._task = self._task, None  # or it would hold itself
        try:
            if error is not None:
                raise error
            if waits:
                value = await _go_on(task._work, awaited, cancelled)
            elif cancelled is not None:
                raise cancelled
        except Exception as raised:
            self._finish(self._subject, None, raised)
            task.add_done_callback(asyncio.Task.exception)  # it has been told: asyncio need not complain of it
            raise
        if not task._must_cancel:  # else asyncio is about to cancel it, although it has come to its end
            self._finish(self._subject, value, None)
        return value


@coroutine
def _cancelled_meanwhile() -> Generator[None, None, asyncio.CancelledError | None]:
    # A task that was cancelled in its first step is told by asyncio in what it takes to be the first.
    try:
        yield
    except asyncio.CancelledError as cancelled:
        return cancelled
    return None


@coroutine
def _go_on(
    work: Coroutine[Any, Any, Any], awaited: Any, cancelled: asyncio.CancelledError | None
) -> Generator[Any, Any, Any]:
    # `yield from` for a coroutine whose first yield has been taken already. As asyncio does at the end of a step, a
    # cancellation goes to what the step waits for; where that cannot be cancelled, it comes at the next.
    if cancelled is not None and asyncio.isfuture(awaited) and awaited.cancel(*cancelled.args):
        cancelled = None
    while True:
        try:
            yield awaited
            if cancelled is None:
                break
            cancelled, now = None, cancelled
            raise now
        except GeneratorExit:  # the end of the run, which may have closed the handler already
            work.close()
            raise
        except BaseException as error:
            try:
                awaited = work.throw(error)
            except StopIteration as stop:
                return stop.value
    return (yield from work.__await__())


def _become(task: Any, kind: type[asyncio.Task]) -> None:
    object.__setattr__(task, "__class__", kind)  # to set it in the usual way would touch an unborn task


async def _nothing() -> None:
    """The coroutine of a spare task."""


def _held_by_us() -> int:
    spare = object()
    task = spare  # as `start` holds it: in an attribute, in a local variable, and as getrefcount's argument
    return getrefcount(task)


HELD_BY_US = _held_by_us()
"""References to an unborn task that nobody else holds."""


class _WhoeverBegins:
    """Stands in a set of weak references for whichever task takes its first step."""

    def __init__(self, starter: EagerStarter, registry: set[Any]):
        self._starter = ref(starter, lambda _: registry.discard(self))

    def __call__(self) -> asyncio.Task[Any] | None:
        starter = self._starter()
        return None if starter is None else starter._task


def _show_to_all_tasks(starter: EagerStarter) -> None:
    # `asyncio.all_tasks` asks each weak reference of a set for its task. To add one for every handler and to remove it
    # would take a tenth of a message's time; so one stands for all of a node's.
    registry = (tasks._all_tasks if sys.version_info < (3, 12) else tasks._scheduled_tasks).data
    registry.add(_WhoeverBegins(starter, registry))
