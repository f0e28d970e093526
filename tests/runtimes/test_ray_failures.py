"""Whatever node code does wrong on real processes, the run ends at once with that node's error."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from labkit import CallError, Node, NodeFailure
from labkit.lab import Lab
from labkit.runtimes import ray_actors
from labkit.runtimes.wire import FRAME_LIMIT

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

TIME_LIMIT = 60.0  # a run that waits it out fails these tests


class PicklesOnly(Exception):
    """Can be pickled, and not made again."""

    def __init__(self, first: int, second: int):
        super().__init__(first)


class WithoutText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("planted")


def huge() -> bytes:
    return bytes(50_000_000)


def unreadable() -> PicklesOnly:
    return PicklesOnly(1, 2)


class Server(Node):
    async def give(self, make: Callable[[], Any]) -> Any:
        return make()


@dataclass(eq=False)
class Client(Node):
    act: Callable[[Client], Any]

    async def run(self) -> None:
        await self.act(self)


async def record(node: Client, make: Callable[[], Any]) -> None:
    with node.operation("get") as operation:
        operation.value = make()


async def record_lock(node: Client) -> None:
    await record(node, threading.Lock)


async def record_huge(node: Client) -> None:
    await record(node, huge)


async def record_unreadable(node: Client) -> None:
    await record(node, unreadable)


async def note_lock(node: Client) -> None:
    node.note("locked", lock=threading.Lock())


async def ask(node: Client, make: Callable[[], Any]) -> None:
    try:
        await node.peer("server").give(make)
    except CallError:
        pass  # no answer is no error; what stopped the server is


async def ask_lock(node: Client) -> None:
    await ask(node, threading.Lock)


async def ask_huge(node: Client) -> None:
    await ask(node, huge)


async def ask_unreadable(node: Client) -> None:
    await ask(node, unreadable)


async def leave(node: Client) -> None:
    sys.exit(0)


async def leave_in_a_task(node: Client) -> None:
    await asyncio.create_task(leave(node))


async def leave_in_a_timer(node: Client) -> None:
    asyncio.get_running_loop().call_later(0.01, sys.exit, 3)
    await asyncio.sleep(TIME_LIMIT)


async def fail_in_a_timer(node: Client) -> None:
    asyncio.get_running_loop().call_later(0.01, [].pop)
    await asyncio.sleep(TIME_LIMIT)


async def interrupt(node: Client) -> None:
    raise KeyboardInterrupt


async def fail_without_text(node: Client) -> None:
    raise WithoutText


async def cancel_itself(node: Client) -> None:
    asyncio.current_task().cancel()
    await asyncio.sleep(TIME_LIMIT)


def failure(node_class: type[Node], **parameters: Any) -> str:
    lab = Lab(seed=1)
    lab.node("server", Server)
    lab.client("client", node_class, **parameters)
    lab.time_limit = TIME_LIMIT
    with pytest.raises(NodeFailure) as caught:
        ray_actors.execute(lab.cluster(), 1)
    told, when = re.subn(r" at (0|[1-9]\d*)\.\d{6} s", "", str(caught.value).splitlines()[0])
    assert when == 1, caught.value
    return told


LOCK = "cannot pickle '_thread.lock' object"
TOO_MUCH = f"at most {FRAME_LIMIT} can be sent"
CANNOT_BE_MADE = "PicklesOnly.__init__() missing 1 required positional argument: 'second'"


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (record_lock, f"TypeError in client: {LOCK}"),
        (record_huge, f"ValueError in client: the operation 'get' has # bytes: {TOO_MUCH}"),
        (record_unreadable, f"TypeError in client: {CANNOT_BE_MADE}"),
        (note_lock, f"TypeError in client: {LOCK}"),
        (ask_lock, f"TypeError in server: {LOCK}"),
        (ask_huge, f"ValueError in server: a message has # bytes: {TOO_MUCH}"),
        (ask_unreadable, f"TypeError in server: {CANNOT_BE_MADE}"),
        (leave, "SystemExit in client: 0"),
        (leave_in_a_task, "SystemExit in client: 0"),
        (leave_in_a_timer, "SystemExit in client: 3"),
        (fail_in_a_timer, "IndexError in client: pop from empty list"),
        (interrupt, "KeyboardInterrupt in client"),
        (fail_without_text, "WithoutText in client: (its text cannot be made: RuntimeError)"),
        (cancel_itself, "CancelledError in client"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_run_ends_with_the_nodes_own_error(act: Callable[[Client], Any], sentence: str) -> None:
    told = failure(Client, act=act)
    assert re.sub(r"\b5\d{7}\b", "#", told) == sentence


class Unmade(Node):
    def __init__(self) -> None:
        raise LookupError("planted")


class Unstarted(Node):
    async def start(self) -> None:
        sys.exit("planted")


@pytest.mark.parametrize(
    ("node_class", "sentence"),
    [(Unmade, "LookupError in client: planted"), (Unstarted, "SystemExit in client: planted")],
)
def test_a_node_that_cannot_begin_says_so(node_class: type[Node], sentence: str) -> None:
    assert failure(node_class) == sentence
