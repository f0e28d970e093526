"""What pictures of a booking show besides its messages: who holds locks, who is in doubt, and what was answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.calls import FAIL
from labkit.history import Message, Note, Stretch
from labkit.results import Result
from labkit.scenes import ended_by

LOCKED, IN_DOUBT, DECIDED = "holds a lock", "holds a lock, in doubt", "holds a lock, knows the outcome"
STATES = (LOCKED, IN_DOUBT, DECIDED)


def states(result: Result) -> Iterator[Stretch]:
    """When services hold locks: until they vote, in doubt after that, and until they unlock once they know.

    A lock that is not released by the end of the run lasts to it, or to the crash of its node.
    """
    kept: dict[tuple[str, Any], dict[str, Note]] = {}
    for note in result.notes:
        transaction = note.details.get("_transaction")
        if note.label in ("votes yes", "learned"):
            kept.setdefault((note.node, transaction), {})[note.label] = note
        elif note.label == "unlocked":
            known = kept.pop((note.node, transaction), {})
            begin_us = note.at_us - note.details["_held_us"]
            yield from _held(note.node, begin_us, known, note.at_us)
    for (node, _), known in kept.items():
        if "votes yes" in known:
            crashes = [
                round(fault.at * 1e6) for fault in result.faults if fault.kind == "crash" and node in fault.nodes
            ]
            begin_us = known["votes yes"].at_us
            end_us = min((at_us for at_us in crashes if at_us >= begin_us), default=result.recording.duration_us)
            yield from _held(node, begin_us, known, end_us)


def _held(node: str, begin_us: int, known: dict[str, Note], end_us: int) -> Iterator[Stretch]:
    """One lock, by what its node knew meanwhile: it cannot have voted before it had the lock."""
    voted_us = known["votes yes"].at_us if "votes yes" in known else end_us
    learned_us = known["learned"].at_us if "learned" in known else end_us
    parts = ((LOCKED, begin_us, voted_us), (IN_DOUBT, voted_us, learned_us), (DECIDED, learned_us, end_us))
    for state, from_us, to_us in parts:
        if from_us < to_us:
            yield Stretch(node, state, from_us, to_us)


def answers(result: Result) -> Iterator[tuple[Message, str]]:
    """Votes, acknowledgements, the outcome that a participant asked for, and what the customer is told."""
    votes = {(note.node, note.at_us) for note in result.notes if note.label == "votes yes"}
    learned = {(note.node, note.at_us): note.details["outcome"] for note in result.notes if note.label == "learned"}
    for message in result.messages:
        if not message.is_reply:
            continue
        if message.method == "prepare":
            yield message, "yes" if (message.source, message.sent_us) in votes else "no"
        elif message.method in ("commit", "abort"):
            yield message, "ack"
        elif message.method == "outcome" and (message.target, message.arrived_us) in learned:
            yield message, str(learned[message.target, message.arrived_us])
        elif message.method == "book":
            booking = ended_by(message, result.operations)
            if booking is not None:
                yield message, "refused" if booking.outcome == FAIL else "booked"
