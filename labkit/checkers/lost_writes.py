"""Was an acknowledged write lost? Judged by real time, from what later reads returned.

A write is lost if it was acknowledged, and some read began after that and after every read that showed it (or what may
have replaced it) had ended: from then on only something older was to be seen. Older is a value whose write had ended
before the lost one began, or none at all. One read that misses it and a later one that does not are a stale read, which
`labkit.checkers.staleness` finds; nothing was lost then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

from labkit.calls import FAIL
from labkit.history import Operation
from labkit.results import HOLDS, UNDECIDED, Verdict

PROPERTY = "no acknowledged write is lost"
ROLES = (
    "older: all that the read found",
    "acknowledged, and lost: no read that began later shows it",
    "began later, and returned only what is older",
)
"""The parts of what the read returned, which is missing if that is the initial value; the lost write; the read."""


@dataclass(frozen=True)
class Loss:
    """A lost write, the first read after which nothing shows it, and the write that this read returned (if any)."""

    write: Operation
    read: Operation
    returned: Operation | None

    @property
    def length_us(self) -> int:
        """From the invocation of the lost write to the response of the read: how little history shows the loss."""
        return (self.read.returned_us or 0) - self.write.invoked_us


@dataclass
class _Key:
    writes: dict[Any, Operation] = field(default_factory=dict)
    reads: list[Operation] = field(default_factory=list)
    """In the order in which they began."""


def losses(operations: Iterable[Operation]) -> Iterator[Loss]:
    """Every lost write. Each write of a key must have a value of its own.

    Takes time in proportion to the operations and the logarithm of their number.
    """
    for key in _by_key(operations).values():
        yield from _losses_of(key)


def no_lost_writes(operations: Iterable[Operation]) -> Verdict:
    """OK if no acknowledged write was lost; else the loss that the shortest stretch of history shows.

    The counterexample is what the read returned (unless it is the initial value), the lost write, the read.
    UNKNOWN if no read began after any acknowledged write of its key.
    """
    keys = _by_key(operations)
    for name, key in keys.items():
        for read in key.reads:
            if read.value is not None and (read.value not in key.writes or key.writes[read.value].outcome == FAIL):
                refused = key.writes.get(read.value)
                steps = [(refused, "was refused")] if refused is not None else []
                why = f"a read of {name!r} returned what nobody has written"
                return Verdict.against(PROPERTY, why, *steps, (read, "returned what nobody has written"))
    judged = sum(1 for key in keys.values() for _ in _checked(key))
    if not judged:
        return Verdict(PROPERTY, UNDECIDED, "no read began after an acknowledged write of its key")
    found = [loss for key in keys.values() for loss in _losses_of(key)]
    if not found:
        return Verdict(PROPERTY, HOLDS, f"{judged} acknowledged writes")
    least = min(found, key=lambda loss: loss.length_us)
    parts = zip((least.returned, least.write, least.read), ROLES, strict=True)
    steps = [(operation, role) for operation, role in parts if operation is not None]
    return Verdict.against(PROPERTY, f"{len(found)} of {judged} acknowledged writes are lost", *steps)


def _by_key(operations: Iterable[Operation]) -> dict[Any, _Key]:
    keys: dict[Any, _Key] = defaultdict(_Key)
    for operation in operations:
        if operation.function == "write":
            writes = keys[operation.key].writes
            if operation.value in writes:
                raise ValueError(f"two writes of {operation.value!r} to {operation.key!r}: they cannot be told apart")
            writes[operation.value] = operation
        elif operation.function == "read" and operation.ok:
            keys[operation.key].reads.append(operation)
    for key in keys.values():
        key.reads.sort(key=lambda read: read.invoked_us)
    return keys


def _checked(key: _Key) -> Iterator[Operation]:
    """Each acknowledged write after which some read began."""
    last = max((read.invoked_us for read in key.reads), default=-inf)
    for write in key.writes.values():
        if write.ok and write.returned_us < last:
            yield write


def _losses_of(key: _Key) -> Iterator[Loss]:
    begins = [read.invoked_us for read in key.reads]
    # A read shows a write, or what may have replaced it, if what it returned had not ended when that write began.
    shown = sorted((_ended(key.writes.get(read.value)), read.returned_us) for read in key.reads)
    last_seen = [-inf] * (len(shown) + 1)  # when the last read that showed this or a newer value had ended
    for place in range(len(shown) - 1, -1, -1):
        last_seen[place] = max(last_seen[place + 1], shown[place][1])
    for write in _checked(key):
        seen = last_seen[bisect_left(shown, write.invoked_us, key=lambda pair: pair[0])]
        place = bisect_right(begins, max(seen, write.returned_us))
        if place < len(begins):
            read = key.reads[place]
            yield Loss(write, read, key.writes.get(read.value))


def _ended(write: Operation | None) -> float:
    if write is None:
        return -inf
    # A write of unknown outcome has not ended: it may take effect at any time.
    return write.returned_us if write.ok and write.returned_us is not None else inf
