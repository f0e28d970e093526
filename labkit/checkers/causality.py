"""What happened before what in a recorded execution, found by following messages; and whether clocks agree.

Lamport, CACM 1978: a → b if a comes before b in one node, or if a sends the message that b receives, or by a chain of
these. All pairs at once: the events before an event are the bits of one whole number, so that thousands of events are
judged exactly and not by sample.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.causality import Vector
from labkit.history import Note, Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED, Verdict

NO_WRITE_DROPPED = "no concurrent write is silently dropped"
EventName = tuple[str, int]


@dataclass(frozen=True)
class Event:
    """One event: its node, its number there from 1 up, true time, and the event that sent what it received."""

    node: str
    number: int
    at_us: int
    label: str = "event"
    cause: EventName | None = None
    stamps: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        received = f" of {self.cause[0]}'s event {self.cause[1]}" if self.cause else ""
        return f"{self.node}'s event {self.number}, {self.label}{received}, at {self.at_us / 1e3:.3f} ms"


class Execution:
    """Events, each after its causes, with those before and after each as bits of whole numbers."""

    def __init__(self, events: Iterable[Event]):
        self.events = _sorted(list(events))
        self.place = {(event.node, event.number): index for index, event in enumerate(self.events)}
        self.edges = list(_edges(self.events, self.place))
        self.before, self.after = [0] * len(self.events), [0] * len(self.events)
        for one, other in sorted(self.edges, key=lambda edge: edge[1]):
            self.before[other] |= self.before[one] | 1 << one
        for one, other in sorted(self.edges, reverse=True):
            self.after[one] |= self.after[other] | 1 << other

    def happened_before(self, one: EventName, other: EventName) -> bool:
        """Whether one → other."""
        return bool(self.before[self.place[other]] >> self.place[one] & 1)

    @property
    def pairs(self) -> int:
        """How many pairs of events there are."""
        return len(self.events) * (len(self.events) - 1) // 2

    @property
    def ordered_pairs(self) -> int:
        """How many of them are ordered by →."""
        return sum(bits.bit_count() for bits in self.before)


def execution_of(notes: Iterable[Note]) -> Execution:
    """The execution that nodes noted, each event with its `_stamps` and its `_cause`."""
    return Execution(
        Event(note.node, note.details["_stamps"].event[1], note.at_us, note.label, note.details["_cause"],
              note.details["_stamps"])
        for note in notes
        if "_stamps" in note.details
    )  # fmt: skip


Order = tuple[list[int], list[int]]
"""For each event those that a clock puts before it and after it, as bits."""


def by_number(readings: Sequence[Any]) -> Order:
    """What a clock says whose readings are numbers, or tuples of them: smaller means before."""
    at: dict[Any, int] = defaultdict(int)
    for index, reading in enumerate(readings):
        at[reading] |= 1 << index
    smaller, larger, below = {}, {}, 0
    everything = (1 << len(readings)) - 1
    for reading in sorted(at):
        smaller[reading] = below
        below |= at[reading]
        larger[reading] = everything ^ below
    return [smaller[reading] for reading in readings], [larger[reading] for reading in readings]


def by_vector(readings: Sequence[Vector]) -> Order:
    """What a clock says whose readings are vectors: a smaller or equal entry for every node, and not all equal."""
    counts = [dict(reading.entries) for reading in readings]
    at_most = at_least = [(1 << len(readings)) - 1] * len(readings)
    for node in sorted({node for known in counts for node in known}):
        smaller, larger = by_number([known.get(node, 0) for known in counts])
        everything = (1 << len(readings)) - 1
        at_most = [bits & (everything ^ more) for bits, more in zip(at_most, larger, strict=True)]
        at_least = [bits & (everything ^ less) for bits, less in zip(at_least, smaller, strict=True)]
    before = [bits & ~others for bits, others in zip(at_most, at_least, strict=True)]
    after = [bits & ~others for bits, others in zip(at_least, at_most, strict=True)]
    return before, after


@dataclass(frozen=True)
class Tally:
    """Pairs of events by what is true of them and what a clock says.

    Of the `ordered`, some are put in that order, some `inverted`, some `missed` (called concurrent or equal). Of the
    `concurrent`, some are `invented` an order. `claimed` are all that the clock orders, `against_time` those of them
    that it orders against true time.
    """

    ordered: int
    inverted: int
    missed: int
    concurrent: int
    invented: int
    claimed: int
    against_time: int

    @property
    def right(self) -> int:
        """Pairs of which the clock says exactly what is true: this one first, or neither."""
        return self.ordered - self.inverted - self.missed + self.concurrent - self.invented

    @property
    def pairs(self) -> int:
        """All pairs."""
        return self.ordered + self.concurrent


def tally(execution: Execution, said: Order) -> Tally:
    """Judge every pair of events."""
    _, later = by_number([event.at_us for event in execution.events])
    inverted = kept = claimed = against = 0
    for truly_before, before, after, after_in_time in zip(execution.before, *said, later, strict=True):
        kept += (truly_before & before).bit_count()
        inverted += (truly_before & after).bit_count()
        claimed += before.bit_count()
        against += (before & after_in_time).bit_count()
    ordered = execution.ordered_pairs
    return Tally(
        ordered,
        inverted,
        ordered - kept - inverted,
        execution.pairs - ordered,
        claimed - kept - inverted,
        claimed,
        against,
    )


def respects_causality(clock: str, execution: Execution, said: Order, show: Sequence[Any]) -> Verdict:
    """OK if a → b implies that the clock puts a before b; else the shortest step of → that it does not.

    `show` are the readings, for words. It is enough to look at the steps: both relations are transitive.
    """
    name = f"{clock} clocks respect causality"
    if not execution.edges:
        return Verdict(name, UNDECIDED, "no event had a cause")
    wrong = [(one, other) for one, other in execution.edges if not said[0][other] >> one & 1]
    if not wrong:
        return Verdict(name, HOLDS, f"{len(execution.edges)} steps between {len(execution.events)} events")
    return Verdict(name, ILLEGAL, *_shortest(execution, wrong, show, "caused the other, and the clock denies it"))


def tells_causality(clock: str, execution: Execution, said: Order, show: Sequence[Any]) -> Verdict:
    """OK if a → b if and only if the clock puts a before b; else the closest pair of events that breaks it."""
    name = f"{clock} clocks tell causality"
    if not execution.edges:
        return Verdict(name, UNDECIDED, "no event had a cause")
    denied, invented = [], []
    for other, (truth, claimed) in enumerate(zip(execution.before, said[0], strict=True)):
        denied += [(one, other) for one in _bits(truth & ~claimed)]
        invented += [(one, other) for one in _bits(claimed & ~truth)]
    if denied:
        return Verdict(name, ILLEGAL, *_shortest(execution, denied, show, "caused the other, and the clock denies it"))
    if invented:
        return Verdict(
            name, ILLEGAL, *_shortest(execution, invented, show, "seems to have caused the other, and did not")
        )
    return Verdict(name, HOLDS, f"{execution.pairs} pairs of events")


def no_write_dropped(operations: Iterable[Operation]) -> Verdict:
    """OK if each acknowledged write could be read in the end, or was replaced by one whose writer had read it.

    A write replaces what the last read of its own process returned, a read returns the values of all siblings, and
    the last read of each key tells what is left. The counterexample is a dropped write, the write that was at most
    concurrent with it, and the read that has only that one.
    """
    history = list(operations)
    last = {read.key: read for read in history if read.function == "read" and read.ok}
    writes = [write for write in history if write.function == "write"]
    if not last or not any(write.ok for write in writes):
        return Verdict(NO_WRITE_DROPPED, UNDECIDED, "the history has no acknowledged write that was read afterwards")
    dropped = list(dropped_writes(history))
    if not dropped:
        return Verdict(NO_WRITE_DROPPED, HOLDS, f"{sum(write.ok for write in writes)} acknowledged writes")
    stories = [_story(write, writes, last[write.key]) for write in dropped]
    story = min(stories, key=lambda story: (abs(story[1].invoked_us - story[0].invoked_us), story[0].invoked_us))
    what = (
        f"{len(dropped)} of {sum(write.ok for write in writes)} acknowledged writes vanished, and nobody had read them"
    )
    return Verdict(NO_WRITE_DROPPED, ILLEGAL, what, story)


def dropped_writes(operations: Sequence[Operation]) -> Iterator[Operation]:
    """The acknowledged writes that were neither left in the end nor read by a writer that replaced them."""
    seen_by: dict[str, tuple[Hashable, ...]] = {}
    replaced: set[tuple[Any, Hashable]] = set()
    left: dict[Any, tuple[Hashable, ...]] = {}
    for operation in sorted(operations, key=lambda operation: operation.invoked_us):
        if operation.function == "read" and operation.ok:
            seen_by[operation.process] = left[operation.key] = operation.value
        elif operation.function == "write":
            # Of unknown outcome: it may have replaced what its writer had read, and then rightly.
            replaced.update((operation.key, value) for value in seen_by.get(operation.process, ()))
    for write in operations:
        is_gone = write.function == "write" and write.ok and write.key in left
        if is_gone and write.value not in left[write.key] and (write.key, write.value) not in replaced:
            yield write


def _story(dropped: Operation, writes: Sequence[Operation], read: Operation) -> tuple[Operation, ...]:
    others = [write for write in writes if write.key == dropped.key and write is not dropped]
    nearest = min(others, key=lambda write: abs(write.invoked_us - dropped.invoked_us), default=read)
    return (dropped, nearest, read) if nearest is not read else (dropped, read)


def _sorted(events: list[Event]) -> list[Event]:
    """In an order that agrees with →, and otherwise with true time; an event whose cause is unknown has none."""
    names = {(event.node, event.number) for event in events}
    if len(names) < len(events):
        raise ValueError("two events of one node bear the same number")
    waiting: dict[EventName, list[Event]] = defaultdict(list)
    missing: dict[EventName, int] = {}
    for event in events:
        causes = {(event.node, event.number - 1), event.cause} & names
        missing[event.node, event.number] = len(causes)
        for cause in sorted(causes):
            waiting[cause].append(event)
    ready = [
        (event.at_us, event.node, event.number, event) for event in events if not missing[event.node, event.number]
    ]
    heapq.heapify(ready)
    found = []
    while ready:
        *_, event = heapq.heappop(ready)
        found.append(event)
        for next_one in waiting.get((event.node, event.number), ()):
            missing[next_one.node, next_one.number] -= 1
            if not missing[next_one.node, next_one.number]:
                heapq.heappush(ready, (next_one.at_us, next_one.node, next_one.number, next_one))
    if len(found) < len(events):
        raise ValueError("the events cause each other in a circle")
    return found


def _edges(events: Sequence[Event], place: dict[EventName, int]) -> Iterator[tuple[int, int]]:
    for index, event in enumerate(events):
        for cause in ((event.node, event.number - 1), event.cause):
            if cause in place:
                yield place[cause], index


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _shortest(
    execution: Execution, wrong: Sequence[tuple[int, int]], show: Sequence[Any], what: str
) -> tuple[str, tuple[Event, ...]]:
    one, other = min(wrong, key=lambda pair: (pair[1] - pair[0], pair))
    first, second = execution.events[one], execution.events[other]
    said = f"{first.node}'s event {first.number} has {show[one]}, {second.node}'s event {second.number} {show[other]}"
    return f"{len(wrong)} times one event {what}: {said}", (first, second)
