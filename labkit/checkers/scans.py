"""Does a scan return what is there? Judged by keys and by real time: each scan's rows against the writes around it.

A scan is an operation whose key is the lowest key it asks for, and whose value is the keys of the rows it returned. It
must have each key whose write was acknowledged before the scan began, and no key twice. It may have a key that is
written while it runs, or whose write has an unknown outcome, and no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.calls import FAIL
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED, Verdict
from labkit.wording import count, listed, shortened

COMPLETE = "a scan has each user once, and no other"
LONGEST_LIST = 60


class _Fault(NamedTuple):
    """A scan that is wrong, how, and the write that shows it, if there is one."""

    scan: Operation
    what: str
    write: Operation | None


@dataclass
class _Writes:
    """The writes of each key that matter: the one acknowledged first, and the one that may have happened first."""

    acknowledged: dict[int, Operation] = field(default_factory=dict)
    begun: dict[int, Operation] = field(default_factory=dict)

    def take(self, write: Operation) -> None:
        known = self.acknowledged.get(write.key)
        if write.ok and (known is None or write.returned_us < known.returned_us):
            self.acknowledged[write.key] = write
        known = self.begun.get(write.key)
        if write.outcome != FAIL and (known is None or write.invoked_us < known.invoked_us):
            self.begun[write.key] = write


def no_scan_misses(operations: Iterable[Operation], span: int) -> Verdict:
    """OK if each successful scan of `span` keys has every key that is due, none twice, and none that cannot be there.

    The counterexample is the acknowledged write whose key is missing, if one is, and the scan; of several scans that
    are wrong the first. UNKNOWN if no scan had anything that it must return.
    """
    writes, scans = _Writes(), []
    for operation in operations:
        if operation.function == "write":
            writes.take(operation)
        elif operation.function == "scan" and operation.ok:
            scans.append(operation)
    scans.sort(key=lambda scan: scan.invoked_us)
    wrong = [fault for scan in scans for fault in _faults(scan, span, writes)]
    if wrong:
        number = len({id(fault.scan) for fault in wrong})
        scan, what, write = wrong[0]
        story = (scan,) if write is None else (write, scan)
        return Verdict(COMPLETE, ILLEGAL, f"{number} of {count(len(scans), 'scan')}: one {what}", story)
    judged = sum(1 for scan in scans if any(_due(scan, span, writes)))
    if not judged:
        return Verdict(COMPLETE, UNDECIDED, f"no user had to be among the rows of {count(len(scans), 'scan')}")
    return Verdict(COMPLETE, HOLDS, count(len(scans), "scan"))


def _due(scan: Operation, span: int, writes: _Writes) -> Iterator[Operation]:
    """For each key that the scan must have the write that says so; keys are whole numbers."""
    for key in range(scan.key, scan.key + span):
        write = writes.acknowledged.get(key)
        if write is not None and write.returned_us < scan.invoked_us:
            yield write


def _faults(scan: Operation, span: int, writes: _Writes) -> Iterator[_Fault]:
    rows = Counter(scan.value)
    missing = [write for write in _due(scan, span, writes) if write.key not in rows]
    if missing:
        lacks = _named(write.key for write in missing)
        yield _Fault(scan, f"lacks {lacks}, acknowledged before it began", missing[0])
    if twice := [key for key, number in rows.items() if number > 1]:
        yield _Fault(scan, f"has {_named(twice)} more than once", None)
    if outside := [key for key in rows if not scan.key <= key < scan.key + span]:
        yield _Fault(scan, f"has {_named(outside)}, for which it did not ask", None)
    # A write of unknown outcome may take effect at any time after it began.
    unborn = [key for key in rows if key not in writes.begun or writes.begun[key].invoked_us > scan.returned_us]
    if unborn:
        yield _Fault(scan, f"has {_named(unborn)}, which nobody had written", None)


def _named(keys: Iterable[int]) -> str:
    return shortened(listed([str(key) for key in keys]), LONGEST_LIST)
