"""How long operations took: the cumulative distribution of each kind, and simulation against measurement."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.lab import Experiment
from labkit.live.charts import (
    BAD,
    DASHES,
    LAW_DASH,
    SERIES,
    SHAPES,
    Spec,
    along,
    at,
    by_series,
    chart,
    layer,
    legend,
    own_shape,
    room_for,
    upwards,
)  # fmt: skip
from labkit.live.pictures import Drawn, Picture, picture, texts_option
from labkit.live.scales import rounded
from labkit.results import Result, percentile
from labkit.statistics import widest_gap
from labkit.wording import agreement, count, duration

POINTS = 56
MARKED = (0.5, 0.99)
TABLED = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
LONG_TAIL = 25
"""From how many times its median on a tail is drawn on a logarithmic axis."""

MOST_FUNCTIONS = 3
SHOWN = 0.999
"""The share of the operations that is drawn: the last in a thousand would squeeze all others against the axis."""

GAPS_BELOW, LINE_HEIGHT = 190, 17
"""Pixels from the top, where no curve is on the right."""

NO_LATENCY = "No operation succeeded, so there is no latency to draw."
NOTHING = "No operation of the kind began in this run."

Samples = dict[str, list[float]]


@picture("latencies")
@dataclass(frozen=True)
class Latencies(Picture):
    """The share of operations that took at most so long; without `functions`, of the three commonest kinds."""

    functions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", texts_option("functions", self.functions))

    def draw(self, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The curves of one run."""
        samples = {function: result.latencies(function) for function in kinds([result], self.functions)}
        styles = {"colours": SERIES[: len(samples)], "dashes": DASHES[: len(samples)]}
        drawn = _curves(samples, **styles)
        told = [*map(_in_words, samples, samples.values()), _missing(result, samples)]
        drawn["text"] = " ".join(filter(None, told)) or NOTHING
        return drawn

    def overlay(self, measured: Result, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The curves of both runs, and how far each pair is apart."""
        samples: Samples = {}
        sentences = []
        gaps = []
        for function in kinds([measured, result], self.functions):
            pair = measured.latencies(function), result.latencies(function)
            samples |= {f"{function}, measured": pair[0], f"{function}, simulated": pair[1]}
            sentences.append(agreement(function, *pair))
            gaps += _gap(function, len(gaps), *pair)
        pairs = len(samples) // 2
        colours = [colour for colour in SERIES[:pairs] for _ in range(2)]
        drawn = _curves(samples, colours, [DASHES[0], LAW_DASH] * pairs)
        drawn["data"]["gap"] = gaps
        drawn["spec"]["layer"] += _gap_layers()
        drawn["text"] = " ".join([*sentences, *map(_in_words, samples, samples.values())]) or NOTHING
        return drawn


def latencies(functions: Sequence[str] | None = None) -> Latencies:
    """The distribution of latencies, one curve for each of the `functions`, or of the three commonest."""
    return Latencies(functions)


def kinds(results: Iterable[Result], functions: Sequence[str] | None) -> list[str]:
    """The kinds of operations to show: those asked for that there are, or the commonest."""
    known = Counter(operation.function for result in results for operation in result.operations)
    if functions is not None:
        return [function for function in functions if function in known]
    return sorted(function for function, _ in known.most_common(MOST_FUNCTIONS))


def _curves(samples: Samples, colours: Sequence[str], dashes: Sequence[Any]) -> Drawn:
    told = MARKED if len(samples) <= MOST_FUNCTIONS else MARKED[:1]  # a key of many lines has shorter ones
    names = [{"n": name, "name": f"{name}: {_percentiles(latencies, told)}"} for name, latencies in samples.items()]
    is_log = any(_is_long(latencies) for latencies in samples.values())
    curves, marks = [], []
    for name, latencies in samples.items():
        curves += [{"n": name, "ms": ms, "share": share} for ms, share in _points(latencies, is_log)]
        marked = [(percentile(latencies, level) * 1e3, level) for level in MARKED] if latencies else []
        shape = SHAPES[len(marks) // len(MARKED) % len(SHAPES)]
        known = {"n": name, "shape": shape}
        marks += [known | {"ms": rounded(ms), "share": level} for ms, level in marked if ms or not is_log]
    room = {"type": "log"} if is_log else room_for(row["ms"] for row in curves)
    return {
        "kind": "vega-lite",
        "spec": chart(_layers(colours, dashes, room), "" if curves else NO_LATENCY),
        "data": {"curves": curves, "percentiles": marks, "names": names},
        "table": _table(samples),
    }


def _layers(colours: Sequence[str], dashes: Sequence[Any], room: Spec) -> list[Spec]:
    key = legend(None, 1, symbolType="stroke", symbolSize=300)
    place: Spec = {"field": "ms", "type": "quantitative", "title": "latency (ms)", "axis": along()}
    place["scale"] = room
    share = upwards("share", "share of operations", axis={"values": [0, 0.25, 0.5, 0.75, 0.99], "format": ".0%"})
    share["scale"] = {"domain": [0, 1.02], "nice": False}
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 2}
    point = {"type": "point", "filled": True, "size": 60, "opacity": 1}
    told_apart = {"color": by_series("name", colours, key), "strokeDash": by_series("name", dashes, key)}
    alone = by_series("name", colours, None)
    # The key carries the percentiles, so its labels are data too: the specification stays the same from run to run.
    named = {"transform": [{"lookup": "n", "from": {"data": {"name": "names"}, "key": "n", "fields": ["name"]}}]}
    return [
        layer("curves", line, x=place, y=share, **told_apart) | named,
        layer("percentiles", point, x=at("ms"), y=at("share"), color=alone, shape=own_shape()) | named,
    ]


def _points(latencies: Sequence[float], is_log: bool) -> list[tuple[float, float]]:
    ordered = sorted(latencies)
    drawn = max(math.ceil(len(ordered) * SHOWN), 1)
    # Evenly through all, and once more through the slowest tenth, where the curve bends.
    even = {round(step * (drawn - 1) / POINTS) for step in range(POINTS + 1)}
    slow = {round(drawn - 1 - step * drawn / 100) for step in range(10)}
    places = sorted(place for place in even | slow if 0 <= place < len(ordered))
    kept = [(rounded(ordered[place] * 1e3, 4), rounded((place + 1) / len(ordered), 4)) for place in places]
    begin = [(kept[0][0], 0.0)] if kept else []
    return [(ms, share) for ms, share in [*begin, *kept] if ms > 0 or not is_log]


def _is_long(latencies: Sequence[float]) -> bool:
    middle = percentile(latencies, 0.5)
    return middle > 0 and percentile(latencies, SHOWN) > LONG_TAIL * middle


def _gap(function: str, number: int, measured: Sequence[float], simulated: Sequence[float]) -> list[dict[str, Any]]:
    gap, place = widest_gap(measured, simulated)
    if math.isnan(gap) or gap == 0:
        return []
    low, high = sorted(sum(latency <= place for latency in each) / len(each) for each in (measured, simulated))
    said = {"label": f"{function}s: {100 * gap:.1f} points apart", "up": GAPS_BELOW + LINE_HEIGHT * number}
    return [{"ms": rounded(place * 1e3), "low": rounded(low), "high": rounded(high)} | said]


def _gap_layers() -> list[Spec]:
    text = {"type": "text", "color": BAD, "align": "right", "x": "width"}
    rule = {"type": "rule", "color": BAD, "strokeWidth": 3}
    return [
        layer("gap", rule, x=at("ms"), y=at("low"), y2={"field": "high"}),
        layer("gap", text, y={"field": "up", "type": "quantitative", "scale": None}, text={"field": "label"}),
    ]


def _table(samples: Samples) -> dict[str, Any]:
    def row(level: float) -> list[str]:
        said = [duration(percentile(latencies, level)) if latencies else "" for latencies in samples.values()]
        return [f"{level:.0%}" if level < 1 else "all", *said]

    head = ["share of operations", *(f"{name} within" for name in samples)]
    return {"head": head, "rows": [row(level) for level in TABLED] if samples else []}


def _percentiles(latencies: Sequence[float], levels: Sequence[float]) -> str:
    if not latencies:
        return "none succeeded"
    return ", ".join(f"p{100 * level:.0f} {duration(percentile(latencies, level))}" for level in levels)


def _in_words(name: str, latencies: Sequence[float]) -> str:
    if not latencies:
        return f"{name.capitalize()}: none succeeded."
    half, most, last = (duration(percentile(latencies, level)) for level in (*MARKED, 1.0))
    number = count(len(latencies), "operation")
    return f"{name.capitalize()}: half of {number} took at most {half}, 99% at most {most}, the slowest {last}."


def _missing(result: Result, samples: Mapping[str, Any]) -> str:
    wanted = [operation for operation in result.operations if operation.function in samples]
    without = sum(not operation.ok for operation in wanted)
    return f"{without:,} of {count(len(wanted), 'operation')} did not succeed and have no latency." if without else ""
