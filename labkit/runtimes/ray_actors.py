"""The Ray runtime: each node an actor in a process of its own, faults by real signals, messages over TCP.

Ray starts, places and watches the processes; what the nodes say to each other never passes through it. The run is
driven by an event loop in a thread of its own, because a notebook's kernel already runs one in the main thread.
"""

from __future__ import annotations

import threading

from labkit.cluster import Cluster
from labkit.history import Recording
from labkit.runtimes.packing import pack_cluster
from labkit.runtimes.ray_drive import FINISH_SECONDS, Drive, Observer, Progress
from labkit.runtimes.ray_session import open_session

TICKS_A_REPORT = 5
"""Progress is told four times a second: a notebook that redraws its bar takes time from the nodes it measures."""


def execute(
    cluster: Cluster,
    seed: int,
    *,
    trace: bool = True,
    progress: Progress | None = None,
    observe: Observer | None = None,
) -> Recording:
    """Run `cluster` on real processes in real time, and return what happened.

    Whatever ends it, an error or Ctrl-C included, no process of the run is left behind. If Ray dies in mid-run, the
    run ends there, and its incidents say so. Raises `BadInput` for what cannot be sent to another process,
    `MissingComponent`, `NodeFailure` or `RunTimedOut`.
    """
    package = pack_cluster(cluster)
    session = open_session()
    drive = Drive(session, cluster, package, seed, trace)
    with session.watched(drive.ray_is_gone):
        _follow(drive, progress, observe)
    if drive.error is not None:
        raise drive.error
    assert drive.recording is not None
    return drive.recording


def _follow(drive: Drive, progress: Progress | None, observe: Observer | None) -> None:
    thread = threading.Thread(target=drive.run, name="labkit-driver", daemon=True)
    ticks = 0
    try:
        thread.start()
        while thread.is_alive():
            thread.join(0.05)
            ticks += 1
            drive.pass_on(None if ticks % TICKS_A_REPORT else progress, observe)
        drive.pass_on(progress, observe)
    except BaseException:
        drive.interrupt()
        if thread.is_alive():
            thread.join(FINISH_SECONDS)
        raise
