"""Operations as their clients saw them, and everything else a run leaves behind.

What happens at a node bears a number that says in which order the node did it, since many things happen within a
microsecond. Numbers of one node can be compared, those of different nodes cannot. 0 is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.calls import OK
from labkit.faults import Fault

ORDERS = ("invoked_order", "returned_order", "sent_order", "arrived_order", "order")
"""The fields that break ties in time; they say nothing else, and are left out where a run is written down."""


@dataclass(slots=True)
class Operation:
    """One operation of one client, from its invocation to its response, in microseconds of true time.

    `value` is what was written, or what a read returned. A missing `returned_us` means that no response came
    before the run ended; the outcome is then ``unknown``.
    """

    process: str
    function: str
    key: Any = None
    value: Any = None
    invoked_us: int = 0
    returned_us: int | None = None
    outcome: str = "unknown"
    error: str = ""
    number: int = 0
    invoked_order: int = field(default=0, compare=False, repr=False)
    returned_order: int = field(default=0, compare=False, repr=False)

    @property
    def latency(self) -> float:
        """Seconds from invocation to response; infinite if there was none."""
        return float("inf") if self.returned_us is None else (self.returned_us - self.invoked_us) / 1e6

    @property
    def ok(self) -> bool:
        """Whether the operation is known to have happened."""
        return self.outcome == OK

    def __str__(self) -> str:
        end = "never returned" if self.returned_us is None else f"{self.returned_us / 1e6:.6f} s"
        what = (
            f"{self.function}({self.key!r})"
            if self.function == "read"
            else f"{self.function}({self.key!r}, {self.value!r})"
        )
        seen = f" → {self.value!r}" if self.function == "read" and self.ok else ""
        return f"{self.process}: {what}{seen}  [{self.invoked_us / 1e6:.6f} s – {end}, {self.outcome}]"


@dataclass(slots=True)
class Message:
    """One message on its way between two nodes, in microseconds of true time.

    `fate` is ``sent``, ``duplicated``, ``lost``, ``partitioned``, ``held``, or ``undelivered`` if its target was
    down when it arrived or the run ended first. `arrived_us` is missing unless it arrived.
    """

    number: int
    source: str
    target: str
    method: str
    is_reply: bool
    sent_us: int
    arrived_us: int | None = None
    fate: str = "sent"
    sent_order: int = field(default=0, compare=False, repr=False)
    arrived_order: int = field(default=0, compare=False, repr=False)


@dataclass(slots=True)
class Note:
    """Something a node noted about itself: true time, its own clock's reading, and what it wished to record."""

    node: str
    label: str
    at_us: int
    clock_us: int
    details: dict[str, Any] = field(default_factory=dict)
    order: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Stretch:
    """Something that lasted at a node, in microseconds of true time: a state, or what the node believed.

    It is an instant if it ends where it begins.
    """

    node: str
    label: str
    begin_us: int
    end_us: int

    def __str__(self) -> str:
        begin, end = f"{self.begin_us / 1e6:.6f} s", f"{self.end_us / 1e6:.6f} s"
        return f"{self.node}: {self.label}  [{begin if begin == end else f'{begin} – {end}'}]"


@dataclass
class Recording:
    """What a runtime hands back: every operation, and, where they were traced, messages and notes.

    `incidents` are things that went wrong outside the fault plan (a machine died, say), one sentence each.
    `clock_uncertainty_us` bounds the error of comparing times of different machines; 0 on a single one.
    """

    operations: list[Operation] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    messages_sent: int = 0
    messages_dropped_from_trace: int = 0
    duration_us: int = 0
    clock_uncertainty_us: int = 0

    def in_order(self) -> Recording:
        """The same, sorted by time, and by what came first at its node."""
        self.operations.sort(key=lambda operation: (operation.invoked_us, operation.invoked_order))
        self.messages.sort(key=lambda message: (message.sent_us, message.sent_order))
        self.notes.sort(key=lambda note: (note.at_us, note.order))
        return self
