"""A measure against a dial: means over many seeds with their confidence intervals, and the law they should follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from labkit.figures.drawing import Drawing, caption, headline, key
from labkit.figures.style import LAW_LINE, series, styled, theme
from labkit.results import says_share
from labkit.wording import count, listed, sentence, setting, words

Law = Callable[..., float]
DECADES_FOR_LOG = 2
MOST_TICKS = 12
LAW_POINTS = 200
MOST_TOLD = 8
FEW_SEEDS = 3


class Estimate(Protocol):
    """A mean over seeds, with its 95% confidence interval."""

    mean: float
    low: float
    high: float
    count: int


class Point(Protocol):
    """What was measured at one place of the grid."""

    parameters: dict[str, Any]
    estimates: dict[str, Any]
    failing_seeds: list[int]


class Sweep(Protocol):
    """A grid of points."""

    experiment: str
    points: Sequence[Point]


@dataclass
class _Axis:
    """A name, its unit, and the factor from the unit of the data to that of the axis."""

    name: str
    unit: str
    factor: float = 1.0
    categories: list[Any] = field(default_factory=list)

    def place(self, value: Any) -> float:
        return float(self.categories.index(value)) if self.categories else value * self.factor

    def told(self, value: Any) -> str:
        return str(value) if self.categories else f"{value * self.factor:g} {self.unit}".rstrip()

    def label(self) -> str:
        return words(self.name) + (f" ({self.unit})" if self.unit else "")


@styled
def measure_against(
    sweep: Sweep | Iterable[Point],
    x: str,
    measure: str,
    by: str | None = None,
    law: Law | None = None,
    law_label: str = "law",
    units: Mapping[str, str] | None = None,
    log_y: bool = False,
) -> Drawing:
    """A measure against the dial `x`, a line for each value of the dial `by`, with 95% confidence intervals.

    `law` gives the expected value, in the measure's own unit, at a value of `x`, or with `by` at values of both.
    `units` are those of dials and measures by name, where the sweep does not know them. A point at which a run of
    some seed failed is crossed, and the seeds are named.
    """
    points = list(getattr(sweep, "points", sweep))
    lines = _lines(points, measure, by)
    known = {**getattr(sweep, "units", {}), **(units or {})}
    across = _axis(x, known, [point.parameters[x] for point in points])
    if says_share(getattr(sweep, "meanings", {}).get(measure, "")):
        upwards = _Axis(measure, "%", 100.0)
    else:
        upwards = _axis(measure, known, [entry.mean for _, entry in _estimates(points, measure)])
    figure = Drawing(height=3.9 + 0.18 * len(lines))
    axes = figure.subplots()
    keys: dict[str, Line2D] = {}
    for number, (value, line) in enumerate(lines.items()):
        _draw_line(axes, line, across, upwards, measure, series(number))
        keys["mean, with its interval" if by is None else f"{words(by)} {_number(value)}"] = key(**series(number))
    keys |= _draw_failures(axes, points, across, upwards, measure)
    if law is not None:
        _draw_law(axes, law, list(lines) if by is not None else None, across, upwards)
        keys[law_label] = key(**_law_style(across))
    _finish(axes, across, upwards, log_y)
    headline(
        figure,
        sentence(f"{words(measure)} against {words(x)}")[:-1],
        keys,
        columns=len(keys),
    )
    agreement = _agreement(lines, measure, across.name, law, law_label, by is not None)
    caption(figure, _origin(sweep, points, measure), agreement, _failures(points, known))
    figure.alt_text = " ".join(
        filter(None, [_in_words(lines, across, upwards, by), agreement, _failures(points, known)])
    )
    return figure


def _lines(points: Sequence[Point], measure: str, by: str | None) -> dict[Any, list[Point]]:
    lines: dict[Any, list[Point]] = {}
    for point, _ in _estimates(points, measure):
        lines.setdefault(None if by is None else point.parameters[by], []).append(point)
    return lines


def _estimates(points: Iterable[Point], measure: str) -> list[tuple[Point, Estimate]]:
    # A point all of whose runs failed has no estimate, one whose runs had no samples a NaN.
    found = [(point, point.estimates.get(measure)) for point in points]
    return [(point, entry) for point, entry in found if entry is not None and math.isfinite(entry.mean)]


def _axis(name: str, units: Mapping[str, str], values: Sequence[Any]) -> _Axis:
    unit = units.get(name, "")
    if any(isinstance(value, (str, bool)) for value in values):
        return _Axis(name, unit, categories=list(dict.fromkeys(values)))
    if unit == "s" and values and max(values) < 1:
        return _Axis(name, "ms", 1e3)
    return _Axis(name, unit)


def _draw_line(
    axes: Axes, line: Sequence[Point], across: _Axis, upwards: _Axis, measure: str, style: dict[str, Any]
) -> None:
    ordered = sorted(line, key=lambda point: across.place(point.parameters[across.name]))
    estimates = [point.estimates[measure] for point in ordered]
    means = np.array([entry.mean for entry in estimates]) * upwards.factor
    spread = np.array([[entry.mean - entry.low, entry.high - entry.mean] for entry in estimates]).T
    if across.categories:
        style = {**style, "linestyle": ""}  # nothing lies between two options
    axes.errorbar(
        [across.place(point.parameters[across.name]) for point in ordered],
        means,
        # A single seed has no interval.
        np.nan_to_num(np.maximum(spread, 0)) * upwards.factor,
        capsize=3.5,
        elinewidth=1.3,
        zorder=3,
        **style,
    )


def _draw_failures(
    axes: Axes, points: Sequence[Point], across: _Axis, upwards: _Axis, measure: str
) -> dict[str, Line2D]:
    failing = [(point, entry) for point, entry in _estimates(points, measure) if point.failing_seeds]
    if not failing:
        return {}
    places = [across.place(point.parameters[across.name]) for point, _ in failing]
    style = {"marker": "x", "markersize": 10, "markeredgewidth": 1.8, "color": theme().bad, "linestyle": ""}
    axes.plot(places, [entry.mean * upwards.factor for _, entry in failing], zorder=4, **style)
    return {"checker: ILLEGAL": key(**style)}


def _draw_law(axes: Axes, law: Law, values: Sequence[Any] | None, across: _Axis, upwards: _Axis) -> None:
    for value in values or [None]:
        places = _law_places(axes, across)
        expected = [law(place) if values is None else law(place, value) for place in places]
        heights = [entry * upwards.factor for entry in expected]
        axes.plot([across.place(place) for place in places], heights, zorder=2, **_law_style(across))


def _law_style(across: _Axis) -> dict[str, Any]:
    style = {"color": theme().text, "linestyle": LAW_LINE, "linewidth": 1.4}
    return style | {"linestyle": "", "marker": "_", "markersize": 22} if across.categories else style


def _law_places(axes: Axes, across: _Axis) -> list[Any]:
    if across.categories:
        return across.categories
    measured = [place for line in axes.containers for place in line[0].get_xdata()]
    low, high = min(measured) / across.factor, max(measured) / across.factor
    if all(float(place).is_integer() for place in measured) and across.factor == 1 and high - low <= LAW_POINTS:
        return list(range(int(low), int(high) + 1))  # a law of whole numbers may know nothing between them
    spaced = np.geomspace if _is_wide(measured) else np.linspace
    return [float(place) for place in spaced(low, high, LAW_POINTS)]


def _is_wide(places: Sequence[float]) -> bool:
    return min(places) > 0 and max(places) / min(places) >= 10**DECADES_FOR_LOG


def _finish(axes: Axes, across: _Axis, upwards: _Axis, log_y: bool) -> None:
    axes.set_xlabel(across.label())
    axes.set_ylabel(upwards.label())
    places = sorted({float(place) for line in axes.containers for place in line[0].get_xdata()})
    if across.categories:
        axes.set_xticks(range(len(across.categories)), [str(value) for value in across.categories])
        axes.set_xlim(-0.5, len(across.categories) - 0.5)
    elif places and _is_wide(places):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif all(place.is_integer() for place in places) and len(places) <= MOST_TICKS:
        axes.set_xticks(places)
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif axes.get_ylim()[0] < 0.5 * axes.get_ylim()[1]:
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0] if _any_below_zero(axes) else 0))


def _any_below_zero(axes: Axes) -> bool:
    return any(np.min(line[0].get_ydata()) < 0 for line in axes.containers)


def _origin(sweep: Sweep | Iterable[Point], points: Sequence[Point], measure: str) -> str:
    seeds = sorted({entry.count for _, entry in _estimates(points, measure)})
    fixed = ", ".join(setting(name, value) for name, value in getattr(sweep, "fixed", {}).items())
    how_many = f"{seeds[0]:,}" if len(seeds) == 1 else f"{seeds[0]:,} to {seeds[-1]:,}" if seeds else "no"
    means = f"means of {how_many} seeds with 95% confidence intervals"
    return sentence("; ".join(filter(None, [words(getattr(sweep, "experiment", "")), means, fixed])))


def _agreement(
    lines: Mapping[Any, Sequence[Point]], measure: str, x: str, law: Law | None, label: str, by: bool
) -> str:
    if law is None:
        return ""
    inside = total = 0
    for value, line in lines.items():
        for point in line:
            expected = law(point.parameters[x], value) if by else law(point.parameters[x])
            estimate = point.estimates[measure]
            if estimate.count < 2:
                continue  # one seed has no interval to be inside of
            inside += estimate.low <= expected <= estimate.high
            total += 1
    return f"{sentence(label)[:-1]}: inside the interval at {inside} of {count(total, 'point')}." if total else ""


def _failures(points: Sequence[Point], units: Mapping[str, str]) -> str:
    failing = [point for point in points if point.failing_seeds]
    axes = {name: _axis(name, units, [point.parameters[name] for point in points]) for name in points[0].parameters}
    told = [
        f"{' and '.join(f'{words(name)} {axes[name].told(value)}' for name, value in point.parameters.items())}: "
        + _seeds(point.failing_seeds)
        for point in failing[:MOST_TOLD]
    ]
    return f"A checker found runs illegal, or they failed, at {'; '.join(told)}." if told else ""


def _seeds(failing: Sequence[int]) -> str:
    if len(failing) > FEW_SEEDS:
        return f"{len(failing)} seeds, {failing[0]} the first"
    return f"{'seed' if len(failing) == 1 else 'seeds'} {listed([str(seed) for seed in failing])}"


def _in_words(lines: Mapping[Any, Sequence[Point]], across: _Axis, upwards: _Axis, by: str | None) -> str:
    sentences = []
    for value, line in lines.items():
        step = max(math.ceil(len(line) / MOST_TOLD), 1)
        told = [
            f"{across.told(point.parameters[across.name])}: {_interval(point.estimates[upwards.name], upwards)}"
            for point in line[::step]
        ]
        where = f" with {words(by)} {_number(value)}" if by else ""
        subject = f"{words(upwards.name)} against {words(across.name)}{where}"
        sentences.append(sentence(f"{subject}, at {'; '.join(told)}"))
    return " ".join(sentences)


def _interval(estimate: Estimate, axis: _Axis) -> str:
    low, mean, high = (f"{value * axis.factor:.3g}" for value in (estimate.low, estimate.mean, estimate.high))
    return f"{mean} {axis.unit}".rstrip() + f" ({low} to {high})"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
