"""`sweep`: one experiment over a grid of dials and many seeds, on every core there is."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from labkit.errors import BadInput, NodeFailure, RunTimedOut
from labkit.lab import Experiment, find
from labkit.machine import usable_cores
from labkit.results import ILLEGAL, Measure, Result
from labkit.running import run
from labkit.statistics import deviations_from
from labkit.tables import Table, table_of

if TYPE_CHECKING:
    from pandas import DataFrame

# Student's t, 97.5%, for 1 to 30 degrees of freedom; beyond, the normal distribution's 1.96 is close enough.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

Job = tuple[str | Experiment, dict[str, Any], int]
Outcome = tuple[dict[str, Measure], str]


@dataclass(frozen=True)
class Estimate:
    """A measure's mean over the seeds, and the interval that holds the true mean with 95% confidence."""

    mean: float
    low: float
    high: float
    count: int


@dataclass
class SweepPoint:
    """One setting of the swept dials: estimates by measure, and the seeds that failed there, with why."""

    parameters: dict[str, Any]
    estimates: dict[str, Estimate]
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def failing_seeds(self) -> list[int]:
        """Seeds whose run a checker found illegal, or that did not end as it should."""
        return sorted(self.failures)


@dataclass
class Sweep:
    """All points of a sweep, in the order of the grid.

    Dials that were not swept are in `fixed`; `units` are those of the dials and measures, `meanings` what the measures
    say, both by name.
    """

    experiment: str
    fixed: dict[str, Any]
    points: list[SweepPoint]
    units: dict[str, str] = field(default_factory=dict)
    meanings: dict[str, str] = field(default_factory=dict)

    def table(self, *measures: str) -> Table:
        """The dials and these measures with their intervals, a row a point; see `labkit.tables.table_of`."""
        return table_of(self, measures)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def to_json(self) -> str:
        """The sweep as JSON; a measure that had no samples is null."""
        data = asdict(self)
        for point in data["points"]:
            for estimate in point["estimates"].values():
                estimate.update({name: None for name, value in estimate.items() if not math.isfinite(value)})
        return json.dumps(data, sort_keys=True, allow_nan=False)

    def frame(self) -> DataFrame:
        """One row a point: the dials, each measure's mean, low and high, and the failing seeds."""
        from pandas import DataFrame

        return DataFrame([_row(point) for point in self.points])


def sweep(
    experiment: str,
    over: Mapping[str, Sequence[Any]],
    *,
    seeds: int | Iterable[int] = 10,
    parallel: bool | None = None,
    progress: bool | Callable[[int, int], None] = True,
    **fixed: Any,
) -> Sweep:
    """Run the simulation at every combination of the values in `over`, with each of the `seeds`.

    A number of seeds means 0 up to it. `parallel` spreads the runs over all cores, or over the cluster of
    RAY_ADDRESS, as Ray tasks; by default where Ray is installed and there are runs enough to repay its start.
    `progress` is a bar, or a function of (done, total). Raises `BadInput` before anything runs.
    """
    chosen = find(experiment)
    seeds = range(seeds) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise BadInput("seeds is 0: at least one seed is needed")
    grid = [dict(zip(over, values, strict=True)) for values in product(*over.values())]
    for setting in grid:
        chosen.cluster(0, chosen.settings({**fixed, **setting}))
    # Another process finds an experiment by its name, but for one that a notebook's cell defines.
    subject = chosen if chosen.build.__module__ == "__main__" else experiment
    jobs: list[Job] = [(subject, {**fixed, **setting}, seed) for setting in grid for seed in seeds]
    outcomes: list[Outcome | None] = [None] * len(jobs)
    with Progress(progress, len(jobs)) as advance:
        for place, outcome in _run_all(jobs, is_parallel(parallel, len(jobs))):
            outcomes[place] = outcome
            advance()
    points = [
        _point(setting, seeds, outcomes[index * len(seeds) : (index + 1) * len(seeds)])
        for index, setting in enumerate(grid)
    ]
    units = {name: dial.unit for name, dial in chosen.dials.items()}
    measures = {name: measure for outcome in outcomes if outcome for name, measure in outcome[0].items()}
    units |= {name: measure.unit for name, measure in measures.items()}
    return Sweep(experiment, fixed, points, units, {name: measure.help for name, measure in measures.items()})


