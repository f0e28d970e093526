"""Puts together what the processes of a run report, event by event, into one recording."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from labkit.cluster import Conditions
from labkit.history import Message, Note, Operation, Recording

_RowKey = tuple[int, str, str, bool]


class Assembly:
    """Collects events from all processes; `recording` is complete once every process has finished or died."""

    def __init__(self, conditions: Conditions):
        self.recording = Recording()
        self.conditions = conditions
        self._operations: dict[tuple[str, int], Operation] = {}
        self._sent: dict[_RowKey, deque[Message]] = defaultdict(deque)
        self._arrived: list[tuple[_RowKey, int, int]] = []

    def invoked(self, process: str, operation: Operation) -> None:
        """An operation began in `process`; until it is heard to have ended, its outcome is unknown."""
        self._operations[process, operation.number] = operation
        self.recording.operations.append(operation)

    def responded(self, process: str, operation: Operation) -> None:
        """An operation ended."""
        begun = self._operations.pop((process, operation.number))
        begun.value, begun.outcome, begun.error = operation.value, operation.outcome, operation.error
        begun.returned_us, begun.returned_order = operation.returned_us, operation.returned_order
        self.conditions.operation_ended()

    def noted(self, process: str, note: Note) -> None:
        """A node noted something."""
        self.recording.notes.append(note)
        self.conditions.noted(note)

    def rows(self, rows: Iterable[tuple]) -> None:
        """Messages that a process has sent or received."""
        for row in rows:
            if row[0] == "sent":
                message = row[1]
                self.recording.messages.append(message)
                self._sent[message.number, message.source, message.target, message.is_reply].append(message)
            else:
                *key, at_us, order = row[1:]
                self._arrived.append((tuple(key), at_us, order))

    def finish(self, duration_us: int) -> Recording:
        """Match arrivals with departures and return the recording."""
        for key, at_us, order in sorted(self._arrived, key=lambda arrival: arrival[1:]):
            waiting = self._sent.get(key)
            if waiting:
                message = waiting.popleft()
                message.arrived_us, message.arrived_order = at_us, order
        for message in self.recording.messages:
            if message.arrived_us is None and message.fate in ("sent", "duplicated"):
                message.fate = "undelivered"
        self.recording.duration_us = duration_us
        return self.recording.in_order()
