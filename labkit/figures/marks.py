"""The marks of a space-time diagram: lanes, arrows, bars, outages and notes, and the labels of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.patheffects import withStroke

from labkit.faults import FaultWindow
from labkit.figures.drawing import SMALL, key
from labkit.figures.labels import Box, Places, Ruler
from labkit.figures.lanes import STRIP_ROW, Arrow, Sheet, is_below
from labkit.figures.style import HATCHES, series, theme
from labkit.history import Note
from labkit.scenes import FATES, fault_label, instant_label, note_label

SECONDS_FROM_US = 10_000_000
"""A scene that ends so late has its axis in seconds, an earlier one in milliseconds."""

ALONG_AN_ARROW = (0.7, 0.78, 0.62, 0.86, 0.54, 0.46, 0.38, 0.3)
CLEAR = 0.07
LEVELS = 3
CROWDED = 80
STOPS = {"lost": "x", "partitioned": "X", "held": "s", "undelivered": "P"}
REQUEST, REPLY, OPERATION, NOTE = 0, 2, 3, 1


class Pen:
    """Draws at inches of the sheet on axes whose horizontal unit is time."""

    def __init__(self, axes: Axes, sheet: Sheet, places: Places, ruler: Ruler):
        self.axes, self.sheet, self.places, self.ruler = axes, sheet, places, ruler
        scene = sheet.scene
        self.unit, self.scale = ("s", 1e-6) if scene.end_us >= SECONDS_FROM_US else ("ms", 1e-3)
        axes.set_xlim(scene.begin_us * self.scale, scene.end_us * self.scale)
        axes.set_ylim(0, sheet.height)

    def time(self, x: float) -> float:
        """The axis value at `x` inches."""
        begin, end = self.axes.get_xlim()
        return begin + x / self.sheet.width * (end - begin)

    def text(self, box: Box, text: str, **style: Any) -> None:
        """A label in the middle of its box, with a halo so that lines below it do not disturb."""
        x, y = box.centre
        halo = [withStroke(linewidth=2.4, foreground=theme().background)]
        style = {"fontsize": SMALL, "ha": "center", "va": "center", "path_effects": halo, "zorder": 6} | style
        self.axes.text(self.time(x), y, text, **style)

    def box(self, box: Box, **style: Any) -> None:
        """A rectangle."""
        corner, end = self.time(box.left), self.time(box.right)
        self.axes.add_patch(Rectangle((corner, box.bottom), end - corner, box.top - box.bottom, **style))

    def line(self, begin: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
        """A straight line."""
        self.axes.plot([self.time(begin[0]), self.time(end[0])], [begin[1], end[1]], **style)

    def mark(self, point: tuple[float, float], **style: Any) -> None:
        """A symbol, whole even at the edge of the sheet."""
        self.axes.plot([self.time(point[0])], [point[1]], clip_on=False, **style)


def draw_lanes(pen: Pen) -> None:
    """A line for each node, and its name."""
    for name, height in pen.sheet.heights.items():
        pen.axes.axhline(height, color=theme().muted, linewidth=1.1, zorder=1)
        pen.places.take(Box(0, height - 0.01, pen.sheet.width, height + 0.01))
        pen.axes.annotate(
            name, (0, height), (-7, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", fontsize=SMALL + 0.5,
        )  # fmt: skip


def draw_strip(pen: Pen, windows: Sequence[FaultWindow]) -> None:
    """What was wrong between nodes: a hatched bar above the lanes and a tint over them, for as long as it lasted."""
    for number, window in enumerate(windows):
        left, right = (
            max(pen.sheet.x(window.begin * 1e6), 0),
            min(pen.sheet.x(window.end * 1e6), pen.sheet.width),
        )
        top = pen.sheet.height - number * STRIP_ROW
        bar = Box(left, top - 0.16, right, top - 0.02)
        style = {"facecolor": theme().shade, "edgecolor": theme().hatch, "linewidth": 0.8}
        pen.box(bar, hatch=HATCHES[window.kind], zorder=2, **style)
        pen.box(Box(left, 0, right, bar.bottom), alpha=0.35, zorder=0, **style)
        label = fault_label(window)
        width, height = pen.ruler.size(label)
        centre = right + width / 2 + 0.08
        if centre + width / 2 > pen.sheet.width:
            centre = left - width / 2 - 0.08 if left > width + 0.1 else (left + right) / 2
        patch = {"facecolor": theme().background, "edgecolor": "none", "pad": 1}
        middle = min(max(centre, width / 2), pen.sheet.width - width / 2)
        pen.text(Box.around(middle, bar.centre[1], width, height), label, bbox=patch)


def draw_outages(pen: Pen, windows: Sequence[FaultWindow]) -> None:
    """A crashed or paused node's lane, hatched for as long as it was away, and the word for it."""
    boxes = []
    for window in windows:
        if window.kind not in ("crash", "pause") or window.nodes[0] not in pen.sheet.heights:
            continue
        height = pen.sheet.heights[window.nodes[0]]
        left, right = (
            max(pen.sheet.x(window.begin * 1e6), 0),
            min(pen.sheet.x(window.end * 1e6), pen.sheet.width),
        )
        box = Box(left, height - 0.09, right, height + 0.09)
        style = {"facecolor": theme().shade, "edgecolor": theme().hatch, "linewidth": 0.9}
        pen.box(box, hatch=HATCHES[window.kind], zorder=1.5, **style)
        pen.places.take(box)
        boxes.append((box, "crashed" if window.kind == "crash" else "paused"))
    for box, word in boxes:
        width, height = pen.ruler.size(word)
        if width + 0.1 < box.right - box.left:
            patch = {"facecolor": theme().shade, "edgecolor": "none", "pad": 1}
            pen.text(Box.around(*box.centre, width, height), word, path_effects=[], bbox=patch)
        elif place := pen.places.put(_beside(box.centre, width, height, clear=0.09, first=1)):
            pen.text(place, word)


