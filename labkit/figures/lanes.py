"""Where everything of a space-time diagram goes: lanes, bars and arrows; lengths are inches, from the lower left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from labkit.figures.labels import Box, Ruler
from labkit.history import Message, Operation
from labkit.scenes import Scene, operation_label, outage_met, owner, stopped

BAR = 0.1
BAR_WITH_LABEL = 0.37
BAR_ALONE = 0.15
MOST_LABELLED_ROWS = 5
GAP, GAP_OF_FEW = 0.66, 1.0
FEW_LANES = 3
NOTE_ROW = 0.34
MANY_NOTES = 4
STRIP_ROW = 0.24
BETWEEN_BARS = 0.03
BETWEEN_LABELS = 0.1
FURTHEST = 0.56
"""How far a lost message gets: past the middle, so that its end is not mistaken for an arrowhead's."""


@dataclass(frozen=True)
class Arrow:
    """A message on the sheet; `end` is where it arrives or, if its fate has `stopped` it, where that befell it."""

    message: Message
    begin: tuple[float, float]
    end: tuple[float, float]
    stopped: str = ""

    def at(self, share: float) -> tuple[float, float]:
        """The point that far along."""
        (x, y), (to_x, to_y) = self.begin, self.end
        return x + (to_x - x) * share, y + (to_y - y) * share


@dataclass(frozen=True)
class Bar:
    """An operation on the sheet, with the left end and the middle height of its label, if it has one."""

    operation: Operation
    box: Box
    label: str
    label_box: Box | None


@dataclass
class Sheet:
    """The laid out diagram: `heights` are those of the lanes, `strip` the lowest line of the faults above them."""

    scene: Scene
    width: float
    height: float
    heights: dict[str, float]
    strip: float
    bars: list[Bar]
    arrows: list[Arrow]

    def x(self, time_us: float) -> float:
        """Inches from the left edge."""
        return (time_us - self.scene.begin_us) / (self.scene.end_us - self.scene.begin_us) * self.width


def lay_out(scene: Scene, width: float, ruler: Ruler, strip_rows: int) -> Sheet:
    """Give everything in the scene its place on a sheet as high as it takes."""
    sheet = Sheet(scene, width, 0.0, {}, 0.0, [], [])
    rows = {name: _rows(sheet, name, ruler) for name in scene.nodes}
    above, below = _rooms(scene, rows)
    gap = GAP_OF_FEW if len(scene.nodes) <= FEW_LANES else GAP
    y = -STRIP_ROW * strip_rows
    heights: dict[str, float] = {}
    for number, name in enumerate(scene.nodes):
        drop = above[name] if number == 0 else below[scene.nodes[number - 1]] + above[name]
        y -= drop if number == 0 else max(drop, gap)
        heights[name] = y
    sheet.height = below[scene.nodes[-1]] - y
    sheet.heights = {name: height + sheet.height for name, height in heights.items()}
    sheet.strip = sheet.height - STRIP_ROW * strip_rows
    for name, packed in rows.items():
        sheet.bars += _bars(sheet, name, packed, ruler)
    sheet.arrows = _arrows(sheet)
    return sheet


def is_below(scene: Scene, name: str) -> bool:
    """Whether the lane has its bars below it: in the lower half they then lie outside the traffic."""
    return scene.nodes.index(name) > (len(scene.nodes) - 1) / 2


@dataclass
class _Rows:
    rows: list[list[Operation]]
    labelled: bool

    @property
    def pitch(self) -> float:
        return BAR_WITH_LABEL if self.labelled else BAR_ALONE


def _rows(sheet: Sheet, name: str, ruler: Ruler) -> _Rows:
    mine = [entry for entry in sheet.scene.operations if owner(entry, sheet.scene.nodes) == name]
    labelled = _Rows(_pack(sheet, mine, ruler), True)
    # Where much happens at once, bars without words say more than a tower of labels.
    return labelled if len(labelled.rows) <= MOST_LABELLED_ROWS else _Rows(_pack(sheet, mine, None), False)


