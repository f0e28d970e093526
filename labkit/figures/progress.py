"""How many operations had succeeded at each instant: measured over simulated, several designs in one picture."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from matplotlib.lines import Line2D

from labkit.figures.drawing import Drawing, caption, headline, key
from labkit.figures.style import series, styled, theme
from labkit.results import Result
from labkit.scenes import fault_label
from labkit.wording import count, duration, provenance, sentence

Pair = tuple[Result, Result]
MEASURED_WIDTH, SIMULATED_WIDTH = 3.4, 1.3


@styled
def succeeded_over_time(pairs: Mapping[str, Pair], function: str) -> Drawing:
    """How many operations called `function` had succeeded by each instant, a colour for each pair of runs.

    Each pair is (measured, simulated), under the same plan of faults; the first's faults are shaded. The caption says
    by how many operations each pair was apart at the most.
    """
    figure = Drawing(height=4.4)
    axes = figure.subplots()
    until = max(result.duration for pair in pairs.values() for result in pair)
    keys: dict[str, Line2D] = {}
    sentences, faults = [], []
    for number, (name, pair) in enumerate(pairs.items()):
        instants = [_instants(result, function) for result in pair]
        style = series(number)
        measured = {"color": style["color"], "linestyle": "-", "linewidth": MEASURED_WIDTH, "alpha": 0.45}
        simulated = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": SIMULATED_WIDTH}
        for ended, line in zip(instants, (measured, simulated), strict=True):
            axes.step([0.0, *ended, until], [0, *range(1, len(ended) + 1), len(ended)], where="post", **line)
        keys[f"{name}, measured: {len(instants[0])}"] = key(**measured)
        keys[f"{name}, simulated: {len(instants[1])}"] = key(**simulated)
        apart = count(furthest_apart(*instants), function)
        sentences.append(sentence(f"{name}: measured and simulated never more than {apart} apart"))
    for window in next(iter(pairs.values()))[0].fault_windows:
        shade = {"facecolor": theme().shade, "edgecolor": theme().hatch, "linewidth": 0.5, "alpha": 0.6}
        axes.axvspan(window.begin, window.end, zorder=0, **shade)
        when = f"from {duration(window.begin)} to {duration(window.end)}"
        faults.append(sentence(f"shaded: {fault_label(window)} {when}"))
    axes.set_xlabel("time since the run began (s)")
    axes.set_ylabel(f"{function}s so far")
    axes.set_xlim(0, until)
    axes.set_ylim(bottom=0)
    headline(figure, f"{function}s over time".capitalize(), keys, columns=2)
    caption(figure, *sentences, *faults, provenance([result for pair in pairs.values() for result in pair]))
    figure.alt_text = " ".join([f"{function.capitalize()}s over time.", *map(sentence, keys), *sentences, *faults])
    return figure


def furthest_apart(ones: Sequence[float], twos: Sequence[float]) -> int:
    """The most by which the numbers of instants that have passed differ at any time; both in order."""
    moments = [*ones, *twos]
    return max((abs(bisect_right(ones, at) - bisect_right(twos, at)) for at in moments), default=0)


def _instants(result: Result, function: str) -> list[float]:
    ended = [entry for entry in result.operations if entry.function == function and entry.ok]
    return sorted(entry.returned_us / 1e6 for entry in ended)