def draw_bars(pen: Pen) -> None:
    """Operations as bars: filled if they succeeded, hatched if they failed, an empty outline if nobody knows."""
    colour = series(OPERATION)["color"]
    for bar in pen.sheet.bars:
        style = {
            "ok": {"facecolor": colour},
            "fail": {"facecolor": theme().background, "hatch": "//////", "hatchcolor": colour},
        }.get(bar.operation.outcome, {"facecolor": theme().background, "linestyle": (0, (2, 1.5))})
        pen.box(bar.box, edgecolor=colour, linewidth=1.0, zorder=3, **style)
        pen.places.take(bar.box)
        if bar.label_box is not None:
            pen.places.take(bar.label_box)
            pen.text(bar.label_box, bar.label)


def draw_arrows(pen: Pen) -> dict[str, Line2D]:
    """Messages as arrows; returns the key to the kinds of them that there are."""
    keys: dict[str, Line2D] = {}
    for arrow in pen.sheet.arrows:
        _draw_arrow(pen, arrow, 0.8 if len(pen.sheet.arrows) > CROWDED else 1.3)
        message = arrow.message
        kind = "reply" if message.is_reply else "request"
        keys.setdefault(kind, key(**_line(arrow), linewidth=1.5))
        if arrow.stopped:
            keys.setdefault(FATES[arrow.stopped], key(**_stop(arrow.stopped)))
    order = ["request", "reply", *FATES.values()]
    return {kind: keys[kind] for kind in order if kind in keys}


def _draw_arrow(pen: Pen, arrow: Arrow, width: float) -> None:
    message = arrow.message
    begin, end = (pen.time(arrow.begin[0]), arrow.begin[1]), (pen.time(arrow.end[0]), arrow.end[1])
    if message.arrived_us is None:
        pen.line(arrow.begin, arrow.end, linewidth=width, zorder=2, **_line(arrow))
    else:
        pen.axes.add_patch(
            FancyArrowPatch(
                begin,
                end,
                arrowstyle="-|>,head_length=0.55,head_width=0.22",
                mutation_scale=10,
                shrinkA=0,
                shrinkB=0,
                linewidth=width,
                zorder=2,
                clip_on=True,
                **_line(arrow),
            )
        )
    if arrow.stopped and 0 <= arrow.end[0] <= pen.sheet.width:
        pen.mark(arrow.end, zorder=4, **_stop(arrow.stopped))
        pen.places.take(Box.around(*arrow.end, 0.12, 0.12))


def _line(arrow: Arrow) -> dict[str, Any]:
    colour = series(REPLY if arrow.message.is_reply else REQUEST)["color"]
    return {"color": colour, "linestyle": (0, (4, 2)) if arrow.message.is_reply else "-"}


def _stop(fate: str) -> dict[str, Any]:
    style = {"marker": STOPS[fate], "color": theme().bad, "markersize": 7, "linestyle": ""}
    return style | ({"markeredgewidth": 2.0} if STOPS[fate] == "x" else {"markeredgewidth": 0})


