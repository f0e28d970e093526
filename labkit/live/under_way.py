"""How many operations were under way at each instant of a run: callers that wait, work that piles up and drains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.history import Operation
from labkit.lab import Experiment
from labkit.live.charts import DASHES, SERIES, Spec, along, by_series, chart, layer, legend, upwards
from labkit.live.latencies import kinds
from labkit.live.over_time import MOST_NAMED, fault_layers, fault_rows
from labkit.live.pictures import Drawn, Picture, picture, texts_option
from labkit.live.scales import rounded
from labkit.results import Result
from labkit.scenes import fault_label
from labkit.wording import duration, sentence

INSTANTS = 120
"""So many instants are drawn, at which the count is the highest since the last."""

ROWS = 20

Steps = list[tuple[float, int]]
Change = tuple[int, int, int]
"""When the number under way changes, which of that microsecond's changes at its node it is, and by how much."""


@picture("under_way")
@dataclass(frozen=True)
class UnderWay(Picture):
    """The operations begun and not yet ended, a line for each of the `functions`, or of the three commonest kinds."""

    functions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", texts_option("functions", self.functions))

    def draw(self, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The lines of one run."""
        lines = {function: _counted(result, function) for function in kinds([result], self.functions)}
        return _drawn(result, lines, SERIES[: len(lines)], DASHES[: len(lines)])

    def overlay(self, measured: Result, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The lines of both runs: the faults of a plan come at the same instants in both."""
        lines = {}
        for function in kinds([measured, result], self.functions):
            lines[f"{function}, measured"] = _counted(measured, function)
            lines[f"{function}, simulated"] = _counted(result, function)
        colours = [colour for colour in SERIES[: len(lines) // 2] for _ in range(2)]
        return _drawn(result, lines, colours, [DASHES[0], DASHES[1]] * (len(lines) // 2))


def under_way(functions: Sequence[str] | None = None) -> UnderWay:
    """How many operations were under way over the time of the run; faults shaded and named."""
    return UnderWay(functions)


def _counted(result: Result, function: str) -> Steps:
    operations = [entry for entry in result.operations if entry.function == function]
    changes = sorted((change for entry in operations for change in _changes(entry, result)), key=lambda each: each[:2])
    level, steps = 0, [(0.0, 0)]
    for at_us, _, change in changes:
        level += change
        steps.append((at_us / 1e6, level))
    return steps


def _changes(entry: Operation, result: Result) -> tuple[Change, Change]:
    end = result.recording.duration_us if entry.returned_us is None else entry.returned_us
    return (entry.invoked_us, entry.invoked_order, 1), (end, entry.returned_order, -1)


def _highest(steps: Steps, until: float, pieces: int) -> list[tuple[float, int]]:
    """(begin of a piece, the most under way during it) for each of equal pieces of the time."""
    found, place, level = [], 0, 0
    for piece in range(pieces):
        end, most = until * (piece + 1) / pieces, level
        while place < len(steps) and steps[place][0] <= end:
            level = steps[place][1]
            most = max(most, level)
            place += 1
        found.append((until * piece / pieces, most))
    return found


def _drawn(result: Result, lines: dict[str, Steps], colours: Sequence[str], dashes: Sequence[Any]) -> Drawn:
    until = max([result.duration, *(steps[-1][0] for steps in lines.values())])
    second = 1.0 if until >= 1 else 1e-3
    rows = [
        {"n": name, "at": rounded(begin / second, 4), "number": most}
        for name, steps in lines.items()
        for begin, most in _highest(steps, until, INSTANTS)
    ]
    return {
        "kind": "vega-lite",
        "spec": chart(_layers("s" if second == 1 else "ms", list(lines), colours, dashes)),
        "data": {**fault_rows(result.fault_windows, until, second), "lines": rows},
        "text": _text(result, lines),
        "table": _table(lines, until),
    }


def _layers(unit: str, names: Sequence[str], colours: Sequence[str], dashes: Sequence[Any]) -> list[Spec]:
    key = legend(None, 2, symbolType="stroke", symbolSize=300)
    x = {"field": "at", "type": "quantitative", "title": f"time since the run began ({unit})", "axis": along()}
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 2}
    told_apart = {"color": by_series("n", colours, key, names), "strokeDash": by_series("n", dashes, key, names)}
    shade, *labels = fault_layers()
    return [shade, layer("lines", line, x=x, y=upwards("number", "under way"), **told_apart), *labels]


def _text(result: Result, lines: dict[str, Steps]) -> str:
    sentences = []
    for name, steps in lines.items():
        most, when = max((level, -instant) for instant, level in steps)
        told = f"{name}s under way: at most {most:,}"
        sentences.append(sentence(told + (f", at {duration(-when)}" if most else "")))
    for window in result.fault_windows[:MOST_NAMED]:
        when = f"from {duration(window.begin)} to {duration(window.end)}"
        sentences.append(sentence(f"{fault_label(window)} {when}"))
    return " ".join(sentences) or "No operation of the kind began in this run."


def _table(lines: dict[str, Steps], until: float) -> dict[str, Any]:
    columns = [_highest(steps, until, ROWS) for steps in lines.values()]
    rows = [[duration(pieces[0][0]), *(f"{most:,}" for _, most in pieces)] for pieces in zip(*columns, strict=True)]
    head = [f"in the {duration(until / ROWS)} from", *(f"most {name}s under way" for name in lines)]
    return {"head": head, "rows": rows if lines else []}
