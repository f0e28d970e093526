"""The node: ordinary asyncio code that does not know where it runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

from labkit.calls import OK, Call, CallError
from labkit.clocks import PhysicalClock
from labkit.disk import Disk
from labkit.history import Operation

if TYPE_CHECKING:
    from labkit.host import Host

_LIFECYCLE = frozenset({"start", "run"})


class Node:
    """Base of everything that has a place of its own in a cluster.

    The public coroutine methods of a subclass are its remote interface; its other attributes are private to it,
    as memory is. A runtime gives it `name`, `clock`, `disk` and `random` (seeded, its own) before `start`.
    Requests that arrive before `start` has returned wait for it.
    """

    name: str
    clock: PhysicalClock
    disk: Disk
    random: Random
    _host: Host

    async def start(self) -> None:
        """Prepare to serve; called at boot and again, on a new object, after every restart."""

    async def run(self) -> None:
        """What a client does; a run of an experiment ends when this has returned in every client."""

    def peer(self, name: str) -> Peer:
        """A proxy for the node called `name`; its methods are that node's public coroutines."""
        return self._host.peer(name)

    def peers(self, names: Iterable[str]) -> list[Peer]:
        """Proxies for several nodes, in the order given."""
        return [self._host.peer(name) for name in names]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` beside everything else the node does; an error in it ends the run, as it should."""
        return self._host.spawn(work)

    def note(self, label: str, **details: Any) -> None:
        """Record an event in the run's trace, with the true time and this node's clock reading."""
        self._host.note(label, details)

    def operation(self, function: str, key: Any = None, value: Any = None, process: str = "") -> Recorded:
        """Record a ``with`` block as one operation of the client's history.

        The block is given the `Operation`: set its `value` to record what a read returned. A `CallError` (or a
        timeout of asyncio) inside the block becomes the operation's outcome and goes no further.
        """
        return Recorded(self._host, self._host.invoke(process or self.name, function, key, value))


class Recorded:
    """The ``with`` block of `Node.operation`."""

    __slots__ = ("_host", "_operation")

    def __init__(self, host: Host, operation: Operation):
        self._host = host
        self._operation = operation

    def __enter__(self) -> Operation:
        return self._operation

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        operation = self._operation
        if error is None:
            operation.outcome = OK
        elif isinstance(error, CallError):
            operation.outcome, operation.error = error.outcome, str(error)
        elif isinstance(error, TimeoutError):
            operation.error = "timed out"
        else:
            return False  # not an outcome: a defect, or the end of the process
        self._host.respond(operation)
        return True


@cache
def remote_interface(node_class: type[Node]) -> tuple[str, ...]:
    """The names that other nodes can call: the public coroutine methods that the class adds to `Node`."""
    return tuple(
        name
        for name, member in inspect.getmembers(node_class, inspect.iscoroutinefunction)
        if not name.startswith("_") and name not in _LIFECYCLE
    )


class Peer:
    """Stands for another node: ``peer.write(key, value, timeout=0.5)`` sends a request and returns a `Call`.

    `timeout` is in seconds of the caller's own clock; without it the caller's default applies. A method that the
    node does not have, or arguments that it does not take, raise at once, as for a local call.
    """

    def __init__(self, host: Host, name: str, node_class: type[Node]):
        self._host = host
        self._node_class = node_class
        self.name = name

    def __repr__(self) -> str:
        return f"<Peer {self.name}: {self._node_class.__name__}>"

    def __getattr__(self, method: str) -> Callable[..., Call]:
        # Reached once a method: the caller made here is then an ordinary attribute of the proxy.
        caller = self._caller(method)
        setattr(self, method, caller)
        return caller

    def _caller(self, method: str) -> Callable[..., Call]:
        interface = remote_interface(self._node_class)
        if method not in interface:
            kind = self._node_class.__name__
            raise AttributeError(f"{kind} {self.name!r} has no {method!r}; it answers to {', '.join(interface)}")
        signature = inspect.signature(getattr(self._node_class, method))
        return self._host.caller(self.name, method, signature)
