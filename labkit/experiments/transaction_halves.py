"""How long a booking of lab 20 stays unsettled: one measure for every protocol, from what the services noted.

Unsettled, or half done, is what has begun at one service and is not settled at all of them. By two-phase commit it is
promised (voted, its row locked), and nothing of it is visible before the commit. By a saga it is done at one, and
visible. So the measure says how long it lasts, and not what others meet meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from labkit.faults import Fault
from labkit.history import Note, Operation
from labkit.protocols.two_phase_commit import COMMIT

PROMISED, DONE = "promised", "done"


class HalfDone(NamedTuple):
    """A stretch of time, in microseconds, at whose every instant `request` had begun and was not settled everywhere.

    By two-phase commit it was promised: some service had voted, and not carried out the outcome. By a saga it was done,
    and visible, at some of its services only.
    """

    request: str
    begin_us: int
    end_us: int

    @property
    def length_us(self) -> int:
        """How long it lasted."""
        return self.end_us - self.begin_us

    def spans(self, begin_us: int, end_us: int) -> bool:
        """Whether it had begun by `begin_us` and went on after `end_us`."""
        return self.begin_us <= begin_us and end_us < self.end_us


def half_done(notes: Iterable[Note], services: int, end_us: int) -> list[HalfDone]:
    """Each stretch for which a booking was unsettled, in the order in which they ended.

    It begins with the first service's vote or step, durable, and ends once all `services` have carried out the commit
    or their steps, durably, or each that voted has learned of the abort, or each step has been compensated. Attempts of
    one booking by two-phase commit that began anew have a stretch each. What no note has ended ends at `end_us`.
    """
    begun: dict[Any, int] = {}
    states: dict[Any, dict[str, str]] = {}
    ended = []
    for note, state in _changes(notes):
        transaction = note.details["_transaction"]
        parts = states.setdefault(transaction, {})
        if state:
            parts[note.node] = state
        else:
            parts.pop(note.node, None)
        is_whole = not parts or (len(parts) == services and PROMISED not in parts.values())
        if not is_whole:
            begun.setdefault(transaction, note.at_us)
        elif transaction in begun:
            ended.append(HalfDone(_request(transaction), begun.pop(transaction), note.at_us))
    return ended + [HalfDone(_request(transaction), at_us, end_us) for transaction, at_us in begun.items()]


def at_crashes(stretches: Iterable[HalfDone], faults: Iterable[Fault]) -> list[HalfDone]:
    """Those under way at an instant at which a node was killed."""
    instants = [round(fault.at * 1e6) for fault in faults if fault.kind == "crash"]
    return [stretch for stretch in stretches if any(stretch.spans(at_us, at_us) for at_us in instants)]


def looks_at_half(looks: Sequence[Operation], stretches: Iterable[HalfDone]) -> list[Operation]:
    """The looks that showed a booking which was unsettled from before the look began until after its answer.

    So these are certain. A look that met a booking's last step on its way may have shown half of it too.
    """
    by_request: dict[str, list[HalfDone]] = {}
    for stretch in stretches:
        by_request.setdefault(stretch.request, []).append(stretch)
    return [look for look in looks if look.ok and _shows_half(look, by_request)]


def _shows_half(look: Operation, by_request: dict[str, list[HalfDone]]) -> bool:
    stretches = [stretch for request in look.value for stretch in by_request.get(request, ())]
    return any(stretch.spans(look.invoked_us, look.returned_us or look.invoked_us) for stretch in stretches)


def _changes(notes: Iterable[Note]) -> Iterator[tuple[Note, str]]:
    """The notes that tell of a change at a service, each with the state that it leads to: empty if nothing is left."""
    learned: dict[tuple[str, Any], str] = {}
    for note in notes:
        if note.label == "votes yes":
            yield note, PROMISED
        elif note.label == "step done":
            yield note, DONE
        elif note.label == "compensated":
            yield note, ""
        elif note.label == "learned":
            learned[note.node, note.details["_transaction"]] = note.details["outcome"]
        elif note.label == "unlocked" and (note.node, note.details["_transaction"]) in learned:
            # Only now is what it learned on its disk, as a step is when it is noted.
            yield note, DONE if learned[note.node, note.details["_transaction"]] == COMMIT else ""


def _request(transaction: Any) -> str:
    return transaction if isinstance(transaction, str) else transaction[0]
