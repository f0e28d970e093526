"""What happened before what in a recorded execution, found by following messages; and whether clocks agree.

Lamport, CACM 1978: a → b if a comes before b in one node, or if a sends the message that b receives, or by a chain of
these. All pairs at once: the events before an event are the bits of one whole number, so that thousands of events are
judged exactly and not by sample.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.causality import Vector
from labkit.checkers.replacement import (
    DISAGREED,
    DROPPED,
    SURVIVED,
    ReadAndWrite,
    Step,
    disagreements,
    inventions,
    last_reads,
    reads_and_writes,
    survivals,
    told_apart,
    with_roles,
)  # fmt: skip
from labkit.history import Note, Operation
from labkit.results import HOLDS, UNDECIDED, Verdict
from labkit.wording import count

NO_WRITE_DROPPED = "what was read and replaced is gone, and nothing else"
DENIED = "caused the other, and the clock denies it"
INVENTED = "seems to have caused the other, and did not"
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
    """Events, each after its causes, with those before and after each as bits of whole numbers.

    A node's events follow each other by their numbers, some of which may be missing. Raises `ValueError` for two events
    of one number, for a receipt whose sending is missing, and for events that cause each other.
    """

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
        Event(*note.details["_stamps"].event, note.at_us, note.label, note.details["_cause"], note.details["_stamps"])
        for note in notes
        if "_stamps" in note.details
    )


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
    return Verdict.against(name, *_shortest(execution, wrong, show, DENIED))


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
        return Verdict.against(name, *_shortest(execution, denied, show, DENIED))
    if invented:
        return Verdict.against(name, *_shortest(execution, invented, show, INVENTED))
    return Verdict(name, HOLDS, f"{execution.pairs} pairs of events")


def no_write_dropped(
    operations: Iterable[Operation], through: Callable[[Operation], Hashable] = lambda _: None
) -> Verdict:
    """OK if a write is gone in the end exactly if a writer that had read it replaced it, and all final reads agree.

    It judges a store at rest: before the last reads of each key began, its servers must have had time to exchange what
    they have. Without that, a store that is only slow is accused.

    A write replaces what the last read of its own process returned, a read returns the values of all siblings, and
    the last read of each key tells what is left. Only writes that returned before it began are judged, and of these
    only such as share their value with no other write of the key. `through` says which server took a write; without
    it, one took them all.

    The counterexample is a dropped write, what the writer that may have dropped it had read, its write through the same
    server, and the last read, which lacks the first; or else a write that was replaced, with the read, the write that
    replaced it, and a read that has it still; or a read of what nobody had begun to write; or two final reads that
    differ. UNKNOWN if there was no write to judge.
    """
    history = list(operations)
    last = last_reads(history)
    acknowledged = [write for write in history if write.function == "write" and write.ok]
    judged = list(_judged(history, last))
    wrong = _wrong(history, last, len(judged), through)
    if wrong is not None:
        why, steps = wrong
        return Verdict.against(NO_WRITE_DROPPED, why, *steps)
    left_out = _left_out(acknowledged, judged, last)
    if not judged:
        return Verdict.of_nothing(NO_WRITE_DROPPED, left_out or "no write was acknowledged")
    number = count(len(judged), "acknowledged write")
    return Verdict(NO_WRITE_DROPPED, HOLDS, f"{number}; {left_out}" if left_out else number)


def _wrong(
    history: Sequence[Operation],
    last: dict[Any, Operation],
    judged: int,
    through: Callable[[Operation], Hashable],
) -> tuple[str, list[Step]] | None:
    """What is wrong, with the story that shows it best, each step with its part in it."""
    if dropped := list(dropped_writes(history)):
        what = f"{len(dropped)} of {count(judged, 'acknowledged write')} vanished, and nobody had read them"
        writes = list(reads_and_writes(history))
        story = min((_story(write, writes, last[write.key], through) for write in dropped), key=_rank)
        return what, with_roles(story, DROPPED)
    if kept := list(survivals(history)):
        number = len({(each.write.key, each.write.value) for each in kept})
        what = f"{count(number, 'write')} had been read and replaced, and can be read still"
        survival = min(kept, key=lambda each: each.replacing.invoked_us - each.write.invoked_us)
        return what, with_roles(survival.story, SURVIVED)
    if invented := next(inventions(history), None):
        return f"a read of {invented.key!r} returned what nobody had written", [
            (invented, "returned what nobody had written by then")
        ]
    if differing := list(disagreements(history)):
        return f"the final reads of {count(len(differing), 'key')} do not agree", with_roles(differing[0], DISAGREED)
    return None


def dropped_writes(operations: Iterable[Operation]) -> Iterator[Operation]:
    """The acknowledged writes that were neither left in the end nor read by a writer that replaced them.

    A write that shares its value with another of its key is none of them: which one is left cannot be told.
    """
    history = list(operations)
    last = last_reads(history)
    # A write of unknown outcome may have replaced what its writer had read, and then rightly.
    replaced = {
        (write.key, value) for read, write in reads_and_writes(history) if read is not None for value in read.value
    }
    for write in _judged(history, last):
        if write.value not in last[write.key].value and (write.key, write.value) not in replaced:
            yield write


def _judged(history: Sequence[Operation], last: dict[Any, Operation]) -> Iterator[Operation]:
    """The acknowledged writes that were read afterwards, and can be told apart from all others of their key."""
    alone = told_apart(history)
    for write in history:
        is_acknowledged = write.function == "write" and write.ok
        if is_acknowledged and _is_read_afterwards(write, last) and (write.key, write.value) in alone:
            yield write


def _is_read_afterwards(write: Operation, last: dict[Any, Operation]) -> bool:
    read = last.get(write.key)
    return read is not None and write.returned_us is not None and write.returned_us < read.invoked_us


def _left_out(acknowledged: Sequence[Operation], judged: Sequence[Operation], last: dict[Any, Operation]) -> str:
    """How many of the acknowledged writes are not judged, and why; empty if all are."""
    unread = sum(not _is_read_afterwards(write, last) for write in acknowledged)
    shared = len(acknowledged) - len(judged) - unread
    reasons = [(unread, "not read afterwards"), (shared, "another write has the same value")]
    return ", ".join(f"{number} of {len(acknowledged)} not judged, since {why}" for number, why in reasons if number)


def _story(
    dropped: Operation, writes: Sequence[ReadAndWrite], last: Operation, through: Callable[[Operation], Hashable]
) -> tuple[Operation, ...]:
    """What was dropped, what the writer that may have done it had read, its write, and the last read.

    It wrote through the same server, had not read what was dropped, and was answered after that had begun. One that
    began after the other was acknowledged is certain to have come after it, and preferred; of several the first. If
    there is none, only the dropped write and the last read are shown.
    """
    found = []
    for read, write in writes:
        overlaps = write.invoked_us <= (dropped.returned_us or 0)
        returned_us = math.inf if write.returned_us is None else write.returned_us
        is_blind = read is None or dropped.value not in read.value
        is_other = write.key == dropped.key and write is not dropped and through(write) == through(dropped)
        if is_other and is_blind and returned_us > dropped.invoked_us:
            found.append((overlaps, returned_us, write.invoked_us, read, write))
    if not found:
        return dropped, last
    *_, read, write = min(found, key=lambda each: each[:3])
    return (dropped, write, last) if read is None else (dropped, read, write, last)


def _rank(story: tuple[Operation, ...]) -> tuple[bool, bool, int, int]:
    """Stories that name a writer go first, then those where it came after for certain, then the closest."""
    first, writer = story[0], story[-2]
    overlaps = writer.invoked_us <= (first.returned_us or 0)
    return writer is first, overlaps, abs(writer.invoked_us - first.invoked_us), first.invoked_us


def _sorted(events: list[Event]) -> list[Event]:
    """In an order that agrees with →, and otherwise with true time."""
    if len({(event.node, event.number) for event in events}) < len(events):
        raise ValueError("two events of one node bear the same number")
    waiting: dict[EventName, list[Event]] = defaultdict(list)
    missing: dict[EventName, int] = {}
    for event, causes in _steps_to(events):
        missing[event.node, event.number] = len(causes)
        for cause in causes:
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
    for event, causes in _steps_to(events):
        for cause in causes:
            yield place[cause], place[event.node, event.number]


def _steps_to(events: Iterable[Event]) -> Iterator[tuple[Event, list[EventName]]]:
    """Each event with those that a single step of → leads from: its node's event before, and its cause."""
    known = {(event.node, event.number): event for event in events}
    previous: EventName | None = None
    for name in sorted(known):
        event = known[name]
        if event.cause is not None and event.cause not in known:
            sending = f"{event.cause[0]}'s event {event.cause[1]}"
            received = f"{name[0]}'s event {name[1]}"
            raise ValueError(f"the sending of what {received} received, {sending}, is not among the events")
        own = [previous] if previous is not None and previous[0] == name[0] else []
        yield event, list(dict.fromkeys([*own, *([event.cause] if event.cause else [])]))
        previous = name


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _shortest(
    execution: Execution, wrong: Sequence[tuple[int, int]], show: Sequence[Any], what: str
) -> tuple[str, tuple[Event, str], tuple[Event, str]]:
    one, other = min(wrong, key=lambda pair: (pair[1] - pair[0], pair))
    first, second = execution.events[one], execution.events[other]
    said = f"{first.node}'s event {first.number} has {show[one]}, {second.node}'s event {second.number} {show[other]}"
    parts = [f"its clock shows {show[one]}: {what}", f"its clock shows {show[other]}"]
    return f"{len(wrong)} times one event {what}: {said}", (first, parts[0]), (second, parts[1])