def draw_notes(pen: Pen, clock_readings: bool) -> int:
    """Notes as dots with their labels; returns how many labels found no room."""
    scene = pen.sheet.scene
    marks = [(note.node, note.at_us, "o", _note_texts(pen, note, clock_readings)) for note in scene.notes]
    marks += [(fault.nodes[0], fault.at * 1e6, "D", [instant_label(fault)]) for fault in scene.instants]
    points = [(pen.sheet.x(at_us), pen.sheet.heights[node]) for node, at_us, _, _ in marks]
    for point, (_, _, marker, _) in zip(points, marks, strict=True):
        pen.mark(point, marker=marker, color=series(NOTE)["color"], markersize=6, linestyle="", zorder=5)
        pen.places.take(Box.around(*point, 0.1, 0.1))
    left_out = 0
    for point, (node, _, _, texts) in zip(points, marks, strict=True):
        # On the side away from the bars there is more room.
        first = 1 if is_below(scene, node) else -1
        left_out += not any(_note(pen, point, text, first) for text in texts)
    return left_out


def _note(pen: Pen, point: tuple[float, float], text: str, first: int) -> bool:
    place = pen.places.put(_beside(point, *pen.ruler.size(text), clear=0.0, first=first))
    if place is not None:
        _lead(pen, point, place)
        pen.text(place, text)
    return place is not None


def _note_texts(pen: Pen, note: Note, clock_readings: bool) -> list[str]:
    """What could stand beside a note, the fullest first: where it has no room, less is tried."""
    digits = 1 if pen.unit == "ms" else 4
    reading = f"\nclock {note.clock_us * pen.scale:.{digits}f} {pen.unit}" if clock_readings else ""
    texts = [note_label(note) + reading, note.label + reading, reading.strip() or note.label]
    return list(dict.fromkeys(texts))


def _lead(pen: Pen, point: tuple[float, float], place: Box) -> None:
    edge = place.bottom if place.bottom > point[1] else place.top
    if abs(edge - point[1]) > CLEAR + 0.02:
        x = min(max(point[0], place.left + 0.05), place.right - 0.05)
        pen.line(point, (x, edge), color=series(NOTE)["color"], linewidth=0.8, zorder=4)


def _beside(
    point: tuple[float, float], width: float, height: float, clear: float, first: int
) -> Iterator[tuple[Box, float]]:
    x, y = point
    for cost, side in ((0.0, first), (0.06, -first)):
        for level in range(LEVELS):
            middle = y + side * (clear + CLEAR + height / 2 + level * (height + 0.04))
            for shift in (0.0, 0.3, -0.3, 0.46, -0.46):
                box = Box.around(x + shift * width, middle, width, height)
                yield box, cost + 0.16 * level + 0.1 * abs(shift)


def label_arrows(pen: Pen) -> int:
    """The method on each request, and why on each message that did not arrive; returns how many found no room."""
    stopped = [arrow for arrow in pen.sheet.arrows if arrow.stopped]
    requests = [arrow for arrow in pen.sheet.arrows if not arrow.stopped and not arrow.message.is_reply]
    left_out = 0
    for arrow in stopped:
        if 0 <= arrow.end[0] <= pen.sheet.width:
            text = f"{arrow.message.method} {FATES[arrow.stopped]}"
            left_out += not _label(pen, text, list(_around_end(arrow, *pen.ruler.size(text))), theme().bad)
    for arrow in requests:
        text = arrow.message.method
        if arrow.message.fate == "duplicated":
            text += " ×2"
        left_out += not _label(pen, text, list(_along(pen, arrow, *pen.ruler.size(text))), _line(arrow)["color"])
    return left_out


def _label(pen: Pen, text: str, candidates: list[tuple[Box, float]], colour: str) -> bool:
    place = pen.places.put(candidates)
    if place is not None:
        pen.text(place, text, color=colour)
    return place is not None or not candidates


def _along(pen: Pen, arrow: Arrow, width: float, height: float) -> Iterator[tuple[Box, float]]:
    for rank, share in enumerate(ALONG_AN_ARROW):
        x, y = arrow.at(share)
        if 0 <= x <= pen.sheet.width:
            yield Box.around(x, y, width, height), 0.05 * rank


def _around_end(arrow: Arrow, width: float, height: float) -> Iterator[tuple[Box, float]]:
    x, y = arrow.end
    gap = 0.09
    for rank, share in enumerate(ALONG_AN_ARROW):
        yield Box.around(*arrow.at(share), width, height), 0.3 + 0.05 * rank
    for cost, across, up in (
        (0, 1, 0),
        (0.05, -1, 0),
        (0.1, 0, -1),
        (0.1, 0, 1),
        (0.15, 1, 1),
        (0.15, 1, -1),
    ):
        yield Box.around(x + across * (width / 2 + gap), y + up * (height / 2 + gap), width, height), cost
