"""Where each step of a counterexample stands: a lane a process, and as many rows in it as keep labels apart.

Across, places are shares of the width; down, they are pixels. What is laid out for the narrowest width fits any wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.counterexamples.axis import Axis, axis_of
from labkit.counterexamples.steps import Step, lanes_of

NARROWEST = 326
"""Pixels; a phone's page has 358 beside its margins."""

FONT = 12
BADGE = 20
BAR = 10
ROW = 40
NAME = 18
BETWEEN = 8
NARROW_LETTERS = frozenset("ijltfrI.,:;'|!()[]{}/\\ \N{NO-BREAK SPACE}-")
WIDE_LETTERS = frozenset("mwMW@%—…→")


@dataclass(frozen=True)
class Bar:
    """A step on the sheet: from share to share across, its bar's upper edge, and how far its label moves left (px)."""

    step: Step
    left: float
    right: float
    top: float
    shift: float


@dataclass(frozen=True)
class Sheet:
    """The laid out counterexample; `lanes` are names with their heights, `height` is that of the axis."""

    axis: Axis
    lanes: tuple[tuple[str, float], ...]
    bars: tuple[Bar, ...]
    height: float


def lay_out(steps: Sequence[Step]) -> Sheet:
    """Give each step its place."""
    axis = axis_of(steps)
    lanes, bars, top = [], [], 4.0
    for process, name in lanes_of(steps).items():
        lanes.append((name, top + 12))
        rows: list[list[tuple[float, float]]] = []
        for step in (step for step in steps if step.process == process):
            left, right, shift = _across(step, axis)
            begin = left * NARROWEST - shift
            end = max(begin + BADGE + text_width(step.label), right * NARROWEST)
            row = next((place for place, taken in enumerate(rows) if _is_free(taken, begin, end)), len(rows))
            if row == len(rows):
                rows.append([])
            rows[row].append((begin, end))
            bars.append(Bar(step, left, right, top + NAME + row * ROW + 22, shift))
        top += NAME + len(rows) * ROW
    return Sheet(axis, tuple(lanes), tuple(bars), top + 6)


def text_width(text: str, size: float = FONT) -> float:
    """About how many pixels a text is wide, rather too many than too few; the pages' pictures reckon the same."""
    return size * sum(
        0.36 if letter in NARROW_LETTERS else 0.95 if letter in WIDE_LETTERS else 0.71 if letter.isupper() else 0.6
        for letter in text
    )


def wrapped(text: str, width: float, size: float = FONT) -> list[str]:
    """The text in lines of at most that width, broken between words."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _across(step: Step, axis: Axis) -> tuple[float, float, float]:
    left = axis.at(step.begin_us)
    right = 1.0 if step.end_us is None else axis.at(step.end_us)
    wide = BADGE + text_width(step.label)
    return left, right, max(left * NARROWEST + wide - NARROWEST, 0.0)


def _is_free(taken: Sequence[tuple[float, float]], begin: float, end: float) -> bool:
    return all(end + BETWEEN <= other_begin or other_end + BETWEEN <= begin for other_begin, other_end in taken)
