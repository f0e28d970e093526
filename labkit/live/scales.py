"""How the values of a dial or a measure stand on an axis, and how they are said in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labkit.dials import AnyDial, Dial
from labkit.live.controls import said
from labkit.results import Measure
from labkit.wording import words

WIDE_RATIO = 100
"""From which ratio of its largest to its smallest value on an axis is logarithmic."""

DIGITS = 6


@dataclass(frozen=True)
class Scale:
    """From a value to its place on an axis, in the axis' own unit; `steps` are the places of values in no order."""

    title: str
    factor: float = 1.0
    steps: tuple[str, ...] = ()
    is_log: bool = False
    is_whole: bool = False

    def place(self, value: Any) -> Any:
        """Where the value stands."""
        return value if isinstance(value, str) else rounded(value if self.factor == 1 else value * self.factor)


def dial_scale(name: str, dial: AnyDial, values: Iterable[Any]) -> Scale:
    """The axis for these values of a dial."""
    known = list(values)
    title = words(name)
    if not isinstance(dial, Dial):
        return Scale(title, steps=tuple(said(dial, value) for value in known))
    is_log = min(known) > 0 and max(known) / min(known) >= WIDE_RATIO
    if dial.unit == "s" and max(map(abs, known)) < 1:
        return Scale(f"{title} (ms)", 1e3, is_log=is_log)
    unit = f" ({dial.unit})" if dial.unit else ""
    return Scale(title + unit, is_log=is_log, is_whole=isinstance(dial.default, int))


def measure_scale(measures: Iterable[Measure], further: Iterable[float] = ()) -> Scale:
    """The axis for a measure as it came out in several runs, and for `further` values that it is compared with."""
    known = list(measures)
    title = words(known[0].name)
    if known[0].is_share:
        return Scale(f"{title} (%)", 100.0)
    finite = [abs(value) for value in (*(entry.value for entry in known), *further) if math.isfinite(value)]
    if known[0].unit == "s" and max(finite, default=0) < 1:
        return Scale(f"{title} (ms)", 1e3)
    return Scale(f"{title} ({known[0].unit})" if known[0].unit else title)


def rounded(value: float, digits: int = DIGITS) -> float:
    """To so many digits: more are not seen, and the last ones of a logarithm differ between machines."""
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")
