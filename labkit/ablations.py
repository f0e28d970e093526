"""Testing the tester: take a safeguard out of a protocol, and count the seeds at which its checker notices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, NamedTuple

from labkit.claims import LEFT
from labkit.errors import BadInput, NodeFailure, RunTimedOut
from labkit.lab import Ablation, Experiment, catalogue, find
from labkit.results import HOLDS, ILLEGAL, Result, Verdict
from labkit.running import run
from labkit.sweeping import Progress, is_parallel

MOST_SEEDS = 1000

REPAYS = 500
"""Seeds, over all ablations, from which it repays to start Ray: each takes two runs of about 10 ms."""

WRAPPED = "style='margin:0;white-space:pre-wrap'"

HEAD = ("experiment", "ablation", "what its checker denies", "fails without it", "fails with it", "first failing seed")


@dataclass(frozen=True)
class Hunt:
    """What became of one ablation over the seeds from 0 up to `tried`, each run without its safeguard and with it.

    `failing` are the seeds at which the checker found the protocol illegal without its safeguard; `explanation` and
    `counterexample` are what it said at the first of them. `broken` says of each property that was found illegal
    without the safeguard at how many seeds it was: the checker's own, and others that fell with it. `unsound` are the
    seeds at which not every verdict of the experiment was in order with the safeguard, and `accusation` is what was
    said at the first of those. In order is ``OK``, and for other properties than the checker's own an ``UNKNOWN`` that
    had nothing to judge: where nothing is declined, nobody can be declined wrongly. A run that did not end as it should
    is never in order.
    """

    experiment: str
    ablation: str
    checker: str
    tried: int
    failing: tuple[int, ...]
    unsound: tuple[int, ...]
    explanation: str = ""
    counterexample: tuple[str, ...] = ()
    accusation: str = ""
    broken: dict[str, int] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The first seed that shows what the safeguard is for; None if none does."""
        return self.failing[0] if self.failing else None

    @property
    def is_caught(self) -> bool:
        """Whether the checker told the two protocols apart, and nothing was held against the one with its safeguard."""
        return bool(self.failing) and not self.unsound

    @property
    def story(self) -> str:
        """The first counterexample, a line for each of its operations."""
        return "\n    ".join([self.explanation, *self.counterexample])

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, and how many seeds failed without the safeguard and with it."""
        counts = {"fails_without": len(self.failing), "fails_with": len(self.unsound), "seed": self.seed}
        return {**asdict(self), **counts}


class Hunts(Sequence[Hunt]):
    """Several hunts; shown as a table."""

    def __init__(self, hunts: Iterable[Hunt]):
        self._hunts = tuple(hunts)

    def __len__(self) -> int:
        return len(self._hunts)

    def __getitem__(self, index: Any) -> Any:
        return self._hunts[index]

    def to_json(self) -> str:
        """A list with one object for each hunt."""
        return json.dumps([each.to_dict() for each in self._hunts], sort_keys=True)

    def __str__(self) -> str:
        rows = [HEAD, *map(_row, self._hunts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n\n".join(["\n".join(table), *(told for each in self._hunts if (told := _told(each)))])

    __repr__ = __str__  # what a notebook without HTML shows

    def _repr_html_(self) -> str:
        head = "".join(f"<th {LEFT}>{title}</th>" for title in HEAD)
        rows = "".join(_html_row(each) for each in self._hunts)
        return f"<table class='ablations'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def hunt(experiment: str | Experiment, ablation: str, seeds: int = 100) -> Hunt:
    """Run the protocol without the safeguard and with it, under the same faults, at each of this many seeds.

    Takes two runs a seed, on one core. Raises `BadInput`.
    """
    chosen = experiment if isinstance(experiment, Experiment) else find(experiment)
    return _hunts([(chosen, ablation)], seeds, progress=False, parallel=False)[0]


def hunt_all(
    names: Iterable[str] = (),
    seeds: int = 100,
    progress: bool | Callable[[int, int], None] = True,
    parallel: bool | None = None,
) -> Hunts:
    """Hunt every ablation of these experiments, or of all.

    `progress` is a bar, or a function of (done, total), of the seeds of all ablations together. `parallel` spreads them
    over all cores, as Ray tasks; by default where Ray is installed and there are enough to repay its start.
    """
    chosen = [find(name) for name in names] or list(catalogue().values())
    planned = [(experiment, name) for experiment in chosen for name in experiment.ablations]
    if parallel is None:
        jobs = len(planned) * seeds
        parallel = jobs >= REPAYS and is_parallel(None, jobs)
    return _hunts(planned, seeds, progress, parallel)


class _Trial(NamedTuple):
    """What one seed has shown: which properties fell without the safeguard, and (`accusation`) what did with it."""

    illegal: tuple[str, ...]
    explanation: str
    counterexample: tuple[str, ...]
    accusation: str


_Job = tuple[str | Experiment, str, int]


def _hunts(
    planned: Sequence[tuple[Experiment, str]],
    seeds: int,
    progress: bool | Callable[[int, int], None],
    parallel: bool,
) -> Hunts:
    for experiment, name in planned:
        if name not in experiment.ablations:
            known = ", ".join(experiment.ablations) or "none"
            raise BadInput(f"{experiment.name} has no ablation {name!r}: it has {known}")
    if not 1 <= seeds <= MOST_SEEDS:
        raise BadInput(f"seeds is {seeds!r}: it must be from 1 to {MOST_SEEDS}")
    jobs: list[_Job] = [
        (experiment.name if parallel else experiment, name, seed)
        for experiment, name in planned
        for seed in range(seeds)
    ]
    trials: dict[int, _Trial] = {}
    with Progress(progress, len(jobs), "seed") as advance:
        for place, trial in _try_all(jobs, parallel):
            trials[place] = trial
            advance()
    return Hunts(
        _summed_up(experiment, name, [trials[number * seeds + seed] for seed in range(seeds)])
        for number, (experiment, name) in enumerate(planned)
    )


def _try_all(jobs: Sequence[_Job], parallel: bool) -> Iterator[tuple[int, _Trial]]:
    if not parallel:
        yield from enumerate(map(_try, jobs))
        return
    from labkit.runtimes.ray_tasks import spread

    yield from spread(_try, jobs)


def _try(job: _Job) -> _Trial:
    experiment, name, seed = job
    chosen = find(experiment) if isinstance(experiment, str) else experiment
    ablation = chosen.ablations[name]
    accusation = _accusation(chosen, ablation, seed)
    try:
        result = _run(chosen, ablation, seed, ablation.without)
    except (NodeFailure, RunTimedOut) as error:  # its checker has not seen it
        return _Trial((), str(error), (), accusation)
    denied = _denied(ablation, result)
    story = tuple(str(operation) for operation in denied.counterexample)
    illegal = tuple(verdict.property for verdict in result.verdicts if verdict.status == ILLEGAL)
    return _Trial(illegal, denied.explanation, story, accusation)


def _accusation(experiment: Experiment, ablation: Ablation, seed: int) -> str:
    """What is held against the protocol with its safeguard at this seed; empty if nothing is."""
    try:
        result = _run(experiment, ablation, seed, {})
    except (NodeFailure, RunTimedOut) as error:
        return str(error)
    _denied(ablation, result)
    for verdict in result.verdicts:
        if verdict.status != HOLDS and (verdict.property == ablation.breaks or not verdict.vacuous):
            return f"{verdict.property}: {verdict.status} ({verdict.explanation})"
    return ""


def _run(experiment: Experiment, ablation: Ablation, seed: int, without: Mapping[str, Any]) -> Result:
    return run(experiment, seed=seed, trace=False, **{**ablation.under, **without})


def _denied(ablation: Ablation, result: Result) -> Verdict:
    for verdict in result.verdicts:
        if verdict.property == ablation.breaks:
            return verdict
    properties = ", ".join(verdict.property for verdict in result.verdicts)
    raise BadInput(f"{ablation.name!r} breaks {ablation.breaks!r}: {result.experiment} has the verdicts {properties}")


def _summed_up(experiment: Experiment, name: str, trials: Sequence[_Trial]) -> Hunt:
    checker = experiment.ablations[name].breaks
    failing = tuple(seed for seed, trial in enumerate(trials) if checker in trial.illegal)
    unsound = tuple(seed for seed, trial in enumerate(trials) if trial.accusation)
    first = trials[failing[0]] if failing else _Trial((), "", (), "")
    accusation = trials[unsound[0]].accusation if unsound else ""
    return Hunt(
        experiment.name,
        name,
        checker,
        len(trials),
        failing,
        unsound,
        first.explanation,
        first.counterexample,
        accusation,
        dict(Counter(what for trial in trials for what in trial.illegal)),
    )


def _row(each: Hunt) -> tuple[str, ...]:
    seed = "none" if each.seed is None else str(each.seed)
    return (each.experiment, each.ablation, each.checker, *_shares(each), seed)


def _shares(each: Hunt) -> tuple[str, str]:
    return f"{len(each.failing)} of {each.tried}", f"{len(each.unsound)} of {each.tried}"


def _told(each: Hunt) -> str:
    name = f"{each.experiment}: {each.ablation}"
    told = [f"{name}, seed {each.seed}: {each.story}"] if each.failing else []
    if each.unsound:
        told.append(f"{name}, with the safeguard, seed {each.unsound[0]}: {each.accusation}")
    return "\n".join(told)


def _html_row(each: Hunt) -> str:
    *cells, seed = map(escape, _row(each))
    if each.failing:
        seed = f"<details><summary>{seed}</summary><pre {WRAPPED}>{escape(each.story)}</pre></details>"
    if each.unsound:
        cells[-1] += f" (seed {each.unsound[0]}: {escape(each.accusation)})"
    return "<tr>" + "".join(f"<td {LEFT}>{cell}</td>" for cell in (*cells, seed)) + "</tr>"
