"""Were orders kept? Judged from what users were told and from what was done, not from what services believe.

Each order is the key of one operation ``order``; each charge is a note ``charged`` of payment's, each message to a
user a note ``notified`` of notification's. An order is accepted if its operation succeeded, refused if it failed; of
one that ended ``unknown``, anything may be true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from labkit.calls import FAIL, OK
from labkit.history import Note, Operation, Stretch
from labkit.results import HOLDS, Verdict
from labkit.wording import count

NONE_LOST = "no accepted order is lost"
NONE_TWICE = "no order is charged twice"
NONE_DENIED = "nobody who was refused is charged"
IN_TIME = "every accepted order is paid in time"
ALL_ANSWERED = "every user is answered"
PAYMENT = "payment"
TOLD = {OK: "accepted", FAIL: "refused"}
ALL_NOTIFIED = "whoever has an accepted order is told when it is complete"


@dataclass(frozen=True)
class Orders:
    """A run's orders, and for each the instants (µs) at which it was charged, and at which its user was told.

    `known_us` has the orders of which payment said, later than that, that it had charged them: a crash may come
    between a charge and its note.
    """

    operations: Sequence[Operation]
    charged_us: dict[str, list[int]]
    known_us: dict[str, int]
    notified_us: dict[str, list[int]]

    @classmethod
    def of(cls, operations: Iterable[Operation], notes: Iterable[Note]) -> Orders:
        """The orders among a run's operations, with what its notes say of their charges."""
        charged: dict[str, list[int]] = defaultdict(list)
        notified: dict[str, list[int]] = defaultdict(list)
        known: dict[str, int] = {}
        for note in notes:
            if note.label == "charged":
                charged[note.details["order"]].append(note.at_us)
            elif note.label == "notified":
                notified[note.details["order"]].append(note.at_us)
            elif note.label == "had been charged":
                known.setdefault(note.details["order"], note.at_us)
        placed = [entry for entry in operations if entry.function == "order"]
        return cls(placed, dict(charged), known, dict(notified))

    def charges(self, order: str) -> list[Stretch]:
        """The charges of an order as steps of a counterexample."""
        return [Stretch(PAYMENT, f"charges {order}", at_us, at_us) for at_us in self.charged_us.get(order, ())]

    def paid_us(self, order: str) -> int | None:
        """When an order is known to have been paid; None if it never was."""
        known = [*self.charged_us.get(order, ())[:1], *([self.known_us[order]] if order in self.known_us else [])]
        return min(known, default=None)


def none_lost(orders: Orders) -> Verdict:
    """OK if every accepted order was charged before the run ended; else the first that was not."""
    return _judge(NONE_LOST, orders, _accepted, lambda entry: orders.paid_us(entry.key) is None, "never charged")


def none_charged_twice(orders: Orders) -> Verdict:
    """OK if no order was charged more than once; else the one whose second charge came soonest after its first."""
    charged = orders.charged_us
    found = [entry for entry in orders.operations if len(charged.get(entry.key, ())) > 1]
    if not charged:
        return Verdict.of_nothing(NONE_TWICE, "nothing was charged")
    if not found:
        return Verdict(NONE_TWICE, HOLDS, f"{count(len(charged), 'order')} charged")
    worst = min(found, key=lambda entry: charged[entry.key][1] - charged[entry.key][0])
    times = " and ".join(f"{at / 1e6:.6f} s" for at in charged[worst.key])
    why = f"{len(found)} of {len(charged)} orders: {worst.key} was charged at {times}"
    steps = zip(orders.charges(worst.key), ["charged", *["charged again"] * len(charged[worst.key])], strict=False)
    return Verdict.against(NONE_TWICE, why, (worst, "one order"), *list(steps)[:2])


def none_denied(orders: Orders) -> Verdict:
    """OK if no order that was refused is charged all the same; else the first that was.

    Where requests are duplicated on their way, one copy may be refused and the other carried out: a caller cannot
    tell copies apart, so no service that answers each of them can keep this.
    """
    return _judge(NONE_DENIED, orders, _refused, lambda entry: orders.paid_us(entry.key) is not None, "charged")


def paid_in_time(orders: Orders, promise: float) -> Verdict:
    """OK if each accepted order that was paid at all was paid within `promise` seconds; else the latest of them."""
    late = {entry.key: orders.paid_us(entry.key) for entry in orders.operations if entry.ok}
    paid = [entry for entry in orders.operations if late.get(entry.key) is not None]
    if not paid:
        return Verdict.of_nothing(IN_TIME, "no accepted order was paid")
    waits = {entry.key: (late[entry.key] - entry.invoked_us) / 1e6 for entry in paid}
    broken = [entry for entry in paid if waits[entry.key] > promise]
    worst = max(paid, key=lambda entry: waits[entry.key])
    told = f"{len(broken)} of {len(paid)} orders were paid later than after {promise:g} s"
    if not broken:
        return Verdict(IN_TIME, HOLDS, f"{count(len(paid), 'order')}, the slowest after {waits[worst.key]:.3f} s")
    due_us = worst.invoked_us + round(promise * 1e6)
    return Verdict.against(
        IN_TIME,
        f"{told}, {worst.key} after {waits[worst.key]:.3f} s",
        (worst, f"accepted; to be paid by {due_us / 1e6:.3f} s"),
        (Stretch(PAYMENT, f"paid {worst.key}", late[worst.key], late[worst.key]), "later than promised"),
    )


def all_answered(orders: Orders) -> Verdict:
    """OK if every user had an answer, whichever, before losing patience; else the first who had none."""
    return _judge(ALL_ANSWERED, orders, lambda entry: True, lambda entry: entry.value is None, "never answered")


def all_notified(orders: Orders) -> Verdict:
    """OK if a message went to the user of every accepted order before the run ended; else the first without one."""
    return _judge(ALL_NOTIFIED, orders, _accepted, lambda entry: entry.key not in orders.notified_us, "never notified")


def _judge(
    name: str,
    orders: Orders,
    concerns: Callable[[Operation], bool],
    is_broken: Callable[[Operation], bool],
    how: str,
) -> Verdict:
    concerned = [entry for entry in orders.operations if concerns(entry)]
    broken = [entry for entry in concerned if is_broken(entry)]
    if broken:
        steps = [(charge, "charged all the same") for charge in orders.charges(broken[0].key)[:1]]
        first = (broken[0], f"{TOLD.get(broken[0].outcome, 'nobody knows whether it was accepted')}, and {how}")
        why = f"{len(broken)} of {len(concerned)} orders were {how}"
        return Verdict.against(name, why, first, *steps)
    if not concerned:
        return Verdict.of_nothing(name, "there was no such order")
    return Verdict(name, HOLDS, count(len(concerned), "order"))


def _accepted(entry: Operation) -> bool:
    return entry.ok


def _refused(entry: Operation) -> bool:
    return entry.outcome == FAIL
