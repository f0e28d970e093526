"""Parts of Vega-Lite specifications: every colour is a CSS variable, so that one picture serves both themes.

The page's own script adds fonts and the colours of axes. Series differ by dash and marker as well as by colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

from labkit.live.scales import Scale

HEIGHT = 280
OPERATORS = "−+/·×="
LINE = 44
"""So many letters of a remark fit into the width of a phone."""

SERIES = tuple(f"var(--labkit-series-{number})" for number in range(1, 7))
TEXT = "var(--labkit-text)"
MUTED = "var(--labkit-muted)"
BAD = "var(--labkit-bad)"
SHADE = "var(--labkit-shade)"
BACKGROUND = "var(--labkit-background)"
DASHES = ([1, 0], [7, 3], [2, 2], [8, 3, 2, 3], [12, 3], [4, 2, 1, 2])
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
LAW_DASH = [5, 4]

Spec = dict[str, Any]


def chart(layers: Sequence[Spec], remark: str = "") -> Spec:
    """Layers, each with its data's name, as one picture as wide as its page; `remark` is written above it."""
    spec: Spec = {"width": "container", "height": HEIGHT, "layer": list(layers)}
    if remark:
        spec["title"] = {"text": _lines(remark), "anchor": "start", "frame": "group", "fontSize": 12, "color": TEXT}
    return spec


def layer(data: str, mark: Spec, **encoding: Any) -> Spec:
    """One layer; encodings that are None are left out."""
    channels = {name: channel for name, channel in encoding.items() if channel is not None}
    return {"data": {"name": data}, "mark": mark, "encoding": channels}


def axis(field: str, scale: Scale, values: Sequence[float] = ()) -> Spec:
    """A horizontal axis, from the first to the last of `values`, also where no point stands at them."""
    if scale.steps:
        return {
            "field": field, "type": "ordinal", "title": scale.title, "scale": {"domain": list(scale.steps)},
            "axis": {"labelAngle": 0},
        }  # fmt: skip
    room: Spec = {"type": "log"} if scale.is_log else {"zero": False}
    guide = along(is_log=scale.is_log) | ({"tickMinStep": 1} if scale.is_whole else {})
    if len(values) > 1:
        room = room | {"domain": [values[0], values[-1]]}
    # With padding, no marker lies on the axis itself.
    placed = {"scale": room | {"nice": False, "padding": 12}, "axis": guide}
    return {"field": field, "type": "quantitative", "title": scale.title} | placed


def along(is_log: bool = False) -> Spec:
    """The guide of a horizontal axis of numbers: fewer labels where it is narrow."""
    return {"grid": False, "labelOverlap": "greedy", "labelSeparation": 8} | ({"format": "~r"} if is_log else {})


def _lines(text: str) -> str | list[str]:
    # Vega does not break a line, and makes the picture narrower for one that is wider than the page.
    if len(text) <= LINE:
        return text
    return wrap(_bound(text), LINE, break_long_words=False, break_on_hyphens=False)


def _bound(text: str) -> str:
    """The text with blanks that no line breaks at within its formulas: round operators, and in parentheses."""
    depth, found = 0, ""
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        beside = text[max(place - 1, 0) : place + 2]
        found += "\u00a0" if sign == " " and (depth or any(one in OPERATORS for one in beside)) else sign
    return found


def upwards(field: str, title: str, **further: Any) -> Spec:
    """A vertical axis from zero."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": True}} | further


def room_for(places: Iterable[float | None]) -> Spec:
    """The scale of an axis from zero; where all places are zero, or there are none, it needs an end of its own."""
    return {"zero": True} if any(places) else {"domain": [0, 1]}


def at(field: str) -> Spec:
    """A place on an axis that another layer describes."""
    return {"field": field, "type": "quantitative"}


def legend(title: str | None, columns: int = 0, **further: Any) -> Spec:
    """A key above the picture, where it hides nothing."""
    return {"title": title, "orient": "top", "direction": "horizontal", "columns": columns, "labelLimit": 0} | further


def own_shape() -> Spec:
    """A marker that the data name themselves, so that it stands in no key."""
    return {"field": "shape", "type": "nominal", "scale": None}


def by_series(field: str, ranges: Sequence[Any], key: Spec | None, domain: Sequence[str] | None = None) -> Spec:
    """A channel that tells series apart."""
    scale: Spec = {"range": list(ranges)}
    if domain is not None:
        scale["domain"] = list(domain)
    return {"field": field, "type": "nominal", "scale": scale, "legend": key}
