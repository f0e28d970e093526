"""The simulated runtime: a whole cluster in one thread and in virtual time; one seed gives one history."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from heapq import heappush
from typing import Any, NamedTuple, get_args

from simpy.events import NORMAL

from labkit.cluster import Cluster, Conditions
from labkit.copying import IMMUTABLE, cannot_change, snapshot
from labkit.disk import Platter, SimulatedDisk
from labkit.eager import EagerStarter
from labkit.errors import RunTimedOut
from labkit.faults import OF_A_CLOCK, After, Fault, FaultPlan, Standing
from labkit.history import Message, Note, Operation, Recording
from labkit.host import Host, NodeSpec, WireMessage
from labkit.runtimes.interruption import between_events
from labkit.runtimes.simulated_loop import SimulatedLoop
from labkit.runtimes.simulated_tasks import KINDS, Incarnation

MESSAGE_PARTS = len(get_args(WireMessage))
"""Where the row of the trace stands that travels with a traced message."""


def execute(
    cluster: Cluster, seed: int, *, trace: bool = True, progress: Callable[[int], None] | None = None
) -> Recording:
    """Run `cluster` to the end of its clients' work in virtual time, and return what happened.

    Raises `NodeFailure` if node code raised an error of its own, `RunTimedOut` past the cluster's time limit.
    Costs about 10 µs of real time a message.
    """
    # A run keeps nearly all that it makes until its end: looking for garbage at Python's usual pace finds little,
    # and takes a tenth of the time.
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        with between_events() as check_interruption:
            return _Simulation(cluster, seed, trace, progress, check_interruption).run()
    finally:
        gc.set_threshold(*usual)


class _SimulatedRecorder:
    """Appends to the run's recording; a message's row is completed when it arrives."""

    def __init__(self, recording: Recording, conditions: Conditions, tracing: bool, trace_limit: int):
        self.tracing = tracing
        self._recording = recording
        self._conditions = conditions
        self._room = trace_limit
        self.order = 0

    def next_order(self) -> int:
        """One number more: for all nodes together, as there is one thread."""
        self.order += 1
        return self.order

    def invoked(self, operation: Operation) -> None:
        operation.invoked_order = self.next_order()
        self._recording.operations.append(operation)

    def responded(self, operation: Operation) -> None:
        operation.returned_order = self.next_order()
        operation.value = snapshot(operation.value)
        self._conditions.operation_ended()

    def noted(self, note: Note) -> None:
        note.order = self.next_order()
        self._recording.notes.append(note)
        self._conditions.noted(note)

    def close(self) -> None:
        """Let nothing that happens from now on become part of the run."""
        self.tracing = False
        self._recording = Recording()
        self._conditions = Conditions(FaultPlan(), lambda fault, delay_us: None)

    def sent(self, message: WireMessage, now_us: int) -> Message | None:
        if self._room <= 0:
            self._recording.messages_dropped_from_trace += 1
            return None
        self._room -= 1
        number, source, target, is_reply, method, _ = message
        self.order = order = self.order + 1
        row = Message(number, source, target, method, is_reply, now_us, None, "sent", order)
        self._recording.messages.append(row)
        return row

    def routed(self, message: WireMessage, now_us: int, fate: str, copies: int) -> list[Message | None]:
        first = self.sent(message, now_us)
        if first is None:
            return [None] * copies
        first.fate = fate
        others = [replace(first) for _ in range(copies - 1)]
        self._recording.messages += others
        self._room -= len(others)
        return [first, *others][:copies]


class _SimulatedCarrier:
    """Time, tasks and messages for one incarnation of one node."""

    def __init__(self, simulation: _Simulation, incarnation: Incarnation):
        self._simulation = simulation
        self._loop = simulation.loop
        self._incarnation = incarnation
        self.now_us = simulation.now_us
        self.deliver = simulation.deliver
        self.serve = EagerStarter(simulation.loop, incarnation.context, incarnation.keep, KINDS).start

    def call_at_us(self, when_us: int, callback: Callable[[], None]) -> None:
        self._loop.schedule_us(max(when_us - self.now_us(), 0), self._loop.handle_for(self._incarnation, callback))

    def create_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._loop.create_task(work)

    def failed(self, error: BaseException) -> None:
        self._loop.fail(error, self._incarnation)


class _Simulation:
    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        trace: bool,
        progress: Callable[[int], None] | None,
        check_interruption: Callable[[], None],
    ):
        self.loop = SimulatedLoop()
        self.loop.is_shared = True
        self._check_interruption = check_interruption
        self._environment = self.loop.environment
        self._cluster = cluster
        self._seed = seed
        self._recording = Recording()
        self._progress = progress
        self._conditions = Conditions(cluster.faults, self._apply_in)
        self._recorder = _SimulatedRecorder(self._recording, self._conditions, trace, cluster.trace_limit)
        self._classes = {spec.name: spec.node_class for spec in cluster.nodes}
        self._specs = {spec.name: spec for spec in cluster.nodes}
        self._platters = {spec.name: Platter() for spec in cluster.nodes}
        self._places: dict[str, _Place] = {}
        self._all_places: list[_Place] = []
        self._lives = dict.fromkeys(self._specs, 0)
        self._restarts_left = {name: cluster.faults.restarts(name) for name in self._specs}
        self._standing = Standing()
        self._busy: dict[str, None] = {}

    def now_us(self) -> int:
        return self._environment._now  # the public property costs a call more, a million times a run

    def run(self) -> Recording:
        try:
            with self.loop.running():  # a constructor may make futures
                for name in self._specs:
                    self._boot(name, incarnation=0)
            for fault in self._cluster.faults:
                if not isinstance(fault.at, After):
                    self._apply_in(fault, round(fault.at * 1e6))
            self._run_clients()
            self._recording.duration_us = self.now_us()
            self._recording.messages_sent = sum(place.host.messages_sent for place in self._all_places)
        finally:
            self._bury()
        for message in self._recording.messages:
            if message.arrived_us is None and message.fate in ("sent", "duplicated"):
                message.fate = "undelivered"
        return self._recording.in_order()

    def deliver(self, message: WireMessage, delay_us: int, record: Message | None) -> None:
        # A request's payload is its arguments, and nearly always None; a reply's is its outcome, and a value. Most of
        # what is sent is flat, which is seen here without a call.
        first, second = message[5]
        kind = type(second)
        parts = first if second is None else second if kind is tuple else None
        is_flat = kind in IMMUTABLE if parts is None else IMMUTABLE.issuperset(map(type, parts))
        if not is_flat and not cannot_change(message[5]):
            message = (*message[:5], snapshot(message[5]))
        # schedule_us, written out: this runs for every message. A tuple is what the loop takes for one.
        environment = self._environment
        arrival = message if record is None else (*message, record)
        heappush(environment._queue, (environment._now + delay_us, NORMAL, next(environment._eid), arrival))

    def _traced(self, host: Host) -> Callable[[tuple], None]:
        # Takes a message, and the row of the trace that its arrival completes, unless the trace was full.
        environment, receive, recorder = self._environment, host.receive, self._recorder

        def receive_traced(arrival: tuple) -> None:
            if len(arrival) > MESSAGE_PARTS:
                row = arrival[MESSAGE_PARTS]
                row.arrived_us = environment._now
                recorder.order = row.arrived_order = recorder.order + 1
                arrival = arrival[:MESSAGE_PARTS]
            receive(arrival)

        return receive_traced

    def _run_clients(self) -> None:
        limit_us = round(self._cluster.time_limit * 1e6)
        finished = self.loop.run_until(limit_us, self._report)
        if finished and self._cluster.drain:
            end_us = self.now_us() + round(self._cluster.drain * 1e6)
            while self.loop.run_until(end_us, self._report):
                pass  # stopped early by a node that was crashed or restarted meanwhile
        for place in self._places.values():
            for task in place.life.never_asked():
                found = {"message": "nobody has asked how it ended", "exception": task.exception(), "task": task}
                self.loop.call_exception_handler(found)
        if self.loop.errors:
            raise self.loop.errors[0]
        if not finished:
            names, limit = ", ".join(self._busy), self._cluster.time_limit
            raise RunTimedOut(f"{names} had not finished after {limit:g} simulated seconds")

    def _boot(self, name: str, incarnation: int) -> None:
        spec, life = self._specs[name], Incarnation(name)
        carrier = _SimulatedCarrier(self, life)
        with self.loop.on_behalf_of(life):
            host = life.context.run(self._host, spec, carrier, incarnation)
        self._places[name] = place = _Place(host, life)
        self._all_places.append(place)
        self.loop.receivers[name] = self._traced(host) if self._recorder.tracing else host.receive, life
        for fault in self._standing.for_node(name):
            host.apply(fault)
        if spec.is_client:
            self._busy[name] = None
        with self.loop.on_behalf_of(life):
            life.context.run(carrier.create_task, self._live(host, carrier))

    def _host(self, spec: NodeSpec, carrier: _SimulatedCarrier, incarnation: int) -> Host:
        disk = SimulatedDisk(self._platters[spec.name], self._cluster.sync_delay)
        try:
            return Host(
                spec, self._classes, self._cluster.network, carrier, self._recorder, disk, self._seed, incarnation
            )
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            carrier.failed(error)
            raise self.loop.errors[0] from error

    async def _live(self, host: Host, carrier: _SimulatedCarrier) -> None:
        try:
            await host.boot()
            await host.node.run()
        except (Exception, asyncio.CancelledError) as error:
            carrier.failed(error)
        self._finished(host.name)

    def _finished(self, name: str) -> None:
        self._busy.pop(name, None)
        if not self._busy:
            self.loop.end()

    def _apply_in(self, fault: Fault, delay_us: int) -> None:
        self.loop.schedule_us(delay_us, partial(self._apply, fault))

    def _apply(self, fault: Fault) -> None:
        happened = replace(fault, at=self.now_us() / 1e6)
        self._recording.faults.append(happened)
        self._standing.note(happened)
        if fault.kind in _OF_A_LIFE:
            _OF_A_LIFE[fault.kind](self, fault.nodes[0])
            return
        for name, (host, life) in self._places.items():
            if life.alive and (fault.kind not in OF_A_CLOCK or fault.nodes == (name,)):
                host.apply(happened)

    def _crash(self, name: str) -> None:
        life = self._places[name].life
        life.crash()
        if not self._restarts_left[name]:  # otherwise a client goes on with its work when it is back
            self._finished(name)

    def _restart(self, name: str) -> None:
        self._restarts_left[name] -= 1
        if not self._places[name].life.alive:
            self._lives[name] += 1
            self._boot(name, self._lives[name])

    def _pause(self, name: str) -> None:
        self._places[name].life.runs = False

    def _resume(self, name: str) -> None:
        life = self._places[name].life
        life.runs = life.alive
        self.loop.make_ready(life.backlog)

    def _report(self) -> None:
        self._check_interruption()
        if self._progress is not None:
            self._progress(self._conditions.ended)

    def _bury(self) -> None:
        # A killed process runs no `finally`; the tasks of dead nodes were kept so that the garbage collector would
        # not run theirs in mid-simulation. Closing them here is too late to send, write or record anything.
        self._recorder.close()
        for place in self._all_places:
            place.life.crash()
            for task in place.life.tasks():
                task._log_destroy_pending = False
                with suppress(Exception, SystemExit):  # what it does in its end nobody sees
                    task.get_coro().close()
        self.loop.close()


class _Place(NamedTuple):
    host: Host
    life: Incarnation


_OF_A_LIFE = {
    "crash": _Simulation._crash,
    "restart": _Simulation._restart,
    "pause": _Simulation._pause,
    "resume": _Simulation._resume,
}
