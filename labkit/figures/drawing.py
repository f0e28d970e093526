"""A figure that says in words what it shows, and shows itself in a notebook without any set-up."""

from __future__ import annotations

import math
import textwrap
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labkit.figures.style import theme

WIDTH = 7.0
"""Inches; with `DOTS_PER_INCH` the 700 pixels of a page's text column."""

DOTS_PER_INCH = 100
SHARPNESS = 2
"""Pixels of the picture for each pixel of the page, for screens that have them."""

PALETTE = 128
CAPTION_COLUMNS = 104
STROKE_COLUMNS = 9
"""Characters that the stroke before a label takes."""

SMALL = 9
TITLE = 11


class Drawing(Figure):
    """A matplotlib figure with `alt_text`: what it shows, as plain sentences with the numbers.

    It is no figure of pyplot's, so nothing keeps it alive and no notebook shows it twice.
    """

    def __init__(self, height: float, layout: Literal["constrained", "none"] = "constrained"):
        super().__init__(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, layout=layout)
        FigureCanvasAgg(self)
        self.alt_text = ""

    def png(self) -> bytes:
        """The picture as a PNG file."""
        from PIL import Image

        ordinary = self.dpi
        self.dpi = DOTS_PER_INCH * SHARPNESS
        try:
            self.canvas.draw()
            drawn = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        finally:
            self.dpi = ordinary
        # A palette takes a third of the bytes, and a notebook carries its pictures in itself.
        small = drawn.quantize(PALETTE, dither=Image.Dither.NONE)
        file = BytesIO()
        small.save(file, format="png", optimize=True)
        return file.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        data = {"image/png": b64encode(self.png()).decode(), "text/plain": self.alt_text}
        return data, {"image/png": {"width": round(WIDTH * DOTS_PER_INCH)}}


def headline(figure: Figure, title: str, entries: Mapping[str, Artist] | None = None, columns: int = 1) -> int:
    """The title at the left edge, and below it the key to the lines: above all axes, where it can hide no data.

    The key has up to `columns` columns, as far as its labels fit. Returns how many lines of text it takes.
    """
    if not entries:
        figure.suptitle(title, x=0.012, ha="left", fontsize=TITLE, fontweight="bold")
        return 0
    columns = _fitting_columns([len(label) for label in entries], columns)
    labels = [textwrap.fill(label, CAPTION_COLUMNS - STROKE_COLUMNS) for label in entries]
    # A legend outside the axes and a suptitle would be put in the same place; a legend's own title is not.
    figure.legend(
        list(entries.values()), labels, loc="outside upper left", ncols=columns, columnspacing=1.6,
        title=title, title_fontproperties={"size": TITLE, "weight": "bold"}, alignment="left",
    )  # fmt: skip
    return math.ceil(len(labels) / columns) + sum(label.count("\n") for label in labels)


def _fitting_columns(lengths: Sequence[int], most: int) -> int:
    for columns in range(min(most, len(lengths)), 1, -1):
        rows = math.ceil(len(lengths) / columns)  # matplotlib fills one column after the other
        widths = [max(lengths[start : start + rows]) + STROKE_COLUMNS for start in range(0, len(lengths), rows)]
        if sum(widths) <= CAPTION_COLUMNS:
            return columns
    return 1


def caption(figure: Figure, *paragraphs: str) -> int:
    """Small text below the figure, as wide as it; room is made for it. Returns how many lines it takes."""
    lines = [line for paragraph in paragraphs if paragraph for line in textwrap.wrap(paragraph, CAPTION_COLUMNS)]
    text = "\n".join(lines)
    figure.supxlabel(text, x=0.012, ha="left", fontsize=SMALL, color=theme().muted, linespacing=1.35)
    return len(lines)


def key(**style: Any) -> Line2D:
    """A stroke of a line, for the key."""
    return Line2D([], [], **style)
