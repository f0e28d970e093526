"""A measure against a dial: the experiment run at each of several values, the controls' own run pointed out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.dials import AnyDial, Dial, accept, suggestion
from labkit.errors import BadInput
from labkit.lab import Experiment, Law
from labkit.live.charts import (
    BACKGROUND,
    BAD,
    DASHES,
    LAW_DASH,
    MUTED,
    SERIES,
    SHAPES,
    TEXT,
    Spec,
    at,
    axis,
    by_series,
    chart,
    layer,
    legend,
    own_shape,
    room_for,
    upwards,
)  # fmt: skip
from labkit.live.controls import few_values, said
from labkit.live.pictures import MOST_ROWS, Drawn, Picture, picture, text_option
from labkit.live.scales import Scale, dial_scale, measure_scale, rounded
from labkit.results import Measure, Result
from labkit.wording import listed, sentence, words

LAW_POINTS = 40


@picture("across")
@dataclass(frozen=True)
class Across(Picture):
    """A measure at several values of `dial`, a line for each value of the dial `by`; all else as the controls stand.

    With `law` false the law of the measure is not drawn, where the experiment has one.
    """

    dial: str
    measure: str
    by: str | None = None
    values: Sequence[Any] | None = None
    by_values: Sequence[Any] | None = None
    law: bool | None = None
    of_measures = True

    def __post_init__(self) -> None:
        for name in ("dial", "measure", "by"):
            text_option(name, getattr(self, name))
        for name in ("values", "by_values"):
            given = getattr(self, name)
            if given is not None and (isinstance(given, str) or not isinstance(given, Sequence) or not given):
                raise BadInput(f"{name} is {given!r}: it must be a list of values")
            object.__setattr__(self, name, None if given is None else tuple(given))
        if self.law not in (None, True, False):
            raise BadInput(f"law is {self.law!r}: it must be true or false")

    def check(self, experiment: Experiment) -> None:
        """Both dials are there, their values allowed, and not too many."""
        for option, name in (("dial", self.dial), ("by", self.by)):
            if name is not None and name not in experiment.dials:
                raise BadInput(f"{option} is {name!r}: {suggestion(name, experiment.dials)}")
        if self.by == self.dial:
            raise BadInput(f"by is {self.by!r}: it must be another dial than the one that the picture goes along")
        start = {name: dial.default for name, dial in experiment.dials.items()}
        lines = self._by_values(experiment, start)
        if len(lines) > len(SERIES):
            raise BadInput(f"by_values has {len(lines)} values: it must have fewer than {len(SERIES)}, a line for each")
        if (runs := len(self._values(experiment, start)) * len(lines)) > MOST_ROWS:
            raise BadInput(f"values and by_values ask for {runs} runs: there must be at most {MOST_ROWS}")

    def others(self, experiment: Experiment, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every combination but the controls' own."""
        return [settings for settings in self._grid(experiment, values) if settings != values]

    def draw(self, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The lines, the run at which the controls stand, and the law."""
        return _Plot(self, experiment, [result, *others]).drawn()

    def overlay(self, measured: Result, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The same with the measured value beside the simulated one."""
        return _Plot(self, experiment, [result, *others], measured).drawn()

    def _grid(self, experiment: Experiment, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        grid = []
        for line in self._by_values(experiment, values):
            moved = {} if self.by is None else {self.by: line}
            grid += [{**values, **moved, self.dial: value} for value in self._values(experiment, values)]
        return grid

    def _values(self, experiment: Experiment, values: Mapping[str, Any]) -> list[Any]:
        return _stops(self.dial, experiment.dials[self.dial], self.values, values[self.dial])

    def _by_values(self, experiment: Experiment, values: Mapping[str, Any]) -> list[Any]:
        if self.by is None:
            return [None]
        return _stops(self.by, experiment.dials[self.by], self.by_values, values[self.by], most=4)


def across(
    dial: str,
    measure: str,
    by: str | None = None,
    values: Sequence[Any] | None = None,
    by_values: Sequence[Any] | None = None,
    law: bool | None = None,
) -> Across:
    """A measure against a dial, over a few of its values unless `values` names them, each run with the same seed.

    With `by`, a line for each value of that dial. Where the controls stand at another value, it is added. The
    experiment's law for the measure is drawn where it has one that applies, unless `law` is False.
    """
    return Across(dial, measure, by, values, by_values, law)


def _stops(name: str, dial: AnyDial, values: Sequence[Any] | None, current: Any, most: int = 7) -> list[Any]:
    if values is None:
        return few_values(dial, current, most)
    stops = list(dict.fromkeys([*(accept(name, dial, value) for value in values), current]))
    return sorted(stops) if isinstance(dial, Dial) else stops


class _Plot:
    """One drawing of it: `results` are the controls' own run and all others."""

    def __init__(
        self, asked: Across, experiment: Experiment, results: Sequence[Result], measured: Result | None = None
    ):
        self.asked, self.experiment, self.here, self.measured = asked, experiment, results[0], measured
        if asked.measure not in self.here.measures:
            raise BadInput(f"measure is {asked.measure!r}: {suggestion(asked.measure, self.here.measures)}")
        self.dial = experiment.dials[asked.dial]
        values = asked._values(experiment, self.here.parameters)
        self.values = [value for value in values if any(result.parameters[asked.dial] == value for result in results)]
        self.lines = [
            line
            for line in asked._by_values(experiment, self.here.parameters)
            if asked.by is None or any(result.parameters[asked.by] == line for result in results)
        ]
        self.runs = {(self._x(result), self._line(result)): result for result in results}
        self.law: Law | None = None if asked.law is False else experiment.laws.get(asked.measure)
        self.expected = {place: self._law_at(result.parameters) for place, result in self.runs.items()}
        found = [self._measure(result) for result in (*results, *([measured] if measured else []))]
        laws = [value for value in self.expected.values() if value is not None]
        self.has_law = bool(laws)
        self.scale_x = dial_scale(asked.dial, self.dial, self.values)
        self.scale_y = measure_scale(found, laws)

    def drawn(self) -> Drawn:
        """The picture."""
        data = {"runs": self._points(), "here": [self._point(self.here, self._said(self.here))]}
        if self.has_law:
            data["law"] = self._law_points()
        if self.measured:
            data["measured"] = [self._point(self.measured, f"measured {self._said(self.measured)}")]
        room = room_for(row["y"] for rows in data.values() for row in rows)
        return {
            "kind": "vega-lite",
            "spec": chart(self._layers(room), f"Grey dashes: {self.law.label}" if self.has_law and self.law else ""),
            "data": {name: [row for row in rows if row["y"] is not None] for name, rows in data.items()},
            "text": self._text(),
            "table": self._table(),
        }

    def _x(self, result: Result) -> Any:
        return result.parameters[self.asked.dial]

    def _line(self, result: Result) -> Any:
        return None if self.asked.by is None else result.parameters[self.asked.by]

    def _measure(self, result: Result) -> Measure:
        return result.measures[self.asked.measure]

    def _said(self, result: Result) -> str:
        return str(self._measure(result))

    def _said_x(self, value: Any) -> str:
        return said(self.dial, value)

    def _said_line(self, line: Any) -> str:
        return "" if self.asked.by is None else said(self.experiment.dials[self.asked.by], line)

    def _law_at(self, parameters: Mapping[str, Any]) -> float | None:
        return self.law.expected(parameters) if self.law else None

    def _place(self, x: Any, y: float | None) -> dict[str, Any]:
        place = self._said_x(x) if self.scale_x.steps else self.scale_x.place(x)
        return {"x": place, "y": None if y is None or math.isnan(y) else self.scale_y.place(y)}

    def _points(self) -> list[dict[str, Any]]:
        rows = []
        for line in self.lines:
            shape = SHAPES[self.lines.index(line) % len(SHAPES)]
            known = {"line": self._said_line(line), "shape": shape} if self.asked.by else {}
            found = [self.runs[value, line] for value in self.values if (value, line) in self.runs]
            rows += [self._place(self._x(result), self._measure(result).value) | known for result in found]
        return rows

    def _point(self, result: Result, label: str) -> dict[str, Any]:
        places = [self._place(value, None)["x"] for value in self.values]
        at = places.index(self._place(self._x(result), None)["x"])
        share = at / len(places) if self.scale_x.steps else (places[at] - places[0]) / ((places[-1] - places[0]) or 1)
        is_far = share > 0.5  # a label beside the last point would leave the picture on the right
        side = {"label": label, "side": "right" if is_far else "left", "dx": -12 if is_far else 12}
        return self._place(self._x(result), self._measure(result).value) | side

    def _law_points(self) -> list[dict[str, Any]]:
        rows = []
        for line in self.lines:
            moved = {} if self.asked.by is None else {self.asked.by: line}
            known = {"line": self._said_line(line)} if self.asked.by else {}
            for value in self._law_places(line):
                expected = self._law_at({**self.here.parameters, **moved, self.asked.dial: value})
                rows.append(self._place(value, expected) | known)
        return rows

    def _law_places(self, line: Any) -> list[Any]:
        run = [value for value in self.values if (value, line) in self.runs]
        if self.scale_x.steps or self.scale_x.is_whole or len(run) < 2:
            return run  # a law of whole numbers may know nothing between them
        low, high = run[0], run[-1]
        if self.scale_x.is_log:
            return [low * (high / low) ** (step / LAW_POINTS) for step in range(LAW_POINTS + 1)]
        return [rounded(low + (high - low) * step / LAW_POINTS) for step in range(LAW_POINTS + 1)]

    def _layers(self, room: Spec) -> list[Spec]:
        by, layers = self.asked.by, []
        domain = [self._said_line(line) for line in self.lines] if by else []
        key = legend(words(by), symbolType="stroke", symbolSize=300) if by else None
        places = [] if self.scale_x.steps else [self.scale_x.place(value) for value in self.values]
        x, y = axis("x", self.scale_x, places), upwards("y", self.scale_y.title, scale=room)
        if self.has_law:
            detail = {"field": "line"} if by else None
            dashed = {"type": "line", "color": MUTED, "strokeDash": LAW_DASH, "strokeWidth": 1.5}
            if self.scale_x.steps:  # nothing lies between two options
                dashed = {"type": "tick", "color": MUTED, "thickness": 2, "size": 48}
            layers.append(layer("law", dashed, x=x, y=y, detail=detail))
        colour = by_series("line", SERIES[: len(domain)], key, domain) if by else {"value": SERIES[0]}
        dash = by_series("line", DASHES[: len(domain)], key, domain) if by else None
        line = {"type": "line", "strokeWidth": 0 if self.scale_x.steps else 2}
        point = {"type": "point", "filled": True, "size": 60, "opacity": 1}
        layers.append(layer("runs", line, x=x, y=y, color=colour, strokeDash=dash))
        layers.append(layer("runs", point, x=x, y=y, color=colour, shape=own_shape() if by else None))
        layers += _pointed_out("here", self.scale_x, TEXT, "circle", -14)
        if self.measured:
            layers += _pointed_out("measured", self.scale_x, BAD, "diamond", 14)
        return layers

    def _text(self) -> str:
        against = f"{words(self.asked.measure)} against {words(self.asked.dial)}"
        sentences = []
        for line in self.lines:
            runs = [self.runs[value, line] for value in self.values if (value, line) in self.runs]
            told = listed([f"{self._said(result)} at {self._said_x(self._x(result))}" for result in runs])
            where = f", with {words(self.asked.by)} {self._said_line(line)}" if self.asked.by else ""
            sentences.append(sentence(f"{against}{where}: {told}"))
        sentences.append(f"The controls stand at {self._standing()}: {self._said(self.here)}.")
        if self.has_law and self.law:
            own = self._law_at(self.here.parameters)
            there = "is for others only" if own is None else f"gives {self._measure(self.here).said(own)} there"
            sentences.append(f"The law {self.law.label} {there}.")
        if self.measured:
            sentences.append(f"Measured on real processes there: {self._said(self.measured)}.")
        return " ".join(sentences)

    def _standing(self) -> str:
        parts = [f"{words(self.asked.dial)} {self._said_x(self._x(self.here))}"]
        if self.asked.by:
            parts.append(f"{words(self.asked.by)} {self._said_line(self._line(self.here))}")
        return " and ".join(parts)

    def _table(self) -> dict[str, Any]:
        measure, by = words(self.asked.measure), self.asked.by
        names = [f"{measure}, {words(by)} {self._said_line(line)}" if by else measure for line in self.lines]
        rows = []
        for value in self.values:
            cells = []
            for line in self.lines:
                result, law = self.runs.get((value, line)), self.expected.get((value, line))
                cells.append(self._said(result) if result else "not allowed")
                if self.has_law:
                    cells.append("" if law is None or result is None else self._measure(result).said(law))
            rows.append([self._said_x(value), *cells])
        columns = [column for name in names for column in ([name, "by the law"] if self.has_law else [name])]
        return {"head": [words(self.asked.dial), *columns], "rows": rows}


def _pointed_out(data: str, scale: Scale, colour: str, shape: str, dy: int) -> list[Spec]:
    ring = {"type": "point", "shape": shape, "filled": False, "size": 220, "strokeWidth": 2, "color": colour}
    # The background round the letters keeps them legible where they cross a line.
    halo = {"stroke": BACKGROUND, "strokeWidth": 4, "strokeJoin": "round", "color": BACKGROUND}
    side = {"align": {"expr": "datum.side"}, "dx": {"expr": "datum.dx"}, "dy": dy, "fontWeight": "bold"}
    x, y = axis("x", scale) if scale.steps else at("x"), at("y")
    label = {"field": "label"}
    return [
        layer(data, ring | {"opacity": 1}, x=x, y=y),
        layer(data, {"type": "text", **side, **halo}, x=x, y=y, text=label),
        layer(data, {"type": "text", **side, "color": colour}, x=x, y=y, text=label),
    ]
