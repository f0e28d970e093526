"""Starting a handler at once, in a task of its own that costs next to nothing unless the handler waits.

Most request handlers never wait: they look something up and answer. A task for each would cost as much as all the rest
of a simulated message, and Python 3.12's eager tasks are no cheaper (and the order of events must be the same on 3.11).
So the task of a handler begins *unborn*: an object of the final identity, but not initialised. It is born, which makes
it an ordinary task of asyncio's, as soon as anybody touches it (`timeout`, `TaskGroup`, `cancel`), as soon as the
handler waits, or when somebody still holds it at the handler's end.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import tasks
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from sys import getrefcount
from types import coroutine
from typing import Any, NamedTuple
from weakref import ref

Finish = Callable[[Any, Any, BaseException | None], None]


class Kinds(NamedTuple):
    """The two classes of a handler's task: what it is until it is born, and what it is from then on."""

    unborn: type[asyncio.Task]
    born: type[asyncio.Task]


def kinds_of(base: type[asyncio.Task]) -> Kinds:
    """Classes for handlers' tasks that are, once born, tasks of the class `base`."""

    class Common(base):
        __slots__ = ("_starter", "_work")

    class HandlerTask(Common):
        """The task of a handler; its coroutine is the handler's own, not what goes on with it after its first step."""

        __slots__ = ()

        def get_coro(self) -> Coroutine[Any, Any, Any]:
            return self._work

        @property
        def _coro(self) -> Coroutine[Any, Any, Any]:
            return self._work

    class UnbornTask(Common):
        """A handler's task during its first step: whoever touches it gives birth to it."""

        __slots__ = ()

    for name in {*dir(HandlerTask)} - {*Common.__slots__}:
        if not name.startswith("__") or name in _SPECIAL:
            setattr(UnbornTask, name, _BornAtTouch(name))
    return Kinds(UnbornTask, HandlerTask)


_SPECIAL = ("__await__", "__iter__", "__hash__", "__repr__")
"""The special methods that look into a task."""


class _BornAtTouch:
    """An attribute of an unborn task, which is born by the asking."""

    def __init__(self, name: str):
        self._name = name

    def __get__(self, task: Any, kind: Any) -> Any:
        if task is None:  # asked of the class
            return getattr(asyncio.Task, self._name)
        task._starter.bear(task)
        return getattr(task, self._name)

    def __set__(self, task: Any, value: Any) -> None:
        task._starter.bear(task)
        setattr(task, self._name, value)


PLAIN = kinds_of(asyncio.Task)


class EagerStarter:
    """Starts the handlers of one node, each in a copy of `context`; `keep` is given each task that has to wait."""

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
        self._unborn, self._born = kinds
        self._task: Any = None  # the one whose first step is under way
        self._begun: _Begun | None = None  # and what follows that step, if the task has been born in it
        self._own: Context  # and its context
        _show_to_all_tasks(self)

    def start(self, work: Coroutine[Any, Any, Any], finish: Finish, subject: Any) -> None:
        """Run `work` up to its first wait, now; its task goes on with it if it does wait.

        When it ends, now or later, `finish` is called with `subject`, its value and None, or its error in their place.
        Not if it has been cancelled: cancelled work has no end to tell of. To be called outside every task.
        """
        self._own = context = self._context.copy()
        self._task = task = self._unborn.__new__(self._unborn)
        task._starter, task._work = self, work
        _enter_task(self._loop, task)
        waits, awaited, value, error = False, None, None, None
        try:
            awaited = context.run(work.send, None)
            waits = True
        except StopIteration as stop:
            value = stop.value
        except (Exception, asyncio.CancelledError) as raised:
            error = raised
        finally:
            _leave_task(self._loop, task)
            self._task, begun, self._begun = None, self._begun, None
        if waits or begun is not None or getrefcount(task) > HELD_BY_US:
            if begun is None:
                begun = self._give_birth(task)
            if waits:
                self._keep(task)
            begun.go_on(FirstStep(waits, awaited, value, error), finish, subject)
        elif not isinstance(error, asyncio.CancelledError):
            finish(subject, value, error)

    def bear(self, task: Any) -> None:
        """Make the task whose first step is under way an ordinary task."""
        self._begun = self._give_birth(task)

    def _give_birth(self, task: Any) -> _Begun:
        task.__class__ = self._born
        begun = _Begun(task, self._own)
        # A new task asks its loop to call its step soon. Here that step is already under way, so it is ours to call.
        loop = self._loop
        loop.call_soon = begun.take_step
        try:
            task.__init__(begun.rest(), loop=loop, context=self._own)
        finally:
            del loop.call_soon
        return begun


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

    def take_step(self, step: Callable[[], None], context: Context | None = None) -> None:
        """What stands in for `call_soon` while the task is born."""
        self._take_it = step

    def go_on(self, first: FirstStep, finish: Finish, subject: Any) -> None:
        """Let the task go on from `first`."""
        self._first, self._finish, self._subject = first, finish, subject
        self._context.run(self._take_it)

    async def rest(self) -> Any:
        """The coroutine of the born task."""
        # Since Python 3.12 a task takes nothing but a native coroutine.
        _, awaited, value, error = first = self._first
        task, self._task = self._task, None  # or it would hold itself
        try:
            if error is not None:
                raise error
            if first.waits:
                value = await _rest(task._work, awaited)
        except Exception as raised:
            self._tell(task, None, raised)
            task.add_done_callback(asyncio.Task.exception)  # it has been told: asyncio need not complain of it
            raise
        self._tell(task, value, None)
        return value

    def _tell(self, task: Any, value: Any, error: BaseException | None) -> None:
        if not task._must_cancel:  # else asyncio is about to cancel it, although it has come to its end
            self._finish(self._subject, value, error)


@coroutine
def _rest(work: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    # `yield from` for a coroutine whose first yield has been taken already.
    while True:
        try:
            yield awaited
            break
        except GeneratorExit:  # the end of the run, which may have closed the handler already
            work.close()
            raise
        except BaseException as error:
            try:
                awaited = work.throw(error)
            except StopIteration as stop:
                return stop.value
    return (yield from work.__await__())


def _held_by_us() -> int:
    task = object()  # as `start` holds it: in a local variable, and as getrefcount's argument
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
