"""Logs for ShiViz: a run as one, and any such log read back, with what its vector clocks say of its events.

ShiViz draws the space-time diagram of a log in which each event has a host, a vector clock as JSON, and a line of text
(Beschastnikh et al., Debugging Distributed Systems, CACM 2016). An entry of a clock counts the events of its host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labkit.causal_events import ARRIVE, BEGIN, END, SEND, CausalEvent, causal_events
from labkit.causality import Vector, vector
from labkit.errors import BadInput
from labkit.history import Note
from labkit.results import Result
from labkit.scenes import note_label, operation_label
from labkit.wording import count

PARSER = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"
"""What `export` writes, in ShiViz's notation: host and clock first, then the event, as GoVector has it."""

SHIVIZ_DEFAULT = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})"
"""What ShiViz itself takes if a log names no parser: the event first."""

GROUPS = ("host", "clock", "event")
LONGEST_QUOTE = 60


@dataclass(frozen=True)
class LoggedEvent:
    """One event of a log; `line` is where it begins."""

    host: str
    clock: Vector
    text: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.host} {json.dumps(dict(self.clock.entries))}\n{self.text}"


@dataclass(frozen=True)
class Log:
    """The events of a log, in its order."""

    events: tuple[LoggedEvent, ...]
    inconsistency: str = field(default="", compare=False)

    @property
    def hosts(self) -> list[str]:
        """The hosts, in order of their first events."""
        return list(dict.fromkeys(event.host for event in self.events))

    @property
    def ordered_pairs(self) -> int | None:
        """Pairs of events of which one happened before the other; None if the clocks contradict each other."""
        # An event's clock counts the events before it, and itself.
        counts = (number for event in self.events for _, number in event.clock.entries)
        return None if self.inconsistency else sum(counts) - len(self.events)

    @property
    def concurrent_pairs(self) -> int | None:
        """The other pairs."""
        ordered = self.ordered_pairs
        return None if ordered is None else len(self.events) * (len(self.events) - 1) // 2 - ordered

    def to_dict(self) -> dict[str, object]:
        """The summary as data."""
        return {
            "hosts": {host: sum(event.host == host for event in self.events) for host in self.hosts},
            "events": len(self.events),
            "ordered_pairs": self.ordered_pairs,
            "concurrent_pairs": self.concurrent_pairs,
            "first_inconsistent_clock": self.inconsistency or None,
        }

    def summary(self) -> str:
        """The same in a few lines."""
        hosts = ", ".join(f"{host} ({sum(event.host == host for event in self.events)})" for host in self.hosts)
        events = f"{count(len(self.events), 'event')} at {count(len(self.hosts), 'host')}: {hosts}"
        ordered, concurrent = self.ordered_pairs, self.concurrent_pairs
        if ordered is None or concurrent is None:
            return f"{events}\n{self.inconsistency}\npairs are not counted, since their clocks contradict each other"
        pairs = f"{count(ordered, 'pair')} ordered, {count(concurrent, 'pair')} concurrent"
        return f"{events}\n{pairs}\nevery clock is consistent with the others"

    def __str__(self) -> str:
        return "".join(f"{event}\n" for event in self.events)


def export(result: Result) -> str:
    """A run as a file that can be uploaded to ShiViz as it is, and that `load` reads as well.

    Line 1 is the parser; line 2, for what stands between several executions, is empty; then comes the log. The clocks
    are those that the nodes noted themselves, if they have vector clocks; otherwise they are worked out from the trace,
    for any experiment. Raises `BadInput` if the run kept no messages.
    """
    if result.recording.messages_sent and not result.messages:
        raise BadInput("the run kept no messages: a ShiViz log needs one that was made with trace=True")
    return f"{PARSER}\n\n{Log(tuple(log_of(result)))}"


def log_of(result: Result) -> Iterator[LoggedEvent]:
    """The events of `export`."""
    own = [note for note in result.notes if isinstance(note.details.get("V"), Vector)]
    if own:
        yield from (LoggedEvent(_host(note), note.details["V"], _noted(note)) for note in own)
    else:
        yield from (LoggedEvent(event.node, event.clock, _told(event)) for event in causal_events(result))


def load(text: str, parser: str | None = None) -> Log:
    """The events of a log. `parser` is a regular expression as ShiViz takes it, with the groups host, clock and event.

    Without one, it is what line 1 says, if that is a parser (line 2 is then what stands between executions); ShiViz's
    default, if lines 1 and 2 are blank; else `PARSER` if the log fits it, and else ShiViz's default.

    Raises `BadInput`, with the line's number, for what the parser does not cover or what is no clock, and for a log of
    several executions. A clock that contradicts another is no error here; ShiViz refuses some such logs and draws
    others. The log's `inconsistency` tells of the first.
    """
    # Windows' editors put the mark of byte order first, and end lines with two characters.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    named, begin = _heading(text)
    if parser is not None or named:
        return _parsed(text, named if parser is None else parser, begin)
    if all(not line.strip() for line in text.split("\n", 2)[:2]):
        return _parsed(text, SHIVIZ_DEFAULT)
    try:
        return _parsed(text, PARSER)
    except BadInput as error:
        try:
            return _parsed(text, SHIVIZ_DEFAULT)
        except BadInput:
            raise error from None


