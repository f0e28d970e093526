"""A run as it went: each operation at its instant, how long it took, how it ended, and what was wrong meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.faults import FaultWindow
from labkit.history import Operation
from labkit.lab import Experiment
from labkit.live.charts import (
    BACKGROUND,
    BAD,
    MUTED,
    SERIES,
    SHADE,
    TEXT,
    Spec,
    along,
    at,
    by_series,
    chart,
    layer,
    legend,
)
from labkit.live.latencies import Latencies
from labkit.live.pictures import Drawn, Picture, picture, text_option
from labkit.live.scales import rounded
from labkit.results import Result, percentile
from labkit.scenes import bin_width, fault_label
from labkit.wording import count, duration, listed, sentence

MOST_POINTS = 240
MOST_WINDOWS = 40
MOST_NAMED = 4
MOST_BINS = 20
OUTCOMES = ("ok", "fail", "unknown")
SHAPES = ("circle", "cross", "triangle-up")
NAME_HEIGHT = 16
NAMES_BELOW = 60
"""Pixels from the top, where operations that timed out crowd."""


@picture("over_time")
@dataclass(frozen=True)
class OverTime(Picture):
    """The operations called `function`, or all, over the time of the run."""

    function: str | None = None

    def __post_init__(self) -> None:
        text_option("function", self.function)

    def draw(self, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """A point for each operation; where there are too many, for each that did not succeed and for some others."""
        operations = [entry for entry in result.operations if self.function in (None, entry.function)]
        kept = _thinned(operations)
        second = 1.0 if result.duration >= 1 else 1e-3
        windows = result.fault_windows
        data = {
            **fault_rows(windows, result.duration, second),
            "operations": [_point(entry, result, second) for entry in kept],
        }
        return {
            "kind": "vega-lite",
            "spec": chart(_layers("s" if second == 1 else "ms")),
            "data": data,
            "text": _text(result, self.function or "operation", operations, len(kept)),
            "table": _table(result, operations),
        }

    def overlay(self, measured: Result, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """Two runs are no longer the same at any one instant: their latencies are compared instead."""
        functions = None if self.function is None else [self.function]
        return Latencies(functions).overlay(measured, result, others, experiment)


def over_time(function: str | None = None) -> OverTime:
    """Operations over the time of the run: latency upwards, outcome by shape and word, faults shaded and named."""
    return OverTime(function)


def _thinned(operations: Sequence[Operation]) -> list[Operation]:
    well = [entry for entry in operations if entry.ok]
    badly = [entry for entry in operations if not entry.ok]
    if len(operations) <= MOST_POINTS:
        return list(operations)
    # At least half of the room is for those that went well: without them nobody sees what was usual.
    some = _every(badly, MOST_POINTS // 2)
    return sorted(some + _every(well, MOST_POINTS - len(some)), key=lambda entry: entry.invoked_us)


def _every(operations: Sequence[Operation], most: int) -> list[Operation]:
    if len(operations) <= most:
        return list(operations)
    return [operations[place * len(operations) // most] for place in range(most)]


def _waited_us(operation: Operation, result: Result) -> int:
    end = result.recording.duration_us if operation.returned_us is None else operation.returned_us
    return max(end - operation.invoked_us, 0)


def _point(operation: Operation, result: Result, second: float) -> dict[str, Any]:
    at_once = operation.invoked_us / 1e6 / second
    waited = _waited_us(operation, result) / 1e3
    return {"at": rounded(at_once, 4), "ms": rounded(waited, 4), "outcome": operation.outcome}


def fault_rows(windows: Sequence[FaultWindow], until: float, second: float) -> dict[str, list[dict[str, Any]]]:
    """The data of `fault_layers`: each fault's stretch of time, and the names of the first few."""
    bands = [_band(window, second) for window in windows[:MOST_WINDOWS]]
    return {"faults": bands, "names": _names(windows, until, second)}


def _band(window: FaultWindow, second: float) -> dict[str, Any]:
    return {"begin": rounded(window.begin / second, 4), "end": rounded(window.end / second, 4)}


