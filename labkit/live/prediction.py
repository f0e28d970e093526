"""`predict`: a reader's guess before the run, kept in the reader's browser, and drawn against what came out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from labkit.dials import suggestion
from labkit.errors import BadInput
from labkit.live import markup, widget
from labkit.live.answering import canonical

MIME = "application/vnd.labkit.prediction+json"
MOST_POINTS = 12
STEPS = 100
Over = Mapping[str, float | None] | Iterable[str | float]


def predict(
    key: str,
    question: str,
    over: Over,
    *,
    x: str = "",
    y: str = "",
    unit: str = "",
    low: float = 0,
    high: float = 100,
    step: float | None = None,
) -> Prediction:
    """Ask the reader for a number at each point of `over`, from `low` to `high`, before the run.

    `over` is labels (or a mapping of labels to first guesses, None for no guess) for a slider each, or numbers, at
    which a curve is sketched; `x` and `y` title the axes. Raises `BadInput` if a page could not draw it.
    """
    return Prediction(key, question, over, x, y, unit, low, high, step)


class Prediction:
    """What `predict` makes. `values` are the reader's numbers by label, as far as this kernel knows them."""

    def __init__(
        self, key: str, question: str, over: Over, x: str, y: str, unit: str, low: float, high: float,
        step: float | None,
    ):  # fmt: skip
        if not key or not question:
            raise BadInput(f"key is {key!r} and question {question!r}: neither may be empty")
        if not -math.inf < low < high < math.inf:
            raise BadInput(f"low is {low!r}: it must be a number below high, which is {high!r}")
        self.key, self.question = key, question
        self._ends = {"low": low, "high": high, "step": (high - low) / STEPS if step is None else step}
        self._titles = {"x_title": x, "y_title": y, "unit": unit}
        self._points = _points(over)
        given = over if isinstance(over, Mapping) else {}
        self._first = {
            label: None if (guess := given.get(label)) is None else self._number(label, guess) for label in self._labels
        }
        self._widget: Any = None

    @property
    def values(self) -> dict[str, float | None]:
        """The reader's number for each point; None where there is none, or where a page keeps it to itself."""
        told = {} if self._widget is None else self._widget.values
        return {label: told.get(label, first) for label, first in self._first.items()}

    def against(self, measured: Mapping[Any, float]) -> Reveal:
        """The prediction beside what was measured, a value for each point, by its label or number."""
        by_label = {_label(name): value for name, value in measured.items()}
        for name in by_label:
            if name not in self._first:
                raise BadInput(f"measured names {name!r}: {suggestion(name, self._first)}")
        for label in self._labels:
            if label not in by_label:
                raise BadInput(f"measured has no value for {label!r}: it must have one for each point")
        return Reveal(self, {label: _finite(label, by_label[label]) for label in self._labels})

    def description(self) -> dict[str, Any]:
        """All that a page needs to ask."""
        kind = "numbers" if self._points[0]["x"] is None else "curve"
        described = {"key": self.key, "question": self.question, "kind": kind, "points": self._points}
        return json.loads(canonical({**described, **self._titles, **self._ends, "measured": None, "reveal": False}))

    def html(self) -> str:
        """The question and its points, readable without any script."""
        points = "".join(markup.element("li", escape(label + _said(value))) for label, value in self.values.items())
        inner = markup.element("p", markup.element("b", escape(self.question))) + markup.element("ul", points)
        return markup.element("div", inner, class_="labkit-prediction", data_labkit_prediction=self.key)

    def said(self, value: float) -> str:
        """A value with the unit."""
        unit = self._titles["unit"]
        return f"{value:.3g}{'' if unit == '%' else ' '}{unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.question} ({'; '.join(self._labels)})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {MIME: self.description(), "text/html": self.html(), "text/plain": str(self)}
        if self._widget is None:
            self._widget = widget.prediction_widget(self.description(), self._first)
        return bundle | widget.view(self._widget)

    @property
    def _labels(self) -> list[str]:
        return [point["label"] for point in self._points]

    def _number(self, label: str, value: Any) -> float:
        number = _finite(label, value)
        if not self._ends["low"] <= number <= self._ends["high"]:
            raise BadInput(f"{label} is {value!r}: it must be from {self._ends['low']:g} to {self._ends['high']:g}")
        return number


class Reveal:
    """A prediction against its measurement."""

    def __init__(self, prediction: Prediction, measured: Mapping[str, float]):
        self.prediction, self.measured = prediction, dict(measured)
        self._widget: Any = None

    def description(self) -> dict[str, Any]:
        """The prediction's description, with what was measured."""
        described = self.prediction.description() | {"measured": self.measured, "reveal": True}
        return json.loads(canonical(described))

    def html(self) -> str:
        """Both as a table, readable without any script; a guess that a page keeps to itself is not in it."""
        said, guesses = self.prediction.said, self.prediction.values
        is_known = any(guess is not None for guess in guesses.values())
        head = ["", *(["predicted"] if is_known else []), "measured"]
        rows = []
        for label, value in self.measured.items():
            guess = guesses[label]
            guessed = [] if not is_known else ["" if guess is None else said(guess)]
            rows.append([label, *guessed, said(value)])
        inner = markup.element("p", markup.element("b", escape(self.prediction.question))) + markup.table(head, rows)
        key = self.prediction.key
        return markup.element("div", inner, class_="labkit-prediction", data_labkit_prediction=key, data_reveal="true")

    def __str__(self) -> str:
        told = "; ".join(f"{label}: {self.prediction.said(value)}" for label, value in self.measured.items())
        return f"{self.prediction.question} Measured: {told}."

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {MIME: self.description(), "text/html": self.html(), "text/plain": str(self)}
        if self._widget is None:
            self._widget = widget.prediction_widget(self.description(), self.prediction.values)
        return bundle | widget.view(self._widget)


def _points(over: Over) -> list[dict[str, Any]]:
    entries = list(over)
    labels = [_label(entry) for entry in entries]
    if not 1 <= len(set(labels)) == len(labels) <= MOST_POINTS:
        raise BadInput(f"over has {len(labels)} points: it must have 1 to {MOST_POINTS}, all different")
    numbers = [entry for entry in entries if not isinstance(entry, str)]
    if numbers and len(numbers) < len(entries):
        raise BadInput(f"over is {entries!r}: it must be labels, or numbers, not both")
    if not numbers:
        return [{"label": label, "x": None} for label in labels]
    found = [{"label": label, "x": _finite("over", number)} for label, number in zip(labels, numbers, strict=True)]
    return sorted(found, key=lambda point: point["x"])


def _label(entry: Any) -> str:
    return entry if isinstance(entry, str) else f"{float(entry):g}"


def _finite(name: str, value: Any) -> float:
    # Also takes what numpy and pandas hold.
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadInput(f"{name} is {value!r}: it must be a number") from None
    if not math.isfinite(number):
        raise BadInput(f"{name} is {value!r}: it must be a finite number")
    return number


def _said(value: float | None) -> str:
    return "" if value is None else f": {value:g}"
