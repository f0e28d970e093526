"""Was there ever more than one holder? Judged by true time, from what the holders themselves believed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labkit.faults import Fault
from labkit.history import Note, Stretch
from labkit.results import HOLDS, Verdict
from labkit.wording import count

PROPERTY = "at most one holder at a time"


@dataclass(frozen=True)
class Tenure:
    """A stretch of true time, in microseconds, during which `node` believed that it held `token`."""

    node: str
    token: int
    begin_us: int
    end_us: int

    @property
    def stretch(self) -> Stretch:
        """The tenure as a part of a counterexample, or as a state of its node."""
        return Stretch(self.node, f"holds the lease, token {self.token}", self.begin_us, self.end_us)

    def __str__(self) -> str:
        return f"{self.node} held token {self.token} from {self.begin_us / 1e6:.6f} s to {self.end_us / 1e6:.6f} s"


def tenures(notes: Iterable[Note], end_us: int, faults: Iterable[Fault] = ()) -> list[Tenure]:
    """The tenures that notes ``lease held`` and ``lease given up`` tell of, in order of their begin.

    One that nobody gave up lasts to `end_us`, since a holder that is stopped never learned that it ended, or to the
    crash of its node: the dead believe nothing.
    """
    crashes = sorted((round(fault.at * 1e6), fault.nodes[0]) for fault in faults if fault.kind == "crash")
    open_tenures: dict[tuple[str, int], int] = {}
    found: list[Tenure] = []
    for note in sorted(notes, key=lambda note: note.at_us):
        if note.label == "lease held":
            open_tenures[note.node, note.details["token"]] = note.at_us
        elif note.label == "lease given up":
            begin = open_tenures.pop((note.node, note.details["token"]))
            found.append(Tenure(note.node, note.details["token"], begin, note.at_us))
    for (node, token), begin in open_tenures.items():
        died_us = next((at for at, dead in crashes if dead == node and at >= begin), end_us)
        found.append(Tenure(node, token, begin, died_us))
    return sorted(found, key=lambda tenure: (tenure.begin_us, tenure.end_us))


def overlaps(held: Iterable[Tenure]) -> Iterator[tuple[Tenure, Tenure, int]]:
    """Each tenure that began before an earlier one of another node had ended, with that one, and for how long (µs)."""
    last: Tenure | None = None
    for tenure in held:
        if last is not None and tenure.begin_us < last.end_us and tenure.node != last.node:
            yield last, tenure, min(last.end_us, tenure.end_us) - tenure.begin_us
        if last is None or tenure.end_us > last.end_us:
            last = tenure


def one_holder(notes: Iterable[Note], end_us: int, faults: Iterable[Fault] = ()) -> Verdict:
    """OK if no two nodes held the lease at once; else the two tenures of the shortest overlap."""
    held = tenures(notes, end_us, faults)
    if not held:
        return Verdict.of_nothing(PROPERTY, "nobody ever held the lease")
    found = sorted(overlaps(held), key=lambda overlap: overlap[2])
    if not found:
        return Verdict(PROPERTY, HOLDS, count(len(held), "tenure"))
    first, second, length_us = found[0]
    story = f"{first}; {second}; together for {length_us / 1000:.3f} ms"
    return Verdict.against(
        PROPERTY,
        f"{len(found)} of {len(held)} tenures began too early: {story}",
        (first.stretch, "still believed that it held the lease when the other began"),
        (second.stretch, f"began before that had ended: two holders for {length_us / 1000:.3f} ms"),
    )