def _pack(sheet: Sheet, operations: Sequence[Operation], ruler: Ruler | None) -> list[list[Operation]]:
    rows: list[list[Operation]] = []
    free: list[tuple[float, float]] = []  # where the last bar, and the last label, of each row end
    for operation in operations:
        left, right = _ends(sheet, operation)
        start, stop = _label_ends(sheet, operation, ruler) if ruler else (left, right)
        fitting = (number for number, (bar, label) in enumerate(free) if bar <= left and label <= start)
        row = next(fitting, len(free))
        if row == len(free):
            rows.append([])
            free.append((0.0, 0.0))
        rows[row].append(operation)
        free[row] = right, stop + BETWEEN_LABELS
    return rows


def _label_ends(sheet: Sheet, operation: Operation, ruler: Ruler) -> tuple[float, float]:
    width = ruler.size(operation_label(operation, sheet.scene.names))[0]
    start = max(min(_ends(sheet, operation)[0], sheet.width - width), 0.0)
    return start, start + width


def _ends(sheet: Sheet, operation: Operation) -> tuple[float, float]:
    scene = sheet.scene
    end_us = scene.run_end_us if operation.returned_us is None else operation.returned_us
    return sheet.x(max(operation.invoked_us, scene.begin_us)), sheet.x(min(end_us, scene.end_us))


def _rooms(scene: Scene, rows: dict[str, _Rows]) -> tuple[dict[str, float], dict[str, float]]:
    above, below = {}, {}
    noting = [note.node for note in scene.notes] + [fault.nodes[0] for fault in scene.instants]
    for name in scene.nodes:
        bars = len(rows[name].rows) * rows[name].pitch + 0.06
        notes = NOTE_ROW * (2 if noting.count(name) > MANY_NOTES else bool(noting.count(name)))
        under = is_below(scene, name)
        above[name] = 0.16 + notes + (0.0 if under else bars)
        below[name] = 0.16 + notes + (bars if under else 0.0)
    return above, below


def _bars(sheet: Sheet, name: str, packed: _Rows, ruler: Ruler) -> list[Bar]:
    outward = -1 if is_below(sheet.scene, name) else 1
    bars = []
    for number, row in enumerate(packed.rows):
        for operation in row:
            left, right = _ends(sheet, operation)
            inner = sheet.heights[name] + outward * (0.04 + number * packed.pitch)
            outer = inner + outward * BAR
            box = Box(left, min(inner, outer), max(right - BETWEEN_BARS, left + 0.03), max(inner, outer))
            label = operation_label(operation, sheet.scene.names)
            start, stop = _label_ends(sheet, operation, ruler)
            height = ruler.size(label)[1]
            middle = outer + outward * (0.02 + height / 2)
            place = Box(start, middle - height / 2, stop, middle + height / 2)
            bars.append(Bar(operation, box, label, place if packed.labelled else None))
    return bars


def _arrows(sheet: Sheet) -> list[Arrow]:
    scene = sheet.scene
    delays = [message.arrived_us - message.sent_us for message in scene.messages if message.arrived_us is not None]
    usual = max(median(delays) if delays else 0, (scene.end_us - scene.begin_us) / 40)
    return [_arrow(sheet, message, usual) for message in scene.messages]


def _arrow(sheet: Sheet, message: Message, usual: float) -> Arrow:
    scene, begin = sheet.scene, (sheet.x(message.sent_us), sheet.heights[message.source])
    target = sheet.heights[message.target]
    if message.arrived_us is not None:
        return Arrow(message, begin, (sheet.x(message.arrived_us), target))
    fate = stopped(scene, message)
    if not fate:
        # Still on its way when the run ended: it runs into the edge of the sheet.
        late = max(scene.run_end_us - message.sent_us, usual)
        return Arrow(message, begin, (sheet.x(message.sent_us + late * 1.25), target))
    outage = outage_met(scene, message)
    if fate == "undelivered" and outage is not None:
        # The trace does not say when it came to a node that was down; some time in that outage it was.
        met_us = min(max(message.sent_us + usual, outage.begin * 1e6), outage.end * 1e6)
        return Arrow(message, begin, (sheet.x(met_us), target), fate)
    whole = Arrow(message, begin, (sheet.x(message.sent_us + usual), target))
    return Arrow(message, begin, whole.at(FURTHEST), fate)
