"""Ordinary asyncio in node code: each method is a program, and its answer is what plain asyncio makes of it.

The same object runs three times: by itself under `asyncio.run`, as a simulated node, and as a process of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Awaitable, Callable
from typing import Any

from labkit import Node

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="-")

Ask = Callable[..., Awaitable[Any]]


class OwnedLock:
    """A lock that its owner may take again; the owner is known by its task."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None

    async def take(self) -> None:
        if self._owner is asyncio.current_task():
            return
        await self._lock.acquire()
        self._owner = asyncio.current_task()


async def ignored() -> None:
    raise ValueError("nobody asks for this")


class Programs(Node):
    """One handler a program."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._kept: list[asyncio.Task[Any]] = []

    async def timeout_of_nothing(self) -> list[str]:
        seen = []
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(1)
        except TimeoutError:
            seen.append("timed out")
        finally:
            seen.append("finally")
        return seen

    async def cancel_myself(self) -> list[str]:
        seen = ["cancelled" if asyncio.current_task().cancel("enough") else "not cancelled"]
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError as error:
            seen.append(f"at the await: {error}, {asyncio.current_task().cancelling()}")
            asyncio.current_task().uncancel()
        finally:
            seen.append("finally")
        return seen

    async def timeout_around_a_group(self) -> list[str]:
        seen = []

        async def child() -> None:
            raise KeyError("child")

        try:
            async with asyncio.timeout(0.1):
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(child())
                        await asyncio.sleep(1)
                except* KeyError:
                    seen.append("the child's error")
                await asyncio.sleep(1)
        except TimeoutError:
            seen.append("timed out")
        return seen

    async def lock_by_task(self) -> list[bool]:
        lock, me = OwnedLock(), asyncio.current_task()
        await lock.take()
        name = asyncio.current_task().get_name()
        await asyncio.sleep(0.01)
        await lock.take()
        now = asyncio.current_task()
        return [now is me, now.get_name() == name, isinstance(me, asyncio.Task), me in asyncio.all_tasks()]

    async def first_step(self) -> list[Any]:
        me = asyncio.current_task()
        return [
            me in asyncio.all_tasks(),
            me.get_coro().__name__,
            me.done(),
            me.cancelling(),
            me.get_loop() is asyncio.get_running_loop(),
            {me: 1}[asyncio.current_task()],
            len(me.get_stack()) > 0,
        ]

    async def keep_my_task(self) -> None:
        self._kept.append(asyncio.current_task())

    async def keep_my_task_touched(self) -> None:
        asyncio.current_task().set_name("kept")
        self._kept.append(asyncio.current_task())

    async def what_became_of_kept_tasks(self) -> list[Any]:
        await asyncio.sleep(0.01)
        return [(task.done(), task.result(), task.get_name() == "kept") for task in self._kept]

    async def context(self, request: str) -> tuple[str, str]:
        before = REQUEST.get()
        if request:
            REQUEST.set(request)
        await asyncio.sleep(0.1)
        return before, REQUEST.get()

    async def context_without_waiting(self, request: str) -> str:
        before = REQUEST.get()
        REQUEST.set(request)
        return before

    async def leave_a_generator(self) -> str:
        async def numbers():
            async with self._lock:
                for number in range(10):
                    yield number

        async for _ in numbers():
            break
        return "left"

    async def take_the_lock(self) -> str:
        async with asyncio.timeout(0.5), self._lock:
            return "free"

    async def awaited_failure(self) -> str:
        task = asyncio.create_task(ignored())
        await asyncio.sleep(0.05)
        try:
            await task
        except ValueError as error:
            return str(error)
        return "nothing"

    async def wait_until(self) -> list[bool]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        due, turns = begin + 0.01 + 0.01 + 0.01, 0
        while loop.time() < due:
            turns += 1
            await asyncio.sleep(due - loop.time())
        early = []
        for delay in (0.1 + 0.2, 0.0000004, 1e-9, 0.007, 1 / 3000):
            due = loop.time() + delay
            await asyncio.sleep(delay)
            early.append(loop.time() < due)
        fired: asyncio.Future[bool] = loop.create_future()
        when = loop.time() + 0.0123456789
        loop.call_at(when, lambda: fired.set_result(loop.time() >= when))
        begin = loop.time()
        await asyncio.sleep(4e-7)
        return [turns <= 3, *early, await fired, loop.time() > begin]

    async def infinite_delays(self) -> list[Any]:
        seen: list[Any] = []
        try:
            async with asyncio.timeout(0.05):
                await asyncio.sleep(math.inf)
        except TimeoutError:
            seen.append("timed out")
        seen.append(await asyncio.wait_for(asyncio.sleep(0.01, "waited"), timeout=math.inf))
        async with asyncio.timeout(math.inf):
            await asyncio.sleep(0.01)
        return seen

    async def same_deadline(self) -> list[bool]:
        deadline = asyncio.get_running_loop().time() + 0.05
        outer, inner = asyncio.timeout_at(deadline), asyncio.timeout_at(deadline)
        try:
            async with outer, inner:
                await asyncio.sleep(1)
        except (TimeoutError, asyncio.CancelledError):  # Python 3.11 and 3.13 differ in what the two come to
            pass
        return [outer.expired(), inner.expired()]

    async def timers_by_their_times(self) -> str:
        loop, seen = asyncio.get_running_loop(), []
        begin = loop.time() + 0.01
        for name, part in (("c", 3e-7), ("a", 1e-7), ("b", 2e-7)):
            loop.call_at(begin + part, seen.append, name)
        loop.call_later(0, seen.append, "later")
        loop.call_soon(seen.append, "soon")
        await asyncio.sleep(0.02)
        return "".join(name[0] for name in seen)

    async def timer_of_no_delay_first(self) -> list[str]:
        loop, seen = asyncio.get_running_loop(), []

        async def two_turns() -> None:
            seen.append("first")
            await asyncio.sleep(0)
            seen.append("second")

        loop.call_later(0, seen.append, "timer")
        loop.call_at(-math.inf, seen.append, "long ago")
        await asyncio.create_task(two_turns())
        return seen

    async def empty_context(self) -> list[str]:
        REQUEST.set("mine")
        read = asyncio.create_task(self._read(), context=contextvars.Context())
        inherited = asyncio.create_task(self._read())
        return [await read, await inherited]

    async def _read(self) -> str:
        await asyncio.sleep(0.01)
        return REQUEST.get()

    async def wait_long(self) -> str:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    async def cancel_all_but_me(self) -> list[str]:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        mine = [task for task in others if task.get_coro().__name__ != "ask_them"]  # plain asyncio's only loop has it
        return sorted(task.get_coro().__name__ for task in mine if task.cancel())

    async def own_handler(self) -> list[str]:
        loop, seen = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda loop, context: seen.append(type(context["exception"]).__name__))
        loop.call_soon(int, "no number")
        task = asyncio.create_task(ignored())
        await asyncio.sleep(0.01)
        del task
        await asyncio.sleep(0.01)
        loop.set_exception_handler(None)
        return seen


async def ask_all(ask: Ask) -> dict[str, Any]:
    """The answer of every program; `ask(method, *arguments)` begins one and gives what to await."""
    alone = (
        "timeout_of_nothing", "cancel_myself", "timeout_around_a_group", "lock_by_task", "first_step",
        "keep_my_task", "keep_my_task_touched", "what_became_of_kept_tasks", "awaited_failure", "wait_until",
        "infinite_delays", "same_deadline", "timers_by_their_times", "timer_of_no_delay_first", "empty_context",
        "own_handler",
    )  # fmt: skip
    answers = {name: await ask(name) for name in alone}
    first = ask("context", "r1")
    await asyncio.sleep(0.05)
    second = ask("context", "r2")
    answers["contexts"] = [await first, await second, await ask("context", "")]
    answers["contexts without waiting"] = [await ask("context_without_waiting", name) for name in "ab"]
    answers["leave"] = await ask("leave_a_generator")
    await asyncio.sleep(0.1)
    answers["after leaving"] = await ask("take_the_lock")
    waiting = ask("wait_long")
    await asyncio.sleep(0.1)
    answers["cancel all"] = [await ask("cancel_all_but_me"), await waiting]
    return answers


def by_plain_asyncio() -> dict[str, Any]:
    """What the interpreter's own loop makes of them."""

    async def ask_them() -> dict[str, Any]:
        programs = Programs()
        return await ask_all(lambda name, *arguments: asyncio.create_task(getattr(programs, name)(*arguments)))

    return asyncio.run(ask_them())


class Asking(Node):
    """Asks another node, and notes the answers."""

    async def run(self) -> None:
        peer = self.peer("programs")
        self.note("answers", **await ask_all(lambda name, *arguments: getattr(peer, name)(*arguments, timeout=5.0)))
