"""A request for a run, as JSON, and its answer: the same bytes for the same request, in a kernel and in a browser."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.counterexamples import draw
from labkit.errors import BadInput, LabkitError
from labkit.lab import Experiment, find
from labkit.live.pictures import Picture, chosen
from labkit.live.simulating import Runner, Simulations
from labkit.naming import Names
from labkit.results import Measure, Result, Verdict
from labkit.running import LARGEST_SEED, run
from labkit.wording import shortened, words

MOST_EVENTS = 500_000
"""The most that one answer computes, over all its runs: some seconds in a browser, and less in a kernel."""

MOST_KEPT = 256
"""Runs whose measures a browser keeps: most moves of a slider then need few runs of a picture of many."""

LONGEST_SENTENCE = 300
LONGEST_REQUEST = 100_000
MOST_BRACKETS = 200
"""A request has about ten. Thousands within each other end a browser's Python, whose stack is small."""
KNOWN = ("experiment", "seed", "parameters", "picture", "measures")

Answer = dict[str, Any]

_simulations = Simulations(most_kept=MOST_KEPT)


def answer(request: Any, simulations: Simulations | None = None) -> Answer:
    """What a request's run shows, or a sentence on why it cannot be; never raises for what a request holds."""
    try:
        return respond(request, simulations)
    except LabkitError as error:
        return {"request": _echo(request), "error": _one_sentence(error)}


def answer_json(text: str) -> str:
    """`answer` from JSON to JSON; keeps the measures of its latest runs, so the experiments must stay as they are."""
    try:
        request = _parsed(text)
    except BadInput as error:
        return canonical({"request": None, "error": _one_sentence(error)})
    return canonical(answer(request, _simulations))


def result_json(text: str) -> str:
    """The whole result of a request's own run, messages and notes included, as JSON; or the error's sentence."""
    try:
        asked = Asked.read(_parsed(text))
        asked.check_size([asked.values])
        return run(asked.experiment, seed=asked.seed, **asked.values).to_json(trace=True)
    except LabkitError as error:
        return canonical({"error": _one_sentence(error)})


def canonical(value: Any) -> str:
    """JSON of which there is one spelling for each value."""
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))


def respond(request: Any, simulations: Simulations | None = None) -> Answer:
    """The answer to a request; raises `LabkitError` where `answer` says a sentence."""
    asked = Asked.read(request)
    result, others, events = asked.simulate(simulations or Simulations())
    return asked.answered(result, asked.picture.draw(result, others, asked.experiment), events)


def respond_measured(
    request: Any, progress: Callable[[int, int], None], begun: Callable[[float], None], runner: Runner = run
) -> Answer:
    """The answer with a run on real processes laid over the simulation; raises `LabkitError`.

    `begun` is called when the processes stand and the clients start, with the seconds that the simulation took from
    there in its own time: about as long the processes will take. `progress` is called with how many operations have
    ended, and how many the simulation had.
    """
    asked = Asked.read(request)
    result, others, events = asked.simulate(Simulations(runner))
    total = max(len(result.operations), 1)
    measured = runner(
        asked.experiment,
        runtime="ray",
        seed=asked.seed,
        trace=asked.picture.traced,
        progress=lambda done: progress(min(done, total), total),
        observe=lambda event, _: begun(result.duration) if event == "ready" else None,
        **asked.values,
    )
    drawn = asked.picture.overlay(measured, result, others, asked.experiment)
    found = asked.answered(result, drawn, events)
    for entry in found["measures"]:
        entry["measured_shown"] = str(measured.measures[entry["name"]])
    found["verdicts"] += [
        _described(verdict) | {"property": f"{verdict.property}, measured"} for verdict in measured.verdicts
    ]
    found["caption"] = found["caption"].replace("Simulated", "Measured on real processes, over the simulation", 1)
    return found


