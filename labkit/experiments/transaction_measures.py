"""What lab 20 measures in a run of bookings, and what its checkers are given to judge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from labkit.calls import FAIL
from labkit.checkers.atomicity import all_ended, all_or_nothing, as_asked, nothing_undone_was_seen, undone_reads
from labkit.checkers.conservation import Stock, conserved, not_oversold
from labkit.experiments.transaction_clients import PAYMENT, PRICE
from labkit.experiments.transaction_halves import HalfDone, at_crashes, half_done, looks_at_half
from labkit.history import Message, Note, Operation
from labkit.results import Measure, Result, Verdict, percentile, share

TWO_PHASE, ORCHESTRATED, CHOREOGRAPHED = "two-phase commit", "orchestrated saga", "choreographed saga"
PROTOCOLS = (TWO_PHASE, ORCHESTRATED, CHOREOGRAPHED)
SERVICES = ("flight", "hotel", "car", "insurance")
BETWEEN_SERVICES = (
    "prepare", "commit", "abort", "outcome", "do_step", "compensate", "proceed", "completed", "refused", "undo",
)  # fmt: skip
LONGEST = "the longest that a participant had to keep locks, not knowing, its own downtime included"


class Taken(NamedTuple):
    """What a booking wants of a service, or has of it; never what is not `sound`, as a card that was declined."""

    key: str
    amount: int
    sound: bool = True

    def __str__(self) -> str:
        return f"{self.amount} of {self.key}" + ("" if self.sound else ", declined")


def steps(services: int, payment_first: bool) -> list[str]:
    """The services of a booking, in the order of a saga's steps."""
    others = SERVICES[: services - 1]
    return [PAYMENT, *others] if payment_first else [*others, PAYMENT]


def transaction_measures(result: Result) -> Iterator[Measure]:
    """What became of the bookings and how fast; what waiting, undoing, forcing and sending it took."""
    books = called(result, "book")
    made = [operation for operation in books if operation.ok]
    span = max((operation.returned_us or 0 for operation in books), default=0) / 1e6
    yield Measure("booked", share(len(made), len(books)), "", "share of the bookings that succeeded")
    yield Measure("throughput", len(made) / span if span else math.nan, "1/s", "successful bookings a second")
    latencies = sorted(operation.latency for operation in made)
    yield Measure("book_p50", percentile(latencies, 0.5), "s", "half of the successful bookings took at most this")
    yield Measure("book_p99", percentile(latencies, 0.99), "s", "99% of the successful bookings took at most this")
    refused = [operation for operation in books if operation.outcome == FAIL]
    business = sum("declined" in operation.error or "not enough" in operation.error for operation in refused)
    yield Measure("aborted", share(len(refused) - business, len(books)), "", "share ended by locks, faults or silence")
    unknown = len(books) - len(made) - len(refused)
    yield Measure("unknown", share(unknown, len(books)), "", "share of the bookings whose customer was never told")
    stretches = half_done(result.notes, result.parameters["services"], _rest_us(result))
    yield from _half_done(result, stretches)
    yield from _waiting(result)
    yield from _seen(result, stretches)
    forced = sum(note.label.endswith(" forced") for note in result.notes)
    yield Measure("forced_writes", share(forced, len(books)), "", "forced writes for each booking")
    sent = sum(map(_is_needed, result.messages)) if result.messages else math.nan
    yield Measure("messages", sent / len(books), "", "messages between services for each booking (traced runs)")


def _is_needed(message: Message) -> bool:
    # labkit answers every call, but an abort needs no acknowledgement: nobody looks at that answer.
    return message.method in BETWEEN_SERVICES and not (message.method == "abort" and message.is_reply)


def _half_done(result: Result, stretches: list[HalfDone]) -> Iterator[Measure]:
    lengths = [stretch.length_us / 1e6 for stretch in stretches]
    yield Measure(
        "half_done_p50", percentile(lengths, 0.5), "s", "half of the times, a booking was unsettled for at most this"
    )
    longest = max(lengths, default=math.nan)
    yield Measure("half_done_max", longest, "s", "the longest from the first vote or step until all is settled")
    caught = at_crashes(stretches, result.faults)
    is_crashed = any(fault.kind == "crash" for fault in result.faults)
    number = len({stretch.request for stretch in caught}) if is_crashed else math.nan
    yield Measure("half_done_at_crash", number, "", "bookings that were unsettled when something was killed")
    longest = max((stretch.length_us / 1e6 for stretch in caught), default=math.nan)
    yield Measure("half_done_over_crash", longest, "s", "the longest that one of those stayed unsettled")


def _rest_us(result: Result) -> int:
    # What an audit found at rest was whole by then, even if a crash has swallowed the note that would have said so.
    settled = [note.at_us for note in result.notes if note.label == "settled"]
    return max(settled) if settled and _audits(result) else result.recording.duration_us


