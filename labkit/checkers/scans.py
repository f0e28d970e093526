"""Does a scan return what is there? Judged by keys and by real time: each scan's rows against the calls around it.

A scan is an operation whose key is the lowest key it asks for, and whose value is the keys of the rows it returned. It
must have each key whose write was acknowledged before the scan began, each that an earlier scan has shown, and no key
twice. It may have a key that is written while it runs, or whose write has an unknown outcome, and no other. Rows are
never deleted in the histories judged here: what was there once is there for good.

An operation is earlier than another if it ended before the other began; of two that touch, only if one process invoked
both, in that order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.calls import FAIL
from labkit.checkers.linearization import in_order, precedes
from labkit.errors import BadInput
from labkit.history import Operation
from labkit.results import HOLDS, UNDECIDED, Verdict
from labkit.wording import count, listed, shortened

COMPLETE = "a scan has each user once, and no other"
LONGEST_LIST = 60
WITNESS = {"write": "acknowledged before the scan began"}


class _Fault(NamedTuple):
    """A scan that is wrong, how, and the write or the earlier scan that shows it, if there is one."""

    scan: Operation
    what: str
    witness: Operation | None


@dataclass
class _Witnesses:
    """By key the writes that may have happened, in order, and what shows that a row was there: what ended first first.

    That is an acknowledged write, or a scan with a row that it may have.
    """

    begun: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    shown: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, writes: Iterable[Operation], scans: Iterable[Operation], span: int) -> _Witnesses:
        """Those of a whole history; raises `BadInput` for an acknowledged operation that never returned."""
        known = cls()
        for write in sorted(writes, key=in_order):
            if write.outcome != FAIL:
                known.begun[write.key].append(write)
        acknowledged = [write for same in known.begun.values() for write in same if write.ok]
        for write in sorted(acknowledged, key=_end):
            known.acknowledged[write.key].append(write)
        for scan in sorted(scans, key=_end):
            for key in scan.value:
                if key in _asked(scan, span) and known.is_born(key, scan):
                    known.shown[key].append(scan)
        return known

    def is_born(self, key: int, scan: Operation) -> bool:
        """Whether the scan may have the row: a write of unknown outcome may take effect at any time after it began."""
        return any(not precedes(scan, write) for write in self.begun.get(key, ()))

    def due(self, scan: Operation, span: int) -> Iterator[tuple[int, Operation]]:
        """Each key that the scan must have, with what says so: a write if there is one; keys are whole numbers."""
        for key in _asked(scan, span):
            witness = _earlier(self.acknowledged.get(key, ()), scan) or _earlier(self.shown.get(key, ()), scan)
            if witness is not None:
                yield key, witness


def no_scan_misses(operations: Iterable[Operation], span: int) -> Verdict:
    """OK if each successful scan of `span` keys has every key that is due, none twice, and none that cannot be there.

    A key is due if a write of it was acknowledged, or a scan has shown it, before the scan began: rows are never
    deleted. The counterexample is that write, or that earlier scan, if a key is missing, and the scan; of several scans
    that are wrong the first. UNKNOWN if no scan had anything that it must return. Raises `BadInput` for an operation
    that is acknowledged and has not returned.
    """
    writes, scans = [], []
    for operation in operations:
        if operation.function == "write":
            writes.append(operation)
        elif operation.function == "scan" and operation.ok:
            scans.append(operation)
    known = _Witnesses.of(writes, scans, span)
    scans.sort(key=in_order)
    wrong = [fault for scan in scans for fault in _faults(scan, span, known)]
    if wrong:
        number = len({id(fault.scan) for fault in wrong})
        scan, what, witness = wrong[0]
        steps = [] if witness is None else [(witness, WITNESS.get(witness.function, "an earlier scan that shows it"))]
        return Verdict.against(COMPLETE, f"{number} of {count(len(scans), 'scan')}: one {what}", *steps, (scan, what))
    judged = sum(1 for scan in scans if any(known.due(scan, span)))
    if not judged:
        return Verdict(COMPLETE, UNDECIDED, f"no user had to be among the rows of {count(len(scans), 'scan')}")
    return Verdict(COMPLETE, HOLDS, count(len(scans), "scan"))


def _faults(scan: Operation, span: int, known: _Witnesses) -> Iterator[_Fault]:
    rows = Counter(scan.value)
    missing = {key: witness for key, witness in known.due(scan, span) if key not in rows}
    lost = [key for key, witness in missing.items() if witness.function == "write"]
    vanished = [key for key in missing if key not in lost]
    if lost:
        yield _Fault(scan, f"lacks {_named(lost)}, acknowledged before it began", missing[lost[0]])
    if vanished:
        yield _Fault(scan, f"lacks {_named(vanished)}, which an earlier scan has shown", missing[vanished[0]])
    if twice := [key for key, number in rows.items() if number > 1]:
        yield _Fault(scan, f"has {_named(twice)} more than once", None)
    if outside := [key for key in rows if key not in _asked(scan, span)]:
        yield _Fault(scan, f"has {_named(outside)}, for which it did not ask", None)
    if unborn := [key for key in rows if not known.is_born(key, scan)]:
        yield _Fault(scan, f"has {_named(unborn)}, which nobody had written", None)


def _earlier(witnesses: Iterable[Operation], scan: Operation) -> Operation | None:
    """The first of the witnesses, which are in the order in which they ended, that precedes the scan."""
    for witness in witnesses:
        if precedes(witness, scan):
            return witness
        if _end(witness) > scan.invoked_us:
            return None
    return None


def _asked(scan: Operation, span: int) -> range:
    return range(scan.key, scan.key + span)


def _end(operation: Operation) -> int:
    if operation.returned_us is None or operation.returned_us < operation.invoked_us:
        raise BadInput(f"returned_us is {operation.returned_us!r} in {operation}: it must not be before invoked_us")
    return operation.returned_us


def _named(keys: Iterable[int]) -> str:
    return shortened(listed([str(key) for key in keys]), LONGEST_LIST)