def among_simulations(
    measured: Result, names: Sequence[str], seeds: int = 20, allowance: float = 0.0, **instead: Any
) -> DataFrame:
    """Whether the simulation could have made a run of real processes, which draws chances of its own.

    For each of the measures `names`: what was measured, the mean of as many simulations as there are `seeds` (with the
    same dials, but for those given `instead`), and how many standard deviations of a single run lie between, less what
    the machine may add: the share `allowance` of that mean. Runs are independent of each other, whatever within one run
    waits for what. If all follow one normal distribution, one difference in 10,000 is above 5 (Student's t, 20 seeds).
    """
    from pandas import DataFrame

    if seeds < 2:
        raise BadInput(f"seeds is {seeds!r}: it must be 2 or more")
    if not allowance >= 0:
        raise BadInput(f"allowance is {allowance!r}: it must be a share, 0 or more")
    others = range(measured.seed + 1, measured.seed + 1 + seeds)
    dials = {**measured.parameters, **instead}
    runs = [run_job((measured.experiment, dials, seed))[0] for seed in others]
    rows = {}
    for name in names:
        found = [measures[name].value for measures in runs if name in measures]
        mean, value = estimate(found).mean, measured[name]
        gap = max(abs(value - mean) - allowance * abs(mean), 0.0)
        apart = deviations_from(mean + math.copysign(gap, value - mean), found)
        rows[name] = {"measured": value, "simulated": mean, "deviations apart": apart}
    return DataFrame(rows).T


def run_job(job: Job) -> Outcome:
    """One run: its measures, and why it failed or an empty string."""
    experiment, parameters, seed = job
    try:
        result = run(experiment, seed=seed, trace=False, **parameters)
    except (NodeFailure, RunTimedOut) as error:
        return {}, str(error)
    illegal = [verdict for verdict in result.verdicts if verdict.status == ILLEGAL]
    return result.measures, "; ".join(f"{verdict.property}: {verdict.explanation}" for verdict in illegal)


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and 95% confidence interval (Student's t) of the values that are numbers."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Estimate(mean, mean, mean, 1)
    variance = math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)
    student = _STUDENT[len(known) - 2] if len(known) <= len(_STUDENT) + 1 else 1.96
    half = student * math.sqrt(variance / len(known))
    return Estimate(mean, mean - half, mean + half, len(known))


def _point(setting: dict[str, Any], seeds: Sequence[int], outcomes: Sequence[Outcome | None]) -> SweepPoint:
    done = [outcome for outcome in outcomes if outcome is not None]
    names = dict.fromkeys(name for measures, _ in done for name in measures)
    estimates = {name: estimate(measures[name].value for measures, _ in done if name in measures) for name in names}
    failures = {seed: why for seed, (_, why) in zip(seeds, done, strict=True) if why}
    return SweepPoint(setting, estimates, failures)


def _row(point: SweepPoint) -> dict[str, Any]:
    row: dict[str, Any] = dict(point.parameters)
    for name, found in point.estimates.items():
        row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    return row | {"failing_seeds": point.failing_seeds}


def is_parallel(parallel: bool | None, jobs: int) -> bool:
    """Whether to spread this many runs over all cores: as told, or else where Ray is installed and would repay."""
    if parallel is not None:
        return parallel
    from importlib.util import find_spec

    return jobs >= 16 and usable_cores() > 1 and find_spec("ray") is not None


def _run_all(jobs: Sequence[Job], parallel: bool) -> Iterator[tuple[int, Outcome]]:
    if not parallel:
        for place, job in enumerate(jobs):
            yield place, run_job(job)
        return
    from labkit.runtimes.ray_tasks import spread

    yield from spread(run_job, jobs)


class Progress:
    """A progress bar, a caller's function of (done, total), or nothing; gives what to call at each step."""

    def __init__(self, progress: bool | Callable[[int, int], None], total: int, unit: str = "run"):
        self._progress = progress
        self._total = total
        self._unit = unit
        self._done = 0
        self._bar: Any = None

    def __enter__(self) -> Callable[[], None]:
        if self._progress is True:
            try:
                from tqdm import tqdm  # text on standard error: pages leave it out, terminals and JupyterLab show it
            except ImportError:
                return self._advance
            # A terminal forgets the bar. A notebook keeps its place, which had better not be empty.
            leave = not sys.stderr.isatty()
            self._bar = tqdm(total=self._total, unit=self._unit, leave=leave, delay=int(leave))
        return self._advance

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _advance(self) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        elif callable(self._progress):
            self._progress(self._done, self._total)


class Running:
    """Says on standard error, once a run has taken a second, how many operations have ended; gives what to tell."""

    def __init__(self, shown: bool):
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> Callable[[int], None] | None:
        if not self._shown:
            return None
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        self._bar = tqdm(unit=" operations", desc="running", leave=False, delay=1, mininterval=0.25)
        return self._advance

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _advance(self, ended: int) -> None:
        self._bar.update(ended - self._bar.n)
