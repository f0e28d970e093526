"""`judge`: a rule that a reader has written, in the place of the protocol's own, run under chaos and judged.

The rules that can be written are declared beside the ablations of an experiment (`labkit.lab.Rule`). A rule is judged
by all of the experiment's verdicts, by whether every operation ends, and by what the rule's own checks ask: that
something is done at all. What is wrong with the reader's code is a part of the judgement, never a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import Any

from labkit.dials import suggestion
from labkit.errors import BadInput, MissingComponent, RunTimedOut
from labkit.judgements import ENDS, FirstFailure, Found, Judgement, Trial, mean_costs, tallied
from labkit.lab import Experiment, Lab, Rule, find
from labkit.machine import usable_cores
from labkit.overdue import Overdue, within
from labkit.results import HOLDS, ILLEGAL, Result, Verdict
from labkit.rewriting import Written, written
from labkit.running import RUNTIMES, run
from labkit.sweeping import Progress, is_parallel
from labkit.wording import count

MOST_SEEDS = 10_000
USUAL_SEEDS = {"simulated": 200, "ray": 1}

RUN_SECONDS = 10.0
"""What a simulation may compute; they take some hundredths of a second."""

BAR_SECONDS = 3.0
"""What the runs must be expected to take, by the first of them, for a progress bar to be shown."""

SAMPLE = 8
"""Seeds that are tried here before it is clear whether all cores would repay the start of Ray."""

REPAYS_SECONDS = 20.0
"""Work that is left, by the sample, from which they do: Ray takes some seconds to start."""

MOST_UNFINISHED = 3
"""Runs that did not end before judging stops: each has computed for as long as its time limit allows."""

MOST_ERRORS = 20
"""Runs in which the reader's code failed before judging stops."""

Job = tuple[str | Experiment, str, Any, int]
"""The experiment, the rule, what the reader has written, and the seed."""


def judge(
    experiment: str | Experiment,
    *,
    runtime: str = "simulated",
    seeds: int | None = None,
    progress: bool | Callable[[int, int], None] = True,
    parallel: bool | None = None,
    **rule: Any,
) -> Judgement:
    """Judge a rule that the reader has written: ``judge("quorums", get=my_get)``.

    The rule is a function that takes the place of the protocol's method, or a class that has it, and what else it
    needs. It is run at the seeds from 0 up to `seeds` (200, and on ``ray`` 1), under the faults that the experiment
    declares for it. `progress` is a bar, or a function of (done, total). `parallel` spreads the runs over all cores; by
    default where that repays, and the rule can be sent. Takes some hundredths of a second a seed; on ``ray`` some
    seconds. Raises `BadInput` before anything runs.
    """
    chosen = experiment if isinstance(experiment, Experiment) else find(experiment)
    name, given = _only(chosen, rule)
    declared = chosen.rules[name]
    if runtime not in RUNTIMES:
        raise BadInput(f"runtime is {runtime!r}: it must be {' or '.join(RUNTIMES)}")
    asked = USUAL_SEEDS[runtime] if seeds is None else seeds
    if isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= MOST_SEEDS:
        raise BadInput(f"seeds is {asked!r}: it must be a whole number from 1 to {MOST_SEEDS:,}")
    own = written(declared, given)
    judged = _with_rule(chosen, declared, own)
    if runtime != "simulated":
        own.check_sendable()
        return _on_processes(judged, own, asked, progress, runtime)
    subject = chosen.name if isinstance(experiment, str) else chosen
    coming = _trials(judged, declared, (subject, name, given), asked, parallel)
    with closing(coming):  # what is under way elsewhere is then cancelled
        trials, stopped = _until_clear(coming, asked, progress)
    return _summed_up(judged, own, trials, stopped, _first_failure(judged, declared, trials))


