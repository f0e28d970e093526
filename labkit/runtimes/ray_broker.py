"""The broker, a process of its own between a session's owner and Ray: what `ray_session` asks, it does with Ray.

Ray ends its driver when its head is gone, takes over some of its signals, and writes to its output. None of that may
happen to a notebook's kernel with its reader's variables, so the kernel never connects to Ray itself.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from labkit.errors import plain
from labkit.runtimes.ray_actor import NodeActor, run_some

OBJECT_STORE_BYTES = 78_643_200
"""The least that Ray accepts; labkit keeps nothing in its object store."""

LOOPBACK = "127.0.0.1"
PROBE_SECONDS = 3.0
GRACE_SECONDS = 10.0
"""How long the broker stays after a part of Ray has died: the owner hears of it, and ends the session itself."""
LOOK_SECONDS = 0.25
POLL_SECONDS = 1.0

# How every connection of HTTP/2, and so every one of Ray's, begins; the other side answers with its settings.
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP2_SETTINGS = 4

READY, ITEM, DONE, FAILED, GONE = "ready", "item", "done", "failed", "gone"
"""What the broker says of a request: an item of it, its end, its failure; and of Ray: that it is ready, or gone."""

SESSION = 0
"""The number under which the broker speaks of the session itself."""


@dataclass(frozen=True)
class Plan:
    """Which Ray to connect to: that of `address`, or one of its own with so many `cores` if there is none."""

    address: str
    cores: int


class RayNode(NamedTuple):
    """One of Ray's own nodes, a machine of the cluster."""

    identity: str
    address: str


class NotReachable(Exception):
    """Ray cannot be started or joined; the message says why."""


def serve(connection: Connection) -> None:
    """Open a session as the owner plans it, and do what it asks until it hangs up. Never returns."""
    _Broker(connection, connection.recv()).serve()


