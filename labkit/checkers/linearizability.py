"""Could the history have come from a single copy? Then there is one order of its operations that says so.

A history is linearizable if its operations can be put in one order that keeps real time (what ended before another
began stays before it) and in which each answer is the one that a single copy would give: Herlihy and Wing, TOPLAS
1990. Each object can be judged by itself, since a history is linearizable exactly if each object's is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from labkit.calls import FAIL, OK, UNKNOWN
from labkit.checkers.linearization import Judgement, check_times, in_order, judge, precedes
from labkit.checkers.models import Model, Register
from labkit.errors import BadInput
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED, Verdict
from labkit.wording import count, ordinal

PROPERTY = "linearizable"
NOWHERE = "its answer fits nowhere"
REGISTER = Register()
MOST_STEPS = 50_000
"""Configurations that may be visited in vain, unless told otherwise: a few seconds, and some 20 MB."""

FEW_STEPS = 2_000
"""Configurations that the search of one stretch of a history may visit, where something smaller is looked for."""

SHRINKING_STEPS = 20_000
"""What all such searches may cost together, of all objects: configurations, and one for every ten operations."""

Story = Sequence[Operation]


def linearizable(operations: Iterable[Operation], model: Model = REGISTER, most_steps: int = MOST_STEPS) -> Verdict:
    """OK if each object's history is linearizable; ``UNKNOWN`` if the search visits more than `most_steps` in vain.

    That is configurations beyond one for each operation, of all objects together, the shortest histories first. The
    counterexample is a part of the history that is not linearizable by itself, in order of invocation, as small as it
    was found within `SHRINKING_STEPS`. Its roles are places in the longest order that explains the other answers, or in
    the longest that was met if the search for it takes too many steps. Raises `BadInput` for a history that cannot be
    one, for an operation that the model does not have, and for keys and values that are not hashable.
    """
    if most_steps < 0:
        raise BadInput(f"most_steps is {most_steps!r}: it must be 0 or more")
    _check_hashable("initial", model.initial, model)
    parts = _parts(operations, model)
    if not any(operation.ok and model.reads(operation) for part in parts for operation in part):
        return Verdict(PROPERTY, UNDECIDED, "the history has no answer that could be wrong")
    left, undecided, wrong, budget = most_steps, 0, [], _Budget(SHRINKING_STEPS)
    for part in parts:
        if impossible := _impossible(part, model):
            wrong.append(impossible)
            continue
        straight = len(part) + 1
        judgement = judge(part, model, straight + left)
        left -= max(judgement.steps - straight, 0)
        if judgement.status == ILLEGAL:
            wrong.append(_around(part, judgement, model, budget) or part)
        elif judgement.status == UNDECIDED:
            # A search that ran out of steps has often come to what is wrong, and the stretch around it may say so.
            stretch = _around(part, judgement, model, budget)
            undecided += not stretch
            wrong += [stretch] if stretch else []
    if wrong:
        story = _smallest(min(wrong, key=len), model, budget)
        return _told(story, model, budget, f"{len(wrong)} of {count(len(parts), 'key')}")
    if undecided:
        share = f"{undecided} of {count(len(parts), 'key')}"
        return Verdict(PROPERTY, UNDECIDED, f"{share} still open after {most_steps:,} steps in vain")
    return Verdict(PROPERTY, HOLDS, count(sum(map(len, parts)), "operation"))


@dataclass
class _Budget:
    """What is left for the searches that only make a counterexample smaller."""

    left: int

    def judge(self, story: Story, model: Model) -> str:
        """The status of a part of a history; ``UNKNOWN`` if it takes too many steps, or more than are left."""
        judgement = judge(story, model, min(FEW_STEPS, max(self.left, 0)))
        self.left -= judgement.steps + len(story) // 10 + 1  # to look at an operation takes time, too
        return judgement.status


def _parts(operations: Iterable[Operation], model: Model) -> list[list[Operation]]:
    """What may have happened, by object, in order of invocation, the shortest history first."""
    parts: dict[Hashable, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.outcome not in (OK, FAIL, UNKNOWN):
            raise BadInput(f"outcome is {operation.outcome!r} in {operation}: it must be 'ok', 'fail' or 'unknown'")
        if operation.outcome != FAIL:
            _check(operation, model)
            parts[model.part(operation)].append(operation)
    return sorted((sorted(part, key=in_order) for part in parts.values()), key=len)


def _check(operation: Operation, model: Model) -> None:
    """Raises `BadInput` if the model does not have the operation, or if it cannot be part of a history."""
    check_times(operation)
    reads, writes = model.reads(operation), model.writes(operation)
    _check_hashable("key", model.part(operation), operation)
    if writes:
        _check_hashable("value", model.step(model.initial, operation)[1], operation)
    elif reads and operation.ok and model.overwrites:
        _check_hashable("value", model.seen(operation), operation)


def _check_hashable(name: str, value: object, where: Operation | Model) -> None:
    try:
        hash(value)
    except TypeError:
        raise BadInput(f"{name} is {value!r} in {where}: it must be hashable, as a tuple is") from None


def _impossible(part: Story, model: Model) -> Story:
    """A read of a value that was not there at first, and that nobody had begun to write when the read ended.

    With the first write of the value, if it came later. Empty if there is none, or if writes depend on each other.
    """
    if not model.overwrites:
        return ()
    first: dict[Hashable, Operation] = {}
    for operation in part:
        if model.writes(operation):
            first.setdefault(model.step(model.initial, operation)[1], operation)
    for operation in part:
        if not operation.ok or not model.reads(operation) or model.seen(operation) == model.initial:
            continue
        write = first.get(model.seen(operation))
        if write is None:
            return (operation,)
        if write.invoked_us > operation.returned_us:
            return operation, write
    return ()


def _around(part: Story, judgement: Judgement, model: Model, budget: _Budget) -> Story:
    """A stretch around an operation that could not be placed that is illegal by itself; empty if none is small enough.

    Its length is doubled until it is: a long history then costs little more than what is wrong in it. Any of the
    blocked operations may be what is wrong, most likely one that reads, and of these the last. Half of the budget is
    left for what comes after.
    """
    blocked = {id(operation) for operation in judgement.blocked}
    middles = [place for place, operation in enumerate(part) if id(operation) in blocked]
    middles.sort(key=lambda place: (model.reads(part[place]), place), reverse=True)
    reach, reserve = 4, budget.left // 2
    while reach < 2 * len(part):
        still_legal = []
        for middle in middles:
            if budget.left <= reserve:
                return ()
            stretch = _with_what_was_read(part[max(middle - reach, 0) : middle + reach], part, model)
            status = budget.judge(stretch, model)
            if status == ILLEGAL:
                return stretch
            if status == HOLDS:
                still_legal.append(middle)
        middles = still_legal
        reach *= 2
    return ()


def _smallest(story: Story, model: Model, budget: _Budget) -> Story:
    """The story without what it is illegal without: halves are left out, then quarters, and so on to single ones.

    This is delta debugging (Zeller and Hildebrandt, IEEE TSE 2002), from the end, where what came later stands.
    It ends early if the budget is spent.
    """
    size, end = len(story) // 2, len(story)
    while size and budget.left > 0:
        begin = max(end - size, 0)
        fewer = _with_what_was_read([*story[:begin], *story[end:]], story, model)
        if len(fewer) < len(story) and budget.judge(fewer, model) == ILLEGAL:
            story = fewer
            # After a single one, whatever had to stay may now go.
            end = len(story) if size == 1 else min(begin, len(story))
        else:
            end = begin
        if not end:
            size, end = size // 2, len(story)
    return story


def _with_what_was_read(kept: Iterable[Operation], story: Story, model: Model) -> list[Operation]:
    """What is kept of the story, and what must not be left out of it, so that an illegal part shows that it is illegal.

    Whatever only reads can be left out of a history, and if that was linearizable, it still is. So can a write that
    nothing kept could have read, provided that writes overwrite each other.
    """
    chosen = {id(operation) for operation in kept}  # by identity: two operations may be alike in all that they record
    readers = [operation for operation in story if id(operation) in chosen and operation.ok and model.reads(operation)]
    seen = {model.seen(reader) for reader in readers} if model.overwrites else set()
    return [
        operation
        for operation in story
        if id(operation) in chosen
        or (model.writes(operation) and (not model.overwrites or model.step(model.initial, operation)[1] in seen))
    ]


def _told(story: Story, model: Model, budget: _Budget, share: str) -> Verdict:
    judgement = judge(story, model, FEW_STEPS + max(budget.left, 0), thorough=True)
    steps = [(operation, _role(operation, judgement)) for operation in story]
    wrong = next((place for place, (_, role) in enumerate(steps) if NOWHERE in role), None)
    why = f"{share}: no order explains the answers of these {count(len(story), 'operation')}"
    return Verdict.against(PROPERTY, why, *steps, offending=wrong)


def _role(operation: Operation, judgement: Judgement) -> str:
    for place, placed in enumerate(judgement.order, 1):
        if placed is operation:
            unsure = "" if operation.ok else ", if it took effect at all"
            return f"takes effect {ordinal(place)}, in the longest order that fits{unsure}"
    if not any(blocked is operation for blocked in judgement.blocked):
        return "comes after what does not fit"
    before = [place for place, placed in enumerate(judgement.order, 1) if precedes(placed, operation)]
    if not before:
        return NOWHERE
    return f"began after what takes effect {ordinal(before[-1])} had ended, and {NOWHERE} after that"
