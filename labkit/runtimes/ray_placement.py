"""Where a run's processes go on a Ray cluster, and how signals reach them there."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from time import monotonic, sleep
from typing import Any

from labkit.errors import MissingComponent
from labkit.runtimes.node_process import Life, machine_name
from labkit.runtimes.ray_broker import DONE, FAILED, LOOPBACK
from labkit.runtimes.ray_session import RaySession

DETECTION_SECONDS = 25.0
"""Ray takes five missed health checks, of three seconds each, to give a node up."""


class Placement:
    """Starts, signals and kills node processes on whatever machines Ray has.

    On one machine everything binds to the loopback interface; a cluster that spans machines, which the user asked
    for with RAY_ADDRESS, binds to each machine's cluster address.
    """

    def __init__(self, session: RaySession):
        self._session = session
        own_address, nodes = session.ask("nodes")
        self._next_place = cycle(sorted(node.identity for node in nodes))
        self._is_one_machine = len({node.address for node in nodes}) == 1
        self.bind = LOOPBACK if self._is_one_machine else own_address

    def start(self, life: Life, place: str | None, ended: Callable[[str], None]) -> int:
        """Start a process, on the Ray node `place` if given (its disk is there), else on each of them in turn.

        Returns the process's number. `ended` is called from another thread when it has ended, with the error if there
        was one.
        """

        def heard(said: str, value: Any) -> None:
            if said in (DONE, FAILED):
                ended(value or "")

        where, is_fixed = place or next(self._next_place), place is not None
        return self._session.begin("start", pickle.dumps(life), where, is_fixed, self._is_one_machine, heard=heard)

    def signal(self, number: int, hello: dict[str, Any], which: signal.Signals) -> None:
        """Send a signal to a process, wherever it is."""
        if hello["machine"] == machine_name():
            with suppress(ProcessLookupError):
                os.kill(hello["pid"], which)
        elif which == signal.SIGKILL:
            self._session.tell(number, "kill")
        else:
            self._session.tell(number, "signal", hello["place"], hello["pid"], int(which))

    def kill(self, number: int, hello: dict[str, Any]) -> None:
        """End a process for good, even one that has not reported yet."""
        self._session.forget(number)
        if hello.get("machine") == machine_name():
            with suppress(ProcessLookupError):
                os.kill(hello["pid"], signal.SIGKILL)
        self._session.tell(number, "kill")

    def gone(self, suspects: set[str]) -> set[str]:
        """Which of the Ray nodes `suspects` are gone; waits, if there are any, until Ray has found out."""
        end = monotonic() + DETECTION_SECONDS
        while True:
            if self._session.gone:
                return suspects
            try:
                alive = {node.identity for node in self._session.ask("nodes")[1]}
            except MissingComponent:
                return suspects
            if suspects.isdisjoint(alive) or monotonic() > end:
                return suspects - alive
            sleep(0.25)
