"""What a reader needs of any figure: every label whole, and none upon another."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from labkit.figures import Drawing

SMALLEST_FONT = 9
SLACK_PIXELS = 1.0


def assert_legible(figure: Drawing) -> None:
    """The figure renders, and its labels are whole, large enough and apart; it is described in words."""
    picture = Image.open(BytesIO(figure.png()))
    assert picture.format == "PNG" and picture.width == 1400
    boxes = labels_of(figure)
    assert boxes, "nothing is labelled"
    sheet = figure.bbox
    for text, box in boxes:
        inside = box.x0 >= sheet.x0 - SLACK_PIXELS and box.x1 <= sheet.x1 + SLACK_PIXELS
        inside = inside and box.y0 >= sheet.y0 - SLACK_PIXELS and box.y1 <= sheet.y1 + SLACK_PIXELS
        assert inside, f"{text.get_text()!r} is cut off"
        assert text.get_fontsize() >= SMALLEST_FONT, f"{text.get_text()!r} is small"
    for (one, box), (other, other_box) in combinations(boxes, 2):
        assert not overlap(box, other_box), f"{one.get_text()!r} lies upon {other.get_text()!r}"
    assert figure.alt_text.endswith(".") and "nan" not in figure.alt_text


def labels_of(figure: Drawing) -> list[tuple[Text, Bbox]]:
    """Every text that is drawn, with its box in pixels."""
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    found: dict[int, Text] = {}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            found[id(text)] = text
    for axes in figure.axes:
        for text in _hidden_ticks(axes):
            found.pop(id(text), None)
    return [(text, text.get_window_extent(renderer)) for text in found.values()]


def overlap(one: Bbox, other: Bbox) -> bool:
    """Whether two boxes share more than their edges."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    upwards = min(one.y1, other.y1) - max(one.y0, other.y0)
    return across > SLACK_PIXELS and upwards > SLACK_PIXELS


def _hidden_ticks(axes: Axes) -> list[Text]:
    # An axis keeps labels for ticks outside its limits, and second labels for its other side.
    hidden = []
    for axis in (axes.xaxis, axes.yaxis):
        shown = axis._update_ticks() if axis.get_visible() and axes.get_visible() else []
        drawn = {id(tick.label1) for tick in shown if tick.label1.get_visible()}
        every = [label for tick in (*axis.majorTicks, *axis.minorTicks) for label in (tick.label1, tick.label2)]
        hidden += [label for label in every if id(label) not in drawn]
    return hidden
