"""The causal order of any traced run: its events, each with the vector clock that its node would have had.

Reconstructed from the trace, so that every experiment has it whatever its nodes know of clocks: a node's events in the
order of their times, and each arrival after its sending (Lamport 1978). What happens at one node in one microsecond is
taken in the order in which a node works: arrivals, ends of operations, beginnings, notes, sendings; unless an arrival
or an end would then come before what it follows from.
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
_WITHIN_A_MICROSECOND = {ARRIVE: 0, END: 1, BEGIN: 2, NOTE: 3, SEND: 4}


@dataclass(slots=True)
class CausalEvent:
    """One event of a run; `subject` is the message, operation or note that it belongs to.

    `notes` are those that its node made at the same moment: what it had to say of this event.
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


def _listed(result: Result) -> list[tuple[int, int, str, str, Any]]:
    known = nodes_of(result)
    found: list[tuple[int, str, str, Any]] = []
    for message in result.messages:
        found.append((message.sent_us, SEND, message.source, message))
        if message.arrived_us is not None:
            found.append((message.arrived_us, ARRIVE, message.target, message))
    for operation in result.operations:
        node = owner(operation, known) or operation.process
        found.append((operation.invoked_us, BEGIN, node, operation))
        if operation.returned_us is not None:
            found.append((operation.returned_us, END, node, operation))
    found += [(note.at_us, NOTE, note.node, note) for note in result.notes]
    return sorted(
        ((at, _WITHIN_A_MICROSECOND[kind], node, kind, subject) for at, kind, node, subject in found),
        key=lambda event: event[:2],
    )


def _folded(listed: list[tuple[int, int, str, str, Any]]) -> list[CausalEvent]:
    """Notes go with the message that their node sends or receives at that moment, in turn, if there is one."""
    events, free = [], {}
    for at, _, node, kind, subject in listed:
        if kind != NOTE:
            event = CausalEvent(node, at, kind, subject, Vector(), [])
            events.append(event)
            if kind in (SEND, ARRIVE):
                free.setdefault((node, at), []).append(event)
    for at, _, node, kind, subject in listed:
        if kind == NOTE:
            candidates = free.get((node, at))
            if candidates:
                candidates.pop(0).notes.append(subject)
            else:
                events.append(CausalEvent(node, at, NOTE, subject, Vector(), []))
    return sorted(events, key=lambda event: (event.at_us, _WITHIN_A_MICROSECOND[event.kind]))


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
    for event in _placed(events, _in_time(events, _awaited(events))):
        placed.add(id(event))
        yield event
    rest = [event for event in events if id(event) not in placed]
    yield from _placed(rest, _awaited(rest))


def _placed(events: list[CausalEvent], awaited: dict[Any, list[Any]]) -> Iterator[CausalEvent]:
    sorter = TopologicalSorter(awaited)
    try:
        sorter.prepare()
    except CycleError:
        pass  # it still gives all that no circle holds back
    ready: list[int] = []
    while sorter.is_active():
        while steps := sorter.get_ready():  # what is done with a moment may make others ready
            for step in steps:
                if isinstance(step, int):
                    heapq.heappush(ready, step)
                else:
                    sorter.done(step)
        if ready:
            place = heapq.heappop(ready)
            yield events[place]
            sorter.done(place)


def _awaited(events: list[CausalEvent]) -> dict[Any, list[Any]]:
    """For the place of each event those of the events that it cannot do without: its sending, or its beginning."""
    first = {id(event.subject): place for place, event in enumerate(events) if event.kind in (SEND, BEGIN)}
    follows = [event.kind in (ARRIVE, END) and id(event.subject) in first for event in events]
    return {place: [first[id(event.subject)]] if follows[place] else [] for place, event in enumerate(events)}


def _in_time(events: list[CausalEvent], awaited: dict[Any, list[Any]]) -> dict[Any, list[Any]]:
    """`awaited`, and that a node is done with a microsecond before the next, and with its arrivals before its ends."""
    latest: dict[str, tuple[str, int]] = {}
    before: dict[tuple[str, int], list[Any]] = {}
    for place, event in enumerate(events):
        moment = (event.node, event.at_us)
        if moment not in before:
            before[moment] = [latest[event.node]] if event.node in latest else []
            latest[event.node] = moment
        awaited.setdefault(moment, []).append(place)
        awaited[place] += before[moment]
        arrivals = awaited.setdefault((*moment, ARRIVE), [])
        if event.kind == ARRIVE:
            arrivals.append(place)
        elif event.kind == END:
            awaited[place].append((*moment, ARRIVE))
    return awaited
