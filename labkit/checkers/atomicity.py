"""All or nothing: at the end of a run each transaction is in effect at every service that it was for, or at none.

The end is what an audit read from the services once nothing was under way; what the clients were told must agree with
it: ``ok`` means all, ``fail`` none, ``unknown`` either. What readers saw meanwhile is judged apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from labkit.calls import FAIL
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, Verdict
from labkit.wording import count

PROPERTY = "all or nothing"
AS_ASKED = "every booking took what was asked for"
ENDING = "every transaction ends"
READERS = "no reader saw a booking that was undone"

Effects = Mapping[str, Collection[str]]
"""For each service, the transactions that are in effect there at the end."""


def all_or_nothing(transactions: Iterable[Operation], effects: Effects) -> Verdict:
    """OK if every transaction is in effect everywhere or nowhere, as its client was told; else the first that is not.

    An operation's value is the transaction's name. `effects` must name every service, also one without any. A
    transaction that nobody asked for is illegal wherever it is in effect.
    """
    asked = list(transactions)
    if not asked or not effects:
        return Verdict.of_nothing(PROPERTY, "there is no transaction, or no audit of its effects")
    broken = [(operation, why) for operation in asked if (why := _broken(operation, effects))]
    known = {operation.value for operation in asked}
    strangers = sorted({name for found in effects.values() for name in found} - known)
    if not broken and not strangers:
        return Verdict(PROPERTY, HOLDS, f"{count(len(asked), 'transaction')} at {count(len(effects), 'service')}")
    if not broken:
        return Verdict(PROPERTY, ILLEGAL, f"nobody asked for {strangers[0]!r}, which is in effect")
    operation, why = broken[0]
    return Verdict.against(PROPERTY, f"{len(broken)} of {len(asked)} transactions: {why}", (operation, why))


def _broken(operation: Operation, effects: Effects) -> str:
    name = operation.value
    there = [service for service, found in effects.items() if name in found]
    missing = [service for service in effects if service not in there]
    if there and missing:
        return f"{name} is in effect at {', '.join(there)} and not at {', '.join(missing)}"
    if operation.ok and missing:
        return f"{name} was acknowledged and is in effect nowhere"
    if operation.outcome == FAIL and there:
        return f"{name} was refused and is in effect everywhere"
    return ""


def as_asked(
    transactions: Iterable[Operation], asked: Mapping[str, Mapping[str, Any]], took: Mapping[str, Mapping[str, Any]]
) -> Verdict:
    """OK if each transaction took at each service, wherever it is in effect, what it asked for; else one that did not.

    `asked` says it by transaction and service, `took` by service and transaction; equal is what compares equal. A
    transaction that nobody asked for is for `all_or_nothing` to find.
    """
    known = {operation.value: operation for operation in transactions if operation.value in asked}
    parts = [(service, name) for service, found in took.items() for name in found if name in known]
    if not parts:
        return Verdict.of_nothing(AS_ASKED, "nothing that was asked for is in effect")
    wrong = [(service, name) for service, name in parts if took[service][name] != asked[name].get(service)]
    if not wrong:
        return Verdict(AS_ASKED, HOLDS, count(len(parts), "part"))
    service, name = wrong[0]
    story = f"{name} asked {service} for {asked[name].get(service)}, which took {took[service][name]}"
    return Verdict.against(AS_ASKED, f"{len(wrong)} of {len(parts)} parts: {story}", (known[name], story))


def all_ended(audits: Sequence[Operation]) -> Verdict:
    """OK if the audit, which waits until nothing is under way for a limited time, found every service at rest."""
    if not audits:
        return Verdict.of_nothing(ENDING, "nobody audited the services")
    failed = [audit for audit in audits if not audit.ok]
    if failed:
        story = f"{failed[0].key} did not come to rest: {failed[0].error}"
        return Verdict.against(ENDING, story, (failed[0], story))
    return Verdict(ENDING, HOLDS, f"{count(len(audits), 'service')} at rest")


def undone_reads(reads: Iterable[Operation], effects: Collection[str]) -> Iterator[tuple[Operation, str]]:
    """Each read that showed a transaction which is not in effect at the end, with that transaction (a dirty read).

    A read's value is the transactions that it showed; `effects` are those in effect at the service read.
    """
    known = frozenset(effects)
    for read in reads:
        if read.ok:
            undone = next((name for name in read.value if name not in known), None)
            if undone is not None:
                yield read, undone


def nothing_undone_was_seen(
    transactions: Iterable[Operation], reads: Iterable[Operation], effects: Collection[str] | None
) -> Verdict:
    """OK if no read showed a transaction that was undone later; else one that did, with that transaction's operation.

    `effects` are those in effect at the service read; None if no audit has found out. Berenson et al., A critique of
    ANSI SQL isolation levels, SIGMOD 1995: the anomaly A1, dirty read.
    """
    answered = [read for read in reads if read.ok]
    if not answered:
        return Verdict.of_nothing(READERS, "the history has no successful read")
    if effects is None:
        return Verdict.of_nothing(READERS, "no audit of what is in effect")
    found = list(undone_reads(answered, effects))
    if not found:
        return Verdict(READERS, HOLDS, count(len(answered), "read"))
    read, name = found[0]
    booked = next((operation for operation in transactions if operation.value == name), None)
    steps = [] if booked is None else [(booked, "not in effect in the end: it was undone")]
    why = f"{len(found)} of {len(answered)} reads; {name} was undone"
    return Verdict.against(READERS, why, *steps, (read, f"showed what {name} had done, which was undone later"))
