"""Where labels can stand on a crowded sheet without touching each other; all lengths are inches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties

from labkit.figures.drawing import SMALL

MARGIN = 0.025
COST_OF_A_CROSSING = 0.22
MOST_CROSSINGS = 3


class Box(NamedTuple):
    """A rectangle on the sheet."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Box:
        """The box of that size with its centre there."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    def overlaps(self, other: Box, margin: float = 0.0) -> bool:
        """Whether the two share an inner point, or come closer than `margin`."""
        return (
            self.left < other.right + margin
            and other.left < self.right + margin
            and self.bottom < other.top + margin
            and other.bottom < self.top + margin
        )


class Strokes:
    """Many lines as the points that they pass through, to count those that a box would lie on."""

    def __init__(self, lines: Sequence[tuple[tuple[float, float], tuple[float, float]]]):
        points = [np.linspace(begin, end, 40) for begin, end in lines]
        self._points = np.concatenate(points) if points else np.empty((0, 2))
        self._owners = np.repeat(np.arange(len(points)), 40)

    def under(self, box: Box) -> int:
        """How many of the lines pass through the box."""
        x, y = self._points[:, 0], self._points[:, 1]
        inside = (x > box.left) & (x < box.right) & (y > box.bottom) & (y < box.top)
        return len(np.unique(self._owners[inside]))


class Places:
    """The boxes of a sheet that are taken; `sheet` bounds them all."""

    def __init__(self, sheet: Box, strokes: Strokes):
        self._sheet = sheet
        self._strokes = strokes
        self._taken: list[Box] = []

    def take(self, box: Box) -> None:
        """Let nothing else be put there."""
        self._taken.append(box)

    def put(self, candidates: Iterable[tuple[Box, float]]) -> Box | None:
        """Take the cheapest free box of (box, cost), lines under it being a further cost; None if there is none."""
        best: Box | None = None
        lowest = float("inf")
        for box, cost in candidates:
            if cost >= lowest or not self._is_free(box):
                continue
            crossings = self._strokes.under(box)
            cost += crossings * COST_OF_A_CROSSING
            if crossings <= MOST_CROSSINGS and cost < lowest:
                best, lowest = box, cost
        if best is not None:
            self._taken.append(best)
        return best

    def _is_free(self, box: Box) -> bool:
        sheet = self._sheet
        inside = box.left >= sheet.left and box.right <= sheet.right
        inside = inside and box.bottom >= sheet.bottom and box.top <= sheet.top
        return inside and not any(box.overlaps(other, MARGIN) for other in self._taken)


class Ruler:
    """Measures text, in inches, as it will be drawn."""

    def __init__(self, canvas: FigureCanvasAgg):
        self._renderer = canvas.get_renderer()
        self._inch = self._renderer.points_to_pixels(72)

    def size(self, text: str, size: float = SMALL) -> tuple[float, float]:
        """Width and height of a text of one or more lines."""
        lines = text.split("\n")
        font = FontProperties(family="sans-serif", size=size)
        widths = [self._renderer.get_text_width_height_descent(line, font, False)[0] for line in lines]
        return max(widths) / self._inch + 0.02, len(lines) * size * 1.22 / 72
