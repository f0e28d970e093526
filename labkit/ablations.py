"""Testing the tester: take a safeguard out of a protocol, and see which seed makes its checker notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from labkit.claims import LEFT
from labkit.errors import BadInput
from labkit.lab import Ablation, Experiment, catalogue, find
from labkit.results import HOLDS, ILLEGAL, Verdict
from labkit.running import run
from labkit.sweeping import Progress

MOST_SEEDS = 1000


@dataclass(frozen=True)
class Hunt:
    """What became of one ablation.

    `seed` is the first, from 0 up, at which the checker found the protocol illegal without its safeguard (None if
    none of those `tried` did), with `counterexample`, the smallest it had. `unsound` are those of the tried seeds at
    which it did not say ``OK`` of the protocol with its safeguard.
    """

    experiment: str
    ablation: str
    checker: str
    seed: int | None
    tried: int
    unsound: tuple[int, ...]
    explanation: str = ""
    counterexample: tuple[str, ...] = ()

    @property
    def is_caught(self) -> bool:
        """Whether the checker told the two protocols apart."""
        return self.seed is not None and not self.unsound


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
        return json.dumps([asdict(each) for each in self._hunts], sort_keys=True)

    def __str__(self) -> str:
        rows = [HEAD, *map(_row, self._hunts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th {LEFT}>{title}</th>" for title in HEAD)
        rows = "".join(
            "<tr>" + "".join(f"<td {LEFT}>{escape(cell)}</td>" for cell in _row(each)) + "</tr>" for each in self._hunts
        )
        return f"<table class='ablations'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


HEAD = ("experiment", "ablation", "what its checker denies", "first failing seed", "with the safeguard")


def hunt(experiment: str | Experiment, ablation: str, seeds: int = 100) -> Hunt:
    """Run the protocol without the safeguard at seed 0, 1, … until its checker finds it illegal.

    At every seed tried the protocol with its safeguard runs too, under the same faults, and must be ``OK``. Takes
    two runs a seed. Raises `BadInput`.
    """
    chosen = experiment if isinstance(experiment, Experiment) else find(experiment)
    if ablation not in chosen.ablations:
        raise BadInput(f"{chosen.name} has no ablation {ablation!r}: it has {', '.join(chosen.ablations) or 'none'}")
    if not 1 <= seeds <= MOST_SEEDS:
        raise BadInput(f"seeds is {seeds!r}: it must be from 1 to {MOST_SEEDS}")
    declared = chosen.ablations[ablation]
    unsound = []
    for seed in range(seeds):
        if _judged(chosen, declared, seed, {}).status != HOLDS:
            unsound.append(seed)
        found = _judged(chosen, declared, seed, declared.without)
        if found.status == ILLEGAL:
            story = tuple(str(operation) for operation in found.counterexample)
            said = (found.explanation, story)
            return Hunt(chosen.name, ablation, declared.breaks, seed, seed + 1, tuple(unsound), *said)
    return Hunt(chosen.name, ablation, declared.breaks, None, seeds, tuple(unsound))


def hunt_all(names: Iterable[str] = (), seeds: int = 100, progress: bool | Callable[[int, int], None] = True) -> Hunts:
    """Hunt every ablation of these experiments, or of all; `progress` is a bar, or a function of (done, total)."""
    chosen = [find(name) for name in names] or list(catalogue().values())
    planned = [(experiment, name) for experiment in chosen for name in experiment.ablations]
    found = []
    with Progress(progress, len(planned), "ablation") as advance:
        for experiment, name in planned:
            found.append(hunt(experiment, name, seeds))
            advance()
    return Hunts(found)


def _judged(experiment: Experiment, ablation: Ablation, seed: int, without: Mapping[str, Any]) -> Verdict:
    result = run(experiment, seed=seed, trace=False, **{**ablation.under, **without})
    for verdict in result.verdicts:
        if verdict.property == ablation.breaks:
            return verdict
    properties = ", ".join(verdict.property for verdict in result.verdicts)
    raise BadInput(f"{ablation.name!r} breaks {ablation.breaks!r}: {experiment.name} has the verdicts {properties}")


def _row(found: Hunt) -> tuple[str, ...]:
    seed = "none" if found.seed is None else str(found.seed)
    held = "OK" if not found.unsound else f"not OK at seed {', '.join(map(str, found.unsound))}"
    return found.experiment, found.ablation, found.checker, f"{seed} of {found.tried} tried", held
