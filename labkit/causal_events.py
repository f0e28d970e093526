"""The causal order of any traced run: its events, each with the vector clock that its node would have had.

Reconstructed from the trace, so that every experiment has it whatever its nodes know of clocks: a node's events in the
order in which it did them, and each arrival after its sending (Lamport 1978).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from labkit.causality import Vector, vector
from labkit.results import Result
from labkit.scenes import nodes_of, owner

SEND, ARRIVE, BEGIN, END, NOTE = "send", "arrive", "begin", "end", "note"
_UNTOLD = {ARRIVE: 0, END: 1, BEGIN: 2, NOTE: 3, SEND: 4}
"""How a node works, for what happens in one microsecond of a recording that does not say in which order."""


@dataclass(slots=True)
class CausalEvent:
    """One event of a run; `subject` is the message, operation or note that it belongs to.

    `notes` are what its node had to say of it: one made at the same instant, right after an arrival or right before a
    sending.
    """

    node: str
    at_us: int
    kind: str
    subject: Any
    clock: Vector
    notes: list[Any]


def causal_events(result: Result) -> list[CausalEvent]:
    """Every event of a traced run, causes first.

    a → b if and only if ``a.clock < b.clock``. Takes time in proportion to the events times the nodes.
    """
    return result.once("causal events", lambda: list(_stamped(_folded(_listed(result)))))


def _listed(result: Result) -> list[CausalEvent]:
    """Every event by its time and, at its node, by its order."""
    known = nodes_of(result)
    listed: list[tuple[int, int, CausalEvent]] = []

    def add(at_us: int, order: int, kind: str, node: str, subject: Any) -> None:
        listed.append((at_us, order, CausalEvent(node, at_us, kind, subject, Vector(), [])))

    for message in result.messages:
        add(message.sent_us, message.sent_order, SEND, message.source, message)
        if message.arrived_us is not None:
            add(message.arrived_us, message.arrived_order, ARRIVE, message.target, message)
    for operation in result.operations:
        node = owner(operation, known) or operation.process
        add(operation.invoked_us, operation.invoked_order, BEGIN, node, operation)
        if operation.returned_us is not None:
            add(operation.returned_us, operation.returned_order, END, node, operation)
    for note in result.notes:
        add(note.at_us, note.order, NOTE, note.node, note)
    listed.sort(key=lambda entry: (entry[0], entry[1], _UNTOLD[entry[2].kind]))
    return [event for _, _, event in listed]


def _folded(listed: list[CausalEvent]) -> list[CausalEvent]:
    """A note goes with the arrival right before it, or with the sending right after it, at its node and instant."""
    gone: set[int] = set()
    by_node: dict[str, list[CausalEvent]] = {}
    for event in listed:
        by_node.setdefault(event.node, []).append(event)
    for events in by_node.values():
        for number, event in enumerate(events):
            before, after = events[max(number - 1, 0)], events[min(number + 1, len(events) - 1)]
            if event.kind != NOTE:
                continue
            for beside, kind in ((before, ARRIVE), (after, SEND)):
                if beside.kind == kind and beside.at_us == event.at_us and not beside.notes and id(event) not in gone:
                    beside.notes.append(event.subject)
                    gone.add(id(event))
    return [event for event in listed if id(event) not in gone]


def _stamped(events: list[CausalEvent]) -> Iterator[CausalEvent]:
    """Set the clocks."""
    clocks: dict[str, dict[str, int]] = {}
    sent: dict[int, dict[str, int]] = {}
    for event in _causes_first(events):
        clock = clocks.setdefault(event.node, {})
        if event.kind == ARRIVE:
            for node, count in sent[id(event.subject)].items():
                clock[node] = max(clock.get(node, 0), count)
        clock[event.node] = clock.get(event.node, 0) + 1
        event.clock = vector(clock)
        if event.kind == SEND:
            sent[id(event.subject)] = dict(clock)
        yield event


def _causes_first(events: list[CausalEvent]) -> Iterator[CausalEvent]:
    """The events in order of time, but none before what it waits for.

    Machines' clocks may put an arrival before its sending so that nodes wait for each other in a circle. Then the rest
    goes by time, each arrival after its sending and each end after its beginning all the same.
    """
    placed = set()
    for event in _placed(events, _in_turn(events, _awaited(events))):
        placed.add(id(event))
        yield event
    rest = [event for event in events if id(event) not in placed]
    yield from _placed(rest, _awaited(rest))


def _placed(events: list[CausalEvent], awaited: dict[int, list[int]]) -> Iterator[CausalEvent]:
    sorter = TopologicalSorter(awaited)
    try:
        sorter.prepare()
    except CycleError:
        pass  # it still gives all that no circle holds back
    ready: list[int] = []
    while sorter.is_active():
        for place in sorter.get_ready():
            heapq.heappush(ready, place)
        if ready:
            place = heapq.heappop(ready)
            yield events[place]
            sorter.done(place)


def _awaited(events: list[CausalEvent]) -> dict[int, list[int]]:
    """For the place of each event those of the events that it cannot do without: its sending, or its beginning."""
    first = {id(event.subject): place for place, event in enumerate(events) if event.kind in (SEND, BEGIN)}
    follows = [event.kind in (ARRIVE, END) and id(event.subject) in first for event in events]
    return {place: [first[id(event.subject)]] if follows[place] else [] for place, event in enumerate(events)}


def _in_turn(events: list[CausalEvent], awaited: dict[int, list[int]]) -> dict[int, list[int]]:
    """`awaited`, and that a node does one thing after the other."""
    latest: dict[str, int] = {}
    for place, event in enumerate(events):
        if event.node in latest:
            awaited[place].append(latest[event.node])
        latest[event.node] = place
    return awaited
