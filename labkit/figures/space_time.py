"""The space-time diagram: a lane for each node, time from left to right, and every message as an arrow."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labkit.figures.drawing import WIDTH, Drawing, caption, headline
from labkit.figures.labels import Box, Places, Ruler, Strokes
from labkit.figures.lanes import lay_out
from labkit.figures.marks import (
    Pen,
    draw_arrows,
    draw_bars,
    draw_lanes,
    draw_notes,
    draw_outages,
    draw_strip,
    label_arrows,
)
from labkit.figures.style import styled
from labkit.results import Result
from labkit.scenes import check_number, choose_scene, in_words
from labkit.wording import count, provenance, words

RIGHT_MARGIN = 0.22
TITLE_HEIGHT = 0.34
KEY_ROW = 0.2
BELOW_AXES = 0.56
CAPTION_ROW = 0.172


@styled
def space_time(
    result: Result,
    begin: float | None = None,
    end: float | None = None,
    nodes: Sequence[str] | None = None,
    methods: Collection[str] | None = None,
    clock_readings: bool = False,
    labels: bool = True,
) -> Drawing:
    """Who sent what to whom, when it arrived, and what became of the rest, from `begin` to `end` (seconds).

    Without them the whole run is drawn, from where something happens. `nodes` are the lanes from top to bottom,
    `methods` the messages to draw; `clock_readings` adds what its node's clock said to each note. Raises
    `BadInput` if more than 400 messages would be drawn. A node's messages to itself are left out.
    """
    scene = choose_scene(result, begin, end, nodes, methods)
    check_number(scene)
    cuts = [window for window in scene.windows if window.kind in ("partition", "hold")]
    figure = Drawing(height=1.0, layout="none")
    ruler = Ruler(figure.canvas)
    margin = max(ruler.size(name)[0] for name in scene.nodes) + 0.24
    sheet = lay_out(scene, WIDTH - margin - RIGHT_MARGIN, ruler, len(cuts))
    strokes = Strokes([(arrow.begin, arrow.end) for arrow in sheet.arrows])
    pen = Pen(figure.add_axes((0, 0, 1, 1)), sheet, Places(Box(0, 0, sheet.width, sheet.strip), strokes), ruler)
    draw_lanes(pen)
    draw_strip(pen, cuts)
    draw_bars(pen)
    draw_outages(pen, scene.windows)
    keys = draw_arrows(pen)
    left_out = draw_notes(pen, clock_readings) + (label_arrows(pen) if labels else 0)
    key_rows = headline(figure, f"{words(result.experiment)}: who sent what, and when".capitalize(), keys, len(keys))
    dropped = result.recording.messages_dropped_from_trace
    remarks = [
        f"{count(left_out, 'label')} left out for want of room." if left_out else "",
        f"The trace was full: {count(dropped, 'message')} of the run were not kept." if dropped else "",
    ]
    _frame(figure, pen, margin, key_rows, caption(figure, provenance([result]), *remarks))
    figure.alt_text = in_words(scene)
    return figure


def _frame(figure: Drawing, pen: Pen, margin: float, key_rows: int, lines: int) -> None:
    above = TITLE_HEIGHT + KEY_ROW * key_rows
    below = BELOW_AXES + CAPTION_ROW * lines
    height = pen.sheet.height + above + below
    figure.set_figheight(height)
    axes = pen.axes
    axes.set_position((margin / WIDTH, below / height, pen.sheet.width / WIDTH, pen.sheet.height / height))
    axes.set_yticks([])
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"true time ({pen.unit})")
