"""What goes wrong during a run, as data: one plan drives both runtimes and is drawn in the figures.

On Ray the faults are real where they can be: a crash is SIGKILL, a pause is SIGSTOP, a restart is a new process
that has only its disk. Rules of the network act at each sender, at the same instants, in both runtimes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from random import Random
from typing import Any

from labkit.errors import BadInput

KINDS = (
    "crash", "restart", "pause", "resume", "partition", "heal", "hold", "release",
    "clock step", "clock drift", "link",
)  # fmt: skip
OF_ONE_NODE = ("crash", "restart", "pause", "resume", "clock step", "clock drift")
OF_A_CLOCK = ("clock step", "clock drift")
ENDS = {"crash": "restart", "pause": "resume", "partition": "heal", "hold": "release"}


@dataclass(frozen=True)
class After:
    """A condition: `operations` operations have ended, or `node` (or any) has noted `note`; then `delay` seconds."""

    operations: int = 0
    note: str = ""
    node: str = ""
    delay: float = 0.0


@dataclass(frozen=True)
class Fault:
    """One thing that happens to the cluster, at an instant (seconds) or once a condition holds.

    `nodes` are those it happens to, or for a partition the senders that are cut off from `others`. `amount` is
    seconds for a clock step, ppm for a clock drift; `loss` and `duplication` are for a change of every link.
    """

    kind: str
    at: float | After
    nodes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    both_ways: bool = True
    amount: float = 0.0
    loss: float | None = None
    duplication: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"fault kind is {self.kind!r}: it must be one of {', '.join(KINDS)}")
        if not isinstance(self.at, After) and not 0 <= self.at < float("inf"):
            raise BadInput(f"a {self.kind} is planned at {self.at!r}: it must be 0 or more seconds")
        if not isfinite(self.amount):
            raise BadInput(f"the amount of a {self.kind} is {self.amount!r}: it must be a number")
        if self.kind == "clock drift" and self.amount <= -1_000_000:
            raise BadInput(f"drift_ppm is {self.amount!r}: it must be above -1000000, at which a clock stands still")
        for name in ("loss", "duplication"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"{name} is {value!r}: it must be a probability from 0 to 1")

    def cuts(self, source: str) -> tuple[str, ...]:
        """The nodes that `source` cannot send to once this partition, or hold, stands."""
        if source in self.nodes:
            return self.others
        return self.nodes if self.both_ways and source in self.others else ()


@dataclass(frozen=True)
class FaultPlan:
    """An immutable list of faults; each method returns a longer plan, so plans read from left to right."""

    faults: tuple[Fault, ...] = ()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.faults)

    def __len__(self) -> int:
        return len(self.faults)

    def __add__(self, other: FaultPlan) -> FaultPlan:
        return FaultPlan(self.faults + other.faults)

    def crash(self, node: str, at: float | After) -> FaultPlan:
        """Kill the node: its memory and its unsynced writes are gone, nothing in it runs on, not even `finally`."""
        return self._with("crash", at, (node,))

    def restart(self, node: str, at: float | After) -> FaultPlan:
        """Start a crashed node anew, with its disk alone."""
        return self._with("restart", at, (node,))

    def pause(self, node: str, at: float | After) -> FaultPlan:
        """Stop the node where it stands; what arrives waits."""
        return self._with("pause", at, (node,))

    def resume(self, node: str, at: float | After) -> FaultPlan:
        """Let a paused node go on: it now sees all that has waited, and timers long due."""
        return self._with("resume", at, (node,))

    def partition(
        self, nodes: Iterable[str], others: Iterable[str], at: float | After, both_ways: bool = True
    ) -> FaultPlan:
        """Lose all messages from `nodes` to `others`, and unless `both_ways` is False from `others` to `nodes`."""
        return self._with("partition", at, tuple(nodes), others=tuple(others), both_ways=both_ways)

    def heal(self, at: float | After) -> FaultPlan:
        """End every partition."""
        return self._with("heal", at)

    def hold(self, nodes: Iterable[str], others: Iterable[str], at: float | After, both_ways: bool = True) -> FaultPlan:
        """Keep back all messages between `nodes` and `others` until the release."""
        return self._with("hold", at, tuple(nodes), others=tuple(others), both_ways=both_ways)

    def release(self, at: float | After) -> FaultPlan:
        """Send on all that was held."""
        return self._with("release", at)

    def step_clock(self, node: str, seconds: float, at: float | After) -> FaultPlan:
        """Set the node's clock forward (back, if negative)."""
        return self._with("clock step", at, (node,), amount=seconds)

    def drift_clock(self, node: str, drift_ppm: float, at: float | After) -> FaultPlan:
        """Let the node's clock run fast (slow, if negative) from then on."""
        return self._with("clock drift", at, (node,), amount=drift_ppm)

    def change_links(self, at: float | After, loss: float | None = None, duplication: float | None = None) -> FaultPlan:
        """Change the loss or the duplication of all links."""
        return self._with("link", at, loss=loss, duplication=duplication)

    def outages(
        self, nodes: Sequence[str], availability: float, mean_outage: float, until: float, seed: int
    ) -> FaultPlan:
        """Crash and restart each node at random, up for a share `availability` of the time in the long run.

        Up and down times are exponential; a node starts down with probability 1 − `availability`, so that the
        process is stationary from the first instant.
        """
        plan = list(self.faults)
        for node in nodes:
            plan += _outages_of(node, availability, mean_outage, until, Random(f"{seed}/outages/{node}"))
        return FaultPlan(tuple(sorted(plan, key=_order)))

    def restarts(self, node: str) -> int:
        """How many restarts are planned for a node."""
        return sum(fault.kind == "restart" and fault.nodes == (node,) for fault in self.faults)

    def check(self, nodes: Collection[str]) -> None:
        """Raise `BadInput` if the plan names a node that is not there, or undoes what it has not done."""
        down: set[tuple[str, str]] = set()
        for fault in sorted(self.faults, key=_order):
            for name in (*fault.nodes, *fault.others):
                if name not in nodes:
                    raise BadInput(f"the fault plan names {name!r}: the nodes are {', '.join(nodes)}")
            if fault.kind in OF_ONE_NODE and len(fault.nodes) != 1:
                raise BadInput(f"a {fault.kind} is planned for {fault.nodes!r}: it must be for one node")
            for begin, end in (("crash", "restart"), ("pause", "resume")):
                if fault.kind == begin:
                    down.add((begin, fault.nodes[0]))
                elif fault.kind == end and (begin, fault.nodes[0]) not in down:
                    raise BadInput(f"a {end} of {fault.nodes[0]!r} is planned: it must come after a {begin}")

    def to_json(self) -> list[dict[str, Any]]:
        """The plan as plain data."""
        return [asdict(fault) for fault in self.faults]

    @classmethod
    def from_json(cls, data: Iterable[dict[str, Any]]) -> FaultPlan:
        """The plan that `to_json` wrote."""
        return cls(tuple(_fault_from_json(entry) for entry in data))

    def _with(self, kind: str, at: float | After, nodes: tuple[str, ...] = (), **details: Any) -> FaultPlan:
        return FaultPlan((*self.faults, Fault(kind, at, nodes, **details)))


