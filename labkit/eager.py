"""Starting a coroutine at once, and giving it a task only if it has to wait.

Most request handlers never wait: they look something up and answer. Making a task for each would cost more than the
rest of a simulated message together. Python 3.12 has eager tasks, but the order of events must be the same on 3.11.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def start_eagerly(
    loop: asyncio.AbstractEventLoop,
    create_task: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    work: Coroutine[Any, Any, Any],
    finish: Callable[[T, Any, BaseException | None], None],
    subject: T,
) -> None:
    """Run `work` up to its first wait, now; if it does wait, let a task from `create_task` go on with it.

    When it ends, now or later, `finish` is called with `subject`, its value and None, or its error in their place.
    """
    unborn = _UnbornTask()
    _enter_task(loop, unborn)  # asyncio.timeout and TaskGroup ask for the current task
    try:
        awaited = work.send(None)
    except StopIteration as stop:
        finish(subject, stop.value, None)
        return
    except asyncio.CancelledError:
        return  # as for a task: cancelled work has no end to tell of
    except Exception as error:
        finish(subject, None, error)
        return
    finally:
        _leave_task(loop, unborn)
    _mark(awaited, False)
    unborn.become(create_task(_go_on(work, awaited, finish, subject)))


async def _go_on(
    work: Coroutine[Any, Any, Any], awaited: Any, finish: Callable[[T, Any, BaseException | None], None], subject: T
) -> None:
    # Since Python 3.12 a task takes nothing but a native coroutine.
    try:
        value = await _rest(work, awaited)
    except Exception as error:
        finish(subject, None, error)
    else:
        finish(subject, value, None)


@coroutine
def _rest(work: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    # `yield from` for a coroutine whose first yield has been taken already.
    _mark(awaited, True)
    while True:
        try:
            sent = yield awaited
        except BaseException as error:
            step, argument = work.throw, error
        else:
            step, argument = work.send, sent
        try:
            awaited = step(argument)
        except StopIteration as stop:
            return stop.value


def _mark(awaited: Any, is_awaited: bool) -> None:
    # A future that has been awaited bears a mark until the waiting task sees it, and cannot be awaited by anybody else
    # while it does. Here the task sees it later only, and another handler may await the same future before that.
    if hasattr(awaited, "_asyncio_future_blocking"):
        awaited._asyncio_future_blocking = is_awaited


class _UnbornTask:
    """The current task during the eager step: whatever is kept of it becomes the real task, if there is one."""

    _task: asyncio.Task[None] | None = None
    _cancelled = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def cancel(self, msg: Any = None) -> bool:
        if self._task is not None:
            return self._task.cancel(msg)
        self._cancelled = True
        return True

    def cancelling(self) -> int:
        return int(self._cancelled) if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        if self._task is not None:
            return self._task.uncancel()
        self._cancelled = False
        return 0

    def become(self, task: asyncio.Task[None]) -> None:
        self._task = task
        if self._cancelled:
            task.cancel()
