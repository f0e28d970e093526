"""What a run returns: measures with units, verdicts, and the history they were drawn from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from textwrap import indent
from typing import TYPE_CHECKING, Any

from labkit.errors import BadInput
from labkit.faults import FaultWindow, windows
from labkit.history import ORDERS, Fault, Message, Note, Operation, Recording
from labkit.statistics import nearest_rank
from labkit.wording import duration

if TYPE_CHECKING:
    from pandas import DataFrame

HOLDS, ILLEGAL, UNDECIDED = "OK", "ILLEGAL", "UNKNOWN"
UNTESTED = "NOT TESTED"
"""What readers are told in place of ``UNKNOWN`` where the checker had nothing to judge."""


@dataclass(frozen=True)
class Measure:
    """One number of a run, with its unit and a line that says what it is. No samples make it NaN."""

    name: str
    value: float
    unit: str = ""
    help: str = ""

    def __str__(self) -> str:
        return self.said(self.value)

    def said(self, value: float) -> str:
        """A value of this kind as a reader would write it: shares in percent, times in the unit that suits them."""
        if math.isnan(value):
            return "no samples"
        if self.is_share:
            percent = f"{100 * value:.3g}"
            return f"{100 * value:.6g}%" if percent == "100" and value < 1 else f"{percent}%"
        if self.unit == "s":
            return duration(value)
        number = f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
        return f"{number} {self.unit}".rstrip()

    @property
    def is_share(self) -> bool:
        """Whether it is a part of a whole, which is said in percent."""
        return says_share(self.help)


def says_share(meaning: str) -> bool:
    """Whether a measure of which this is said is a part of a whole; its help then begins with "share of"."""
    return meaning.startswith("share of")


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a checker found: ``OK``, ``ILLEGAL`` with the smallest counterexample it has, or ``UNKNOWN``.

    ``UNKNOWN`` means that the checker's budget ran out, or that it had nothing to judge; it is never success. It is
    `vacuous` if it had nothing to judge: the run holds no case of what the property is about. The counterexample is
    operations, stretches, and events: whatever has a `node`, a `label` and `at_us`. `roles` says of each what part it
    played, and `offending` is the place of the one that should not have been; None where no single one is to blame.
    """

    property: str
    status: str
    explanation: str = ""
    counterexample: tuple[Any, ...] = ()
    roles: tuple[str, ...] = ()
    vacuous: bool = False
    offending: int | None = None

    def __post_init__(self) -> None:
        if self.roles and len(self.roles) != len(self.counterexample):
            raise ValueError(f"{len(self.roles)} roles for {len(self.counterexample)} steps of a counterexample")

    @classmethod
    def of_nothing(cls, what: str, why: str) -> Verdict:
        """``UNKNOWN``, because the run holds no case of the property `what`; `why` says what was missing."""
        return cls(what, UNDECIDED, why, vacuous=True)

    @classmethod
    def against(cls, what: str, why: str, *steps: tuple[Any, str], offending: int | None = -1) -> Verdict:
        """``ILLEGAL``: each step of the counterexample with its role; the `offending` one is the last unless told.

        Raises `ValueError` for a role that says nothing.
        """
        if not all(role for _, role in steps):
            raise ValueError(f"a step of the counterexample to {what!r} has no role")
        place = None if offending is None or not steps else offending % len(steps)
        story, roles = tuple(step for step, _ in steps), tuple(role for _, role in steps)
        return cls(what, ILLEGAL, why, story, roles, offending=place)

    @property
    def word(self) -> str:
        """The status as readers are told it: that there was nothing to judge is not that the budget ran out."""
        return UNTESTED if self.vacuous and self.status == UNDECIDED else self.status

    def __bool__(self) -> bool:
        raise TypeError("a verdict has three values: compare its status with HOLDS, ILLEGAL or UNDECIDED")

    def __str__(self) -> str:
        # Each drawing reads verdicts, so it comes after them.
        from labkit.counterexamples import as_text

        said = f"{self.property}: {self.word}" + (f" ({self.explanation})" if self.explanation else "")
        return said + (f"\n{indent(as_text(self), '    ')}" if self.counterexample else "")

    __repr__ = __str__  # what a notebook without HTML shows

    def _repr_html_(self) -> str:
        # Each drawing reads verdicts, so it comes after them.
        from labkit.counterexamples import drawn

        said = f"<p><code>{escape(self.property)}: {self.word}</code> {escape(self.explanation)}</p>"
        return said + (drawn(self) if self.counterexample else "")


