"""The search for a linearization: one order of a history's operations that a single copy could have carried out.

It goes back to Wing and Gong, JPDC 1993: depth first, try everything that may come next. It remembers where it has been
(Lowe, Testing for linearizability, 2017). The checker on top of it judges independent objects apart (Horn and Kroening,
FORTE 2015); Athalye's Porcupine is the model for putting these together.

One operation precedes another if it ended *before* the other began. Of two that touch, one ending in the very
microsecond in which the other begins, neither precedes the other, unless one process invoked both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from labkit.checkers.models import Model
from labkit.errors import BadInput
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED


@dataclass(frozen=True)
class Judgement:
    """What a search has come to.

    `order` is a linearization if the status is ``OK``, else the longest part of one that was reached. `blocked` are
    then the operations one of which would have to come next. `steps` counts the configurations visited.
    """

    status: str
    order: tuple[Operation, ...]
    blocked: tuple[Operation, ...]
    steps: int


def judge(part: Iterable[Operation], model: Model, most_steps: int, thorough: bool = False) -> Judgement:
    """Search for a linearization of one object's operations, visiting at most `most_steps` configurations.

    Operations that failed are not among them. A `thorough` search also follows what cannot lead to an order of
    everything, so that its longest order is the longest that there is. The time is in proportion to the operations if
    few run at once, or if no two write the same value; at worst it is exponential in how many run at once. Raises
    `BadInput` for a history that cannot be one.
    """
    return _Search(part, model, thorough).run(most_steps)


def in_order(operation: Operation) -> tuple[int, int]:
    """What operations are sorted by: when they began, and of those that began at once, which one first."""
    return operation.invoked_us, operation.number


def precedes(one: Operation, other: Operation) -> bool:
    """Whether `one` ended before `other` began; see the module for those that touch."""
    if not one.ok:
        return False
    if one.returned_us == other.invoked_us:
        return one.process == other.process and one.number < other.number
    return _ended_us(one) < other.invoked_us


class _Configuration(NamedTuple):
    """How far an order has come: what has been placed in it, and the state that this leaves.

    Placed are all completed operations before number `first`, those of the later ones whose bit of `ahead` is set
    (the lowest stands for `first` itself, and is never set), and the pending ones whose bit of `taken` is set. So
    two orders of the same operations that leave the same state are one configuration.
    """

    first: int
    ahead: int
    taken: int
    state: Hashable

    @property
    def completed(self) -> int:
        """How many completed operations have been placed."""
        return self.first + self.ahead.bit_count()

    def has(self, number: int) -> bool:
        """Whether the completed operation of this number has been placed."""
        return number < self.first or bool(self.ahead >> (number - self.first) & 1)

    def with_completed(self, number: int, state: Hashable) -> _Configuration:
        """The same with one completed operation more."""
        ahead = self.ahead | 1 << (number - self.first)
        passed = _ones(ahead)
        return _Configuration(self.first + passed, ahead >> passed, self.taken, state)

    def with_pending(self, number: int, state: Hashable) -> _Configuration:
        """The same with one pending operation more."""
        return self._replace(taken=self.taken | 1 << number, state=state)


class _Step(NamedTuple):
    """An operation that may come next, where it leads, and when it ended (a pending one never did)."""

    operation: Operation
    configuration: _Configuration
    ended_us: float


class _Choice(NamedTuple):
    """What may be placed next, one operation and all reads that it makes right, and where that leads."""

    operations: tuple[Operation, ...]
    configuration: _Configuration


class _Search:
    """The operations of one object, numbered in order of their invocation: those that ended, and the pending ones.

    A pending operation has an unknown outcome: it may take effect at any time after its invocation, or never. One
    that would only have read says nothing, and is left out.
    """

    def __init__(self, operations: Iterable[Operation], model: Model, thorough: bool):
        self._model = model
        ordered = sorted(operations, key=in_order)
        self._completed = [operation for operation in ordered if operation.ok]
        self._pending = [operation for operation in ordered if not operation.ok and model.writes(operation)]
        self._ended_us = [_ended_us(operation) for operation in self._completed]
        self._after = _ended_as_it_began(self._completed, self._completed)
        self._pending_after = _ended_as_it_began(self._pending, self._completed)
        self._prunes = model.overwrites and not thorough
        # By state, the numbers of those that read it, of those that write it, and of the pending ones that may.
        self._readers: dict[Hashable, list[int]] = defaultdict(list)
        self._writers: dict[Hashable, list[int]] = defaultdict(list)
        self._pending_writers: dict[Hashable, list[int]] = defaultdict(list)
        if self._prunes:
            self._index()

    def _index(self) -> None:
        model = self._model
        for number, operation in enumerate(self._completed):
            if model.reads(operation):
                self._readers[model.seen(operation)].append(number)
            else:
                self._writers[model.step(model.initial, operation)[1]].append(number)
        for number, operation in enumerate(self._pending):
            self._pending_writers[model.step(model.initial, operation)[1]].append(number)

    def run(self, most_steps: int) -> Judgement:
        """Depth first: place what may come next, and go back where nothing may."""
        start = self._with_reads((), _Configuration(0, 0, 0, self._model.initial))
        untried, placed = [iter([start])], []
        visited: dict[tuple[int, int, Hashable], list[int]] = defaultdict(list)
        steps, furthest, longest, blocked = 0, -1, (), ()
        while untried:
            choice = next(untried[-1], None)
            if choice is None:
                untried.pop()
                del placed[-1:]
                continue
            first, ahead, taken, state = configuration = choice.configuration
            before = visited[first, ahead, state]
            # What led nowhere with these pending operations left leads nowhere with fewer.
            if any(earlier & taken == earlier for earlier in before):
                continue
            if steps == most_steps:
                return Judgement(UNDECIDED, longest, blocked, steps)
            steps += 1
            before.append(taken)
            placed.append(choice.operations)
            if first == len(self._completed):
                return Judgement(HOLDS, tuple(chain.from_iterable(placed)), (), steps)
            choices = self._choices(configuration)
            if not choices and configuration.completed > furthest:
                furthest, longest = configuration.completed, tuple(chain.from_iterable(placed))
                blocked = tuple(self._completed[number] for number in self._window(configuration)[0])
            untried.append(iter(choices))
        return Judgement(ILLEGAL, longest, blocked, steps)

    def _choices(self, configuration: _Configuration) -> list[_Choice]:
        """What may come next; what certainly may, if there is an order at all, is the only choice.

        If all that is left to read a state may come with the write of it, then that write may come now: whatever else
        comes next is a write too, and does not mind what it overwrites. And a state that is still to be read, but
        never to be written again, cannot be left.
        """
        if self._prunes and self._is_awaited(configuration) and not self._is_written_again(configuration):
            return []
        choices = []
        steps = self._steps(configuration)
        if self._prunes:
            for step in steps:
                if not self._is_awaited(step.configuration):
                    return [_Choice((step.operation,), step.configuration)]
        for step in steps:
            choice = self._with_reads((step.operation,), step.configuration)
            if self._prunes and not self._is_awaited(choice.configuration):
                return [choice]
            choices.append(choice)
        return choices

    def _steps(self, configuration: _Configuration) -> list[_Step]:
        """Which operations may come next, the most urgent first: what has to be placed, or to be read, soonest."""
        window, deadline_us = self._window(configuration)
        urgent_us: dict[Hashable, float] = {}
        steps = []
        for number in sorted(window, key=self._ended_us.__getitem__):
            operation, ended_us = self._completed[number], self._ended_us[number]
            is_legal, state = self._model.step(configuration.state, operation)
            if is_legal:
                steps.append(_Step(operation, configuration.with_completed(number, state), ended_us))
            elif self._model.overwrites:
                urgent_us.setdefault(self._model.seen(operation), ended_us)
        steps += self._pending_steps(configuration, deadline_us)
        return _one_a_state(steps, urgent_us) if self._model.overwrites else steps

    def _pending_steps(self, configuration: _Configuration, deadline_us: float) -> Iterator[_Step]:
        """The pending operations that may take effect next; they need never do so."""
        for number, operation in enumerate(self._pending):
            if operation.invoked_us > deadline_us:
                return
            if configuration.taken >> number & 1 or not all(map(configuration.has, self._pending_after[number])):
                continue
            is_legal, state = self._model.step(configuration.state, operation)
            if is_legal and state != configuration.state:  # what changes nothing may as well never happen
                yield _Step(operation, configuration.with_pending(number, state), math.inf)

    def _with_reads(self, placed: tuple[Operation, ...], configuration: _Configuration) -> _Choice:
        """Place whatever only reads, and is right where the configuration has come to.

        It is in nobody's way: if there is an order of everything at all, there is one in which it comes next.
        """
        while True:
            right = [number for number in self._window(configuration)[0] if self._is_right(number, configuration)]
            if not right:
                return _Choice(placed, configuration)
            for number in right:
                placed = (*placed, self._completed[number])
                configuration = configuration.with_completed(number, configuration.state)

    def _is_right(self, number: int, configuration: _Configuration) -> bool:
        operation = self._completed[number]
        return not self._model.writes(operation) and self._model.step(configuration.state, operation)[0]

    def _window(self, configuration: _Configuration) -> tuple[list[int], float]:
        """The numbers of the completed operations that may come next, and when the first of those left ended.

        They are those that nothing that is left precedes, so they began before any of it ended.
        """
        window, deadline_us = [], math.inf
        number, skipped = configuration.first, configuration.ahead
        while number < len(self._completed):
            placed = _ones(skipped)
            skipped >>= placed + 1
            number += placed
            if number >= len(self._completed) or self._completed[number].invoked_us > deadline_us:
                break
            deadline_us = min(deadline_us, self._ended_us[number])
            if all(map(configuration.has, self._after[number])):
                window.append(number)
            number += 1
        return window, deadline_us

    def _is_awaited(self, configuration: _Configuration) -> bool:
        """Whether an operation that is left reads the state that the configuration has come to."""
        # From the last, which is the most likely to be left.
        return not all(map(configuration.has, reversed(self._readers.get(configuration.state, ()))))

    def _is_written_again(self, configuration: _Configuration) -> bool:
        writers = self._writers.get(configuration.state, ())
        pending = self._pending_writers.get(configuration.state, ())
        return not all(map(configuration.has, reversed(writers))) or any(
            not configuration.taken >> number & 1 for number in pending
        )


def _one_a_state(steps: Iterable[_Step], urgent_us: Mapping[Hashable, float]) -> list[_Step]:
    """Of the writes that leave the same state the one that ended first, and a pending one only for who waits for it.

    Whatever has to come after the write that ended later has to come after this one too, so the two can change places.
    A pending write that nobody waits for is overwritten unread. `urgent_us` says by state when the first that waits to
    read it ended.
    """
    soonest_us: dict[Hashable, float] = {}
    chosen = []
    for step in steps:
        state = step.configuration.state
        is_new = state not in soonest_us
        # Those that ended in the same instant may each have a successor of their own process that touches them.
        is_first = step.ended_us == soonest_us.get(state, step.ended_us)
        if (is_first and step.ended_us < math.inf) or (is_new and state in urgent_us):
            chosen.append(step)
        soonest_us.setdefault(state, step.ended_us)
    return sorted(
        chosen, key=lambda step: (min(step.ended_us, urgent_us.get(step.configuration.state, math.inf)), step.ended_us)
    )


def _ones(bits: int) -> int:
    """How many ones `bits` ends with."""
    return (~bits & (bits + 1)).bit_length() - 1


def check_times(operation: Operation) -> None:
    """Raises `BadInput` for one that ended before it began, or that is known to have happened and has no end."""
    if (operation.returned_us is None and operation.ok) or (
        operation.returned_us is not None and operation.returned_us < operation.invoked_us
    ):
        raise BadInput(f"returned_us is {operation.returned_us!r} in {operation}: it must not be before invoked_us")


def _ended_us(operation: Operation) -> int:
    check_times(operation)
    return operation.returned_us


def _ended_as_it_began(operations: Iterable[Operation], completed: Sequence[Operation]) -> list[tuple[int, ...]]:
    """For each operation the numbers of those of its own process that ended in the instant in which it began.

    A process is sequential, so there the order is known though the times are equal.
    """
    ended: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for number, operation in enumerate(completed):
        ended[operation.process, operation.returned_us].append(number)
    return [
        tuple(one for one in ended.get((each.process, each.invoked_us), ()) if completed[one].number < each.number)
        for each in operations
    ]