def _until_clear(
    coming: Iterator[Trial], asked: int, progress: bool | Callable[[int, int], None]
) -> tuple[list[Trial], str]:
    """The trials in the order of their seeds, and why there are fewer than were asked for."""
    began = perf_counter()
    trials = [next(coming)]
    stopped = _reason_to_stop(trials, asked)
    if progress is True and (perf_counter() - began) * asked < BAR_SECONDS:
        progress = False  # in a notebook each bar leaves a stripe behind
    with Progress(progress, asked, "seed") as advance:
        advance()
        while not stopped and len(trials) < asked:
            trials.append(next(coming))
            advance()
            stopped = _reason_to_stop(trials, asked)
    return sorted(trials, key=lambda trial: trial.seed), stopped


def _only(experiment: Experiment, rule: dict[str, Any]) -> tuple[str, Any]:
    if not experiment.rules:
        raise BadInput(f"{experiment.name} has no rule to be written")
    if not rule:
        tasks = "; or ".join(f"{each.signature}: {each.task}" for each in experiment.rules.values())
        raise BadInput(f"no rule is given, and {experiment.name} lets you write {tasks}")
    if len(rule) > 1:
        known = ", ".join(experiment.rules)
        raise BadInput(f"the rules given are {', '.join(rule)}: judge takes one at a time, of {known}")
    name, given = next(iter(rule.items()))
    if name not in experiment.rules:
        raise BadInput(f"{experiment.name} has no rule {name!r}: {suggestion(name, experiment.rules)}")
    return name, given


def _with_rule(experiment: Experiment, rule: Rule, own: Written) -> Experiment:
    """The same experiment, with the reader's rule in the nodes' classes."""

    def build(lab: Lab, **values: Any) -> None:
        experiment.build(lab, **values)
        lab.replace_class(rule.of, own.put_into)

    return replace(experiment, build=build)


def _trials(
    judged: Experiment, rule: Rule, subject: tuple[Any, str, Any], seeds: int, parallel: bool | None
) -> Generator[Trial]:
    """Each seed's trial: the first few here, to see how long one takes, and the rest on all cores if that repays."""
    sample = 0 if parallel else min(SAMPLE, seeds)
    began = perf_counter()
    yield from (_try(judged, rule, seed) for seed in range(sample))
    left_seconds = (perf_counter() - began) / max(sample, 1) * (seeds - sample)
    if parallel is None:
        parallel = left_seconds * (1 - 1 / usable_cores()) > REPAYS_SECONDS and is_parallel(None, seeds)
        parallel = parallel and written(rule, subject[2]).is_sendable()
    if not parallel:
        yield from (_try(judged, rule, seed) for seed in range(sample, seeds))
        return
    from labkit.runtimes.ray_tasks import spread

    jobs: list[Job] = [(*subject, seed) for seed in range(sample, seeds)]
    yield from (trial for _, trial in spread(_try_elsewhere, jobs))


def _try_elsewhere(job: Job) -> Trial:
    experiment, name, given, seed = job
    chosen = find(experiment) if isinstance(experiment, str) else experiment
    rule = chosen.rules[name]
    return _try(_with_rule(chosen, rule, written(rule, given)), rule, seed)


def _try(judged: Experiment, rule: Rule, seed: int) -> Trial:
    return _attempt(judged, rule, seed)[0]


def _attempt(judged: Experiment, rule: Rule, seed: int, **how: Any) -> tuple[Trial, Result | None]:
    """One run, and what it shows. Whatever the reader's code does, it ends, and with a trial."""
    try:
        if how.get("runtime", "simulated") == "simulated":
            with within(RUN_SECONDS):
                result = _run(judged, rule, seed, how)
        else:
            result = _run(judged, rule, seed, how)
    except RunTimedOut as error:
        return Trial(seed, (Found(ENDS, ILLEGAL, False, str(error)),)), None
    except Overdue as error:
        return Trial(seed, error=str(error), overdue=True), None
    except MissingComponent:
        raise
    except Exception as error:
        return Trial(seed, error=Written.told(rule, error)), None
    found = tuple(Found(each.property, each.status, each.vacuous, each.explanation) for each in result.verdicts)
    costs = [result.measures[name] for name in rule.costs if name in result.measures]
    return Trial(seed, found, tuple((each.name, each.value, each.unit) for each in costs)), result


