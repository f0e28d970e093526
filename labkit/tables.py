"""A sweep as a table: a row a point, and each dial and measure in the unit that a reader would choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from labkit.dials import suggestion
from labkit.errors import BadInput
from labkit.results import says_share
from labkit.wording import words

if TYPE_CHECKING:
    from labkit.sweeping import Estimate, Sweep, SweepPoint

NOTHING = "–"
"""What stands where a measure had no samples."""

ROUNDING = 1e-9
"""By which part of its mean an interval may be wide because sums of floats are rounded."""

WIDTH = 100
"""Characters that a table of measures which nobody has chosen may take."""


@dataclass(frozen=True, repr=False)
class Table:
    """Cells as text, by row; in a notebook an HTML table, elsewhere columns of characters."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    measures: tuple[str, ...] = ()
    """The measures among its columns, by their names."""

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = (self.head, tuple("-" * width for width in widths), *self.rows)
        return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)

    __repr__ = __str__  # what a notebook without HTML shows

    def _repr_html_(self) -> str:
        sides = ["left" if _is_words(column) else "right" for column in zip(*self.rows, strict=True)]

        def cells(kind: str, row: Iterable[str]) -> str:
            return "".join(
                f"<{kind} style='text-align:{side}'>{escape(cell)}</{kind}>"
                for side, cell in zip(sides, row, strict=True)
            )

        rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        return f"<table class='dataframe'><thead><tr>{cells('th', self.head)}</tr></thead><tbody>{rows}</tbody></table>"

    @property
    def width(self) -> int:
        """Characters that the text form takes."""
        return max(map(len, str(self).splitlines()))


def _is_words(column: Iterable[str]) -> bool:
    return not any(cell[:1].isdigit() or cell[:1] in ("-", NOTHING) for cell in column)


def table_of(sweep: Sweep, measures: Sequence[str] = ()) -> Table:
    """The sweep's dials and `measures`, each a mean with half its 95% interval; a last column counts seeds that failed.

    Without `measures`, as many of the sweep's own as fit in `WIDTH` characters, and at least one. Raises `BadInput`
    for a measure that the sweep does not have.
    """
    known = list(dict.fromkeys(name for point in sweep.points for name in point.estimates))
    for name in measures:
        if name not in known:
            raise BadInput(f"there is no measure {name!r}: {suggestion(name, known)}")
    if measures:
        return _table(sweep, measures)
    chosen = known[:1]
    for name in known[1:]:
        if _table(sweep, [*chosen, name]).width > WIDTH:
            break
        chosen.append(name)
    return _table(sweep, chosen)


def left_out(sweep: Sweep, table: Table) -> int:
    """How many of the sweep's measures are not among the table's columns."""
    return len({name for point in sweep.points for name in point.estimates} - {*table.measures})


def _table(sweep: Sweep, measures: Sequence[str]) -> Table:
    columns = [_dial_column(sweep, name) for name in sweep.points[0].parameters]
    columns += [_measure_column(sweep, name) for name in measures]
    if any(point.failures for point in sweep.points):
        columns.append(("failing seeds", *map(_failing, sweep.points)))
    head, *rows = zip(*columns, strict=True)
    return Table(tuple(head), tuple(map(tuple, rows)), tuple(measures))


def _failing(point: SweepPoint) -> str:
    seeds = point.failing_seeds
    return f"{len(seeds)}, first {seeds[0]}" if seeds else "0"


def _dial_column(sweep: Sweep, name: str) -> tuple[str, ...]:
    values = [point.parameters[name] for point in sweep.points]
    unit, factor = _unit(sweep.units.get(name, ""), values, is_share=False)
    return _heading(name, unit), *(_plain(value, factor) for value in values)


def _measure_column(sweep: Sweep, name: str) -> tuple[str, ...]:
    estimates = [point.estimates.get(name) for point in sweep.points]
    means = [estimate.mean for estimate in estimates if estimate is not None]
    is_share = says_share(sweep.meanings.get(name, ""))
    unit, factor = _unit(sweep.units.get(name, ""), means, is_share)
    return _heading(name, unit), *(_interval(estimate, factor) for estimate in estimates)


def _heading(name: str, unit: str) -> str:
    return f"{words(name)} ({unit})" if unit else words(name)


def _unit(unit: str, values: Iterable[Any], is_share: bool) -> tuple[str, float]:
    if is_share:
        return "%", 100.0
    numbers = [abs(value) for value in values if isinstance(value, float) and math.isfinite(value)]
    return ("ms", 1e3) if unit == "s" and max(numbers, default=1) < 1 else (unit, 1.0)


def _plain(value: Any, factor: float) -> str:
    return f"{value * factor:g}" if isinstance(value, float) else str(value)


def _interval(estimate: Estimate | None, factor: float) -> str:
    if estimate is None or math.isnan(estimate.mean):
        return NOTHING
    half = (estimate.high - estimate.low) / 2 * factor
    mean = estimate.mean * factor
    if half <= ROUNDING * abs(mean):  # all runs gave the same, up to the last digits of floats
        return f"{mean:,.0f}" if mean == round(mean) else _to_digits(mean, 3)(mean)
    show = _to_digits(half, 2)  # two digits of the uncertainty, and the mean to the same place
    return f"{show(mean)} ± {show(half)}"


def _to_digits(size: float, digits: int) -> Callable[[float], str]:
    # To the place at which `size`, which is not 0, has so many digits.
    places = max(0, digits - 1 - math.floor(math.log10(abs(size))))
    return lambda value: f"{value:,.{min(places, 6)}f}"