@dataclass
class FaultWindow:
    """A stretch of a run during which something was wrong, in seconds; what figures shade."""

    kind: str
    nodes: tuple[str, ...]
    begin: float
    end: float
    others: tuple[str, ...] = field(default=())


def windows(faults: Iterable[Fault], until: float) -> list[FaultWindow]:
    """Each fault that lasts, from its begin to whatever ended it, or to `until`."""
    found: list[FaultWindow] = []
    for fault in faults:
        assert not isinstance(fault.at, After), "windows are of faults that have happened"
        if fault.kind in ENDS:
            found.append(FaultWindow(fault.kind, fault.nodes, fault.at, until, fault.others))
        for window in found:
            mine = not fault.nodes or fault.nodes == window.nodes
            if ENDS[window.kind] == fault.kind and mine and window.end == until:
                window.end = fault.at
    return found


class Standing:
    """What of the faults so far still matters to a node that starts now: open partitions and holds, the state of
    the links, and everything that was ever done to its clock."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def note(self, fault: Fault) -> None:
        """Take a fault into account that has just happened."""
        ended = {"heal": "partition", "release": "hold"}.get(fault.kind)
        if ended is not None:
            self._faults = [standing for standing in self._faults if standing.kind != ended]
        elif fault.kind in ("partition", "hold", "link", *OF_A_CLOCK):
            self._faults.append(fault)

    def for_node(self, name: str) -> list[Fault]:
        """The faults that `name` must apply at its start, in order."""
        return [fault for fault in self._faults if fault.kind not in OF_A_CLOCK or fault.nodes == (name,)]


def _order(fault: Fault) -> float:
    # Conditional faults are placed last: when they happen is known only in the run.
    return float("inf") if isinstance(fault.at, After) else fault.at


def _fault_from_json(entry: dict[str, Any]) -> Fault:
    at = entry["at"]
    lists = {name: tuple(entry[name]) for name in ("nodes", "others")}
    return Fault(**{**entry, **lists, "at": After(**at) if isinstance(at, dict) else at})


def _outages_of(node: str, availability: float, mean_outage: float, until: float, random: Random) -> list[Fault]:
    if not 0 < availability <= 1:
        raise BadInput(f"availability is {availability!r}: it must be above 0 and at most 1")
    if not (0 < mean_outage < inf and 0 <= until < inf):
        lengths = f"mean_outage is {mean_outage!r} and until {until!r}"
        raise BadInput(f"{lengths}: they must be seconds, the first above 0 and the other 0 or more")
    if availability == 1:
        return []
    mean_uptime = mean_outage * availability / (1 - availability)
    up, now, plan = random.random() < availability, 0.0, []
    if not up:
        plan.append(Fault("crash", 0.0, (node,)))
    while True:
        now += random.expovariate(1 / (mean_uptime if up else mean_outage))
        if now >= until:
            return plan
        plan.append(Fault("crash" if up else "restart", round(now, 6), (node,)))
        up = not up
