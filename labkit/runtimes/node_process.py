"""What runs inside a node's own process: its host, its timers, its sockets, and the stream of what it records."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import traceback
from asyncio.tasks import _unregister_task
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from labkit.copying import snapshot
from labkit.disk import FileDisk
from labkit.eager import EagerStarter
from labkit.errors import failure_in
from labkit.faults import OF_ONE_NODE, After, Fault
from labkit.history import Message, Note, Operation
from labkit.host import Host, WireMessage
from labkit.runtimes.packing import unpack
from labkit.runtimes.precise_loop import new_precise_loop
from labkit.runtimes.wire import Address, Wire, frame

if TYPE_CHECKING:
    from labkit.cluster import Cluster

DRIVER = "(driver)"
"""The driver's name on the wire; no node can have it."""

MESSAGES_EVERY = 0.02
"""Seconds between two shipments of traced messages; operations are shipped at once."""

ROWS_A_FRAME = 10_000


@dataclass(frozen=True)
class Life:
    """One incarnation of one node, as the driver orders it; `package` is the packed cluster."""

    package: bytes
    name: str
    incarnation: int
    seed: int
    trace: bool
    key: bytes
    driver: Address
    bind: str
    folder: str

    @property
    def wire_name(self) -> str:
        """What the driver calls this process: a spare may wait while the incarnation before it still runs."""
        return f"{self.name}#{self.incarnation}"


def live(life: Life, place: str = "") -> None:
    """Be a node until the driver says otherwise, or is gone; `place` is the Ray node this is on."""
    _die_with_parent()
    _die_of_signals()
    loop = new_precise_loop()
    asyncio.set_event_loop(loop)
    process = _NodeProcess(life, place, loop)
    living = loop.create_task(process.live())
    _unregister_task(living)  # `asyncio.all_tasks` is for the node's own
    while not living.done():
        try:
            loop.run_until_complete(living)
        except (SystemExit, KeyboardInterrupt) as error:
            process.failed(error)  # node code raised it, and the loop let it through; the driver must hear of it
    loop.close()
    living.result()