def _run(judged: Experiment, rule: Rule, seed: int, how: dict[str, Any]) -> Result:
    result = run(judged, seed=seed, **{"trace": False, **how}, **rule.under)
    extra = list(rule.verify(result)) if rule.verify is not None else []
    kept = [verdict for verdict in result.verdicts if verdict.property not in rule.excused]
    result.verdicts = [*kept, *extra, _ended(result)]
    return result


def _ended(result: Result) -> Verdict:
    """Whether every operation had a response, of whatever kind. A run in which a client waits for ever has no end."""
    waiting = [operation for operation in result.operations if operation.returned_us is None]
    if waiting:
        return Verdict(ENDS, ILLEGAL, f"{count(len(waiting), 'operation')} had no response", tuple(waiting[:1]))
    return Verdict(ENDS, HOLDS, count(len(result.operations), "operation") if result.operations else "no client waits")


def _reason_to_stop(trials: list[Trial], asked: int) -> str:
    """Why no further seed is tried; empty if there is no reason."""
    last, tried = trials[-1], count(len(trials), "seed")
    unfinished = sum(len(trial.verdicts) == 1 and trial.verdicts[0].property == ENDS for trial in trials)
    failed = sum(bool(trial.error) for trial in trials)
    if len(trials) == asked:
        return ""
    if last.overdue:
        return f"stopped after {tried}: a run computed for {RUN_SECONDS:g} s and did not end"
    if unfinished >= MOST_UNFINISHED:
        return f"stopped after {tried}: {unfinished} runs did not end"
    return f"stopped after {tried}: {failed} runs failed" if failed >= MOST_ERRORS else ""


def _first_failure(judged: Experiment, rule: Rule, trials: list[Trial]) -> FirstFailure | None:
    """The first failing seed once more, with its messages, and the verdict on the rule's own property if it fails."""
    failing = [trial for trial in trials if any(each.status == ILLEGAL for each in trial.verdicts)]
    own = [trial for trial in failing if any(_breaks(each, rule) for each in trial.verdicts)]
    for trial in (own or failing)[:1]:
        _, result = _attempt(judged, rule, trial.seed, trace=True)
        return _failure_of(result, rule) if result is not None else None
    return None


def _failure_of(result: Result, rule: Rule) -> FirstFailure | None:
    broken = sorted(
        (verdict for verdict in result.verdicts if verdict.status == ILLEGAL),
        key=lambda verdict: verdict.property != rule.breaks,
    )
    return FirstFailure(result.seed, result, broken[0]) if broken else None


def _breaks(found: Found, rule: Rule) -> bool:
    return found.property == rule.breaks and found.status == ILLEGAL


def _on_processes(
    judged: Experiment, own: Written, seeds: int, progress: bool | Callable[[int, int], None], runtime: str
) -> Judgement:
    rule, trials, failure, stopped = own.rule, [], None, ""
    with Progress(progress, seeds, "run") as advance:
        for seed in range(seeds):
            trial, result = _attempt(judged, rule, seed, runtime=runtime, trace=True)
            trials.append(trial)
            failure = failure or (_failure_of(result, rule) if result is not None else None)
            advance()
            stopped = _reason_to_stop(trials, seeds)
            if stopped:
                break
    return _summed_up(judged, own, trials, stopped, failure, runtime)


def _summed_up(
    judged: Experiment,
    own: Written,
    trials: list[Trial],
    stopped: str,
    failure: FirstFailure | None,
    runtime: str = "simulated",
) -> Judgement:
    rule, errors = own.rule, [trial for trial in trials if trial.error]
    return Judgement(
        judged.name,
        rule.name,
        own.given.__name__,
        runtime,
        len(trials),
        tallied(trials, rule.breaks),
        mean_costs(trials, rule.costs),
        tuple(trial.seed for trial in errors),
        errors[0].error if errors else "",
        stopped,
        failure,
    )
