"""A counterexample for a terminal: its lanes drawn with characters, and what part each step played."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from labkit.counterexamples.axis import Axis, axis_of
from labkit.counterexamples.steps import Step, lanes_of, shown, steps_of
from labkit.errors import BadInput
from labkit.naming import Names
from labkit.results import Verdict
from labkit.wording import count

NARROWEST = 40
MARGIN = 2


def as_text(verdict: Verdict, width: int = 100, names: Names | None = None) -> str:
    """The counterexample in lines of at most `width` characters; empty if the verdict has none.

    The offending step is marked with ``!`` in place of the bars' ``=``. Raises `BadInput` for a width below 40.
    """
    if width < NARROWEST:
        raise BadInput(f"width is {width!r}: it must be at least {NARROWEST} characters")
    steps, left_out = shown(steps_of(verdict, names))
    if not steps:
        return ""
    lanes, axis = lanes_of(steps), axis_of(steps)
    margin = min(max(map(len, lanes.values())) + MARGIN, width // 3)
    room = width - margin
    rows = []
    for process, name in lanes.items():
        mine = _rows([step for step in steps if step.process == process], axis, room)
        rows += [f"{name if not place else '':{margin}.{margin - 1}}{row}".rstrip() for place, row in enumerate(mine)]
    rows.append(" " * margin + _axis(axis, room))
    told = [line for step in steps for line in _told(step, lanes, width)]
    more = [f"   and {count(left_out, 'further step')}"] if left_out else []
    return "\n".join([*rows, "", *told, *more])


def _rows(steps: Sequence[Step], axis: Axis, room: int) -> list[str]:
    """Bars as text, in as many rows as keep them apart: ``[1====]``, ``[!2!!!!]``, ``[3----`` without a response."""
    rows: list[str] = []
    for step in steps:
        left, drawn = _bar(step, axis, room)
        row = next((place for place, line in enumerate(rows) if len(line) <= left), len(rows))
        if row == len(rows):
            rows.append("")
        rows[row] = f"{rows[row]:{left}}{drawn}"
    return rows


def _bar(step: Step, axis: Axis, room: int) -> tuple[int, str]:
    number = f"!{step.place}" if step.offending else str(step.place)
    least = len(number) if step.is_instant else len(number) + 2
    left = min(round(axis.at(step.begin_us) * (room - 1)), room - least)
    if step.is_instant:
        return left, number
    end = room if step.end_us is None else round(axis.at(step.end_us) * (room - 1)) + 1
    fill = "!" if step.offending else "=" if step.outcome in ("ok", "") else "x" if step.outcome == "fail" else "-"
    close = ">" if step.end_us is None else "]"
    return left, f"[{number:{fill}<{max(end - left, least) - 2}}{close}"


def _axis(axis: Axis, room: int) -> str:
    line = ""
    for place, label in axis.ticks(room, 10):
        text = f"{label} {axis.unit}"
        left = min(round(place * (room - 1)), room - len(text))
        if left > len(line) or not line:
            line = f"{line:{max(left, 0)}}{text}"
    for place in axis.breaks:
        left = round(place * (room - 1))
        if not line[max(left - 1, 0) : left + 3].strip():
            line = f"{line[:left]:{left}}//{line[left + 2 :]}"
    return line.rstrip()


def _told(step: Step, lanes: dict[str, str], width: int) -> list[str]:
    mark = "!" if step.offending else " "
    outcome = f", {step.outcome}" if step.outcome else ""
    label = step.label.removesuffix(" → refused")
    text = f"{lanes[step.process]}: {label}{outcome}, {step.when}" + (f" -- {step.role}" if step.role else "")
    return wrap(text, width, initial_indent=f"{mark}{step.place:>2} ", subsequent_indent="    ")
