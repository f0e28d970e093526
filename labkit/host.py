"""A node's host: sends, receives, dispatches and records for one node, the same in both runtimes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush
from inspect import Signature
from random import Random
from typing import Any, Protocol

from labkit.calls import OK, UNKNOWN, Call, CallError
from labkit.clocks import NEVER_US, ClockError, PhysicalClock
from labkit.disk import Disk
from labkit.errors import BadInput
from labkit.faults import Fault
from labkit.history import Note, Operation
from labkit.network import Network, Outbox
from labkit.node import Node, Peer, remote_interface

WireMessage = tuple[int, str, str, bool, str, Any]
"""(number, source, target, is reply, method, payload): a request's payload is (args, kwargs or None), a reply's is
(outcome, value). A reply carries the number of its request."""

_NUMBERS_PER_INCARNATION = 1_000_000_000

FEW = 1000
"""Calls that may be remembered after they were answered."""


@dataclass(frozen=True)
class NodeSpec:
    """One node of a cluster, as data: what to make of it, with which parameters, and how wrong its clock is."""

    name: str
    node_class: type[Node]
    parameters: Mapping[str, Any]
    clock: ClockError
    is_client: bool = False


class Recorder(Protocol):
    """Where a host puts what it sees; `tracing` says whether it wants messages."""

    tracing: bool

    def invoked(self, operation: Operation) -> None:
        """An operation began."""

    def responded(self, operation: Operation) -> None:
        """An operation ended."""

    def noted(self, note: Note) -> None:
        """The node noted something."""

    def sent(self, message: WireMessage, now_us: int) -> Any:
        """A message left; what is returned travels with it to `Carrier.deliver`."""

    def routed(self, message: WireMessage, now_us: int, fate: str, copies: int) -> Sequence[Any]:
        """A message met this fate; what is returned travels with its copies, one each."""


class Carrier(Protocol):
    """What a runtime does for a host: time, timers, tasks, and the carrying of messages."""

    def now_us(self) -> int:
        """True time since the run began, in microseconds."""

    def call_at_us(self, when_us: int, callback: Callable[[], None]) -> None:
        """Call `callback` at a true time."""

    def create_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that belongs to the node, and keep it: asyncio itself holds tasks only weakly."""

    def serve(
        self,
        work: Coroutine[Any, Any, Any],
        finish: Callable[[WireMessage, Any, BaseException | None], None],
        message: WireMessage,
    ) -> None:
        """Run a request's handler; `finish` gets the request, and the handler's value or its error."""

    def deliver(self, message: WireMessage, delay_us: int, record: Any) -> None:
        """Bring a copy of `message` to its target after `delay_us`."""

    def failed(self, error: BaseException) -> None:
        """Code of the node raised an error that is no outcome of a call."""


