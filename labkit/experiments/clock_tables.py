"""Lab 15's tables: what each kind of clock says of pairs of events, beside what is true of them."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.checkers.causality import Tally
from labkit.experiments.logical_clocks import sayings, shares
from labkit.results import Result, share
from labkit.tables import NOTHING, Table

QUESTIONS = (
    "clock",
    "a → b: ordered as they are",
    "inverted",
    "left unordered",
    "concurrent: said so",
    "given an order",
    "ordered against true time",
)


def truth_table(result: Result) -> Table:
    """A row a clock of a run of `logical_clocks`: shares of the pairs with a → b, of the concurrent ones, and of all
    that the clock puts in an order."""
    rows = [(clock, *map(_percent, _shares(found))) for clock, found in shares(result).items()]
    return Table(QUESTIONS, tuple(rows))


def sayings_table(results: Mapping[str, Result]) -> Table:
    """A row a clock, a column a run of `two_events`: how the clock says that the first event stands to the second."""
    said = {name: sayings(result) for name, result in results.items()}
    clocks = list(next(iter(said.values())))
    return Table(("", *said), tuple((clock, *(column[clock] for column in said.values())) for clock in clocks))


def _shares(found: Tally) -> tuple[float, ...]:
    return (
        1 - share(found.inverted + found.missed, found.ordered),
        share(found.inverted, found.ordered),
        share(found.missed, found.ordered),
        1 - share(found.invented, found.concurrent),
        share(found.invented, found.concurrent),
        share(found.against_time, found.claimed),
    )


def _percent(value: float) -> str:
    return f"{value:.1%}" if value == value else NOTHING  # no pairs of a kind make their share NaN
