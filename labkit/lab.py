"""Experiments: a cluster built from dials, and what to measure in what it does."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.clocks import ClockError
from labkit.cluster import Cluster
from labkit.dials import AnyDial, dials_of, settings, suggestion
from labkit.errors import BadInput
from labkit.faults import FaultPlan
from labkit.history import Message, Stretch
from labkit.host import NodeSpec
from labkit.network import Network
from labkit.node import Node
from labkit.results import Measure, Result, Verdict

RESERVED = frozenset({"runtime", "seed", "trace", "progress", "observe", "experiment"})
"""Names that `run` takes for itself, so no dial can have them."""

Expected = Callable[[Mapping[str, Any]], float | None]

_registry: dict[str, Experiment] = {}


class Lab:
    """What an experiment's function is given to build its cluster with.

    Set `network`, `faults`, `time_limit`, `drain`, `sync_delay` and `trace_limit` as `Cluster` describes them.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.network = Network()
        self.faults = FaultPlan()
        self.time_limit = 600.0
        self.drain = 0.0
        self.sync_delay = 0.0
        self.trace_limit = 50_000
        self._nodes: list[NodeSpec] = []

    def node(self, name: str, node_class: type[Node], clock: ClockError = ClockError(), **parameters: Any) -> str:
        """Add a node; `parameters` go to its constructor. Returns its name."""
        self._nodes.append(NodeSpec(name, node_class, parameters, clock))
        return name

    def client(self, name: str, node_class: type[Node], clock: ClockError = ClockError(), **parameters: Any) -> str:
        """Add a node whose `run` the experiment waits for. Returns its name."""
        self._nodes.append(NodeSpec(name, node_class, parameters, clock, is_client=True))
        return name

    def replace_class(self, of: type[Node], changed: Callable[[type[Node]], type[Node]]) -> None:
        """Let every node whose class is `of`, or comes from it, be of the class that `changed` makes of its own."""
        made: dict[type[Node], type[Node]] = {}
        for place, spec in enumerate(self._nodes):
            if issubclass(spec.node_class, of):
                if spec.node_class not in made:  # two nodes of one class stay two of one class
                    made[spec.node_class] = changed(spec.node_class)
                self._nodes[place] = replace(spec, node_class=made[spec.node_class])

    def cluster(self) -> Cluster:
        """What has been built, checked."""
        built = Cluster(
            self._nodes, self.network, self.faults, self.time_limit, self.drain, self.sync_delay, self.trace_limit
        )
        built.check()
        return built


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Raise `BadInput` unless `condition` holds; for what one dial's range cannot say."""
    if not condition:
        raise BadInput(f"{name} is {value!r}: it must be {allowed}")


@dataclass(frozen=True)
class Law:
    """What a measure should be, by theory, for an experiment's settings; None where the law does not apply."""

    measure: str
    label: str
    expected: Expected


@dataclass(frozen=True)
class Ablation:
    """A safeguard that an experiment's protocol can lose: the dials `without` it, and what then `breaks`.

    `under` are the dials that it is needed under (faults, contention); `breaks` is the property of the verdict that
    must turn ``ILLEGAL`` for some seed without the safeguard, and for none with it.
    """

    name: str
    without: Mapping[str, Any]
    under: Mapping[str, Any]
    breaks: str


@dataclass(frozen=True)
class Rule:
    """The one rule of a protocol that a reader writes: a method of the node class `of`, judged `under` these dials.

    `task` says in a sentence what it must do. `breaks` is the property that a rule which is wrong breaks first, and
    `excused` are those of the experiment's properties that no rule in this place can keep under these dials. `verify`
    adds what the experiment does not ask: that something is done at all, say. `costs` are measures by their names, each
    with what to call it. An answer that is no instance of `returns` is an error, unless that is None.
    """

    name: str
    of: type[Node]
    method: str
    task: str
    breaks: str
    under: Mapping[str, Any]
    costs: Mapping[str, str]
    verify: Callable[[Result], Iterable[Verdict]] | None = None
    excused: tuple[str, ...] = ()
    returns: type | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that the method's parameters have in the protocol, `self` among them."""
        return tuple(inspect.signature(getattr(self.of, self.method)).parameters)

    @property
    def is_async(self) -> bool:
        """Whether it may await."""
        return inspect.iscoroutinefunction(getattr(self.of, self.method))

    @property
    def signature(self) -> str:
        """How a reader begins to write it: ``async def get(self, key)``."""
        return f"{'async ' * self.is_async}def {self.name}({', '.join(self.parameters)})"


