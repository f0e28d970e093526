"""Run as a program: the guard of one Ray session. It outlives its owner, and leaves nothing of the session behind.

The guard starts the broker (`labkit.runtimes.ray_broker`) as its child and waits until one of the two ends, or its
owner does, by whatever means. Then it kills all its descendants, those of killed parents too, and removes the
session's folder. It imports nothing but the standard library, so that it is small and there at once.

Arguments: the socket to the owner, the session's folder, the owner's pid, and the seconds that the broker has to leave
a cluster in.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from types import FrameType
from typing import NamedTuple

LOCK = "lock"
"""A file in the session's folder, locked for as long as the guard or the broker lives."""

CLEARING_SECONDS = 8.0
LOOK_EVERY_MS = 500
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Asked(BaseException):
    """A signal asks the guard to end the session."""


def main(owner_socket: int, folder: str, owner: int, leaving_seconds: float) -> None:
    """Guard a session until its end, then clear up."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(each, _ask)
    broker = 0
    try:
        _adopt_orphans()
        lock = os.open(os.path.join(folder, LOCK), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        broker = _start_broker(owner_socket, folder)
        _wait_for_an_end(owner_socket, owner, broker)
        _wait_for_broker(broker, leaving_seconds)
    except Asked:
        pass
    finally:
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(each, signal.SIG_IGN)
        _kill_descendants()
        shutil.rmtree(folder, ignore_errors=True)


def _ask(number: int, frame: FrameType | None) -> None:
    raise Asked


def _start_broker(owner_socket: int, folder: str) -> int:
    guard, child = os.getpid(), os.fork()
    if child:
        return child
    try:
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(each, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guard:
            _be_broker(owner_socket, folder)
    finally:
        os._exit(1)


def _be_broker(owner_socket: int, folder: str) -> None:
    from multiprocessing.connection import Connection

    with open(os.path.join(folder, "broker.log"), "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    connection = Connection(owner_socket)
    sys.path[:] = connection.recv()  # the owner's: what it can import, Ray's processes can
    from labkit.runtimes.ray_broker import serve

    serve(connection)


def _wait_for_an_end(owner_socket: int, owner: int, broker: int) -> None:
    # An end of the socket alone may not be heard of: a fork of the owner's may hold it open.
    poll = select.poll()
    poll.register(owner_socket, 0)  # tells only that the other side has hung up
    watched = [_handle_of(pid) for pid in (owner, broker)]
    for handle in watched:
        if handle is not None:
            poll.register(handle, select.POLLIN)
    timeout = LOOK_EVERY_MS if None in watched else None
    while os.getppid() == owner and not poll.poll(timeout):
        if os.waitid(os.P_PID, broker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return


def _handle_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or one before 5.3, or a sandbox
        return None


def _wait_for_broker(broker: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, broker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.02)


def _adopt_orphans() -> None:
    # Processes whose parents are killed become the guard's children, so that none can get out of its sight.
    _process_control(PR_SET_CHILD_SUBREAPER, 1)


def _process_control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _kill_descendants() -> None:
    end = time.monotonic() + CLEARING_SECONDS
    while time.monotonic() < end:
        living = descendants(os.getpid())
        for pid in living:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # gone meanwhile
        # A process may escape one look, where its parent dies in the middle of it. Then it has become a child of ours.
        if not _has_children() and not living:
            return
        time.sleep(0.01)


def _has_children() -> bool:
    # Those that have ended are taken leave of first.
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def descendants(ancestor: int) -> list[int]:
    """Every process that `ancestor` has started, or that those have, but for those that have ended."""
    children = defaultdict(list)
    for process in _living():
        children[process.parent].append(process.pid)
    known = [ancestor]
    for pid in known:
        known += children[pid]
    return known[1:]


def members(session: int) -> list[int]:
    """Every process of a session that somebody's `start_new_session` began, but for those that have ended."""
    return [process.pid for process in _living() if process.session == session]


class _Process(NamedTuple):
    pid: int
    parent: int
    session: int


def _living() -> list[_Process]:
    if not os.path.isdir("/proc/self"):
        with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,pgid="], stdout=subprocess.PIPE, text=True) as listing:
            rows = [_Process(*map(int, line.split())) for line in listing.communicate()[0].splitlines()]
        return [process for process in rows if process.pid != listing.pid]
    living = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                state, parent, _, session = stat.read().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # gone meanwhile
        if state not in "ZX":
            living.append(_Process(int(name), int(parent), int(session)))
    return living


if __name__ == "__main__":
    socket_number, session_folder, owner_pid, leaving = sys.argv[1:]
    main(int(socket_number), session_folder, int(owner_pid), float(leaving))