class Host:
    """The engine under one node, for one incarnation of it (a restart makes a new one).

    `seed` names the streams of all chances that it draws: of its links, and of its node. Each runtime gives another
    one for the same run, so that a measurement and its simulation do not agree merely because they drew alike.
    """

    def __init__(
        self,
        spec: NodeSpec,
        classes: Mapping[str, type[Node]],
        network: Network,
        carrier: Carrier,
        recorder: Recorder,
        disk: Disk,
        seed: int | str,
        incarnation: int = 0,
    ):
        self.name = spec.name
        self.spec = spec
        # Another life must not draw the same delays once more.
        self.outbox = Outbox(spec.name, network, f"{seed}/life {incarnation}" if incarnation else seed)
        self._express = self.outbox.express
        self._trace = recorder.sent if recorder.tracing else None
        self._classes = classes
        self._carrier = carrier
        self._now_us, self._serve, self._deliver = carrier.now_us, carrier.serve, carrier.deliver
        self._recorder = recorder
        self._peers: dict[str, Peer] = {}
        self._waiting: dict[int, Call] = {}
        # Answers to calls of an earlier incarnation must not be taken for answers to this one's.
        self._number = incarnation * _NUMBERS_PER_INCARNATION
        # When a call's time is up, and its number: nearly all in the order of the calls, the others in a heap.
        self._in_line: deque[tuple[int, int]] = deque()
        self._out_of_line: list[tuple[int, int]] = []
        self._delays: dict[float, int] = {}  # by timeout, in true time
        self._next_look = NEVER_US
        self._room = FEW
        self._early: list[WireMessage] | None = []
        self._operations = 0
        self.messages_sent = 0
        self.node = node = spec.node_class(**spec.parameters)
        node.name, node.disk, node._host = spec.name, disk, self
        node.clock = PhysicalClock(carrier.now_us, spec.clock, spec.name, disk.reservation)
        node.random = Random(f"{seed}/node/{spec.name}/{incarnation}")
        self.default_timeout = getattr(node, "call_timeout", 1.0)
        self._handlers = {name: getattr(node, name) for name in remote_interface(spec.node_class)}

    async def boot(self) -> None:
        """Start the node, then serve what has arrived meanwhile."""
        await self.node.start()
        if self._early:
            # Not from here: handlers must not start inside the task, and the context, that runs this.
            self._carrier.call_at_us(self._carrier.now_us(), self._serve_early)
        else:
            self._early = None

    def _serve_early(self) -> None:
        early, self._early = self._early or [], None
        for message in early:
            self.receive(message)

    def peer(self, name: str) -> Peer:
        """The proxy for another node, made once."""
        found = self._peers.get(name)
        if found is None:
            if name not in self._classes:
                raise LookupError(f"no node is called {name!r}: the nodes are {', '.join(self._classes)}")
            found = self._peers[name] = Peer(self, name, self._classes[name])
        return found

    def caller(self, target: str, method: str, signature: Signature) -> Callable[..., Call]:
        """The function that calls a method of another node, with its arguments and a `timeout` if not the default."""
        key, shapes, express = (target, method, False), set(), self._express
        waiting, in_line, delays = self._waiting, self._in_line, self._delays
        now_us, deliver, name = self._now_us, self._deliver, self.name

        def call(*args: Any, timeout: float | None = None, **kwargs: Any) -> Call:
            # Binding takes as long as sending, and depends on the shape of the arguments alone: do it once a shape.
            shape = (len(args), *kwargs) if kwargs else len(args)
            if shape not in shapes:
                signature.bind(None, *args, **kwargs)
                shapes.add(shape)
            self._number = number = self._number + 1
            waiting[number] = call = Call(target, method)
            if timeout is None:
                timeout = self.default_timeout
            now = now_us()
            due = now + (delays.get(timeout) or self._delay_of(timeout))
            # The call is kept until its answer comes, or its time is up.
            if (in_line and due < in_line[-1][0]) or len(in_line) >= self._room or due >= NEVER_US:
                self._expect(due, number)
            else:
                in_line.append((due, number))
            if due < self._next_look:
                self._look_at(due)
            message = (number, name, target, False, method, (args, kwargs or None))
            delay = express.get(key)
            if delay is None:
                self.send(message)
            else:  # nearly every message, and so worth a repetition
                self.messages_sent += 1
                deliver(message, delay(), None if self._trace is None else self._trace(message, now))
            return call

        return call

    def _expect(self, due: int, number: int) -> None:
        # Any call; `caller` does the same where it takes its place at the end of the line, as nearly all do.
        if due >= NEVER_US:
            return
        if len(self._in_line) + len(self._out_of_line) >= self._room:
            self._drop_answered()
        if self._in_line and due < self._in_line[-1][0]:
            heappush(self._out_of_line, (due, number))
        else:
            self._in_line.append((due, number))

    def _delay_of(self, timeout: float) -> int:
        if timeout != timeout:
            raise BadInput("timeout is nan: it must be a number of seconds, or infinite")
        if len(self._delays) >= FEW:  # deadlines that travel are all different
            self._delays.clear()
        delay = self._delays[timeout] = self.node.clock.true_delay_us(timeout)
        return delay

    def _drop_answered(self) -> None:
        # Now and then: with a long timeout, those that wait are few among those that were answered.
        unanswered = [deadline for deadline in self._in_line if deadline[1] in self._waiting]
        self._in_line.clear()
        self._in_line.extend(unanswered)
        self._out_of_line = [deadline for deadline in self._out_of_line if deadline[1] in self._waiting]
        heapify(self._out_of_line)
        self._room = 2 * (len(self._in_line) + len(self._out_of_line)) + FEW

    def _look_at(self, due: int) -> None:
        self._next_look = due
        self._carrier.call_at_us(due, partial(self._expire, due))

    def send(self, message: WireMessage) -> None:
        """Let the network decide on a message, and hand its copies to the runtime."""
        self.messages_sent += 1
        now = self._now_us()
        delays, fate = self.outbox.route(message, now)
        copies = len(delays)
        records = [None] * copies if self._trace is None else self._recorder.routed(message, now, fate, copies)
        for delay, record in zip(delays, records, strict=True):
            self._deliver(message, delay, record)

    def receive(self, message: WireMessage) -> None:
        """Take what has arrived: settle the call that it answers, or serve the request."""
        number, _, _, is_reply, method, payload = message
        if is_reply:
            call = self._waiting.pop(number, None)
            if call is not None:
                outcome, value = payload
                call.settle(outcome, value)
        elif self._early is not None:
            self._early.append(message)
        else:
            args, kwargs = payload
            handler = self._handlers[method]
            work = handler(*args, **kwargs) if kwargs else handler(*args)
            self._serve(work, self._answer, message)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of the node's own."""
        return self._carrier.create_task(self._watched(work))

    def apply(self, fault: Fault) -> None:
        """Let a fault of the network, or of this node's clock, take effect; `fault.at` is when it happened."""
        cuts = fault.cuts(self.name)
        if fault.kind == "partition":
            self.outbox.cut(cuts)
        elif fault.kind == "heal":
            self.outbox.heal()
        elif fault.kind == "hold":
            self.outbox.hold(cuts)
        elif fault.kind == "release":
            for message in self.outbox.release():
                self.send(message)
        elif fault.kind == "link":
            self.outbox.set_link(fault.loss, fault.duplication)
        elif fault.kind == "clock step":
            self.node.clock.step(fault.amount, round(fault.at * 1e6))
        elif fault.kind == "clock drift":
            self.node.clock.set_drift(fault.amount, round(fault.at * 1e6))
            self._delays.clear()  # timeouts are by the node's clock; those under way keep the old rate

    def note(self, label: str, details: dict[str, Any]) -> None:
        """Record a note of the node's."""
        now = self._carrier.now_us()
        self._recorder.noted(Note(self.name, label, now, self.node.clock.now_us(), details))

    def invoke(self, process: str, function: str, key: Any, value: Any) -> Operation:
        """Record that an operation begins."""
        self._operations += 1
        operation = Operation(process, function, key, value, self._carrier.now_us(), number=self._operations)
        self._recorder.invoked(operation)
        return operation

    def respond(self, operation: Operation) -> None:
        """Record that an operation has ended."""
        operation.returned_us = self._carrier.now_us()
        self._recorder.responded(operation)

    def _answer(self, message: WireMessage, value: Any, error: BaseException | None) -> None:
        number, source, _, _, method, _ = message
        if error is None:
            answer = (OK, value)
        elif isinstance(error, CallError):
            answer = (error.outcome, str(error))
        else:
            self._carrier.failed(error)
            answer = (UNKNOWN, f"{type(error).__name__} in {method}")
        delay = self._express.get((source, method, True))
        message = (number, self.name, source, True, method, answer)
        try:
            if delay is None:
                self.send(message)
            else:
                self.messages_sent += 1
                trace = self._trace
                self._deliver(message, delay(), None if trace is None else trace(message, self._now_us()))
        except Exception as unsendable:
            self._carrier.failed(unsendable)

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except Exception as error:
            self._carrier.failed(error)
            # Asking for the error keeps asyncio from complaining about it once more.
            asyncio.current_task().add_done_callback(asyncio.Task.exception)
            raise

    def _expire(self, planned: int) -> None:
        if planned != self._next_look:
            return  # an earlier look has been planned since, and will plan the next
        # The oldest has nearly always been answered long ago.
        now, waiting = self._carrier.now_us(), self._waiting
        while (line := self._earliest()) is not None:
            due, number = line[0]
            if due > now and number in waiting:
                self._look_at(due)
                return
            if line is self._in_line:
                line.popleft()
            else:
                heappop(line)
            call = waiting.pop(number, None)
            if call is not None:
                call.settle(UNKNOWN, "no answer within the timeout")
        self._next_look = NEVER_US

    def _earliest(self) -> Any:
        # Whichever of the two lines begins with the deadline that comes first; None if both are empty.
        in_line, out_of_line = self._in_line, self._out_of_line
        if out_of_line and (not in_line or out_of_line[0] < in_line[0]):
            return out_of_line
        return in_line or None