class _Broker:
    def __init__(self, connection: Connection, plan: Plan):
        self._connection = connection
        self._plan = plan
        self._sending = threading.Lock()
        self._is_open = threading.Event()
        self._asked: queue.SimpleQueue[tuple[int, str, tuple]] = queue.SimpleQueue()
        self._actors: dict[int, Any] = {}
        self._tasks: dict[int, list[Any]] = {}
        self._answers: dict[str, Callable[..., None]] = {
            "start": self._start,
            "kill": self._kill,
            "signal": self._signal,
            "nodes": self._nodes,
            "cores": self._cores,
            "spread": self._spread,
            "cancel": self._cancel,
        }

    def serve(self) -> None:
        threading.Thread(target=self._watch_start, daemon=True).start()
        try:
            self._open()
        except NotReachable as error:
            self._say(SESSION, FAILED, str(error))
            os._exit(1)
        except Exception as error:
            self._say(SESSION, FAILED, f"Ray did not start: {plain(error)}")
            os._exit(1)
        for each in (signal.SIGTERM, signal.SIGHUP):  # Ray's handlers would wait for its processes, maybe for ever
            signal.signal(each, signal.SIG_DFL)
        threading.Thread(target=self._work, daemon=True).start()
        with suppress(EOFError, OSError):
            while True:  # a call of Ray's may hang; the owner can still hang up, and never waits to be read
                self._asked.put(self._connection.recv())
        if self._plan.address:
            self._ray.shutdown()  # the cluster goes on, and should hear that its driver has left
        os._exit(0)

    def _say(self, number: int, what: str, value: Any = None) -> None:
        with self._sending, suppress(OSError):
            self._connection.send((number, what, value))

    def _work(self) -> None:
        while True:
            number, what, arguments = self._asked.get()
            try:
                self._answers[what](number, *arguments)
            except Exception as error:
                self._say(number, FAILED, plain(error))

    # The session.

    def _open(self) -> None:
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        check_loopback()
        address = self._join(self._plan.address) if self._plan.address else self._start_own()
        self._actor = self._ray.remote(num_cpus=0, max_restarts=0)(NodeActor)
        self._is_open.set()
        self._say(SESSION, READY, address)

    def _watch_start(self) -> None:
        # Ray waits half a minute for a part that was killed while it started.
        seen: set[int] = set()
        with suppress(FileNotFoundError):  # not Linux
            while not self._is_open.wait(LOOK_SECONDS):
                living = set(_parts(os.getpid()))
                if seen - living:
                    self._say(SESSION, FAILED, "Ray did not start: one of its processes was killed")
                    os._exit(1)
                seen |= living

    def _start_own(self) -> str:
        import ray

        # ray.init would add a monitor and a log monitor, some 100 MB and a second that nothing here needs.
        from ray.cluster_utils import Cluster

        self._ray = ray
        head = {
            "num_cpus": self._plan.cores,
            "include_dashboard": False,
            "no_monitor": True,
            "include_log_monitor": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "node_ip_address": LOOPBACK,
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        ray.init(address=cluster.address, _node_ip_address=LOOPBACK, log_to_driver=False, logging_level="CRITICAL")
        parts = {name: infos[0].process for name, infos in cluster.head_node.all_processes.items() if name in _PARTS}
        for name, process in parts.items():
            threading.Thread(target=self._tell_end, args=(_PARTS[name], process), daemon=True).start()
        self._watch_agents(parts["raylet"].pid)
        # A head that is asked to end (SIGTERM) stops answering, and then may not end for minutes.
        threading.Thread(target=self._tell_hang_up, args=(cluster.address,), daemon=True).start()
        return cluster.address

    def _join(self, address: str) -> str:
        if address != "auto":
            check_answers_as_ray(address)
        import ray

        self._ray = ray
        try:
            ray.init(address=address, log_to_driver=False, logging_level="CRITICAL")
        except Exception as error:
            raise NotReachable(f"cannot join the Ray cluster at RAY_ADDRESS={address}: {plain(error)}") from error
        head = address.partition("://")[2] or address
        with suppress(Exception):  # a client of Ray's is not told
            head = ray.get_runtime_context().gcs_address
        threading.Thread(target=self._tell_hang_up, args=(head,), daemon=True).start()
        return address

    def _tell_end(self, part: str, process: Any) -> None:
        process.wait()
        self._tell_gone(f"its {part} was killed")

    def _watch_agents(self, raylet: int) -> None:
        # Without its agents a raylet starts no process, and may not say so.
        with suppress(FileNotFoundError):  # not Linux
            agents = _children(raylet)
            if len(agents) < _argument_count(raylet, "_agent_command="):
                raise NotReachable("Ray did not start: one of its raylet's agents was killed")
            for agent in agents:
                with suppress(
                    AttributeError, OSError
                ):  # a Linux before 5.3, or a sandbox: the raylet itself is watched
                    handle = os.pidfd_open(agent)
                    threading.Thread(target=self._tell_agents_end, args=(handle,), daemon=True).start()

    def _tell_agents_end(self, handle: int) -> None:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()
        sleep(LOOK_SECONDS)  # where the raylet itself has ended, that says more
        self._tell_gone("one of its raylet's agents was killed")

    def _tell_hang_up(self, address: str) -> None:
        # A connection that says nothing: it ends when the head does, and now and then because it says nothing.
        host, port = split_address(address)
        while True:
            try:
                with socket.create_connection((host, port), PROBE_SECONDS) as line:
                    line.settimeout(None)
                    while line.recv(4096):
                        pass
            except ConnectionResetError:
                pass
            except OSError:
                break
            sleep(LOOK_SECONDS)
        sleep(LOOK_SECONDS)  # where its process has ended, that says more
        self._tell_gone(f"its head (GCS) at {address} does not answer any more")

    def _tell_gone(self, how: str) -> None:
        self._say(SESSION, GONE, how)
        sleep(GRACE_SECONDS)
        os._exit(1)

    # Nodes.

    def _start(self, number: int, life: bytes, place: str, is_fixed: bool, one_machine: bool) -> None:
        # Ray's own "SPREAD" is a best effort: actors that ask for no CPU may all land on one node. Soft where any
        # place will do, because a Ray node that was lost since is no reason not to start.
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(place, soft=not is_fixed)
        self._actors[number] = actor = self._actor.options(scheduling_strategy=where).remote()
        ended = actor.live.remote(life, one_machine).future()
        ended.add_done_callback(lambda future: self._say_end(number, future))

    def _say_end(self, number: int, ended: Any) -> None:
        error = None if ended.cancelled() else ended.exception()
        if error is None:
            self._say(number, DONE)
        else:
            self._say(number, FAILED, plain(getattr(error, "cause", None) or error))

    def _kill(self, number: int) -> None:
        actor = self._actors.pop(number, None)
        if actor is not None:
            self._ray.kill(actor, no_restart=True)

    def _signal(self, number: int, place: str, pid: int, which: int) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(place, soft=False)
        self._ray.remote(num_cpus=0)(os.kill).options(scheduling_strategy=where).remote(pid, which)

    def _nodes(self, number: int) -> None:
        living = [node for node in self._ray.nodes() if node["Alive"]]
        own = self._ray.util.get_node_ip_address()
        self._say(number, DONE, (own, [RayNode(node["NodeID"], node["NodeManagerAddress"]) for node in living]))

    # Tasks.

    def _cores(self, number: int) -> None:
        self._say(number, DONE, max(int(self._ray.cluster_resources().get("CPU", 1)), 1))

    def _spread(self, number: int, packages: list[bytes]) -> None:
        task = self._ray.remote(num_cpus=1, max_retries=1)(run_some)
        references = [task.remote(package) for package in packages]
        self._tasks[number] = references
        threading.Thread(target=self._collect, args=(number, references), daemon=True).start()

    def _collect(self, number: int, references: list[Any]) -> None:
        places = {reference: place for place, reference in enumerate(references)}
        pending = references
        try:
            while pending and number in self._tasks:
                done, pending = self._ray.wait(pending, num_returns=1, timeout=POLL_SECONDS)
                for reference in done:
                    self._say(number, ITEM, (places[reference], self._ray.get(reference)))
            self._say(number, DONE)
        except Exception as error:
            self._say(number, FAILED, plain(error))

    def _cancel(self, number: int) -> None:
        for reference in self._tasks.pop(number, ()):
            with suppress(Exception):
                self._ray.cancel(reference, force=True)


_PARTS = {"gcs_server": "head (GCS)", "raylet": "raylet"}


def check_loopback() -> None:
    """Raise `NotReachable` unless two processes of this machine can connect: Ray would wait for minutes."""
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname()[:2], PROBE_SECONDS).close()
    except OSError as error:
        raise NotReachable(
            f"nothing can connect to {LOOPBACK} on this machine ({plain(error)}): is the loopback interface up?"
        ) from None


