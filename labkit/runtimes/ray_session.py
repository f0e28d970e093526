"""Ray itself: started lean for this process, or joined through RAY_ADDRESS; gone when the process is.

This process never connects to Ray: another does, the broker (`labkit.runtimes.ray_broker`), which a guard
(`labkit.runtimes.ray_guard`) starts and outlives. A socket leads to both. When it ends, on whichever side, the guard
clears up.
"""

from __future__ import annotations

import atexit
import fcntl
import importlib.util
import os
import queue
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from labkit.errors import MissingComponent
from labkit.machine import available_bytes, usable_cores
from labkit.runtimes import ray_guard
from labkit.runtimes.ray_broker import DONE, FAILED, GONE, LOOPBACK, READY, SESSION, Plan

NEEDED_BYTES = 600_000_000
"""Memory that an empty Ray and five nodes take."""

START_SECONDS = 60.0
JOIN_SECONDS = 12.0
ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 15.0
LEAVING_SECONDS = 2.0
STALE_SECONDS = 60.0

FOLDER_PREFIX = "labkit-"
FOLDER_LIMIT = 35
"""Characters that the session's folder may have: Ray adds 70, and the path of a socket ends at 107."""

Heard = Callable[[str, Any], None]
"""Gets what the broker says of a request, in the session's own thread: ``item``, ``done`` or ``failed``, a value."""

_session: RaySession | None = None
_opening = threading.Lock()


def open_session() -> RaySession:
    """This process's session with Ray: that of RAY_ADDRESS if that is set, else one of its own.

    The first call takes some seconds, later ones none, unless Ray has died since. Raises `MissingComponent` if Ray is
    not installed, cannot be started or reached, or finds too little memory.
    """
    global _session
    with _opening:
        if _session is None or _session.gone or not _session.is_of_this_process:
            close_session()
            if importlib.util.find_spec("ray") is None:
                raise MissingComponent("Ray is not installed: `pip install 'labkit[labs]'` brings it")
            address = os.environ.get("RAY_ADDRESS", "")
            _session = RaySession("" if address == "local" else address)
        return _session


def close_session() -> None:
    """End the session, if there is one: a Ray of this process's own is gone when this returns."""
    global _session
    if _session is not None:
        session, _session = _session, None
        session.close()


def ray_session() -> Any:
    """The `ray` module, connected in this process as well: for what measures Ray's own calls.

    A process that is connected shares Ray's fate: it ends when Ray's head does. Raises `MissingComponent` if Ray was
    imported before: it reads its switches then, and would look for our session elsewhere, for as long as it is let.
    """
    was_imported = "ray" in sys.modules
    session = open_session()
    os.environ.update(session.environment)
    import ray

    if was_imported and session.is_own and ray._private.ray_constants.ENABLE_RAY_CLUSTER:
        raise MissingComponent("Ray was imported before labkit had started it: connect to it in a process of its own")
    if not ray.is_initialized():
        where = {"_node_ip_address": LOOPBACK} if session.is_own else {}
        ray.init(address=session.address, log_to_driver=False, logging_level="ERROR", **where)
    return ray


