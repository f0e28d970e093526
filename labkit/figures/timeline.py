"""Operations over the time of a run, with what was wrong meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from labkit.faults import FaultWindow
from labkit.figures.drawing import SMALL, Drawing, caption, headline, key
from labkit.figures.style import HATCHES, series, styled, theme
from labkit.history import Operation
from labkit.results import Result, percentile
from labkit.scenes import MOST_ROWS, bin_width, fault_label, fault_rows
from labkit.wording import count, duration, listed, provenance, sentence

OUTCOMES = ("ok", "fail", "unknown")
LEVELS = {"median": 0.5, "p95": 0.95}
LONGEST_ROW_NAME = 17
"""Longer ones would take their width from the panels; they stand beside their bars."""


@styled
def time_series(result: Result, function: str | None = None) -> Drawing:
    """How many operations a second were invoked, by how they ended, and how long the successful ones took.

    An operation counts at the instant of its invocation, so that one that a fault delayed shows during the fault.
    `function` picks one kind of operation; without it all are counted.
    """
    operations = [entry for entry in result.operations if function in (None, entry.function)]
    rows = fault_rows(result.fault_windows)
    figure = Drawing(height=4.6 + (0.3 + 0.2 * len(rows) if rows else 0))
    heights = [0.2 * len(rows) + 0.06, 2.0, 2.0] if rows else [2.0, 2.0]
    axes = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    scale, unit = (1.0, "s") if result.duration >= 1 else (1e3, "ms")
    width = bin_width(result.duration, len(operations))
    edges = _edges(result.duration, width)
    if rows:
        _draw_faults(axes[0], rows, scale)
    _shade(axes[-2:], result.fault_windows, scale)
    keys = _draw_rates(axes[-2], operations, edges, scale) | _draw_latencies(axes[-1], operations, edges, scale)
    axes[-1].set_xlabel(f"time since the run began ({unit}), in bins of {duration(width)}")
    axes[-1].set_xlim(0, edges[-1] * scale)
    if rows:
        _name_long_rows(axes[0], rows, scale)
    headline(figure, f"{function or 'operation'}s over time".capitalize(), keys, columns=len(keys))
    caption(figure, provenance([result]))
    figure.alt_text = _in_words(result, function or "operation", operations)
    return figure


def _edges(length: float, width: float) -> np.ndarray:
    # The last bin ends where the run does; a stump of a bin would make a rate of one operation.
    whole = np.arange(max(round(length / width), 1)) * width
    return np.append(whole, max(length, width))


def _draw_faults(axes: Axes, rows: dict[str, list[FaultWindow]], scale: float) -> None:
    for number, (label, windows) in enumerate(rows.items()):
        for window in windows:
            axes.broken_barh(
                [(window.begin * scale, (window.end - window.begin) * scale)],
                (number - 0.36, 0.72),
                facecolor=theme().shade,
                edgecolor=theme().hatch,
                hatch=HATCHES.get(window.kind, "////"),
                linewidth=0.8,
                label=label,
            )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [label if len(label) <= LONGEST_ROW_NAME else "" for label in rows])
    axes.tick_params(axis="both", length=0, labelbottom=False)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _name_long_rows(axes: Axes, rows: dict[str, list[FaultWindow]], scale: float) -> None:
    first, last = axes.get_xlim()
    for number, (label, windows) in enumerate(rows.items()):
        if len(label) <= LONGEST_ROW_NAME:
            continue
        begin = min(window.begin for window in windows) * scale
        end = max(window.end for window in windows) * scale
        before, after = begin - first, last - end
        place, side = (end, "left") if after >= before else (begin, "right")
        if max(before, after) < (last - first) * 0.012 * len(label):
            place, side = (first + last) / 2, "center"
        shift = {"left": 4, "right": -4, "center": 0}[side]
        axes.annotate(
            label, (place, number), (shift, 0), textcoords="offset points", ha=side, va="center", fontsize=SMALL,
            bbox={"facecolor": theme().background, "edgecolor": "none", "pad": 1},
        )  # fmt: skip


def _shade(panels: Sequence[Axes], windows: Sequence[FaultWindow], scale: float) -> None:
    for axes in panels:
        for window in windows:
            axes.axvspan(
                window.begin * scale, window.end * scale, facecolor=theme().shade, edgecolor=theme().hatch,
                linewidth=0.5, alpha=0.6, zorder=0,
            )  # fmt: skip


def _draw_rates(axes: Axes, operations: Sequence[Operation], edges: np.ndarray, scale: float) -> dict[str, Line2D]:
    keys = {}
    for number, outcome in enumerate(OUTCOMES):
        invoked = [entry.invoked_us / 1e6 for entry in operations if entry.outcome == outcome]
        if not invoked and outcome != "ok":
            continue
        counts, _ = np.histogram(invoked, edges)
        style = series(number)
        line = {"color": style["color"], "linestyle": style["linestyle"]}
        axes.stairs(counts / np.diff(edges), edges * scale, baseline=None, linewidth=1.8, **line)
        keys[outcome] = key(**line)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("invoked (1/s)")
    return keys


def _draw_latencies(axes: Axes, operations: Sequence[Operation], edges: np.ndarray, scale: float) -> dict[str, Line2D]:
    binned = _by_bin([entry for entry in operations if entry.ok], edges)
    middles = (edges[:-1] + edges[1:]) / 2 * scale
    keys = {}
    for number, (name, level) in enumerate(LEVELS.items(), 3):
        style = series(number) | {"markersize": 3.5, "linewidth": 1.4}
        axes.plot(middles, [percentile(sample, level) * 1e3 for sample in binned], **style)
        keys[f"{name} latency"] = key(**style)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("latency (ms)")
    return keys


def _by_bin(operations: Sequence[Operation], edges: np.ndarray) -> list[list[float]]:
    binned: list[list[float]] = [[] for _ in edges[1:]]
    places = np.searchsorted(edges, [entry.invoked_us / 1e6 for entry in operations], side="right") - 1
    for place, entry in zip(places, operations, strict=True):
        binned[min(int(place), len(binned) - 1)].append(entry.latency)
    return binned


def _in_words(result: Result, noun: str, operations: Sequence[Operation]) -> str:
    outcomes = {outcome: sum(entry.outcome == outcome for entry in operations) for outcome in OUTCOMES}
    ended = listed([f"{number:,} {outcome}" for outcome, number in outcomes.items() if number])
    latencies = [entry.latency for entry in operations if entry.ok]
    text = f"{count(len(operations), noun)} in {duration(result.duration)}" + (f": {ended}." if ended else ".")
    if latencies:
        text += f" Median latency {duration(percentile(latencies, 0.5))}, p95 {duration(percentile(latencies, 0.95))}."
    for window in result.fault_windows[:MOST_ROWS]:
        when = f"from {duration(window.begin)} to {duration(window.end)}"
        text += " " + sentence(f"{fault_label(window)} {when}")
    more = len(result.fault_windows) - MOST_ROWS
    return text + (f" {count(more, 'further fault')}." if more > 0 else "")
