"""The causal order of any traced run: its events, each with the vector clock that its node would have had.

Reconstructed from the trace, so that every experiment has it whatever its nodes know of clocks: a node's events in the
order of their times, and each arrival after its sending (Lamport 1978). What happens at one node in one microsecond is
taken in the order in which a node works: arrivals, ends of operations, beginnings, notes, sendings.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
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
    """Set the clocks. An arrival waits for its sending, which a delay of nothing may put into the same microsecond."""
    clocks: dict[str, dict[str, int]] = {}
    sent: dict[int, dict[str, int]] = {}
    waiting: dict[int, tuple[int, CausalEvent]] = {}
    ready = list(enumerate(events))
    heapq.heapify(ready)  # sorted already
    while ready:
        place, event = heapq.heappop(ready)
        if event.kind == ARRIVE and id(event.subject) not in sent:
            waiting[id(event.subject)] = (place, event)
            continue
        clock = clocks.setdefault(event.node, {})
        if event.kind == ARRIVE:
            for node, count in sent[id(event.subject)].items():
                clock[node] = max(clock.get(node, 0), count)
        clock[event.node] = clock.get(event.node, 0) + 1
        event.clock = vector(clock)
        if event.kind == SEND:
            sent[id(event.subject)] = dict(clock)
            if id(event.subject) in waiting:
                heapq.heappush(ready, waiting.pop(id(event.subject)))
        yield event