def _names(windows: Sequence[FaultWindow], until: float, second: float) -> list[dict[str, Any]]:
    firsts: dict[str, FaultWindow] = {}
    for window in windows:
        firsts.setdefault(fault_label(window), window)
    rows = []
    for place, (label, window) in enumerate(list(firsts.items())[:MOST_NAMED]):
        # A name at the right would leave the picture.
        side = {"side": "right", "dx": -4} if window.begin > until / 2 else {"side": "left", "dx": 4}
        begin = rounded(window.begin / second, 4)
        rows.append({"begin": begin, "label": label, "up": NAMES_BELOW + NAME_HEIGHT * place} | side)
    return rows


def _layers(unit: str) -> list[Spec]:
    x = {"field": "at", "type": "quantitative", "title": f"time since the run began ({unit})", "axis": along()}
    y = {"field": "ms", "type": "quantitative", "title": "latency (ms)", "scale": {"zero": True}}
    colours = (SERIES[0], BAD, SERIES[1])
    key = legend(None, 3)
    point = {"type": "point", "filled": True, "size": 36, "opacity": 0.8}
    shade, *names = fault_layers()
    return [
        shade,
        layer(
            "operations", point, x=x, y=y, color=by_series("outcome", colours, key, OUTCOMES),
            shape=by_series("outcome", SHAPES, key, OUTCOMES),
        ),
        *names,
    ]  # fmt: skip


def fault_layers() -> list[Spec]:
    """Faults as shaded bands, to be drawn first, then their names, twice: once as a halo for the second."""
    shade = {"type": "rect", "color": SHADE, "stroke": MUTED, "strokeDash": [2, 3], "strokeWidth": 1, "opacity": 1}
    name = {"type": "text", "align": {"expr": "datum.side"}, "dx": {"expr": "datum.dx"}, "baseline": "top"}
    halo = {"color": BACKGROUND, "stroke": BACKGROUND, "strokeWidth": 4, "strokeJoin": "round", "opacity": 0.8}
    row = {"field": "up", "type": "quantitative", "scale": None}
    return [
        layer("faults", shade, x=at("begin"), x2={"field": "end"}),
        layer("names", name | halo, x=at("begin"), y=row, text={"field": "label"}),
        layer("names", name | {"color": TEXT}, x=at("begin"), y=row, text={"field": "label"}),
    ]


def _text(result: Result, noun: str, operations: Sequence[Operation], drawn: int) -> str:
    outcomes = {outcome: sum(entry.outcome == outcome for entry in operations) for outcome in OUTCOMES}
    ended = listed([f"{number:,} {outcome}" for outcome, number in outcomes.items() if number])
    sentences = [f"{count(len(operations), noun)} in {duration(result.duration)}" + (f": {ended}." if ended else ".")]
    latencies = [entry.latency for entry in operations if entry.ok]
    if latencies:
        half, most = (duration(percentile(latencies, level)) for level in (0.5, 0.99))
        sentences.append(f"Of those that succeeded, half took at most {half}, 99% at most {most}.")
    if drawn < len(operations):
        sentences.append(f"The picture has {drawn:,} of them: as many as can be told apart.")
    windows = result.fault_windows
    for window in windows[:MOST_NAMED]:
        when = f"from {duration(window.begin)} to {duration(window.end)}"
        sentences.append(sentence(f"{fault_label(window)} {when}"))
    if len(windows) > MOST_NAMED:
        sentences.append(f"Altogether {count(len(windows), 'fault')}.")
    return " ".join(sentences)


def _table(result: Result, operations: Sequence[Operation]) -> dict[str, Any]:
    width = bin_width(result.duration, len(operations))
    while result.duration / width > MOST_BINS:
        width *= 2
    bins: dict[int, list[Operation]] = {}
    for entry in operations:
        bins.setdefault(int(entry.invoked_us / 1e6 / width), []).append(entry)
    rows = []
    for place in sorted(bins):
        inside = bins[place]
        latencies = [entry.latency for entry in inside if entry.ok]
        counts = [f"{sum(entry.outcome == outcome for entry in inside):,}" for outcome in OUTCOMES]
        median = duration(percentile(latencies, 0.5)) if latencies else ""
        rows.append([duration(place * width), *counts, median])
    return {"head": [f"begun within {duration(width)} from", *OUTCOMES, "median latency"], "rows": rows}
