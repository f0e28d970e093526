"""Was every read fresh? Real-time order decides, not the versions that the system itself assigned.

A read is fresh if no write of its key was acknowledged before the read began and invoked after the write that the
read returned had ended. Lamport's regularity (On Interprocess Communication, 1986) is for one writer; of its
extensions to several this one, which judges each read by itself, is the weakest (Shao, Welch, Pierce and Lee, SIAM J.
Comput., 2011). So it is weaker than linearizability, which `labkit.checkers.linearizability` judges: two reads may
see two writes in opposite orders, readers may alternate between them for ever, and one may see a write of which a
later one sees nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.calls import FAIL, UNKNOWN
from labkit.history import Operation
from labkit.results import HOLDS, Verdict

PROPERTY = "every read is fresh"
ROLES = (
    "the read returned this write",
    "acknowledged before the read began, and missed by it",
    "began after the write that it missed was acknowledged",
)
"""The parts of the returned write, which is missing if the read returned the initial value; the missed write; the read.
"""


@dataclass(frozen=True)
class ReadJudgement:
    """A successful read, what it returned, and how many acknowledged writes it missed.

    `returned` is the write of the value (None: the value from before all writes); `missed` the earliest of the
    writes that it should have seen; `impossible` says why no store at all may return this value.
    """

    read: Operation
    returned: Operation | None
    versions_behind: int
    missed: Operation | None
    impossible: str = ""


def judge_reads(operations: Iterable[Operation]) -> Iterator[ReadJudgement]:
    """Judge each successful read in turn. Each write must have a value of its own.

    Takes time in proportion to the operations, plus the number of writes that each stale read missed.
    """
    keys: dict[Any, _Key] = defaultdict(_Key)
    reads: list[Operation] = []
    for operation in operations:
        if operation.function == "write":
            keys[operation.key].add(operation)
        elif operation.function == "read" and operation.ok:
            reads.append(operation)
    for read in reads:
        yield keys[read.key].judge(read)


def fresh_reads(operations: Iterable[Operation], judged: Iterable[ReadJudgement] | None = None) -> Verdict:
    """OK if every read was fresh; else the read that missed a write by the shortest stretch of history.

    `judged` is what `judge_reads` says of the operations, if it has been asked already. The counterexample is the
    returned write (unless it is the initial value), the missed write, the read.
    """
    worst: ReadJudgement | None = None
    count = stale = 0
    for judgement in judge_reads(operations) if judged is None else judged:
        count += 1
        if judgement.missed is None and not judgement.impossible:
            continue
        stale += 1
        if worst is None or _span(judgement) < _span(worst):
            worst = judgement
    if not count:
        return Verdict.of_nothing(PROPERTY, "the history has no successful read")
    if worst is None:
        return Verdict(PROPERTY, HOLDS, f"{count} reads")
    if worst.impossible:
        return Verdict.against(PROPERTY, worst.impossible, *_accused(worst))
    parts = zip((worst.returned, worst.missed, worst.read), ROLES, strict=True)
    steps = [(operation, role) for operation, role in parts if operation is not None]
    return Verdict.against(PROPERTY, f"{stale} of {count} reads missed a write", *steps)


def _accused(judgement: ReadJudgement) -> list[tuple[Operation, str]]:
    """The steps of a read that no store at all may answer so."""
    write = [] if judgement.returned is None else [(judgement.returned, "the read returned this write")]
    return [*write, (judgement.read, judgement.impossible)]


class _Key:
    """The writes of one key, indexed for questions about real-time order."""

    def __init__(self) -> None:
        self._writes: dict[Any, Operation] = {}
        self._acknowledged: list[Operation] | None = None

    def add(self, write: Operation) -> None:
        if write.value in self._writes:
            raise ValueError(f"two writes of {write.value!r} to {write.key!r}: which one a read saw cannot be told")
        self._writes[write.value] = write

    def judge(self, read: Operation) -> ReadJudgement:
        returned = self._writes.get(read.value)
        if returned is None and read.value is not None:
            return ReadJudgement(read, None, 0, None, "it returned a value that nobody wrote")
        if returned is not None and returned.outcome == FAIL:
            return ReadJudgement(read, returned, 0, None, "it returned a write that was refused")
        if returned is not None and precedes(read, returned):
            return ReadJudgement(read, returned, 0, None, "it returned a write from its future")
        missed = self._between(returned, read)
        return ReadJudgement(read, returned, len(missed), missed[-1] if missed else None)

    def _between(self, returned: Operation | None, read: Operation) -> list[Operation]:
        if self._acknowledged is None:
            acknowledged = [write for write in self._writes.values() if write.ok]
            self._acknowledged = sorted(acknowledged, key=lambda write: write.returned_us)
        # Whatever lies between has ended after `returned` ended, so the walk back can stop there.
        missed = []
        end = bisect_left(self._acknowledged, read.invoked_us + 1, key=lambda write: write.returned_us)
        for write in reversed(self._acknowledged[:end]):
            if returned is not None and not _may_precede(returned, write):
                break
            if precedes(write, read) and (returned is None or precedes(returned, write)):
                missed.append(write)
        return missed


def precedes(one: Operation, other: Operation) -> bool:
    """Whether `one` ended before `other` began; a tie counts only within one process, which is sequential.

    An operation of unknown outcome has not ended, even if its client gave up on it: it may still take effect.
    """
    if one.returned_us is None or one.outcome == UNKNOWN:
        return False
    if one.returned_us == other.invoked_us:
        return one.process == other.process and one.number < other.number
    return one.returned_us < other.invoked_us


def _may_precede(returned: Operation, write: Operation) -> bool:
    return returned.ok and write.returned_us >= returned.returned_us


def _span(judgement: ReadJudgement) -> float:
    begin = (judgement.missed or judgement.read).invoked_us
    return (judgement.read.returned_us or 0) - begin