def check_answers_as_ray(address: str) -> None:
    """Raise `NotReachable` unless something at `address` greets as Ray does: Ray itself would wait for minutes."""
    try:
        host, port = split_address(address)
        with socket.create_connection((host, port), PROBE_SECONDS) as line:
            line.sendall(HTTP2_GREETING)
            greeting = _read(line, len(HTTP2_GREETING[-9:]), monotonic() + PROBE_SECONDS)
    except (OSError, ValueError, OverflowError) as error:
        raise NotReachable(f"no Ray cluster answers at RAY_ADDRESS={address}: {plain(error)}") from None
    if len(greeting) < 9 or greeting[3] != HTTP2_SETTINGS:
        heard = "something else than Ray answers" if greeting else "what listens there says nothing"
        raise NotReachable(f"no Ray cluster answers at RAY_ADDRESS={address}: {heard}")


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``, also behind ``ray://``; raises `ValueError`."""
    host, colon, port = (address.partition("://")[2] or address).rpartition(":")
    if not colon or not host:
        raise ValueError("it must be HOST:PORT")
    return host.strip("[]"), int(port)


def _read(line: socket.socket, size: int, end: float) -> bytes:
    heard = b""
    while len(heard) < size and (left := end - monotonic()) > 0:
        if not select.select([line], [], [], left)[0]:
            break
        more = line.recv(size - len(heard))
        if not more:
            break
        heard += more
    return heard


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in map(int, children) if _command(child)]


def _parts(broker: int) -> Iterator[int]:
    # Ray's own processes: those that it starts first, and their agents.
    for child in _children(broker):
        if any(sign in _command(child) for sign in ("gcs/gcs_server", "raylet/raylet")):
            yield child
            with suppress(FileNotFoundError):  # it has ended meanwhile
                yield from (each for each in _children(child) if "gent" in _command(each))


def _command(pid: int) -> str:
    # Empty for a process that has ended.
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _argument_count(pid: int, sign: str) -> int:
    return _command(pid).count(sign)
