"""Nothing is made and nothing is lost: what is gone from a stock is just what the bookings in effect took from it.

For money this says that every charge belongs to a booking and was made once, for seats that none was sold twice. It is
an invariant of the final state, and sees what all-or-nothing cannot: a step done twice, a compensation done twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.history import Operation
from labkit.results import HOLDS, Verdict
from labkit.wording import count

CONSERVED = "nothing is made or lost"
NOT_OVERSOLD = "nothing is sold that is not there"


@dataclass(frozen=True)
class Stock:
    """One key's stock at a service: what there was, what was `left` in the end, and who `took` how much of it."""

    service: str
    key: str
    initial: int
    left: int
    took: Mapping[str, int]

    @property
    def unexplained(self) -> int:
        """How much is gone that no booking has; negative if there is more than there should be."""
        return self.initial - self.left - sum(self.took.values())

    def __str__(self) -> str:
        taken, bookings = sum(self.took.values()), len(self.took)
        return (
            f"{self.key} at {self.service}: {self.initial} at first, {self.left} left, {taken} with {bookings} bookings"
        )


def conserved(stocks: Iterable[Stock], transactions: Iterable[Operation] = ()) -> Verdict:
    """OK if each stock's difference is what the bookings in effect took; else the key with the fewest bookings.

    The counterexample is those of the `transactions` that were for it: an operation's key holds its stocks' keys.
    """
    found, asked = list(stocks), list(transactions)
    if not found:
        return Verdict.of_nothing(CONSERVED, "no stock was audited")
    wrong = [stock for stock in found if stock.unexplained]
    if not wrong:
        return Verdict(CONSERVED, HOLDS, count(len(found), "key"))
    stories = [(stock, _of(stock, asked)) for stock in wrong]
    stock, story = min(stories, key=lambda entry: (len(entry[1]), abs(entry[0].unexplained)))
    made = f"{-stock.unexplained} too many" if stock.unexplained < 0 else f"{stock.unexplained} unaccounted for"
    steps = [(operation, _share(stock, operation)) for operation in story]
    return Verdict.against(CONSERVED, f"{len(wrong)} of {len(found)} keys: {stock}, so {made}", *steps, offending=None)


def not_oversold(stocks: Iterable[Stock], transactions: Iterable[Operation] = ()) -> Verdict:
    """OK if no stock is below zero and no key has given away more than it had; else the key with the least excess."""
    found = list(stocks)
    if not found:
        return Verdict.of_nothing(NOT_OVERSOLD, "no stock was audited")
    wrong = sorted((stock for stock in found if _excess(stock) > 0), key=_excess)
    if not wrong:
        return Verdict(NOT_OVERSOLD, HOLDS, count(len(found), "key"))
    steps = [(operation, _share(wrong[0], operation)) for operation in _of(wrong[0], transactions)]
    return Verdict.against(NOT_OVERSOLD, f"{len(wrong)} of {len(found)} keys: {wrong[0]}", *steps, offending=None)


def _share(stock: Stock, operation: Operation) -> str:
    """What part a booking has in a stock: no single one of them is to blame for a sum."""
    taken = stock.took.get(operation.value)
    return f"in effect: it has {taken} of {stock.key}" if taken else f"has nothing of {stock.key} in the end"


def _excess(stock: Stock) -> int:
    return max(-stock.left, sum(stock.took.values()) - stock.initial)


def _of(stock: Stock, transactions: Iterable[Operation]) -> tuple[Operation, ...]:
    return tuple(operation for operation in transactions if stock.key in (operation.key or ()))
