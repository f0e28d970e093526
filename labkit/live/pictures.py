"""Pictures by name: what a figure shows of its run, as data that a page can draw and a reader can have read out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any, ClassVar, TypeVar

from labkit.dials import suggestion
from labkit.errors import BadInput
from labkit.lab import Experiment
from labkit.results import Result

MOST_ROWS = 40
"""Rows of a picture's table: more would not be read."""

Drawn = dict[str, Any]
P = TypeVar("P", bound="type[Picture]")

_registry: dict[str, type[Picture]] = {}


class Picture(ABC):
    """A way to draw a run. Its fields are its options: plain values that a request can carry as JSON."""

    name: ClassVar[str]
    traced: ClassVar[bool] = False
    of_measures: ClassVar[bool] = False
    """Whether measures and verdicts are all that it needs of a run: such runs are cheap to keep."""

    @property
    def options(self) -> dict[str, Any]:
        """The fields that say something, as a request carries them."""
        return {name: value for name, value in asdict(self).items() if value is not None}  # type: ignore[call-overload]

    def check(self, experiment: Experiment) -> None:  # noqa: B027
        """Raise `BadInput` for an option that does not fit the experiment."""

    def others(self, experiment: Experiment, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The settings of the further runs that the picture shows beside the one with these values."""
        return []

    @abstractmethod
    def draw(self, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The picture of the run at which the controls stand, and of `others`."""

    @abstractmethod
    def overlay(self, measured: Result, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The same with a run on real processes laid over it."""


def picture(name: str) -> Callable[[P], P]:
    """Decorator: requests name this kind of picture so."""

    def register(kind: P) -> P:
        kind.name = name
        _registry[name] = kind
        return kind

    return register


def chosen(name: Any, options: Any) -> Picture:
    """The picture that a request names; raises `BadInput`."""
    if not isinstance(name, str) or name not in _registry:
        raise BadInput(f"there is no picture {name!r}: {suggestion(str(name)[:80], _registry)}")
    kind = _registry[name]
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(options, Mapping):
        raise BadInput(f"the options of picture {name} are {options!r}: they must be a table of names and values")
    for option in options:
        if option not in known:
            raise BadInput(f"picture {name} has no option {option!r}: {suggestion(str(option)[:80], sorted(known))}")
    for field in fields(kind):  # type: ignore[arg-type]
        if field.default is MISSING and field.name not in options:
            raise BadInput(f"picture {name} needs {field.name}: its options name {', '.join(options) or 'nothing'}")
    return kind(**options)


def text_option(name: str, value: Any) -> None:
    """Raise `BadInput` unless an option is text or absent."""
    if value is not None and not isinstance(value, str):
        raise BadInput(f"{name} is {value!r}: it must be a name")


def texts_option(name: str, value: Any) -> tuple[str, ...] | None:
    """An option that is several names, or absent."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(entry, str) for entry in value):
        raise BadInput(f"{name} is {value!r}: it must be a list of names")
    return tuple(value)
