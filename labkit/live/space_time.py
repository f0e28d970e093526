"""Who sent what to whom, and when: the data of the space-time diagram that a page plays step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.causal_events import ARRIVE, BEGIN, END, NOTE, SEND, causal_events
from labkit.clocks import Timestamp
from labkit.errors import BadInput
from labkit.history import Message, Operation
from labkit.lab import Experiment
from labkit.live.controls import said
from labkit.live.latencies import Latencies
from labkit.live.pictures import MOST_ROWS, Drawn, Picture, picture, texts_option
from labkit.results import Result, Verdict
from labkit.scenes import (
    MOST_TOLD,
    Scene,
    choose_scene,
    in_words,
    instant_label,
    last_event,
    note_label,
    owner,
    stopped,
)
from labkit.wording import count, sentence, words

MOST_MESSAGES = 120
"""More arrows than this are no longer told apart on a page."""

IN_SECONDS_FROM_US = 10_000_000


@picture("space_time")
@dataclass(frozen=True)
class SpaceTime(Picture):
    """A run from `begin` to `end` (seconds), with these `nodes` as lanes and these `methods` as arrows."""

    begin: float | None = None
    end: float | None = None
    nodes: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    traced = True

    def __post_init__(self) -> None:
        for name in ("begin", "end"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (is_number and 0 <= value < 1e9):
                raise BadInput(f"{name} is {value!r}: it must be a number of seconds")
        for name in ("nodes", "methods"):
            object.__setattr__(self, name, texts_option(name, getattr(self, name)))

    def draw(self, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """The scene as data; raises `BadInput` if it holds more than can be read."""
        end = last_event(result, self.nodes) if self.end is None else self.end
        scene = choose_scene(result, self.begin, end, self.nodes, self.methods)
        if len(scene.messages) > MOST_MESSAGES:
            raise BadInput(_too_many(len(scene.messages), result, experiment))
        return _Sheet(scene, result, experiment).drawn()

    def overlay(self, measured: Result, result: Result, others: Sequence[Result], experiment: Experiment) -> Drawn:
        """Two runs cannot share their arrows: their latencies are compared instead."""
        return Latencies().overlay(measured, result, others, experiment)


def space_time(
    begin: float | None = None,
    end: float | None = None,
    nodes: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
) -> SpaceTime:
    """The space-time diagram, for runs of up to 120 messages; operations that a counterexample names are flagged."""
    return SpaceTime(begin, end, nodes, methods)


def _too_many(messages: int, result: Result, experiment: Experiment) -> str:
    sizes = experiment.expected_events(result.parameters)
    dial = max(sizes, key=lambda name: sizes[name]) if sizes else ""
    now = f": lower {dial}, which is {said(experiment.dials[dial], result.parameters[dial])}" if dial else ""
    return f"the run has {messages:,} messages, more than the {MOST_MESSAGES} that can be told apart{now}"


class _Sheet:
    """One scene in the unit in which it is drawn."""

    def __init__(self, scene: Scene, result: Result, experiment: Experiment):
        self.scene, self.result, self.names = scene, result, scene.names
        self.states = experiment.states_of(result)
        self.state_names = [name for name in experiment.state_names if any(each.label == name for each in self.states)]
        self.answers = experiment.answers_of(result)
        self.lanes = {name: number for number, name in enumerate(scene.nodes)}
        self.unit, self.size = ("s", 1e6) if scene.end_us > IN_SECONDS_FROM_US else ("ms", 1e3)
        self.remarks = {
            number: remark
            for verdict in reversed(result.verdicts)  # of two remarks on one operation, the first verdict's stays
            for number, remark in _flagged(verdict, scene.operations).items()
        }

    def drawn(self) -> Drawn:
        """The picture."""
        return {
            "kind": "space-time",
            "unit": self.unit,
            "begin": self._at(self.scene.begin_us),
            "end": self._at(self.scene.end_us),
            "lanes": [{"node": name} for name in self.scene.nodes],
            "states": self._states(),
            "messages": [self._message(message) for message in self.scene.messages],
            "operations": [self._operation(number, entry) for number, entry in enumerate(self.scene.operations)],
            "notes": [drawn for _, drawn in self._notes()],
            "windows": self._windows(),
            "events": self._events(),
            "flagged": sorted(self.remarks),
            "text": self._text(),
            "table": self._table(),
        }

    def _at(self, time_us: float) -> float:
        return round(time_us / self.size, 3 if self.unit == "ms" else 6)

    def _message(self, message: Message) -> dict[str, Any]:
        fate = message.fate
        if message.arrived_us is None and fate in ("sent", "undelivered"):
            # Still on its way when the run ended, unless its target was down.
            fate = "undelivered" if stopped(self.scene, message) else "sent"
        return {
            "from": self.lanes[message.source],
            "to": self.lanes[message.target],
            "sent": self._at(message.sent_us),
            "arrives": None if message.arrived_us is None else self._at(message.arrived_us),
            "fate": fate,
            "reply": message.is_reply,
            "label": message.method,
        } | ({"says": self.answers[id(message)]} if id(message) in self.answers else {})

    def _states(self) -> list[dict[str, Any]]:
        """The states of the lanes, by their place among all of the run, so that a pattern keeps its meaning."""
        scene = self.scene
        return [
            {
                "lane": self.lanes[each.node],
                "begin": self._at(max(each.begin_us, scene.begin_us)),
                "end": self._at(min(each.end_us, scene.end_us)),
                "state": each.label,
                "kind": self.state_names.index(each.label),
            }
            for each in self.states
            if each.node in self.lanes and each.begin_us < scene.end_us and each.end_us > scene.begin_us
        ]

    def _operation(self, number: int, operation: Operation) -> dict[str, Any]:
        node = owner(operation, self.lanes)
        return {
            "lane": self.lanes[node] if node is not None else 0,
            "begin": self._at(operation.invoked_us),
            "end": None if operation.returned_us is None else self._at(operation.returned_us),
            "label": self.names.label(operation),
            "result": self.names.result(operation),
            "told": str(operation).partition("  [")[0],
            "outcome": operation.outcome,
            "remark": "; ".join(filter(None, (self._stamp(operation), self.remarks.get(number, "")))),
        }

    def _stamp(self, operation: Operation) -> str:
        stamp = operation.value
        if not isinstance(stamp, Timestamp) or operation.function != "write":
            return ""
        ahead_us = stamp.physical_us - operation.invoked_us
        wrong = f", {abs(ahead_us) / 1e3:.1f} ms {'ahead of' if ahead_us > 0 else 'behind'} true time"
        return f"stamped {stamp.physical_us / 1e3:.1f} ms{wrong if ahead_us else ''}"

    def _notes(self) -> list[tuple[Any, dict[str, Any]]]:
        """Each note, or change of a clock, and how it is drawn, in the order of their times.

        Where every clock shows the true time, its reading would only say once more what the axis does.
        """
        is_telling = any(note.clock_us != note.at_us for note in self.scene.notes)
        notes: list[tuple[Any, dict[str, Any]]] = [
            (
                note,
                {
                    "lane": self.lanes[note.node],
                    "at": self._at(note.at_us),
                    "label": note_label(note),
                    "clock": self._at(note.clock_us) if is_telling else None,
                },
            )
            for note in self.scene.notes
        ]
        for fault in self.scene.instants:
            at = self._at(fault.at * 1e6)
            drawn = {"lane": self.lanes[fault.nodes[0]], "at": at, "label": instant_label(fault), "clock": None}
            notes.append((fault, drawn))
        return sorted(notes, key=lambda note: note[1]["at"])

    def _events(self) -> list[list[Any]]:
        """What can be chosen in the picture: kind, index of the message, operation or note, vector clock, notes.

        The clock has an entry for each lane. It counts all events of the run, also those that the picture leaves out:
        one event is before another if the other's clock, at the one's lane, is not behind the one's own.
        """
        scene = self.scene
        drawn = {SEND: scene.messages, BEGIN: scene.operations, NOTE: [note for note, _ in self._notes()]}
        drawn |= {ARRIVE: drawn[SEND], END: drawn[BEGIN]}
        # By identity: two messages may be alike in all that the trace has of them.
        places = {kind: {id(subject): index for index, subject in enumerate(drawn[kind])} for kind in drawn}
        found = []
        for event in causal_events(self.result):
            index = places[event.kind].get(id(event.subject))
            if index is None or not scene.begin_us <= event.at_us <= scene.end_us:
                continue
            told = [places[NOTE][id(note)] for note in event.notes if id(note) in places[NOTE]]
            counts = dict(event.clock.entries)
            clock = [counts.get(node, 0) for node in scene.nodes]
            found.append([event.kind, index, clock, told] if told else [event.kind, index, clock])
        return found

    def _windows(self) -> list[dict[str, Any]]:
        found = []
        for window in self.scene.windows:
            begin = max(window.begin * 1e6, self.scene.begin_us)
            end = min(window.end * 1e6, self.scene.end_us)
            lanes = [self.lanes[name] for name in window.nodes if name in self.lanes]
            found.append({"kind": window.kind, "begin": self._at(begin), "end": self._at(end), "lanes": lanes})
        return found

    def _text(self) -> str:
        told = [in_words(self.scene)]
        for number, remark in sorted(self.remarks.items()):
            operation = self.scene.operations[number]
            told.append(sentence(f"{operation.process}, {self.names.both(operation)}: {remark}"))
        unit = self.unit
        for state in self._states()[:MOST_TOLD]:
            node = self.scene.nodes[state["lane"]]
            told.append(sentence(f"{node}: {state['state']} from {state['begin']:g} to {state['end']:g} {unit}"))
        return " ".join(told)

    def _table(self) -> dict[str, Any]:
        rows = []
        for number, operation in enumerate(self.scene.operations[:MOST_ROWS]):
            drawn = self._operation(number, operation)
            end = "no response" if drawn["end"] is None else f"{drawn['end']:g}"
            rows.append(
                [
                    operation.process,
                    self.names.both(operation),
                    f"{drawn['begin']:g}",
                    end,
                    drawn["outcome"],
                    drawn["remark"],
                ]
            )
        left = len(self.scene.operations) - len(rows)
        if left > 0:
            rows[-1] = [f"and {count(left + 1, 'further operation')}", "", "", "", "", ""]
        unit = self.unit
        return {
            "head": ["process", "operation", f"begins ({unit})", f"ends ({unit})", "outcome", "remark"],
            "rows": rows,
        }


def _flagged(verdict: Verdict, operations: Sequence[Operation]) -> dict[int, str]:
    """Which operations a counterexample names, by their number, and what part each played in it."""
    # By identity: two operations may be alike in all that they record.
    numbers = {id(operation): number for number, operation in enumerate(operations)}
    story = verdict.counterexample
    roles = verdict.roles
    if len(roles) != len(story):
        roles = (f"part of the counterexample to {words(verdict.property)!r}",) * len(story)
    return {numbers[id(entry)]: role for entry, role in zip(story, roles, strict=True) if id(entry) in numbers}
