"""The steps of a counterexample: who did what, from when to when, and what part that played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from labkit.history import Operation, Stretch
from labkit.naming import Names
from labkit.results import Verdict

MOST_STEPS = 12
"""More than this are no longer followed: the first ones are shown, and the offending one."""

IN_SECONDS_FROM_US = 10_000_000
NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Step:
    """One step of a counterexample; times are microseconds.

    `end_us` is missing where no response came. `outcome` is that of an operation, and empty for what a node did or
    believed by itself. `label` has short names, and `told` the true ones.
    """

    place: int
    process: str
    label: str
    begin_us: int
    end_us: int | None
    outcome: str
    role: str
    offending: bool
    told: str

    @property
    def is_instant(self) -> bool:
        """Whether it took no time."""
        return self.end_us == self.begin_us

    @property
    def when(self) -> str:
        """Its time in words: ``2.1–12.8 ms``."""
        size, unit = (1e6, "s") if (self.end_us or self.begin_us) > IN_SECONDS_FROM_US else (1e3, "ms")
        begin = f"{self.begin_us / size:.1f}"
        if self.is_instant:
            return f"at {begin}{NBSP}{unit}"
        if self.end_us is None:
            return f"from {begin}{NBSP}{unit} on"
        return f"{begin}–{self.end_us / size:.1f}{NBSP}{unit}"


def steps_of(verdict: Verdict, names: Names | None = None) -> tuple[Step, ...]:
    """The steps, in the order of their beginnings; empty without a counterexample.

    `names` are those of a longer history, for a page that shows it beside them.
    """
    story = verdict.counterexample
    names = names or Names.of(sorted(_operations(story), key=lambda each: each.invoked_us))
    roles = verdict.roles or ("",) * len(story)
    made = [
        _step(names, step, role, place == verdict.offending)
        for place, (step, role) in enumerate(zip(story, roles, strict=True))
    ]
    made.sort(key=lambda step: (step.begin_us, step.offending))
    return tuple(_numbered(made))


def shown(steps: Sequence[Step]) -> tuple[list[Step], int]:
    """As many of the steps as can be followed, and how many are left out."""
    if len(steps) <= MOST_STEPS:
        return list(steps), 0
    kept = {step.place for step in steps if step.offending} | {step.place for step in steps[: MOST_STEPS - 1]}
    chosen = [step for step in steps if step.place in kept]
    return chosen, len(steps) - len(chosen)


def lanes_of(steps: Sequence[Step]) -> dict[str, str]:
    """The processes in the order in which they begin, each with what its lane is called.

    A process that is called for its node and a number of its own is called for its node, if no other is.
    """
    processes = list(dict.fromkeys(step.process for step in steps))
    nodes = [_node(process) for process in processes]
    return {
        process: node if nodes.count(node) == 1 else process for process, node in zip(processes, nodes, strict=True)
    }


def _step(names: Names, step: Any, role: str, offending: bool) -> Step:
    if isinstance(step, Operation):
        begin_us, end_us = step.invoked_us, step.returned_us
        return Step(0, step.process, names.both(step), begin_us, end_us, step.outcome, role, offending, str(step))
    if isinstance(step, Stretch):
        return Step(0, step.node, step.label, step.begin_us, step.end_us, "", role, offending, str(step))
    return Step(0, step.node, step.label, step.at_us, step.at_us, "", role, offending, str(step))


def _numbered(steps: Sequence[Step]) -> list[Step]:
    return [replace(step, place=place) for place, step in enumerate(steps, 1)]


def _operations(story: Sequence[Any]) -> list[Operation]:
    return [step for step in story if isinstance(step, Operation)]


def _node(process: str) -> str:
    name, _, number = process.partition(".")
    return name if number else process