class _NodeProcess:
    """The carrier and the recorder of one host, in a process of its own."""

    def __init__(self, life: Life, place: str, loop: asyncio.AbstractEventLoop):
        self.tracing = life.trace
        self._life = life
        self._cluster: Cluster = unpack(life.package)
        self._place = place
        self._loop = loop
        self._wire = Wire(
            life.wire_name, life.key, self._on_message, self._on_lost, self._on_unreadable, len(self._cluster.nodes)
        )
        self._wire.needed = DRIVER
        self._over = asyncio.Event()
        self._start_ns = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._made: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._rows: list[tuple] = []
        self._urgent: list[bytes] = []
        self._room = self._cluster.trace_limit
        self._dropped = 0
        self._order = 0
        self._host: Host | None = None
        self._disk: FileDisk | None = None

    async def live(self) -> None:
        """Listen, report to the driver, and serve until the end."""
        self._loop.default_exception_handler = self._on_loose_error
        self._loop.set_task_factory(self._make_task)
        self._starter = EagerStarter(self._loop, copy_context(), self._keep)
        address = await self._wire.listen(self._life.bind)
        self._wire.addresses[DRIVER] = self._life.driver
        hello = {"address": address, "pid": os.getpid(), "machine": machine_name(), "place": self._place}
        self._tell("hello", hello)
        await self._over.wait()
        for task in list(self._tasks):
            task.cancel()
        await self._wire.close()
        if self._disk is not None:
            self._disk.close()

    # What the host asks of its runtime (labkit.host.Carrier).

    def now_us(self) -> int:
        return (monotonic_ns() - self._start_ns) // 1000

    def call_at_us(self, when_us: int, callback: Callable[[], None]) -> None:
        self._loop.call_at((self._start_ns + when_us * 1000) / 1e9, callback)

    def create_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._keep(task)
        return task

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **more)
        self._made.add(task)
        return task

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)  # asyncio holds tasks weakly: a dropped one silently never answers
        task.add_done_callback(self._tasks.discard)

    def serve(self, work: Coroutine[Any, Any, Any], finish: Callable[..., None], message: WireMessage) -> None:
        self._starter.start(work, finish, message)

    def deliver(self, message: WireMessage, delay_us: int, record: Any) -> None:
        if message[2] == self._life.name:
            self._loop.call_soon(self._receive, snapshot(message))
            return
        ready = frame(message)  # now, so that what the node changes later is not sent
        if delay_us:
            self._loop.call_at(self._loop.time() + delay_us / 1e6, self._wire.send_frame, message[2], ready)
        else:
            self._wire.send_frame(message[2], ready)

    def failed(self, error: BaseException) -> None:
        at_us = max(self.now_us(), 0) if self._start_ns else 0  # it is made a moment before the run begins
        trace = "".join(traceback.format_exception(error)[-3:])
        self._tell("failed", failure_in(self._life.name, error, at_us), trace)

    # Where the host puts what it sees (labkit.host.Recorder).

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    # What cannot be sent raises here, in the line of the node's code that wished to record it, as in a simulation.

    def invoked(self, operation: Operation) -> None:
        operation.invoked_order = self._next_order()
        self._soon("invoked", operation, what=f"the operation {operation.function!r}")

    def responded(self, operation: Operation) -> None:
        operation.returned_order = self._next_order()
        self._soon("responded", operation, what=f"the operation {operation.function!r}")

    def noted(self, note: Note) -> None:
        note.order = self._next_order()
        self._soon("noted", note, what=f"the note {note.label!r}")

    def sent(self, message: WireMessage, now_us: int) -> None:
        self.routed(message, now_us, "sent", 1)

    def routed(self, message: WireMessage, now_us: int, fate: str, copies: int) -> list[None]:
        if self._room <= 0:
            self._dropped += 1
            return [None] * copies
        number, source, target, is_reply, method, _ = message
        order = self._next_order()
        for _ in range(max(copies, 1)):
            self._rows.append(("sent", Message(number, source, target, method, is_reply, now_us, None, fate, order)))
            self._room -= 1
        return [None] * copies

    # The driver's orders.

    def _on_message(self, source: str, value: Any) -> None:
        try:
            if source == DRIVER:
                getattr(self, f"_order_{value[0]}")(*value[1:])
            else:
                self._receive(value)
        except Exception as error:  # a node's constructor, say: the connection is not to blame
            self.failed(error)

    def _on_unreadable(self, source: str, error: Exception) -> None:
        # The sender could pickle the value, and nobody can make it again: an error of the sender's code.
        self._tell("failed", failure_in(source, error, self.now_us()), "")

    def _on_loose_error(self, context: dict[str, Any]) -> None:
        # A timer's callback has raised, or a task that nobody awaits; trouble with a socket is none of the node's.
        error = context.get("exception")
        if error is not None and not self._over.is_set() and not context.keys() & {"socket", "transport"}:
            self.failed(error)

    def _on_lost(self, name: str) -> None:
        if name == DRIVER and not self._over.is_set():
            os._exit(1)  # nobody is left to report to; nothing may stay behind

    def _order_probe(self, sent_ns: int) -> None:
        self._tell("probe", sent_ns, monotonic_ns())

    def _order_begin(self, start_ns: int, addresses: dict[str, Address], standing: list[Fault]) -> None:
        self._start_ns = start_ns
        self._wire.addresses.update(addresses)
        self._wire.name = self._life.name  # to its peers it is the node, whichever life this is
        life = self._life
        spec = next(spec for spec in self._cluster.nodes if spec.name == life.name)
        classes = {spec.name: spec.node_class for spec in self._cluster.nodes}
        # Not before now: a spare waits while the life before it still writes.
        self._disk = self._open_disk()
        chances = f"{life.seed}/ray"  # its own, or it would agree with the simulation also where the model is wrong
        self._host = Host(spec, classes, self._cluster.network, self, self, self._disk, chances, life.incarnation)
        for fault in standing:
            self._apply(fault)
        now = self.now_us()
        for fault in self._cluster.faults:
            if not isinstance(fault.at, After) and fault.at * 1e6 >= now:
                self.call_at_us(round(fault.at * 1e6), lambda fault=fault: self._apply(fault))
        self.create_task(self._be(spec.is_client))
        self._loop.call_later(MESSAGES_EVERY, self._ship_regularly)

    def _open_disk(self) -> FileDisk:
        folder = Path(self._life.folder)
        folder.mkdir(parents=True, exist_ok=True)
        return FileDisk(folder / f"{self._life.name}.log")

    def _order_apply(self, fault: Fault) -> None:
        self._apply(fault)

    def _order_moved(self, name: str, address: Address) -> None:
        self._wire.forget(name)
        self._wire.addresses[name] = address

    def _order_finish(self) -> None:
        for task in list(self._made):
            # Asyncio would tell of it when the task is destroyed, which is too late here.
            if task.done() and task._log_traceback:
                self.failed(task.exception())
        self._ship()
        sent = self._host.messages_sent if self._host else 0
        self._tell("finished", sent, self._dropped, self._wire.turned_away, self._wire.retried)
        self._over.set()

    async def _be(self, is_client: bool) -> None:
        host = self._host
        wait = -self.now_us() / 1e6
        if wait > 0:
            await asyncio.sleep(wait)
        try:
            await host.boot()
            await host.node.run()
        except BaseException as error:
            if self._over.is_set():
                raise
            self.failed(error)
        else:
            if is_client:
                self._soon("done")

    def _apply(self, fault: Fault) -> None:
        of_other = fault.kind in OF_ONE_NODE and fault.nodes != (self._life.name,)
        if not of_other:
            self._host.apply(fault)  # crashes and pauses are signals, which need no help from here

    def _receive(self, message: WireMessage) -> None:
        if self._host is None:
            return  # not born yet: a message to nobody is lost
        if self.tracing:
            self._rows.append(("arrived", *message[:4], self.now_us(), self._next_order()))
        self._host.receive(message)

    def _tell(self, *report: Any) -> None:
        self._wire.send(DRIVER, report)

    def _soon(self, *event: Any, what: str = "a report") -> None:
        # Shipped at the end of this round of the loop, so before the process can wait for anything: an operation
        # that was under way when the process was killed is known to the driver. A frame of it is made now, so that
        # what the node changes later is not recorded.
        ready = frame(event, what)
        if not self._urgent:
            self._loop.call_soon(self._ship)
        self._urgent.append(ready)

    def _ship(self) -> None:
        urgent, self._urgent = self._urgent, []
        if urgent:
            self._wire.send_frame(DRIVER, b"".join(urgent))
        rows, self._rows = self._rows, []
        for begin in range(0, len(rows), ROWS_A_FRAME):
            self._tell("rows", rows[begin : begin + ROWS_A_FRAME])

    def _ship_regularly(self) -> None:
        self._ship()
        self._loop.call_later(MESSAGES_EVERY, self._ship_regularly)


def machine_name() -> str:
    """What tells this machine's monotonic clock from others': it is one clock until the machine boots again."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return os.uname().nodename


def _die_of_signals() -> None:
    """Die of a signal as any program does: Ray would make an error of it, which then looks like node code's own."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


def _die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it dies, even while it is stopped."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