@dataclass(frozen=True)
class Asked:
    """A request whose names and values are known to be allowed."""

    request: Mapping[str, Any]
    experiment: Experiment
    seed: int
    values: Mapping[str, Any]
    picture: Picture
    measures: tuple[str, ...] | None

    @classmethod
    def read(cls, request: Any) -> Asked:
        """The request, checked; raises `BadInput`."""
        if not isinstance(request, Mapping):
            raise BadInput("the request must be a table of experiment, seed, parameters, picture and measures")
        for name in request:
            if name not in KNOWN:
                raise BadInput(f"the request names {_brief(name)}: it may have {', '.join(KNOWN)}")
        experiment = find(_text("experiment", request.get("experiment")))
        drawing = _table("picture", request.get("picture"))
        picture = chosen(drawing.get("name", "latencies"), drawing.get("options", {}))
        picture.check(experiment)
        given = _table("parameters", request.get("parameters", {}))
        for name, value in given.items():
            if isinstance(value, (str, list, dict)) and len(value) > LONGEST_SENTENCE:
                raise BadInput(f"{_brief(name)} is {_brief(value)}: no value is that long")
        values = experiment.settings(given)
        return cls(request, experiment, _seed(request.get("seed", 0)), values, picture, _names(request.get("measures")))

    def check_size(self, settings: Iterable[Mapping[str, Any]]) -> None:
        """Raise `BadInput` if the runs with these settings would take too long for a reader to wait."""
        total: dict[str, float] = {}
        for values in settings:
            for name, number in self.experiment.expected_events(values).items():
                total[name] = total.get(name, 0.0) + number
        if sum(total.values()) <= MOST_EVENTS:
            return
        dial = max(total, key=lambda name: total[name])
        raise BadInput(
            f"{dial} is {self.values[dial]!r}: that makes about {sum(total.values()):,.0f} events, and a live figure "
            f"computes at most {MOST_EVENTS:,} at a time"
        )

    def simulate(self, simulations: Simulations) -> tuple[Result, list[Result], int]:
        """The run at which the controls stand, those that the picture shows beside it, and the events of them all."""
        beside = self.picture.others(self.experiment, self.values)
        self.check_size([self.values, *beside])
        self.experiment.cluster(self.seed, self.values)
        allowed = [values for values in beside if self._is_allowed(values)]
        if self.picture.of_measures:
            result, events = simulations.measured(self.experiment, self.seed, self.values)
        else:
            result, events = simulations.whole(self.experiment, self.seed, self.values, self.picture.traced)
        for name in self.measures or ():
            if name not in result.measures:
                raise BadInput(f"measures names {name!r}: there are {', '.join(result.measures)}")
        found = [simulations.measured(self.experiment, self.seed, values) for values in allowed]
        return result, [other for other, _ in found], events + sum(number for _, number in found)

    def answered(self, result: Result, drawn: Mapping[str, Any], events: int) -> Answer:
        """The answer with this picture."""
        measures = result.measures if self.measures is None else self.measures
        # Beside a picture of the same operations, keys and values are called as they are in it.
        names = Names.of(result.operations) if self.picture.traced else None
        return {
            "request": dict(self.request),
            "picture": dict(drawn),
            "measures": [_measured(result.measures[name]) for name in measures],
            "verdicts": [_described(verdict, names) for verdict in result.verdicts],
            "caption": self._caption(result),
            "command": self.command(),
            "events": events,
        }

    def command(self) -> str:
        """The shell command for the run whose measures are shown; it names only what is not at its default."""
        changed = {name: value for name, value in self.values.items() if value != self.experiment.dials[name].default}
        settings = [shlex.quote(f"{name}={_written(value)}") for name, value in changed.items()]
        parts = [".venv/bin/labkit", "run", self.experiment.name, "--seed", str(self.seed)]
        return " ".join([*parts, *(part for setting in settings for part in ("--set", setting))])

    def _is_allowed(self, values: Mapping[str, Any]) -> bool:
        try:
            self.experiment.cluster(self.seed, values)
        except BadInput:
            return False
        return True

    def _caption(self, result: Result) -> str:
        changed = [f"{words(name)} {text}" for name, text in result.changed.items()]
        return "; ".join(["Simulated", f"seed {self.seed}", *changed]) + "."


def _parsed(text: str) -> Any:
    if len(text) > LONGEST_REQUEST:
        raise BadInput(f"the request has {len(text):,} characters: at most {LONGEST_REQUEST:,} are read")
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise BadInput(f"the request has too many brackets: at most {MOST_BRACKETS} are read")
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadInput("the request is not JSON") from None


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _echo(request: Any) -> Any:
    try:
        return json.loads(canonical(request))
    except (ValueError, TypeError, RecursionError):
        return None


def _one_sentence(error: LabkitError) -> str:
    return shortened(" ".join(str(error).split()), LONGEST_SENTENCE)


def _brief(value: Any) -> str:
    return shortened(repr(value), 40)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name} is {_brief(value)}: it must be a name")
    return shortened(value, 80)


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise BadInput(f"{name} is {_brief(value)}: it must be a table of names and values")
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise BadInput(f"measures is {_brief(value)}: it must be a list of names")
    return tuple(dict.fromkeys(value))


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
        raise BadInput(f"seed is {_brief(value)}: it must be a whole number from 0 to {LARGEST_SEED}")
    return value


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _measured(measure: Measure) -> dict[str, Any]:
    # JSON has no NaN; a measure without samples is null there.
    value = measure.value if measure.value == measure.value else None
    said = {"label": words(measure.name), "shown": str(measure), "help": measure.help}
    return {"name": measure.name, **said, "unit": measure.unit, "value": value}


def _described(verdict: Verdict, names: Names | None = None) -> dict[str, Any]:
    return {
        "property": verdict.property,
        "status": verdict.status,
        "word": verdict.word,
        "explanation": verdict.explanation,
        "counterexample": [str(step) for step in verdict.counterexample],
        "drawing": draw(verdict, names),
    }
