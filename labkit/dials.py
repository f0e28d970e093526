"""An experiment's parameters: each declared once, with its default, range, unit and one line of help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any

from labkit.errors import BadInput
from labkit.wording import words


@dataclass(frozen=True)
class Need:
    """Where another dial must stand for a dial to have an effect: at one of `values`, or at none of them."""

    dial: str
    values: tuple[Any, ...]
    is_inside: bool

    def is_met(self, value: Any) -> bool:
        """Whether it is, with the other dial at `value`."""
        return (value in self.values) is self.is_inside

    def told(self, other: AnyDial) -> str:
        """The reason for which a dial is idle, in words."""
        values = " or ".join(said(other, value) for value in self.values)
        name = words(self.dial)
        return f"only matters while {name} is {values}" if self.is_inside else f"no effect while {name} is {values}"


def only_while(dial: str, *values: Any) -> Need:
    """Another dial must stand at one of these values."""
    return Need(dial, values, is_inside=True)


def unless(dial: str, *values: Any) -> Need:
    """Another dial must stand at none of these values."""
    return Need(dial, values, is_inside=False)


@dataclass(frozen=True)
class Dial:
    """A number from `low` to `high`; whole if its default is an `int`. Used as a parameter's default."""

    default: Any
    low: float
    high: float
    unit: str = ""
    help: str = ""
    step: float | None = None
    needs: Need | None = None

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        unit = f" {self.unit}" if self.unit else ""
        if isinstance(self.default, int):
            return f"a whole number from {self.low} to {self.high}{unit}"
        return f"a number from {self.low:g} to {self.high:g}{unit}"

    def accept(self, value: Any) -> Any:
        """`value` as the dial's own type; raises `ValueError` if it is not allowed."""
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError
        if isinstance(self.default, int):
            if value != int(value):
                raise ValueError
            value = int(value)
        else:
            value = float(value)
        if not self.low <= value <= self.high:  # also refuses NaN
            raise ValueError
        return value

    def parse(self, text: str) -> Any:
        """The value that `text` (from a command line) stands for."""
        return self.accept(float(text))


@dataclass(frozen=True)
class Choice:
    """One of a few named options."""

    default: str
    options: tuple[str, ...]
    help: str = ""
    unit: str = ""
    needs: Need | None = None

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        return "one of " + ", ".join(self.options)

    def accept(self, value: Any) -> str:
        """`value` if it is one of the options; raises `ValueError` if not."""
        if value not in self.options:
            raise ValueError
        return value

    parse = accept


@dataclass(frozen=True)
class Switch:
    """On or off."""

    default: bool
    help: str = ""
    unit: str = ""
    needs: Need | None = None
    allowed = "true or false"

    def accept(self, value: Any) -> bool:
        """`value` if it is a bool; raises `ValueError` if not."""
        if not isinstance(value, bool):
            raise ValueError
        return value

    def parse(self, text: str) -> bool:
        """True for "true", "yes", "on" or "1", False for their opposites."""
        known = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if text.lower() not in known:
            raise ValueError
        return known[text.lower()]


AnyDial = Dial | Choice | Switch


def dials_of(build: Callable[..., Any], reserved: frozenset[str]) -> dict[str, AnyDial]:
    """The dials that a function declares as the defaults of its keyword-only parameters."""
    dials: dict[str, AnyDial] = {}
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if not isinstance(parameter.default, (Dial, Choice, Switch)) or name in reserved:
            raise TypeError(
                f"{build.__name__}: {name} needs a dial as its default, and a name not in {sorted(reserved)}"
            )
        dials[name] = parameter.default
    for name, dial in dials.items():
        need = dial.needs
        if need is not None and (need.dial not in dials or not all(_has(dials[need.dial], v) for v in need.values)):
            raise TypeError(f"{build.__name__}: {name} needs {need.dial!r} at {need.values}, which there is not")
    return dials


def _has(dial: AnyDial, value: Any) -> bool:
    try:
        return dial.accept(value) == value
    except (ValueError, TypeError):
        return False


def settings(experiment: str, dials: Mapping[str, AnyDial], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every dial's value: as given, checked, or its default. Raises `BadInput` with one sentence."""
    for name in given:
        if name not in dials:
            raise BadInput(f"{experiment} has no dial {name!r}: {suggestion(name, dials)}")
    return {name: accept(name, dial, given.get(name, dial.default)) for name, dial in dials.items()}


def needs_of(name: str, dials: Mapping[str, AnyDial]) -> list[Need]:
    """What must be met for a dial to have an effect: its own need, and those of the dial that it names, and so on."""
    found: list[Need] = []
    need = dials[name].needs
    while need is not None and need not in found:
        found.append(need)
        need = dials[need.dial].needs
    return found


def why_idle(name: str, dials: Mapping[str, AnyDial], values: Mapping[str, Any]) -> str:
    """Why dial `name` has no effect with all dials at `values`; "" if it may have one."""
    unmet = [need for need in needs_of(name, dials) if not need.is_met(values[need.dial])]
    return unmet[0].told(dials[unmet[0].dial]) if unmet else ""


def accept(name: str, dial: AnyDial, value: Any) -> Any:
    """`value` as dial `name` takes it; raises `BadInput`."""
    try:
        return dial.accept(value)
    except (ValueError, TypeError, OverflowError):
        raise BadInput(f"{name} is {value!r}: it must be {dial.allowed}") from None


def parse(name: str, dial: AnyDial, text: str) -> Any:
    """The value of dial `name` that `text` stands for; raises `BadInput`."""
    try:
        return dial.parse(text)
    except (ValueError, TypeError, OverflowError):
        raise BadInput(f"{name} is {text!r}: it must be {dial.allowed}") from None


def spoken(dial: AnyDial, value: Any) -> str:
    """A dial's value as a caption says it, with its unit; fractions of a second in milliseconds."""
    if not isinstance(value, float):
        return str(value)
    if dial.unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:g} ms"
    return f"{value:g} {dial.unit}".rstrip()


def said(dial: AnyDial, value: Any) -> str:
    """A dial's value as a control shows it; switches are on or off."""
    if isinstance(dial, Switch):
        return "on" if value else "off"
    return spoken(dial, value)


def suggestion(name: str, known: Mapping[str, object]) -> str:
    """What might have been meant by `name`, or all that is known."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "there are " + ", ".join(known)
