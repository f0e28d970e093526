"""Where a run's processes go on a Ray cluster, and how signals reach them there."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future
from contextlib import suppress
from itertools import cycle
from time import monotonic, sleep
from typing import Any

from labkit.runtimes.node_process import Life, live, machine_name

DETECTION_SECONDS = 25.0
"""Ray takes five missed health checks, of three seconds each, to give a node up."""


class Placement:
    """Starts, signals and kills node processes on whatever machines Ray has.

    On one machine everything binds to the loopback interface; a cluster that spans machines, which the user asked
    for with RAY_ADDRESS, binds to each machine's cluster address.
    """

    def __init__(self, ray: Any):
        self._ray = ray
        alive = [node for node in ray.nodes() if node["Alive"]]
        addresses = {node["NodeManagerAddress"] for node in alive}
        self._next_place = cycle(sorted(node["NodeID"] for node in alive))
        self.bind = "127.0.0.1" if len(addresses) == 1 else ray.util.get_node_ip_address()
        self._one_machine = len(addresses) == 1
        self._actor = ray.remote(num_cpus=0, max_restarts=0)(_NodeActor)

    def start(self, life: Life, place: str | None) -> tuple[Any, Future[Any]]:
        """Start a process, on the Ray node `place` if given (its disk is there), else on each of them in turn.

        Returns the actor and a future that ends when the process does.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Ray's own "SPREAD" is a best effort: actors that ask for no CPU may all land on one node. Soft, because a
        # Ray node that was lost since is no reason not to start.
        where = NodeAffinitySchedulingStrategy(place or next(self._next_place), soft=place is None)
        actor = self._actor.options(scheduling_strategy=where).remote()
        return actor, actor.live.remote(life, self._one_machine).future()

    def signal(self, actor: Any, hello: dict[str, Any], which: signal.Signals) -> None:
        """Send a signal to a process, wherever it is."""
        if hello["machine"] == machine_name():
            with suppress(ProcessLookupError):
                os.kill(hello["pid"], which)
        elif which == signal.SIGKILL:
            self._ray.kill(actor)
        else:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            where = NodeAffinitySchedulingStrategy(hello["place"], soft=False)
            kill = self._ray.remote(num_cpus=0)(os.kill).options(scheduling_strategy=where)
            kill.remote(hello["pid"], int(which))

    def kill(self, actor: Any, hello: dict[str, Any]) -> None:
        """End a process for good, even one that has not reported yet."""
        if hello.get("machine") == machine_name():
            with suppress(ProcessLookupError):
                os.kill(hello["pid"], signal.SIGKILL)
        self._ray.kill(actor, no_restart=True)

    def gone(self, suspects: set[str]) -> set[str]:
        """Which of the Ray nodes `suspects` are gone; waits, if there are any, until Ray has found out."""
        end = monotonic() + DETECTION_SECONDS
        while True:
            alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
            if suspects.isdisjoint(alive) or monotonic() > end:
                return suspects - alive
            sleep(0.25)


class _NodeActor:
    """The Ray actor around a node's process: one call, which lasts as long as the node."""

    def live(self, life: Life, one_machine: bool) -> None:
        import dataclasses

        import ray

        if not one_machine:
            life = dataclasses.replace(life, bind=ray.util.get_node_ip_address())
        live(life, ray.get_runtime_context().get_node_id())
