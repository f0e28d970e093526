"""A time axis that skips what nobody did: long gaps between the steps are cut out, and the cut is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from labkit.counterexamples.steps import IN_SECONDS_FROM_US, Step

LONG_GAP = 0.5
"""A gap is long if it takes more than this share of the time in which something is under way."""

BREAK, MOST_BREAKS = 0.07, 0.3
"""What a break takes of the width, and at most all of them together."""


@dataclass(frozen=True)
class Axis:
    """Stretches of time (microseconds) side by side, each with the share of the width from where to where it goes."""

    stretches: tuple[tuple[float, float, float, float], ...]

    def at(self, time_us: float) -> float:
        """The place of an instant, as a share of the width; one in a break is in its middle."""
        for begin, end, left, right in self.stretches:
            if begin <= time_us <= end:
                return left + (right - left) * (time_us - begin) / (end - begin)
        before = max((right for _, end, _, right in self.stretches if end < time_us), default=0.0)
        after = min((left for begin, _, left, _ in self.stretches if begin > time_us), default=1.0)
        return (before + after) / 2

    @property
    def unit(self) -> str:
        """Milliseconds, or seconds where there would be too many of them."""
        return "s" if self.stretches[-1][1] > IN_SECONDS_FROM_US else "ms"

    @property
    def size(self) -> float:
        """Microseconds of the unit."""
        return 1e6 if self.unit == "s" else 1e3

    @property
    def breaks(self) -> list[float]:
        """The middles of the breaks."""
        return [(one[3] + other[2]) / 2 for one, other in pairwise(self.stretches)]

    def ticks(self, width: float, apart: float) -> list[tuple[float, str]]:
        """Places and labels of ticks at least `apart` on an axis of that width."""
        chosen: list[tuple[float, str]] = []
        for begin, end, left, right in self.stretches:
            step = _round_up((end - begin) * apart / max((right - left) * width, 1.0))
            first = math.ceil(begin / step)
            times = [number * step for number in range(first, math.floor(end / step) + 1)] or [(begin + end) / 2]
            digits = max(0, -math.floor(math.log10(step / self.size) + 1e-9))
            for time_us in times:
                place = self.at(time_us)
                if not chosen or (place - chosen[-1][0]) * width >= apart:
                    chosen.append((place, f"{time_us / self.size:.{digits}f}"))
        return chosen


def axis_of(steps: Sequence[Step]) -> Axis:
    """The axis for these steps, with a little room at both ends. One without a response lasts as long as the others."""
    spans = sorted((step.begin_us, step.begin_us if step.end_us is None else step.end_us) for step in steps)
    busy: list[list[float]] = []
    for begin, end in spans:
        if busy and begin <= busy[-1][1]:
            busy[-1][1] = max(busy[-1][1], end)
        else:
            busy.append([begin, end])
    # Where all are instants, no gap is longer than what is told.
    length = sum(end - begin for begin, end in busy) or math.inf
    joined = [busy[0]]
    for begin, end in busy[1:]:
        if begin - joined[-1][1] > LONG_GAP * length:
            joined.append([begin, end])
        else:
            joined[-1][1] = end
    room = 0.04 * sum(end - begin for begin, end in joined) or 1.0
    stretches = [(begin - room, end + room) for begin, end in joined]
    total = sum(end - begin for begin, end in stretches)
    gap = min(BREAK, MOST_BREAKS / max(len(stretches) - 1, 1))
    shared, left, placed = 1 - gap * (len(stretches) - 1), 0.0, []
    for begin, end in stretches:
        right = left + shared * (end - begin) / total
        placed.append((begin, end, left, right))
        left = right + gap
    return Axis(tuple(placed))


def _round_up(rough: float) -> float:
    power = 10 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))
