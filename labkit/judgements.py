"""What became of a reader's rule: for each property, the seeds at which it held, and the first at which it broke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from labkit.counterexamples import drawn
from labkit.results import HOLDS, ILLEGAL, UNDECIDED, Result, Verdict
from labkit.wording import count, duration

ENDS = "every operation ends"
WRAPPED = "style='margin:0.5em 0;white-space:pre-wrap'"


class Found(NamedTuple):
    """What one run said of one property."""

    property: str
    status: str
    vacuous: bool
    explanation: str


class Trial(NamedTuple):
    """One run under the reader's rule: the verdicts and costs, or the `error` that ended it.

    `overdue` says that the error was the bound on the time that a run may compute.
    """

    seed: int
    verdicts: tuple[Found, ...] = ()
    costs: tuple[tuple[str, float, str], ...] = ()
    """Name, value and unit of each."""
    error: str = ""
    overdue: bool = False


@dataclass(frozen=True)
class Tally:
    """One property over all seeds. `vacuous` are the seeds at which there was nothing to judge."""

    property: str
    holds: int
    broken: int
    undecided: int
    vacuous: int
    first_seed: int | None = None
    why: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether it held at some seed, and was neither broken nor left open at any."""
        return self.holds > 0 and not self.broken and not self.undecided

    def told(self, seeds: int) -> str:
        """The counts in words."""
        parts = [f"holds in {self.holds}"] if self.holds else []
        if self.broken:
            parts = [f"broken in {self.broken} of {count(seeds, 'seed')}, first at seed {self.first_seed}"]
        if self.undecided:
            parts += [f"undecided in {self.undecided}"]
        if self.vacuous and (self.vacuous > seeds // 2 or not parts):
            parts += [f"nothing to judge in {self.vacuous}"]
        return f"{self.property}: {', '.join(parts) or 'never judged'}"


@dataclass(frozen=True)
class FirstFailure:
    """The first run that broke a property: its seed, all of it, and the verdict that says why."""

    seed: int
    result: Result
    verdict: Verdict


@dataclass(frozen=True, repr=False)
class Judgement:
    """A reader's rule, judged at `seeds` seeds. `errors` are the seeds at which the reader's code failed.

    `answer` is what the reader called it. `first_error` says in a sentence how the code failed, and `stopped` why fewer
    seeds were tried than had been asked for.
    """

    experiment: str
    rule: str
    answer: str
    runtime: str
    seeds: int
    tallies: tuple[Tally, ...]
    costs: tuple[tuple[str, float, str], ...]
    errors: tuple[int, ...] = ()
    first_error: str = ""
    stopped: str = ""
    first_failure: FirstFailure | None = None

    @property
    def holds(self) -> bool:
        """Whether every property was kept, and nothing failed."""
        return bool(self.tallies) and not self.errors and not self.stopped and not self.broken

    @property
    def broken(self) -> list[str]:
        """The properties that were broken or left open at some seed, or had nothing to judge at any."""
        return [tally.property for tally in self.tallies if not tally.is_kept]

    def __getitem__(self, property_name: str) -> Tally:
        """The counts of one property."""
        return next(tally for tally in self.tallies if tally.property == property_name)

    def __str__(self) -> str:
        return "\n".join([" · ".join(text for text, _ in self._parts()), *self._stories()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<b>{escape(text)}</b>" if is_bad else escape(text) for text, is_bad in self._parts()]
        drawn = drawing(self.first_failure) if self.first_failure else ""
        error = f"<pre {WRAPPED}>{escape(self._error())}</pre>" if self.errors else ""
        return f"<div class='judgement'><p>{' · '.join(parts)}</p>{error}{drawn}</div>"

    def _parts(self) -> list[tuple[str, bool]]:
        """What is said in one line, and whether each part of it is bad news."""
        parts = [(self.answer, False)] if self.answer != self.rule else []
        if self.errors:
            failed = f"{self.rule} failed in {len(self.errors)} of {count(self.seeds, 'seed')}"
            parts.append((f"{failed}, first at seed {self.errors[0]}", True))
        tallies = sorted(self.tallies, key=lambda tally: tally.is_kept)  # bad news first
        parts += [(tally.told(self.seeds), not tally.is_kept) for tally in tallies]
        costs = [f"{name} {duration(value) if unit == 's' else f'{value:.3g} {unit}'.strip()}"
                 for name, value, unit in self.costs]  # fmt: skip
        parts += [(f"cost: {', '.join(costs)}", False)] if costs else []
        return parts + ([(self.stopped, True)] if self.stopped else [])

    def _stories(self) -> list[str]:
        failure = self.first_failure
        told = [self._error()] if self.errors else []
        return told + ([f"seed {failure.seed}: {failure.verdict}"] if failure else [])

    def _error(self) -> str:
        return f"seed {self.errors[0]}: {self.first_error}"


def drawing(failure: FirstFailure) -> str:
    """The first failure for a page: what is wrong, and its counterexample drawn."""
    said = f"seed {failure.seed}: {failure.verdict.property}: {failure.verdict.status}"
    why = f" ({failure.verdict.explanation})" if failure.verdict.explanation else ""
    return f"<p>{escape(said + why)}</p>{drawn(failure.verdict)}"


def tallied(trials: Sequence[Trial], first: str) -> tuple[Tally, ...]:
    """Each property of the trials, `first` before all others and ``every operation ends`` last."""
    by_property: dict[str, list[tuple[int, Found]]] = {}
    for trial in trials:
        for each in trial.verdicts:
            by_property.setdefault(each.property, []).append((trial.seed, each))
    names = sorted(by_property, key=lambda name: (name != first, name == ENDS))
    return tuple(_tally(name, by_property[name]) for name in names)


def _tally(name: str, said: Iterable[tuple[int, Found]]) -> Tally:
    known = list(said)
    broken = [(seed, each.explanation) for seed, each in known if each.status == ILLEGAL]
    vacuous = sum(each.status == UNDECIDED and each.vacuous for _, each in known)
    undecided = sum(each.status == UNDECIDED for _, each in known) - vacuous
    holds = sum(each.status == HOLDS for _, each in known)
    first_seed, why = broken[0] if broken else (None, "")
    return Tally(name, holds, len(broken), undecided, vacuous, first_seed, why)


def mean_costs(trials: Iterable[Trial], names: Mapping[str, str]) -> tuple[tuple[str, float, str], ...]:
    """The mean of each cost over the runs that have it, by what the rule calls it."""
    samples: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    for trial in trials:
        for measure, value, unit in trial.costs:
            if value == value:  # no samples make a measure NaN
                samples.setdefault(measure, []).append(value)
                units[measure] = unit
    return tuple(
        (called, sum(samples[name]) / len(samples[name]), units[name])
        for name, called in names.items()
        if name in samples
    )
