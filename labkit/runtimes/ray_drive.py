"""One run on real processes: starts them, begins, brings faults about, collects what they report, and ends."""

from __future__ import annotations

import asyncio
import queue
import secrets
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic, monotonic_ns
from typing import Any

from labkit.cluster import Cluster, Conditions
from labkit.errors import MissingComponent, NodeFailure, RunTimedOut, failure_in
from labkit.faults import OF_ONE_NODE, After, Fault, Standing
from labkit.history import Note, Operation, Recording
from labkit.runtimes.assembly import Assembly
from labkit.runtimes.node_process import DRIVER, Life, machine_name
from labkit.runtimes.precise_loop import new_precise_loop
from labkit.runtimes.ray_incidents import Incidents, Process
from labkit.runtimes.ray_placement import Placement
from labkit.runtimes.ray_session import RaySession
from labkit.runtimes.wire import Wire

BOOT_SECONDS = 60.0
HEAD_START_SECONDS = 0.15
FINISH_SECONDS = 5.0
PROBES = 8
SPARES_AHEAD = 2
"""Processes kept waiting for a node that will be restarted: Ray takes a second or two to start one."""

Progress = Callable[[int], None]
Observer = Callable[[str, dict[str, Any]], None]


class Drive:
    """One run, from the launch of its processes to the end of the last."""

    def __init__(self, session: RaySession, cluster: Cluster, package: bytes, seed: int, trace: bool):
        self.recording: Recording | None = None
        self.error: BaseException | None = None
        self._session = session
        self._package = package
        self._cluster = cluster
        self._seed = seed
        self._trace = trace
        self._key = secrets.token_bytes(32)
        self._placement = Placement(session)
        self._folder = tempfile.mkdtemp(prefix="run-", dir=session.folder)
        self._loop = new_precise_loop()
        self._assembly = Assembly(Conditions(cluster.faults, self._happen_in))
        self._standing = Standing()
        self._processes: dict[str, Process] = {}  # every one ever started, by wire name
        self._current: dict[str, Process] = {}
        self._spares: dict[str, deque[Process]] = {spec.name: deque() for spec in cluster.nodes}
        self._spares_to_start = {spec.name: cluster.faults.restarts(spec.name) for spec in cluster.nodes}
        self._restarts_left = dict(self._spares_to_start)
        self._busy = {spec.name for spec in cluster.nodes if spec.is_client}
        self._clients = frozenset(self._busy)
        self._events: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._incidents = Incidents()
        self._failure: BaseException | None = None
        self._changed = asyncio.Event()
        self._start_ns = 0

    # What the calling thread uses.

    def run(self) -> None:
        """The driver thread: drive the run, and clean up whatever happened."""
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._drive())
        try:
            self.recording = self._loop.run_until_complete(self._main)
        except BaseException as error:
            self.error = error
        finally:
            self._kill_all()
            with suppress(Exception):
                self._loop.run_until_complete(self._close())
            self._loop.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def interrupt(self) -> None:
        """End the run from another thread; its processes are killed at once."""
        self._from_elsewhere(lambda: self._main.cancel())

    def ray_is_gone(self) -> None:
        """Hear, from another thread, that Ray has died: the run ends with what it has."""
        self._from_elsewhere(self._lose_ray)

    def pass_on(self, progress: Progress | None, observe: Observer | None) -> None:
        """Hand what has happened since to the caller's functions, in the caller's thread."""
        while not self._events.empty():
            event = self._events.get()
            if observe is not None:
                observe(*event)
        if progress is not None:
            progress(self._assembly.conditions.ended)

    # The run.

    async def _drive(self) -> Recording:
        self._wire = Wire(
            DRIVER, self._key, self._on_message, self._on_lost, self._on_unreadable, len(self._cluster.nodes)
        )
        self._address = await self._wire.listen(self._placement.bind)
        for spec in self._cluster.nodes:
            self._current[spec.name] = self._launch(spec.name, 0)
        await self._until_greeted(self._current.values())
        for name in list(self._current) * SPARES_AHEAD:
            self._launch_spare(name)
        await self._until_greeted(self._processes.values())
        await asyncio.gather(*(self._compare_clocks(process) for process in self._processes.values()))
        self._begin_all()
        await self._until_done()
        await self._drain()
        duration_us = (monotonic_ns() - self._start_ns) // 1000
        await self._finish_all()
        self._incidents.crowd("the driver", self._wire.turned_away, self._wire.retried)
        self._assembly.recording.incidents[:] = self._told()
        return self._assembly.finish(duration_us)

    def _told(self) -> list[str]:
        told = self._incidents.told(self._placement, self._processes.values())
        if told and self._session.gone:  # the deaths of its nodes may have been heard of first
            self._incidents.end_of_ray(self._session.gone, self._now())
            told = self._incidents.told(self._placement, self._processes.values())
        return told

    def _launch(self, name: str, incarnation: int) -> Process:
        before = self._current.get(name)
        life = Life(
            self._package, name, incarnation, self._seed, self._trace, self._key, self._address, self._placement.bind,
            self._folder,
        )  # fmt: skip
        process = Process(name, incarnation)
        self._processes[process.wire_name] = process
        process.number = self._placement.start(
            life,
            before.hello["place"] if before else None,
            lambda error: self._from_elsewhere(self._on_end, process, error),
        )
        return process

    def _launch_spare(self, name: str) -> None:
        # Started ahead of its time, so that a restart takes milliseconds and not Ray's seconds.
        if self._spares_to_start[name] > 0:
            self._spares_to_start[name] -= 1
            last = max(process.incarnation for process in self._processes.values() if process.name == name)
            self._spares[name].append(self._launch(name, last + 1))

    async def _until_greeted(self, processes: Any) -> None:
        waiting = list(processes)
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                for process in waiting:
                    greeted = asyncio.ensure_future(process.greeted.wait())
                    self._keep(greeted)
                    while not greeted.done():
                        self._raise_failure()
                        await asyncio.sleep(0.005)
        except TimeoutError:
            late = ", ".join(process.name for process in waiting if not process.greeted.is_set())
            raise MissingComponent(f"Ray had not started {late} after {BOOT_SECONDS:g} seconds") from None

    async def _compare_clocks(self, process: Process) -> None:
        # On one machine all processes read one monotonic clock; for another, Cristian's algorithm, best of several.
        if process.hello["machine"] == machine_name():
            return
        process.uncertainty_ns = 2**62
        for _ in range(PROBES):
            self._wire.send(process.wire_name, ("probe", monotonic_ns()))
            await asyncio.sleep(0.02)

    def _begin_all(self) -> None:
        self._start_ns = monotonic_ns() + round(HEAD_START_SECONDS * 1e9)
        self._assembly.recording.clock_uncertainty_us = max(
            process.uncertainty_ns // 1000 for process in self._processes.values()
        )
        self._events.put(("ready", {"processes": {name: process.hello for name, process in self._current.items()}}))
        for process in self._current.values():
            self._begin(process)
        for fault in self._cluster.faults:
            if not isinstance(fault.at, After):
                self._loop.call_at(self._start_ns / 1e9 + fault.at, self._happen, fault, True)

    def _begin(self, process: Process) -> None:
        process.state = "running"
        addresses = {name: other.hello["address"] for name, other in self._current.items()}
        standing = self._standing.for_node(process.name)
        self._wire.send(process.wire_name, ("begin", self._start_ns + process.offset_ns, addresses, standing))

    async def _until_done(self) -> None:
        limit = self._cluster.time_limit
        try:
            async with asyncio.timeout(HEAD_START_SECONDS + limit):
                while self._busy and not self._incidents.ray_is_gone:
                    await self._next_change()
        except TimeoutError:
            names = ", ".join(sorted(self._busy))
            raise RunTimedOut(f"{names} had not finished after {limit:g} seconds") from None

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._cluster.drain):
                while not self._incidents.ray_is_gone:
                    await self._next_change()
        except TimeoutError:
            pass  # drained

    async def _next_change(self) -> None:
        self._changed.clear()
        self._raise_failure()
        await self._changed.wait()
        self._raise_failure()

    async def _finish_all(self) -> None:
        running = [process for process in self._processes.values() if process.state in ("running", "waiting")]
        for process in running:
            self._wire.send(process.wire_name, ("finish",))
        end = monotonic() + FINISH_SECONDS
        while any(process.state in ("running", "waiting") for process in running) and monotonic() < end:
            await asyncio.sleep(0.002)
            self._raise_failure()

    # What the processes report.

    def _on_message(self, source: str, report: tuple) -> None:
        try:
            getattr(self, f"_heard_{report[0]}")(self._processes[source], *report[1:])
        except Exception as error:  # a defect of ours: the connection is not to blame
            self._fail(error)

    def _on_unreadable(self, source: str, error: Exception) -> None:
        # The node could pickle what it recorded, and nobody can make it again: an error of the node's code.
        self._fail(NodeFailure(failure_in(self._processes[source].name, error, round(1e6 * self._now()))))

    def _heard_hello(self, process: Process, hello: dict[str, Any]) -> None:
        process.hello = hello
        process.state = "waiting"
        process.greeted.set()

    def _heard_probe(self, process: Process, sent_ns: int, theirs_ns: int) -> None:
        now = monotonic_ns()
        uncertainty = (now - sent_ns) // 2
        if uncertainty < process.uncertainty_ns:
            process.uncertainty_ns, process.offset_ns = uncertainty, theirs_ns - (sent_ns + now) // 2

    def _heard_rows(self, process: Process, rows: list[tuple]) -> None:
        self._assembly.rows(rows)

    def _heard_invoked(self, process: Process, operation: Operation) -> None:
        self._assembly.invoked(process.wire_name, operation)

    def _heard_responded(self, process: Process, operation: Operation) -> None:
        self._assembly.responded(process.wire_name, operation)

    def _heard_noted(self, process: Process, note: Note) -> None:
        self._assembly.noted(process.wire_name, note)

    def _heard_done(self, process: Process) -> None:
        self._no_longer_busy(process.name)

    def _heard_failed(self, process: Process, summary: str, trace: str) -> None:
        self._fail(NodeFailure(f"{summary}\n{trace}".rstrip()))

    def _heard_finished(
        self, process: Process, messages_sent: int, dropped: int, turned_away: int, retried: int
    ) -> None:
        process.state = "finished"
        self._incidents.crowd(process.name, turned_away, retried)
        self._assembly.recording.messages_sent += messages_sent
        self._assembly.recording.messages_dropped_from_trace += dropped

    def _on_lost(self, wire_name: str) -> None:
        self._died(self._processes[wire_name])

    def _on_end(self, process: Process, error: str) -> None:
        if error:
            process.has_ended = not self._session.gone  # otherwise nobody knows
            if process.state == "starting":
                self._fail(MissingComponent(f"{process.name} could not be started: {error}"))
            if process.has_ended:
                self._died(process)

    def _died(self, process: Process) -> None:
        if process.state in ("running", "waiting", "paused"):
            self._incidents.death(process, self._now())
            process.state = "dead"
            self._no_longer_busy(process.name)

    def _lose_ray(self) -> None:
        how = self._session.gone
        self._incidents.end_of_ray(how, self._now())
        if not self._start_ns:
            self._fail(MissingComponent(f"Ray died before the run began: {how}"))
        self._changed.set()

    def _now(self) -> float:
        return (monotonic_ns() - self._start_ns) / 1e9 if self._start_ns else 0.0

    # Faults.

    def _happen_in(self, fault: Fault, delay_us: int) -> None:
        self._loop.call_later(delay_us / 1e6, self._happen, fault, False)

    def _happen(self, fault: Fault, planned: bool) -> None:
        now = self._now()
        happened = fault if planned and fault.kind not in _SIGNALS else replace(fault, at=round(now, 6))
        self._assembly.recording.faults.append(happened)
        self._standing.note(happened)
        if fault.kind == "restart":
            self._keep(self._loop.create_task(self._restart(fault.nodes[0])))
        elif fault.kind in _SIGNALS:
            self._signal(self._current[fault.nodes[0]], fault.kind)
        elif not planned:  # each process applies the planned ones by itself, at the same instant
            names = fault.nodes if fault.kind in OF_ONE_NODE else self._current
            for name in names:
                self._wire.send(self._current[name].wire_name, ("apply", happened))

    def _signal(self, process: Process, kind: str) -> None:
        if process.state not in ("running", "paused"):
            return
        process.state = _SIGNALS[kind][1]
        self._placement.signal(process.number, process.hello, _SIGNALS[kind][0])
        if kind == "crash" and not self._restarts_left[process.name]:
            self._no_longer_busy(process.name)

    async def _restart(self, name: str) -> None:
        self._restarts_left[name] -= 1
        if self._current[name].state != "dead":
            return
        if name in self._clients:
            self._busy.add(name)
        spare = self._spares[name].popleft()
        self._launch_spare(name)
        await self._until_greeted([spare])
        await self._compare_clocks(spare)
        self._current[name] = spare
        for process in self._current.values():
            if process is not spare and process.state in ("running", "paused"):
                self._wire.send(process.wire_name, ("moved", name, spare.hello["address"]))
        self._begin(spare)

    # Housekeeping.

    def _no_longer_busy(self, name: str) -> None:
        self._busy.discard(name)
        self._changed.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._changed.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._kept)

    def _kept(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fail(task.exception())

    def _kill_all(self) -> None:
        for process in self._processes.values():
            if process.state != "dead":
                process.state = "finished"
            hello = {} if process.has_ended else process.hello  # its pid may be another process's by now
            with suppress(Exception):
                self._placement.kill(process.number, hello)

    async def _close(self) -> None:
        await self._wire.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _from_elsewhere(self, action: Callable[..., Any], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the run is over
            self._loop.call_soon_threadsafe(action, *arguments)


_SIGNALS = {
    "crash": (signal.SIGKILL, "dead"),
    "pause": (signal.SIGSTOP, "paused"),
    "resume": (signal.SIGCONT, "running"),
    "restart": (None, "running"),
}