@dataclass(repr=False)
class Result:
    """One run of one experiment: what was asked for, what was measured, and everything that happened.

    Times are seconds in measures, microseconds in operations, messages and notes. `changed` says, in words for
    captions, which parameters are not at their defaults.
    """

    experiment: str
    runtime: str
    seed: int
    parameters: dict[str, Any]
    recording: Recording
    measures: dict[str, Measure] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    _once: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """``compute()``, kept while the result is evaluated: for what both its measures and its verdicts need."""
        if name not in self._once:
            self._once[name] = compute()
        return self._once[name]

    def evaluated(self) -> Result:
        """The result, without what `once` has kept."""
        self._once.clear()
        return self

    @property
    def operations(self) -> list[Operation]:
        """The history, in order of invocation."""
        return self.recording.operations

    @property
    def messages(self) -> list[Message]:
        """The trace of messages, in order of sending; empty if the run was not traced."""
        return self.recording.messages

    @property
    def notes(self) -> list[Note]:
        """What the nodes noted, in order."""
        return self.recording.notes

    @property
    def faults(self) -> list[Fault]:
        """The faults that happened, at the instants at which they did."""
        return self.recording.faults

    @property
    def duration(self) -> float:
        """Seconds from the start to the end of the run."""
        return self.recording.duration_us / 1e6

    @property
    def fault_windows(self) -> list[FaultWindow]:
        """The stretches of the run during which something was wrong."""
        return windows(self.faults, self.duration)

    def __getitem__(self, measure: str) -> float:
        """The value of a measure: ``result["stale_reads"]``."""
        return self.measures[measure].value

    def latencies(self, function: str) -> list[float]:
        """Seconds that each successful operation called `function` took."""
        return [operation.latency for operation in self.operations if operation.function == function and operation.ok]

    def to_dict(self, trace: bool = False) -> dict[str, Any]:
        """Plain data: the history always, messages and notes if `trace`."""
        data = {
            "experiment": self.experiment,
            "runtime": self.runtime,
            "seed": self.seed,
            "parameters": self.parameters,
            "duration_us": self.recording.duration_us,
            "messages_sent": self.recording.messages_sent,
            "measures": {name: _finite(asdict(measure)) for name, measure in self.measures.items()},
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "faults": [asdict(fault) for fault in self.faults],
            "incidents": self.recording.incidents,
            "operations": [_row(operation) for operation in self.operations],
        }
        if trace:
            data["messages"] = [_row(message) for message in self.messages]
            data["notes"] = [_row(note) for note in self.notes]
        return data

    def to_json(self, trace: bool = False) -> str:
        """The same bytes for the same history, whatever the machine."""
        return json.dumps(self.to_dict(trace), sort_keys=True, default=str, allow_nan=False)

    def operations_frame(self) -> DataFrame:
        """The history as a pandas data frame, one row an operation."""
        return _frame(self.operations)

    def messages_frame(self) -> DataFrame:
        """The trace as a pandas data frame, one row a message."""
        return _frame(self.messages)

    def notes_frame(self) -> DataFrame:
        """The notes as a pandas data frame, one row a note."""
        return _frame(self.notes)

    def measures_frame(self) -> DataFrame:
        """Value, unit and meaning of each measure as a pandas data frame."""
        return _frame(self.measures.values()).set_index("name")

    def __str__(self) -> str:
        lines = [f"{self.experiment} ({self.runtime}, seed {self.seed}): {len(self.operations):,} operations"]
        lines += [f"  {m.name:26} {m!s:>12}  {m.help}" for m in self.measures.values()]
        return "\n".join([*lines, *(f"  {verdict}" for verdict in self.verdicts)])

    __repr__ = __str__  # a history of thousands of operations is nothing to print because somebody has typed `run(…)`

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{m.name.replace('_', ' ')}</td><td style='text-align:right'>{m}</td>"
            f"<td style='text-align:left'>{escape(m.help)}</td></tr>"
            for m in self.measures.values()
        )
        verdicts = "".join(verdict._repr_html_() for verdict in self.verdicts)
        return f"<table><tbody>{rows}</tbody></table>{verdicts}"


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least a `share` (0 to 1) of the samples do not exceed; NaN without samples.

    The nearest rank, see `labkit.statistics.nearest_rank`. Raises `BadInput` for another share, and for a NaN.
    """
    if not samples:
        return math.nan
    if any(sample != sample for sample in samples):
        raise BadInput("samples have a NaN: each must be a number")
    return sorted(samples)[nearest_rank(share, len(samples)) - 1]


def share(part: int, whole: int) -> float:
    """`part` of `whole`, from 0 to 1; NaN of nothing."""
    return part / whole if whole else math.nan


def _frame(rows: Iterable[Any]) -> DataFrame:
    from pandas import DataFrame

    return DataFrame([_row(row) for row in rows])


def _row(entry: Any) -> dict[str, Any]:
    # The rows are in order already.
    return {name: value for name, value in asdict(entry).items() if name not in ORDERS}


def _finite(entry: dict[str, Any]) -> dict[str, Any]:
    # JSON has no NaN; a measure without samples is null there.
    return {**entry, "value": entry["value"] if math.isfinite(entry["value"]) else None}
