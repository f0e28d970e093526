"""Dials as controls: the values that a slider steps through, and how each of them is said."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from labkit.dials import AnyDial, Choice, Dial, Switch, accept, needs_of, said
from labkit.wording import words

A_DECADE = (1, 1.5, 2, 3, 5, 7)
STEPS = 50
"""Into how many steps a linear slider cuts its range, about."""

WIDE_RATIO = 100
MANY = 1000
DECADES_TO_ZERO = 4
NEAR_ZERO = 0.05
"""A default below this share of the range would be among the very first steps of a linear slider."""


def control(name: str, dial: AnyDial, value: Any, only: Sequence[Any] | None = None) -> dict[str, Any]:
    """What a page needs to draw the control of one dial that stands at `value`; each text in `shown` has its unit.

    `only` are the values that it steps through, in their order; a range's are sorted.
    """
    if only is not None:
        return _limited(name, dial, value, [accept(name, dial, entry) for entry in only])
    described = {"name": name, "label": words(name), "help": dial.help, "unit": dial.unit, "value": value}
    if isinstance(dial, Switch):
        return described | {"kind": "switch", "values": [False, True], "shown": ["off", "on"]}
    if isinstance(dial, Choice):
        return described | {"kind": "choice", "values": list(dial.options), "shown": list(dial.options)}
    values = steps(dial, value)
    whole = isinstance(dial.default, int)
    ends = {"low": _typed(dial, dial.low), "high": _typed(dial, dial.high), "whole": whole}
    return described | ends | {"kind": "range", "values": values, "shown": [said(dial, entry) for entry in values]}


def needs(
    name: str, dials: Mapping[str, AnyDial], settings: Mapping[str, Any], shown: Collection[str]
) -> list[dict[str, Any]]:
    """What must be met for a control to have an effect, each with what to tell where it is not.

    What depends on no other control of those `shown` is left out if it is met, and has no name if it cannot be.
    """
    found = []
    for need in needs_of(name, dials):
        asked = {"name": need.dial, "values": list(need.values), "inside": need.is_inside}
        told = {"told": need.told(dials[need.dial])}
        if need.dial in shown:
            found.append(asked | told)
        elif not need.is_met(settings[need.dial]):
            found.append({"name": ""} | told)
    return found


def _limited(name: str, dial: AnyDial, value: Any, only: Sequence[Any]) -> dict[str, Any]:
    values = list(dict.fromkeys([*only, value]))
    described = control(name, dial, value)
    if described["kind"] == "range":
        values.sort()
        described |= {"low": values[0], "high": values[-1]}
    return described | {"values": values, "shown": [said(dial, entry) for entry in values]}


def steps(dial: Dial, *wanted: Any) -> list[Any]:
    """The values of a slider over the dial's range, in order, with both ends, the default and the `wanted` ones."""
    if not is_wide(dial):
        return _merged(dial, _linear(dial), wanted)
    if dial.low >= 0:
        return _merged(dial, log_values(dial.low, dial.high, _smallest(dial), isinstance(dial.default, int)), wanted)
    above = log_values(0, dial.high, dial.high / 10**DECADES_TO_ZERO, isinstance(dial.default, int))
    below = log_values(0, -dial.low, -dial.low / 10**DECADES_TO_ZERO, isinstance(dial.default, int))
    return _merged(dial, [*above, *(-value for value in below if value)], wanted)


def few_values(dial: AnyDial, wanted: Any, most: int = 7) -> list[Any]:
    """At most about `most` values of a dial to run an experiment at, spread over its slider, `wanted` among them."""
    if isinstance(dial, Switch):
        return [False, True]
    if isinstance(dial, Choice):
        return list(dial.options)
    values = steps(dial, wanted)
    places = {round(place * (len(values) - 1) / (most - 1)) for place in range(most)}
    return sorted({values[place] for place in places} | {wanted})


def log_values(low: float, high: float, smallest: float, whole: bool) -> list[Any]:
    """Six values a decade from `smallest` to `high`, with both ends of the range; whole ones only, if `whole`."""
    exponents = range(math.floor(math.log10(smallest)), math.ceil(math.log10(high)) + 1)
    # Through text, so that 3e-05 is the number that prints so, and not its neighbour.
    steps = [float(f"{digit}e{exponent}") for exponent in exponents for digit in A_DECADE]
    inside = [step for step in steps if smallest <= step <= high and (not whole or step.is_integer())]
    return sorted({low, high, *inside})


def is_wide(dial: Dial) -> bool:
    """Whether equal steps would waste most of the slider, so that its steps are even by ratio instead."""
    if dial.step is not None:
        return False
    if dial.low > 0:
        return dial.high / dial.low >= WIDE_RATIO
    if isinstance(dial.default, int):
        return dial.high > MANY
    # A probability begins at zero too, but nobody turns it by decades.
    is_share = not dial.unit and dial.high <= 1
    return not is_share and abs(dial.default) < dial.high * NEAR_ZERO


def _smallest(dial: Dial) -> float:
    if dial.low > 0:
        return dial.low
    # A range that begins at zero has no first decade.
    if isinstance(dial.default, int):
        return 1
    return min(dial.default / 100 or dial.high, dial.high / 10**DECADES_TO_ZERO)


def _linear(dial: Dial) -> list[float]:
    step = dial.step or _round_step(dial)
    count = math.floor((dial.high - dial.low) / step + 1e-9)
    return [float(f"{dial.low + number * step:.9g}") for number in range(count + 1)]


def _round_step(dial: Dial) -> float:
    rough = (dial.high - dial.low) / STEPS
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next((power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.9999), power)
    return max(round(step), 1) if isinstance(dial.default, int) else step


def _merged(dial: Dial, values: Iterable[float], wanted: Iterable[Any]) -> list[Any]:
    every = (dial.low, dial.high, dial.default, *wanted, *values)
    return sorted({_typed(dial, value) for value in every if dial.low <= value <= dial.high})


def _typed(dial: Dial, value: float) -> Any:
    return int(value) if isinstance(dial.default, int) else float(value)