def _seen(result: Result, stretches: list[HalfDone]) -> Iterator[Measure]:
    books, reads, effects = called(result, "book"), called(result, "look"), _effects(result).get("flight")
    undone = [note for note in result.notes if note.label == "compensated"]
    yield Measure("compensations", share(len(undone), len(books)), "", "steps undone for each booking")
    answered = sum(read.ok for read in reads)
    seen = math.nan if effects is None else share(len(list(undone_reads(reads, effects))), answered)
    yield Measure("undone_reads", seen, "", "share of looks that showed a seat taken whose booking was undone")
    half = share(len(looks_at_half(reads, stretches)), answered)
    yield Measure("half_seen", half, "", "share of looks that surely showed a booking not settled at all services")
    checks = [check for check in called(result, "check") if check.ok]
    unpaid = share(sum(not check.value for check in checks), len(checks))
    yield Measure("unpaid_seen", unpaid, "", "share of looks at both services that showed a seat and no payment for it")
    yield Measure("look_p99", percentile(result.latencies("look"), 0.99), "s", "99% of the looks took at most this")
    lost = share(_lost_sales(books, _stocks(result)), len(books)) if effects is not None else math.nan
    yield Measure("lost_sales", lost, "", "share refused for want of what was left over in the end")


def _lost_sales(books: Iterable[Operation], stocks: Iterable[Stock]) -> int:
    left_over = {stock.key for stock in stocks if stock.left > 0 and stock.service != PAYMENT}
    return sum(book.error.rpartition("not enough left of ")[2] in left_over for book in books if book.outcome == FAIL)


def _waiting(result: Result) -> Iterator[Measure]:
    doubts = in_doubt(result.notes, result.recording.duration_us)
    longest = max((end - begin for begin, end in doubts), default=0)
    yield Measure("in_doubt_max", longest / 1e6, "s", LONGEST)
    some = _covered(doubts)
    yield Measure("in_doubt_share", share(some, result.recording.duration_us), "", "share of the time with some of it")
    held_us = [note.details["_held_us"] for note in result.notes if note.label == "unlocked"]
    mean = share(sum(held_us), len(held_us)) / 1e6
    yield Measure("lock_mean", mean, "s", "how long a lock was held, on average")
    yield Measure("lock_p99", percentile(held_us, 0.99) / 1e6, "s", "99% of the locks were held at most this long")
    settled = [note.details["_after_us"] / 1e6 for note in result.notes if note.label == "settled"]
    yield Measure(
        "settled_after",
        max(settled, default=math.nan),
        "s",
        "from the last booking, or fault, until nothing was under way",
    )


def transaction_verdicts(result: Result) -> Iterator[Verdict]:
    """All or nothing, nothing made or lost, nothing oversold, everything ended; and what nobody may have seen."""
    books, stocks, effects = called(result, "book"), _stocks(result), _effects(result)
    yield all_or_nothing(books, effects)
    yield conserved(stocks, books)
    yield not_oversold(stocks, books)
    yield all_ended(called(result, "audit"))
    yield as_asked(books, _asked(result, books), _took(result))
    if result.parameters["protocol"] == TWO_PHASE and result.parameters["reads"]:
        # A saga promises no such thing: there it is a measure.
        yield nothing_undone_was_seen(books, called(result, "look"), effects.get("flight"))


def in_doubt(notes: list[Note], end_us: int) -> list[tuple[int, int]]:
    """When some participant had voted and did not know the outcome: (begin, end) for each, in microseconds."""
    waiting: dict[tuple[str, Any], int] = {}
    found = []
    for note in notes:
        if note.label == "votes yes":
            waiting[note.node, note.details["_transaction"]] = note.at_us
        elif note.label == "learned":
            waiting.pop((note.node, note.details["_transaction"]), None)
            found.append((note.at_us - note.details["_doubt_us"], note.at_us))
    return found + [(begin, end_us) for begin in waiting.values()]


def _covered(stretches: list[tuple[int, int]]) -> int:
    covered, reached = 0, -1
    for begin, end in sorted(stretches):
        covered += max(end - max(begin, reached), 0)
        reached = max(reached, end)
    return covered


def called(result: Result, function: str) -> list[Operation]:
    """The operations of that name."""
    return [operation for operation in result.operations if operation.function == function]


def _audits(result: Result) -> list[Operation]:
    # All or none: who judges by half of the services calls a run clean that is not.
    audits = called(result, "audit")
    return audits if all(audit.ok for audit in audits) else []


def _effects(result: Result) -> dict[str, frozenset[str]]:
    return {audit.key: frozenset(name for name, _ in audit.value.booked) for audit in _audits(result)}


def _asked(result: Result, books: Iterable[Operation]) -> dict[str, dict[str, Taken]]:
    values = result.parameters
    services = steps(values["services"], values["payment_first"] and values["protocol"] != TWO_PHASE)
    amounts = [PRICE if service == PAYMENT else 1 for service in services]
    return {
        book.value: {
            service: Taken(key, amount) for service, key, amount in zip(services, book.key, amounts, strict=True)
        }
        for book in books
    }


def _took(result: Result) -> dict[str, dict[str, Taken]]:
    return {
        audit.key: {name: Taken(part.key, part.amount, part.sound) for name, part in audit.value.booked}
        for audit in _audits(result)
    }


def _stocks(result: Result) -> list[Stock]:
    values, found = result.parameters, []
    for audit in _audits(result):
        initial = values["funds"] if audit.key == PAYMENT else values["seats"]
        took: dict[str, dict[str, int]] = {}
        for name, part in audit.value.booked:
            took.setdefault(part.key, {})[name] = part.amount
        found += [Stock(audit.key, key, initial, left, took.get(key, {})) for key, left in audit.value.left]
    return found
