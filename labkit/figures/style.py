"""One look for every figure: the colour-blind-safe palette of Okabe and Ito, in a light and a dark theme.

A picture in a notebook cannot know whether its page is light or dark, and a transparent one is unreadable on one of
them. So every figure brings a solid background of its own, and the light theme is the default; a reader who works
in the dark calls ``use_style(dark=True)``. Series differ in line and marker too, so that none needs its colour.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from matplotlib import rc_context

from labkit.palette import DARK, LIGHT, Theme

P = ParamSpec("P")
R = TypeVar("R")

LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.2, 1.2)),
    (0, (6, 1.4, 1.2, 1.4)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = {"crash": "////", "pause": "....", "partition": "\\\\\\\\", "hold": "----"}
LAW_LINE = (0, (3, 2))


_theme = LIGHT


def use_style(dark: bool = False) -> ExitStack:
    """Draw in the dark or the light theme from now on or, in a `with` statement, within it."""
    global _theme
    restore = ExitStack()
    restore.callback(_use, _theme)
    _theme = DARK if dark else LIGHT
    return restore


def theme() -> Theme:
    """The theme in which figures are drawn now."""
    return _theme


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorator: `draw` works under the settings of the current theme and leaves matplotlib's own as they were."""

    @wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with rc_context(settings(_theme)):
            return draw(*args, **kwargs)

    return draw_in_style


def series(number: int) -> dict[str, Any]:
    """Colour, line and marker of the series of that number."""
    return {
        "color": _theme.series[number % len(_theme.series)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def settings(theme: Theme) -> dict[str, Any]:
    """The theme as matplotlib's settings."""
    return {
        "figure.facecolor": theme.background,
        "savefig.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.text,
        "axes.titlecolor": theme.text,
        "text.color": theme.text,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.text,
        "ytick.labelcolor": theme.text,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "hatch.color": theme.hatch,
        "hatch.linewidth": 0.7,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.titleweight": "normal",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
        "font.size": 9.5,
        "axes.labelsize": 9.5,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "legend.handlelength": 2.6,
        "legend.borderaxespad": 0.2,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "text.parse_math": False,  # "$100" is money here
        "svg.hashsalt": "labkit",
    }


def _use(theme: Theme) -> None:
    global _theme
    _theme = theme
