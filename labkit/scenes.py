"""What of a run a space-time diagram shows: some nodes, some of their messages, for some time.

Both diagrams begin here, the one on paper and the live one, which runs where there is no matplotlib.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.errors import BadInput
from labkit.faults import Fault, FaultWindow
from labkit.history import Message, Note, Operation
from labkit.naming import Names, plain
from labkit.results import Result
from labkit.wording import count, duration, listed, sentence, shortened

MOST_MESSAGES = 400
LONGEST_NOTE = 30
MOST_TOLD = 6
FATES = {"lost": "lost", "partitioned": "cut off", "held": "held back", "undelivered": "not delivered"}
LONGEST_LABEL = 34
MOST_ROWS = 6
"""So many nodes, or groups of them, get a row of faults each; further ones share the last row."""

FEWEST_BINS, ENOUGH_BINS = 8, 40
OPERATIONS_A_BIN = 10
OF_ONE_INSTANT = ("clock step", "clock drift")


@dataclass(frozen=True)
class Scene:
    """The part of a run that is drawn; times are microseconds, `nodes` go from top to bottom."""

    begin_us: int
    end_us: int
    run_end_us: int
    nodes: list[str]
    messages: list[Message]
    operations: list[Operation]
    notes: list[Note]
    windows: list[FaultWindow]
    instants: list[Fault]
    names: Names = field(default_factory=Names)


def choose_scene(
    result: Result,
    begin: float | None,
    end: float | None,
    nodes: Sequence[str] | None,
    methods: Collection[str] | None,
) -> Scene:
    """The scene asked for; raises `BadInput` if it is empty. How much is too much, each diagram says itself."""
    if result.recording.messages_sent and not result.messages:
        raise BadInput("the run kept no messages: space_time needs one that was made with trace=True")
    present = nodes_of(result)
    if not present:
        raise BadInput("nothing happened in the run: space_time has nothing to draw")
    chosen = list(nodes) if nodes is not None else in_lanes(present, result)
    _check_names("nodes", chosen, present)
    _check_names("methods", methods or (), sorted({message.method for message in result.messages}))
    travels = [
        message
        for message in result.messages
        if message.source != message.target
        and message.source in chosen
        and message.target in chosen
        and (methods is None or message.method in methods)
    ]
    operations = [operation for operation in result.operations if owner(operation, chosen) is not None]
    notes = [note for note in result.notes if note.node in chosen]
    begin_us, end_us = _span(result, begin, end, [*travels, *operations, *notes])
    travels = [message for message in travels if message.sent_us <= end_us and _gone_us(message) >= begin_us]
    return Scene(
        begin_us,
        end_us,
        result.recording.duration_us,
        chosen,
        travels,
        [entry for entry in operations if entry.invoked_us <= end_us and _ended_us(entry, result) >= begin_us],
        [note for note in notes if begin_us <= note.at_us <= end_us],
        [window for window in result.fault_windows if window.begin * 1e6 < end_us and window.end * 1e6 > begin_us],
        [
            fault
            for fault in result.faults
            if fault.kind in OF_ONE_INSTANT and begin_us <= fault.at * 1e6 <= end_us and fault.nodes[0] in chosen
        ],
        Names.of(result.operations),
    )


def last_event(result: Result, nodes: Collection[str] | None) -> float | None:
    """When the last thing happens at these nodes (all by default), and a little later, in seconds: a picture's end.

    None for the run's own end, where something has not come to its end by then.
    """
    chosen = nodes_of(result) if nodes is None else nodes
    operations = [operation for operation in result.operations if owner(operation, chosen) is not None]
    messages = [message for message in result.messages if message.source in chosen and message.target in chosen]
    faults = [fault for fault in result.faults if {*fault.nodes, *fault.others} & {*chosen}]
    if any(operation.returned_us is None for operation in operations):
        return None
    if any(message.arrived_us is None and message.fate == "sent" for message in messages):
        return None
    starts = [_started_us(event) for event in (*messages, *operations)]
    ends = [message.arrived_us for message in messages if message.arrived_us is not None]
    ends += [operation.returned_us for operation in operations if operation.returned_us is not None]
    ends += [note.at_us for note in result.notes if note.node in chosen] + [round(fault.at * 1e6) for fault in faults]
    if not starts or max(starts + ends) >= result.recording.duration_us:
        return None
    room_us = (max(starts + ends) - min(starts)) // 25
    return min(max(starts + ends) + room_us + 1, result.recording.duration_us) / 1e6


def check_number(scene: Scene) -> None:
    """Raise `BadInput` if the scene holds too many messages to be read, with a shorter one proposed."""
    messages = scene.messages
    if len(messages) <= MOST_MESSAGES:
        return
    # Half of what is allowed still makes a dense picture, so the end proposed is a good one.
    proposed = sorted(message.sent_us for message in messages)[MOST_MESSAGES // 4] / 1e6
    raise BadInput(
        f"space_time would draw {len(messages):,} messages, more than {MOST_MESSAGES}: narrow it with begin and end "
        f"(say begin={scene.begin_us / 1e6:g}, end={proposed:g} seconds), nodes or methods"
    )


def stopped(scene: Scene, message: Message) -> str:
    """The fate of a message that came to nothing; empty if it arrived, or was on its way when the run ended."""
    if message.arrived_us is not None or message.fate not in FATES:
        return ""
    if message.fate == "undelivered" and outage_met(scene, message) is None:
        return ""
    return message.fate


def outage_met(scene: Scene, message: Message) -> FaultWindow | None:
    """The crash during which an undelivered message came to its target, as far as can be told from the trace."""
    return next(
        (
            window
            for window in scene.windows
            if window.kind == "crash" and message.target in window.nodes and window.end * 1e6 > message.sent_us
        ),
        None,
    )


def nodes_of(result: Result) -> list[str]:
    """Every node that sent, received, noted or suffered something, in natural order."""
    found = {name for message in result.messages for name in (message.source, message.target)}
    found.update(note.node for note in result.notes)
    found.update(name for fault in result.faults for name in (*fault.nodes, *fault.others))
    # A client that sent nothing has operations all the same.
    strangers = [operation.process for operation in result.operations if owner(operation, found) is None]
    found.update(re.sub(r"\.\d+$", "", process) for process in strangers)
    return sorted(found, key=_natural)


def in_lanes(nodes: Sequence[str], result: Result) -> list[str]:
    """The nodes from top to bottom: clients outside, half of them below, so that arrows pass few of their bars."""
    clients = {owner(operation, nodes) for operation in result.operations}
    outside = [name for name in nodes if name in clients]
    inside = [name for name in nodes if name not in clients]
    above = (len(outside) + 1) // 2
    return outside[:above] + inside + outside[above:]


def owner(operation: Operation, nodes: Collection[str]) -> str | None:
    """The node whose operation it is: a process is called for its node, or for that and a number of its own."""
    if operation.process in nodes:
        return operation.process
    name = operation.process.rpartition(".")[0]
    return name if name in nodes else None


def operation_label(operation: Operation, names: Names | None = None) -> str:
    """The operation in a few words, with how it ended: ``write x = 1 ✓``."""
    mark = {"ok": "✓", "fail": "✗"}.get(operation.outcome, "?")
    return f"{(names or Names()).both(operation)} {mark}"


def ended_by(message: Message, operations: Iterable[Operation]) -> Operation | None:
    """The operation of the receiving node that ended when the message arrived, if any did."""
    if message.arrived_us is None:
        return None
    ended = (operation for operation in operations if operation.returned_us == message.arrived_us)
    return next((operation for operation in ended if owner(operation, (message.target,)) is not None), None)


def note_label(note: Note) -> str:
    """The note with its details; those whose names begin with an underscore are for checkers alone."""
    told = [(name, value) for name, value in note.details.items() if not name.startswith("_")]
    details = ", ".join(f"{name} {plain(value)}" for name, value in told)
    return shortened(f"{note.label} {details}".rstrip(), LONGEST_NOTE)


def instant_label(fault: Fault) -> str:
    """A change of a clock in a few words."""
    return f"clock {fault.amount:+g} s" if fault.kind == "clock step" else f"drift {fault.amount:+g} ppm"


def fault_rows(windows: Sequence[FaultWindow]) -> dict[str, list[FaultWindow]]:
    """The windows in rows of their own by what happened to whom; whatever is too many shares the last row."""
    rows: dict[str, list[FaultWindow]] = {}
    for window in windows:
        rows.setdefault(fault_label(window), []).append(window)
    if len(rows) <= MOST_ROWS:
        return rows
    labels = list(rows)
    kept, rest = labels[: MOST_ROWS - 1], labels[MOST_ROWS - 1 :]
    together = [window for label in rest for window in rows[label]]
    return {label: rows[label] for label in kept} | {f"and of {len(rest)} others": together}


def fault_label(window: FaultWindow) -> str:
    """What happened to whom, in a few words."""
    if not window.others:
        return shortened(f"{window.kind} {', '.join(window.nodes)}", LONGEST_LABEL)
    sides = [side[0] if len(side) == 1 else f"{len(side)} nodes" for side in (window.nodes, window.others)]
    fits = f"{window.kind} {', '.join(window.nodes)} | {sides[1]}"
    return fits if len(fits) <= LONGEST_LABEL else f"{window.kind} {sides[0]} | {sides[1]}"


def bin_width(length: float, operations: int) -> float:
    """A round width, in seconds, that makes 40 to 100 bins of `length`, or fewer if they would be all but empty."""
    bins = min(max(operations // OPERATIONS_A_BIN, FEWEST_BINS), ENOUGH_BINS)
    if length <= 0:
        return 1.0
    # A step more than the power says: the logarithm of what is just below a power of ten rounds up to it.
    power = 10 ** math.floor(math.log10(length / bins))
    return max(power * step for step in (0.5, 1, 2, 5) if power * step <= length / bins)


def in_words(scene: Scene) -> str:
    """The scene as plain sentences."""
    length = f"from {duration(scene.begin_us / 1e6)} to {duration(scene.end_us / 1e6)}"
    requests = sum(not message.is_reply for message in scene.messages)
    text = (
        f"Space-time diagram of {listed(scene.nodes)}, {length}: {count(requests, 'request')} and "
        f"{len(scene.messages) - requests:,} {'reply' if len(scene.messages) - requests == 1 else 'replies'}."
    )
    for fate, said in FATES.items():
        if missing := sum(stopped(scene, message) == fate for message in scene.messages):
            text += f" {count(missing, 'message')} {said}."
    told = [_operation_in_words(operation, scene.names) for operation in scene.operations[:MOST_TOLD]]
    told += [f"{note.node} notes {note_label(note)}" for note in scene.notes[:MOST_TOLD]]
    for window in scene.windows[:MOST_TOLD]:
        when = f"from {duration(window.begin)} to {duration(window.end)}"
        told.append(f"{window.kind} of {listed(window.nodes)} {when}")
    return " ".join([text, *map(sentence, told)])


def _operation_in_words(operation: Operation, names: Names) -> str:
    took = f"took {duration(operation.latency)}" if operation.returned_us is not None else "got no response"
    return f"{operation.process}: {names.both(operation)} {took}, {operation.outcome}"


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _span(result: Result, begin: float | None, end: float | None, events: Sequence[Any]) -> tuple[int, int]:
    starts = [_started_us(event) for event in events]
    last_us = max(result.recording.duration_us, *starts, 1) if starts else max(result.recording.duration_us, 1)
    end_us = last_us if end is None else round(end * 1e6)
    first_us = min((start for start in starts if start < end_us), default=0)
    # Nothing happens before the first arrival; a little of it shows that the lanes were there.
    begin_us = max(first_us - (end_us - first_us) // 40, 0) if begin is None else round(begin * 1e6)
    if begin_us >= end_us:
        raise BadInput(f"end is {end_us / 1e6:g} s: it must be after begin, which is {begin_us / 1e6:g} s")
    return begin_us, end_us


def _started_us(event: Message | Operation | Note) -> int:
    if isinstance(event, Message):
        return event.sent_us
    return event.at_us if isinstance(event, Note) else event.invoked_us


def _gone_us(message: Message) -> int:
    return message.sent_us if message.arrived_us is None else message.arrived_us


def _ended_us(operation: Operation, result: Result) -> int:
    return result.recording.duration_us if operation.returned_us is None else operation.returned_us


def _check_names(what: str, chosen: Collection[str], known: Sequence[str]) -> None:
    for name in chosen:
        if name not in known:
            raise BadInput(f"{what} names {name!r}: the run has {', '.join(known) or 'none'}")