@dataclass
class Experiment:
    """A named experiment: its dials, how to build its cluster, and how to measure and judge a run of it."""

    name: str
    title: str
    guide: str
    summary: str
    dials: dict[str, AnyDial]
    build: Callable[..., None]
    _measure: Callable[[Result], Iterable[Measure]] | None = field(default=None, repr=False)
    _verify: Callable[[Result], Iterable[Verdict]] | None = field(default=None, repr=False)
    _size: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = field(default=None, repr=False)
    _states: Callable[[Result], Iterable[Stretch]] | None = field(default=None, repr=False)
    _answers: Callable[[Result], Iterable[tuple[Message, str]]] | None = field(default=None, repr=False)
    state_names: tuple[str, ...] = ()
    laws: dict[str, Law] = field(default_factory=dict, repr=False)
    ablations: dict[str, Ablation] = field(default_factory=dict, repr=False)
    rules: dict[str, Rule] = field(default_factory=dict, repr=False)

    def measure(self, function: Callable[[Result], Iterable[Measure]]) -> Callable[[Result], Iterable[Measure]]:
        """Decorator: `function` yields the measures of a result."""
        self._measure = function
        return function

    def verify(self, function: Callable[[Result], Iterable[Verdict]]) -> Callable[[Result], Iterable[Verdict]]:
        """Decorator: `function` yields what the checkers say of a result."""
        self._verify = function
        return function

    def states(self, *names: str) -> Callable[..., Any]:
        """Decorator: `function` yields in which of the named states the nodes of a result were, from when to when.

        Pictures of runs show them along the nodes' lines, each by a pattern of its own; stretches of a node are apart.
        """

        def register(function: Callable[[Result], Iterable[Stretch]]) -> Callable[[Result], Iterable[Stretch]]:
            self._states, self.state_names = function, names
            return function

        return register

    def answers(
        self, function: Callable[[Result], Iterable[tuple[Message, str]]]
    ) -> Callable[[Result], Iterable[tuple[Message, str]]]:
        """Decorator: `function` yields replies of a result's trace, each with a word for what it carries: ``yes``."""
        self._answers = function
        return function

    def states_of(self, result: Result) -> list[Stretch]:
        """The states of a run's nodes; raises `BadInput` for one that has not been declared."""
        stretches = [] if self._states is None else list(self._states(result))
        for stretch in stretches:
            if stretch.label not in self.state_names:
                raise BadInput(f"{self.name} has the states {', '.join(self.state_names)}, not {stretch.label!r}")
        return stretches

    def answers_of(self, result: Result) -> dict[int, str]:
        """What replies carry, in a word each, by the identity of the message in the trace."""
        said = () if self._answers is None else self._answers(result)
        return {id(message): word for message, word in said}

    def law(self, measure: str, label: str) -> Callable[[Expected], Expected]:
        """Decorator: `function` gives what `measure` should be, from all dials' values; None where it cannot tell."""

        def register(function: Expected) -> Expected:
            self.laws[measure] = Law(measure, label, function)
            return function

        return register

    def size(self, function: Callable[[Mapping[str, Any]], Mapping[str, float]]) -> Callable[..., Any]:
        """Decorator: `function` estimates how many events a run has, split up by the dial that they come from.

        Right within a factor of two or so: a live figure asks before it runs in a reader's browser.
        """
        self._size = function
        return function

    def ablation(self, name: str, *, without: Mapping[str, Any], breaks: str, **under: Any) -> None:
        """Declare a safeguard that can be taken out; `labkit.ablations.hunt` looks for the seed that shows it.

        Raises `BadInput` if a dial is not allowed. See `Ablation`.
        """
        self.settings({**under, **without})
        self.ablations[name] = Ablation(name, dict(without), under, breaks)

    def rule(
        self,
        name: str,
        *,
        of: type[Node],
        task: str,
        breaks: str,
        costs: Mapping[str, str],
        method: str = "",
        verify: Callable[[Result], Iterable[Verdict]] | None = None,
        excused: Iterable[str] = (),
        returns: type | None = None,
        **under: Any,
    ) -> None:
        """Declare the rule that a reader writes, for `labkit.judging.judge`; `method` is its name in the protocol.

        `under` are dials. Raises `BadInput` if one is not allowed. See `Rule`.
        """
        self.settings(under)
        self.rules[name] = Rule(
            name, of, method or name, task, breaks, under, dict(costs), verify, tuple(excused), returns
        )

    def expected_events(self, values: Mapping[str, Any]) -> dict[str, float]:
        """About how many events a run with these settings has, by the dial to turn for fewer; empty if unknown."""
        return dict(self._size(values)) if self._size is not None else {}

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All dials' values; raises `BadInput` for one that is not allowed."""
        return settings(self.name, self.dials, given)

    def cluster(self, seed: int, values: Mapping[str, Any]) -> Cluster:
        """The cluster for these dials; raises `BadInput` if they do not go together."""
        lab = Lab(seed)
        self.build(lab, **values)
        return lab.cluster()

    def evaluate(self, result: Result) -> Result:
        """Fill in the measures and verdicts of a result."""
        if self._measure is not None:
            result.measures = {measure.name: measure for measure in self._measure(result)}
        if self._verify is not None:
            result.verdicts = list(self._verify(result))
        return result.evaluated()


def experiment(*, title: str, guide: str) -> Callable[[Callable[..., None]], Experiment]:
    """Decorator: make an experiment of a function ``build(lab, *, name=Dial(…), …)`` and register it by its name.

    `guide` says which part of the guide it holds to account; the function's docstring says what it does.
    """

    def register(build: Callable[..., None]) -> Experiment:
        summary = inspect.getdoc(build) or ""
        made = Experiment(build.__name__, title, guide, summary, dials_of(build, RESERVED), build)
        _registry[made.name] = made
        return made

    return register


def catalogue() -> dict[str, Experiment]:
    """Every experiment by name: those of `labkit.experiments`, and any registered since."""
    package = importlib.import_module("labkit.experiments")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_registry.items()))


def find(name: str) -> Experiment:
    """The experiment called `name`; raises `BadInput` if there is none."""
    known = catalogue()
    if name not in known:
        raise BadInput(f"there is no experiment {name!r}: {suggestion(name, known)}")
    return known[name]