def first_inconsistency(events: Iterable[LoggedEvent]) -> str:
    """The first event whose clock cannot be right, as a sentence; empty if there is none.

    A host's own entry counts its events: 1, 2, 3 and so on, in whatever order the log has them. Other entries never
    fall, and name events that are in the log; and whoever knows an event knows all that it knew.
    """
    known = sorted(events, key=lambda event: event.clock[event.host])
    at: dict[tuple[str, int], LoggedEvent] = {}
    for event in known:
        at.setdefault((event.host, event.clock[event.host]), event)
    before: dict[str, Vector] = {}
    found: list[tuple[int, str]] = []
    for event in known:
        previous = before.get(event.host, Vector())
        before[event.host] = event.clock
        if why := _contradiction(event, previous, at):
            clock = _shown(event.clock)
            found.append((event.line, f"line {event.line}: {event.host}'s clock {clock} is inconsistent: {why}"))
    return min(found, key=lambda each: each[0])[1] if found else ""


def _heading(text: str) -> tuple[str, int]:
    """The parser that line 1 names, if it does, and where the log begins."""
    first, second, *_ = [*text.split("\n", 2), ""]
    if not all(f"(?<{group}>" in first for group in GROUPS):
        return "", 0
    if second.strip():
        raise BadInput("the log has several executions, and only one can be read")
    return first, min(len(first) + len(second) + 2, len(text))


def _parsed(text: str, parser: str, begin: int = 0) -> Log:
    events, position = [], begin
    for found in _pattern(parser).finditer(text, begin):
        _nothing_between(text, position, found.start())
        if found.end() == found.start():
            continue
        position = found.end()
        events.append(_event(text, found))
    _nothing_between(text, position, len(text))
    if not events:
        raise BadInput("line 1: the log has no event")
    return Log(tuple(events), first_inconsistency(events))


def _event(text: str, found: re.Match[str]) -> LoggedEvent:
    for group in GROUPS:
        if found[group] is None:
            raise BadInput(f"line {_line(text, found.start())}: the parser found no {group}")
    line = _line(text, found.start("clock"))
    return LoggedEvent(found["host"], _clock(found["clock"], found["host"], line), found["event"], line)


def _contradiction(event: LoggedEvent, previous: Vector, at: dict[tuple[str, int], LoggedEvent]) -> str:
    own, last = event.clock[event.host], previous[event.host]
    if own != last + 1:
        return f"its own entry is {own}, and should be {last + 1}"
    if not previous <= event.clock:
        return f"the host's event before knew {_shown(previous)}"
    for host, number in event.clock.entries:
        if (host, number) not in at:
            return f"{host} has no event {number} in the log"
        if host != event.host and not at[host, number].clock <= event.clock:
            return f"{host}'s event {number} knew {_shown(at[host, number].clock)}"
        if host != event.host and at[host, number].clock[event.host] >= own:
            return f"{host}'s event {number} knows this event already"
    return ""


def _pattern(parser: str) -> re.Pattern[str]:
    try:
        # Python writes a named group with a P; (?<= and (?<! look behind in both notations.
        pattern = re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", parser), re.MULTILINE)
    except re.error as error:
        raise BadInput(f"parser is {parser!r}: it must be a regular expression ({error})") from None
    missing = [name for name in GROUPS if name not in pattern.groupindex]
    if missing:
        raise BadInput(f"parser is {parser!r}: it must have the group (?<{missing[0]}>…)")
    return pattern


def _nothing_between(text: str, begin: int, end: int) -> None:
    left = text[begin:end]
    if left.strip():
        start = begin + len(left) - len(left.lstrip())
        quoted = text[start:].splitlines()[0][:LONGEST_QUOTE]
        raise BadInput(f"line {_line(text, start)}: {quoted!r} does not match the parser")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _clock(text: str, host: str, line: int) -> Vector:
    try:
        counts = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput(f"line {line}: the clock {text[:LONGEST_QUOTE]!r} is not JSON") from None
    if not isinstance(counts, dict):
        raise BadInput(f"line {line}: the clock {text[:LONGEST_QUOTE]!r} must be an object of hosts and numbers")
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise BadInput(
                f"line {line}: the clock's entry {name!r} is {number!r}: it must be a whole number from 0 up"
            )
    if not host:
        raise BadInput(f"line {line}: the event has no host")
    if not counts.get(host):
        raise BadInput(f"line {line}: the clock has no entry for its own host {host!r}")
    return vector(counts)


def _told(event: CausalEvent) -> str:
    said = [note_label(note) for note in event.notes]
    # A node says what it is about to send, and what it has received.
    return "; ".join([*said, _done(event)] if event.kind == SEND else [_done(event), *said])


def _done(event: CausalEvent) -> str:
    subject = event.subject
    if event.kind in (SEND, ARRIVE):
        what = f"{'answer to ' if subject.is_reply else ''}{subject.method}"
        return f"sends {what} to {subject.target}" if event.kind == SEND else f"receives {what} of {subject.source}"
    if event.kind in (BEGIN, END):
        label = operation_label(subject)[:-2]
        return f"begins {label}" if event.kind == BEGIN else f"{label} ends, {subject.outcome}"
    return _noted(subject)


def _host(note: Note) -> str:
    """Whose entry of its clock an event counts: a node that has restarted counts under another name."""
    stamps = note.details.get("_stamps")
    return note.node if stamps is None else stamps.event[0]


def _noted(note: Note) -> str:
    return re.sub(r"\s+", " ", note_label(note))


def _shown(clock: Vector) -> str:
    return json.dumps(dict(clock.entries))
