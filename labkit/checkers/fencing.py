"""Did the storage take a write from a holder that had been overtaken? Judged by real time, from the answers alone.

A fencing token grows with each lease. Once a write under one token has been acknowledged, no write that begins later
and bears a lower token may be: Burrows, The Chubby lock service, OSDI 2006, section 2.4. Writes that overlap say
nothing, since the storage may have taken them in either order.
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.calls import FAIL
from labkit.history import Operation
from labkit.results import HOLDS, Verdict
from labkit.wording import count

FENCED = "no write of an overtaken holder is accepted"
ADMITTED = "no write of the newest holder is refused"
OVERTAKING = "acknowledged, with a higher token", "began later, with a lower token, and was accepted"
REFUSING = "refused, though no write had a higher token"


def fenced(writes: Iterable[Operation]) -> Verdict:
    """OK if no write was accepted that began after one with a higher token had been; else the first that was.

    An operation's value is its token. It has nothing to judge where nobody with a lower token wrote after that.
    """
    highest: Operation | None = None  # of those that had been acknowledged before the write in question began
    late, wrong = 0, []
    known = list(writes)
    ended = sorted((write for write in known if write.ok), key=lambda write: write.returned_us)
    for write in sorted(known, key=lambda write: write.invoked_us):
        while ended and ended[0].returned_us < write.invoked_us:
            other = ended.pop(0)
            highest = other if highest is None or other.value > highest.value else highest
        if highest is not None and write.value < highest.value:
            late += 1
            wrong += [(highest, write)] if write.ok else []
    if wrong:
        why = f"{len(wrong)} of {count(late, 'write')} by overtaken holders were accepted"
        return Verdict.against(FENCED, why, *zip(wrong[0], OVERTAKING, strict=True))
    if not late:
        return Verdict.of_nothing(FENCED, "no overtaken holder tried to write")
    return Verdict(FENCED, HOLDS, f"{count(late, 'write')} by overtaken holders, none accepted")


def admitted(writes: Iterable[Operation]) -> Verdict:
    """OK if no write was refused unless one with a higher token had begun by then; else the first that was."""
    known = sorted(writes, key=lambda write: write.invoked_us)
    wrong = [write for write in known if write.outcome == FAIL and not _is_overtaken(write, known)]
    judged = sum(write.ok for write in known) + len(wrong)
    if wrong:
        why = f"{len(wrong)} of {count(judged, 'write')} were refused, and nobody had a newer token"
        return Verdict.against(ADMITTED, why, (wrong[0], REFUSING))
    if not judged:
        return Verdict.of_nothing(ADMITTED, "no write was answered that was not overtaken")
    return Verdict(ADMITTED, HOLDS, count(judged, "write"))


def _is_overtaken(write: Operation, others: Iterable[Operation]) -> bool:
    return any(other.value > write.value and other.invoked_us <= write.returned_us for other in others)