class RaySession:
    """A Ray of this process's own, or, with an `address`, this process's part in another.

    `folder` is private to the session, and removed with it. `gone` says why Ray is no longer there, or is empty.
    """

    def __init__(self, address: str):
        self.is_own = not address
        self.address = address
        self.gone = ""
        self._pid = os.getpid()
        self._numbers = iter(range(SESSION + 1, sys.maxsize))
        self._heard: dict[int, Heard] = {}
        self._watchers: list[Callable[[], None]] = []
        self._sending, self._closing = threading.Lock(), threading.Lock()
        self._is_open = self._is_closed = False
        if self.is_own:
            _check_memory()
        self.folder = _private_folder()
        self.environment = {**_ENVIRONMENT, **(_own_environment(self.folder) if self.is_own else {})}
        self._socket, theirs = socket.socketpair()
        try:
            self._guard = self._start_guard(theirs)
            self._connection = Connection(os.dup(self._socket.fileno()))
            self._reader = threading.Thread(target=self._read, name="labkit-ray", daemon=True)
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process has opened the session: a fork of it has not."""
        return self._pid == os.getpid()

    def begin(self, what: str, *arguments: Any, heard: Heard) -> int:
        """Ask the broker for something; `heard` gets what it says of it, until `forget`. Returns its number."""
        number = next(self._numbers)
        self._heard[number] = heard
        self._send((number, what, arguments))
        if self.gone:
            self._fail_all()
        return number

    def tell(self, number: int, what: str, *arguments: Any) -> None:
        """Say something about a request."""
        self._send((number, what, arguments))

    def forget(self, number: int) -> None:
        """Hear no more of a request."""
        self._heard.pop(number, None)

    def ask(self, what: str, *arguments: Any) -> Any:
        """What the broker answers; raises `MissingComponent` if it cannot, or not within `ANSWER_SECONDS`."""
        answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        number = self.begin(what, *arguments, heard=lambda said, value: answers.put((said, value)))
        try:
            said, value = answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise MissingComponent(f"Ray has not answered within {ANSWER_SECONDS:g} seconds") from None
        finally:
            self.forget(number)
        if said == FAILED:
            raise MissingComponent(f"Ray failed: {value}")
        return value

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """While this lasts, `watcher` is called when Ray is gone (from another thread), and the session kept."""
        self._watchers.append(watcher)
        try:
            if self.gone:
                watcher()
            yield
        finally:
            self._watchers.remove(watcher)
            if self.gone and not self._watchers:
                self.close()

    def close(self) -> None:
        """End the session, and wait until nothing of it is left. Safe from any thread, and more than once."""
        if not self.is_of_this_process:
            return  # a fork has the socket, too, but the session is not its own
        self.gone = self.gone or "it was stopped"
        with self._closing:
            if not self._is_closed:
                self._hang_up()
                self._is_closed = True
        atexit.unregister(self.close)

    def _start_guard(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        leaving = 0.0 if self.is_own else LEAVING_SECONDS
        arguments = [theirs.fileno(), self.folder, os.getpid(), leaving]
        environment = {**os.environ, **self.environment}
        environment.pop("RAY_ADDRESS", None)
        with theirs:
            # Its own session of the terminal: Ctrl-C there is for us, and a terminal that goes away is, too.
            return subprocess.Popen(
                [sys.executable, "-P", ray_guard.__file__, *map(str, arguments)],
                pass_fds=[theirs.fileno()], env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def _open(self) -> None:
        limit = START_SECONDS if self.is_own else JOIN_SECONDS
        answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._heard[SESSION] = lambda said, value: answers.put((said, value))
        self._reader.start()
        with suppress(OSError):  # the reader tells why
            self._connection.send([entry or os.getcwd() for entry in sys.path])
            self._connection.send(Plan(self.address, usable_cores()))
        try:
            said, value = answers.get(timeout=limit)
        except queue.Empty:
            what = "did not start" if self.is_own else f"at RAY_ADDRESS={self.address} did not let us join"
            raise MissingComponent(f"Ray {what} within {limit:g} seconds") from None
        if said != READY:
            raise MissingComponent(value)
        self.address = value
        self._heard.pop(SESSION)
        self._is_open = True
        atexit.register(self.close)

    def _send(self, message: tuple[int, str, tuple]) -> None:
        with self._sending, suppress(OSError):  # the reader hears of the end, and tells it
            self._connection.send(message)

    def _read(self) -> None:
        try:
            while True:
                number, said, value = self._connection.recv()
                if said == GONE:
                    self._end(value)
                    continue
                heard = self._heard.get(number)
                if heard is not None:
                    heard(said, value)
                if said in (DONE, FAILED):
                    self._heard.pop(number, None)
        except (EOFError, OSError):
            self._end("the process that speaks with it was killed")
        self._connection.close()

    def _end(self, how: str) -> None:
        if self.gone:
            return self._fail_all()
        self.gone = how
        self._fail_all()
        for watcher in list(self._watchers):
            watcher()
        if not self._watchers:  # nobody uses it: an idle notebook, say. Not here, where the end is yet to be read.
            threading.Thread(target=self.close, daemon=True).start()

    def _fail_all(self) -> None:
        while self._heard:
            with suppress(KeyError):
                _, heard = self._heard.popitem()
                heard(FAILED, f"Ray has died: {self.gone}")

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a fork may hold the socket open: closing would not be heard
        guard = getattr(self, "_guard", None)
        if guard is not None:
            if not self._is_open:
                guard.terminate()  # there is nothing to take leave of
            try:
                guard.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                guard.kill()
                guard.wait()
            if guard.returncode:  # it was killed itself; what it has started is of its session
                _kill(ray_guard.members(guard.pid))
        shutil.rmtree(self.folder, ignore_errors=True)
        self._socket.close()


_ENVIRONMENT = {
    # Ray's own switches, set before its first import.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


def _own_environment(folder: str) -> dict[str, str]:
    return {
        # Ray starts an idle process for each core, in case; here every process is a node somebody asked for.
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
        # What is killed while it starts is started again after this long: a minute, if Ray had its way.
        "RAY_worker_register_timeout_seconds": "25",
        # Ray's own switch for "this machine alone": without it, it listens on every interface.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Ray opens its folder to all, so it gets one within ours. Its note of which cluster is the newest is there,
        # too: in the usual place it would be another cluster's.
        "RAY_TMPDIR": folder,
    }


def _check_memory() -> None:
    available = available_bytes()
    if available is not None and available < NEEDED_BYTES:
        raise MissingComponent(
            f"too little memory for Ray: {available / 1e6:.0f} MB are free, about {NEEDED_BYTES / 1e6:.0f} MB needed"
        )


def _private_folder() -> str:
    # For nobody but this user (0700), and short: Ray's sockets lie deep within.
    reasons = []
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")):
        if len(parent) + 1 + len(FOLDER_PREFIX) + 8 > FOLDER_LIMIT:
            reasons.append(f"{parent} is too long")
            continue
        _clear_stale(Path(parent))
        try:
            return tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent)
        except OSError as error:
            reasons.append(f"{parent}: {error.strerror}")
    raise MissingComponent(f"there is no place for Ray's folder ({'; '.join(reasons)}): set TMPDIR to a short path")


def _clear_stale(parent: Path) -> None:
    # Of sessions whose owner and guard were both killed. A lock is held for as long as one of the guard and the broker
    # lives; a folder without one is that of a guard which never began.
    with suppress(OSError):
        for folder in parent.glob(f"{FOLDER_PREFIX}*"):
            with suppress(OSError):
                if folder.stat().st_uid != os.getuid() or time.time() - folder.stat().st_mtime < STALE_SECONDS:
                    continue
                if not (folder / ray_guard.LOCK).exists():
                    folder.rmdir()  # only if it is empty
                    continue
                with open(folder / ray_guard.LOCK) as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
