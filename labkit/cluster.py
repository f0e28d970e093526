"""A cluster as data: what both runtimes take, and the conditions on which faults can wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from labkit.errors import BadInput
from labkit.faults import After, Fault, FaultPlan
from labkit.history import Note
from labkit.host import NodeSpec
from labkit.network import Network
from labkit.node import remote_interface


@dataclass
class Cluster:
    """Everything a runtime needs to know; times are seconds.

    A run ends when the clients' work is done, and `drain` seconds later; one whose clients have not finished
    after `time_limit` is an error. `sync_delay` is how long a simulated disk takes to sync (a real one takes
    what it takes). At most `trace_limit` messages are kept in the trace.
    """

    nodes: list[NodeSpec] = field(default_factory=list)
    network: Network = field(default_factory=Network)
    faults: FaultPlan = field(default_factory=FaultPlan)
    time_limit: float = 600.0
    drain: float = 0.0
    sync_delay: float = 0.0
    trace_limit: int = 50_000

    def check(self) -> None:
        """Raise `BadInput` unless the cluster can run."""
        names = [spec.name for spec in self.nodes]
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"two nodes are called {name!r}: each needs a name of its own")
        if not any(spec.is_client for spec in self.nodes):
            raise BadInput("the cluster has no client: a run ends when its clients have finished")
        self.faults.check(names)
        classes = dict.fromkeys(spec.node_class for spec in self.nodes)
        self.network.check(names, list(dict.fromkeys(name for each in classes for name in remote_interface(each))))


class Conditions:
    """Watches a run for what its conditional faults wait for, and triggers each of them once."""

    def __init__(self, faults: FaultPlan, trigger: Callable[[Fault, int], None]):
        self._trigger = trigger
        self._waiting = [(fault, fault.at) for fault in faults if isinstance(fault.at, After)]
        self.ended = 0

    def operation_ended(self) -> None:
        """One more operation has had its response."""
        self.ended += 1
        if self._waiting:
            self._fire(lambda after: bool(after.operations) and after.operations <= self.ended)

    def noted(self, note: Note) -> None:
        """A node has noted something."""
        if self._waiting:
            self._fire(lambda after: bool(after.note) and after.note == note.label and after.node in ("", note.node))

    def _fire(self, holds: Callable[[After], bool]) -> None:
        due = [entry for entry in self._waiting if holds(entry[1])]
        self._waiting = [entry for entry in self._waiting if entry not in due]
        for fault, after in due:
            self._trigger(fault, round(after.delay * 1e6))
