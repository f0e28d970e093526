"""How latencies are distributed, and whether two runs agree on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from labkit.figures.drawing import Drawing, caption, headline, key
from labkit.figures.style import LAW_LINE, series, styled, theme
from labkit.results import Result, percentile
from labkit.statistics import widest_gap
from labkit.wording import RUNTIMES, agreement, count, differences, duration, listed, provenance, sentence

SHARES = (0, 0.25, 0.5, 0.75, 0.99)
MARKED = (0.5, 0.99)
LONG_TAIL = 25
"""From how many times its median on a tail is drawn on a logarithmic axis."""

MOST_POINTS = 2000
Functions = Sequence[str]
MOST_FUNCTIONS = 3


@styled
def latency_distribution(
    results: Result | Sequence[Result] | Mapping[str, Result], functions: Functions | None = None
) -> Drawing:
    """The share of operations that took at most so long, with the median and the 99th percentile marked.

    Give several results to compare them, as a mapping to name them; otherwise they are told apart by the
    parameters in which they differ. Without `functions`, the three commonest. Only operations that succeeded have
    a latency.
    """
    named = _named(results)
    panels = _panels(named, functions)
    figure = Drawing(height=3.5 + 0.2 * len(named))
    for axes, (label, samples) in zip(_axes(figure, panels), panels.items(), strict=True):
        for number, latencies in enumerate(samples.values()):
            _curve(axes, latencies, series(number))
        _finish(axes, label, list(samples.values()))
    headline(figure, "Latency distribution", _keys(panels, series))
    caption(figure, provenance(named.values()), _missing(named.values(), functions))
    figure.alt_text = _in_words(named, functions)
    return figure


@styled
def measured_over_simulated(measured: Result, simulated: Result, functions: Functions | None = None) -> Drawing:
    """The latencies of a run on real processes drawn over those of its simulation, with how far they are apart.

    The distance is Kolmogorov and Smirnov's: the widest gap between the two curves, marked where it is. Without
    `functions`, the three commonest.
    """
    panels = {
        function: {"measured": measured.latencies(function), "simulated": simulated.latencies(function)}
        for function in _present((measured, simulated), functions)
    }
    figure = Drawing(height=4.0)
    for axes, (function, samples) in zip(_axes(figure, panels), panels.items(), strict=True):
        for number, latencies in enumerate(samples.values()):
            _curve(axes, latencies, _measured_or_simulated(number))
        _mark_gap(axes, *samples.values())
        _finish(axes, function, list(samples.values()))
    sentences = [agreement(function, *samples.values()) for function, samples in panels.items()]
    keys = _keys(panels, _measured_or_simulated)
    headline(figure, f"Measured on {RUNTIMES['ray']}, over the simulation", keys)
    caption(figure, *sentences, provenance((measured, simulated)))
    figure.alt_text = f"Measured over simulated latency. {' '.join(sentences)} {' '.join(map(sentence, keys))}"
    return figure


def _named(results: Result | Sequence[Result] | Mapping[str, Result]) -> dict[str, Result]:
    if isinstance(results, Result):
        return {"": results}
    if isinstance(results, Mapping):
        return dict(results)
    return {"": results[0]} if len(results) == 1 else dict(zip(differences(results), results, strict=True))


def _panels(named: Mapping[str, Result], functions: Functions | None) -> dict[str, dict[str, list[float]]]:
    # One result has its functions side by side in one panel; several have a panel for each function.
    present = _present(named.values(), functions)
    if len(named) == 1:
        (result,) = named.values()
        return {listed(present): {function: result.latencies(function) for function in present}}
    return {function: {name: result.latencies(function) for name, result in named.items()} for function in present}


def _present(results: Iterable[Result], functions: Functions | None) -> list[str]:
    known = Counter(operation.function for result in results for operation in result.operations)
    if functions is None:
        return sorted(function for function, _ in known.most_common(MOST_FUNCTIONS)) or ["operation"]
    return [function for function in functions if function in known] or list(functions[:1])


def _axes(figure: Drawing, panels: Mapping[str, object]) -> Sequence[Axes]:
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    axes[0].set_ylabel("share of operations")
    return axes


def _measured_or_simulated(number: int) -> dict[str, Any]:
    return series(0) if number == 0 else {"color": theme().text, "linestyle": LAW_LINE, "marker": "x"}


def _keys(
    panels: Mapping[str, Mapping[str, Sequence[float]]], style: Callable[[int], dict[str, Any]]
) -> dict[str, Line2D]:
    entries: dict[str, Line2D] = {}
    for number, name in enumerate(next(iter(panels.values()))):
        numbers = [
            (f"{label} " if len(panels) > 1 else "") + _percentiles(samples[name]) for label, samples in panels.items()
        ]
        entries[f"{name}: {'; '.join(numbers)}"] = key(**style(number))
    return entries


def _curve(axes: Axes, latencies: Sequence[float], style: dict[str, Any]) -> None:
    if not latencies:
        return
    times = np.sort(np.asarray(latencies)) * 1e3
    shares = np.arange(1, len(times) + 1) / len(times)
    kept = np.unique(np.linspace(0, len(times) - 1, MOST_POINTS).astype(int))
    line = {"color": style["color"], "linestyle": style["linestyle"]}
    axes.plot(np.r_[times[0], times[kept]], np.r_[0, shares[kept]], drawstyle="steps-post", **line)
    marks = [percentile(latencies, level) * 1e3 for level in MARKED]
    axes.plot(marks, MARKED, linestyle="", marker=style["marker"], color=style["color"], zorder=4)


def _finish(axes: Axes, label: str, samples: Sequence[Sequence[float]]) -> None:
    axes.set_ylim(0, 1.02)
    axes.set_yticks(SHARES, [f"{share:.0%}" for share in SHARES])
    axes.set_xlabel(f"{label} latency (ms)")
    _limit_times(axes, [latency * 1e3 for sample in samples for latency in sample])


def _limit_times(axes: Axes, times: Sequence[float]) -> None:
    if not times:
        return
    # The last operations in a thousand would squeeze all others against the axis.
    far, middle, near = percentile(times, 0.999), percentile(times, 0.5), min(times)
    if middle > 0 and far > LONG_TAIL * middle:
        axes.set_xscale("log")
        axes.set_xlim(max(near, far / 1e5) * 0.9, far * 1.15)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif far > 0:
        axes.set_xlim(0, far * 1.03)


def _mark_gap(axes: Axes, measured: Sequence[float], simulated: Sequence[float]) -> None:
    gap, place = widest_gap(measured, simulated)
    if math.isnan(gap) or gap == 0:
        return
    ends = sorted(sum(latency <= place for latency in sample) / len(sample) for sample in (measured, simulated))
    axes.vlines(place * 1e3, *ends, color=theme().bad, linewidth=3, zorder=3)
    axes.annotate(
        f"widest gap {100 * gap:.1f} points",
        (place * 1e3, sum(ends) / 2),
        xytext=(0.97, 0.06),
        textcoords="axes fraction",
        ha="right",
        color=theme().bad,
        arrowprops={"arrowstyle": "-", "color": theme().bad, "linewidth": 0.8, "shrinkB": 3},
    )


def _percentiles(latencies: Sequence[float]) -> str:
    if not latencies:
        return "none succeeded"
    return ", ".join(f"p{100 * level:.0f} {duration(percentile(latencies, level))}" for level in MARKED)


def _missing(results: Iterable[Result], functions: Functions | None) -> str:
    known = list(results)
    shown = _present(known, functions)
    wanted = [operation for result in known for operation in result.operations if operation.function in shown]
    without = sum(not operation.ok for operation in wanted)
    return f"{without:,} of {count(len(wanted), 'operation')} did not succeed and have no latency." if without else ""


def _in_words(named: Mapping[str, Result], functions: Functions | None) -> str:
    sentences = []
    for name, result in named.items():
        for function in _present([result], functions):
            latencies = result.latencies(function)
            subject = f"{function} latency" + (f" with {name}" if name else "")
            if not latencies:
                sentences.append(f"No {function} succeeded{' with ' + name if name else ''}.")
                continue
            half, most, last = (duration(percentile(latencies, level)) for level in (*MARKED, 1.0))
            sentences.append(
                f"Cumulative distribution of {subject}: half within {half}, 99% within {most}, "
                f"the slowest of {len(latencies):,} {last}."
            )
    return " ".join([*sentences, _missing(named.values(), functions)]).strip()
