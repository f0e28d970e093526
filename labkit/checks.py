"""What a lab's text says of its runs, as sentences that stop the notebook when they are no longer true."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.errors import BadInput
from labkit.results import Result
from labkit.sweeping import among_simulations
from labkit.wording import words

STANDARD_ERRORS = 3
"""How far a share may be from its law.

Chance alone goes beyond once in 370 if some tens of samples may be expected on either side; oftener near 0 and 1.
"""

DEVIATIONS = 5
"""How far a run may be from simulations of it: by chance alone, one in 10,000 is further."""


@dataclass(frozen=True)
class Check:
    """One sentence about a run, whether it is true, and the number that shows it."""

    sentence: str
    holds: bool
    evidence: str = ""

    def __str__(self) -> str:
        return f"{'✓' if self.holds else '✗'} {self.sentence}" + (f": {self.evidence}" if self.evidence else "")


class CheckFailed(AssertionError):
    """A sentence of the lab's text is not true of the runs above it."""


class Checks:
    """Several checks as a list; making it raises `CheckFailed`, with all of them, unless each holds."""

    def __init__(self, checks: Iterable[Check]):
        self.checks = tuple(checks)
        if not self.checks:
            raise BadInput("checks is empty: there must be one at least")
        if not all(check.holds for check in self.checks):
            raise CheckFailed("\n" + str(self))

    def __str__(self) -> str:
        return "\n".join(map(str, self.checks))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        lines = "".join(f"<li style='list-style:none'>{escape(str(check))}</li>" for check in self.checks)
        return {"text/html": f"<ul class='checks' style='padding-left:0'>{lines}</ul>", "text/plain": str(self)}


def check(sentence: str, holds: Any, evidence: str = "") -> Check:
    """The sentence, which `holds` or does not; `evidence` is the number that a reader should see.

    Raises `BadInput` unless `holds` is true or false: a number, a list or None would hold or fail by accident.
    """
    if type(holds).__name__ not in ("bool", "bool_"):  # NumPy's, too, without importing it
        raise BadInput(f"holds is {holds!r}: it must be true or false")
    return Check(sentence, bool(holds), evidence)


def none_of(sentence: str, cases: float, of: float) -> Check:
    """It happened in none of so many cases; fails also where there was no case to happen in."""
    return Check(sentence, cases == 0 and of > 0, f"{cases:,.0f} of {of:,.0f}")


def share_near(sentence: str, measured: float, law: float, samples: float) -> Check:
    """A measured share is where the law puts it, up to `STANDARD_ERRORS` of a share of so many independent samples.

    Raises `BadInput` unless there are samples and the law is a share, from 0 to 1.
    """
    if not samples >= 1:
        raise BadInput(f"samples is {samples!r}: it must be 1 or more")
    if not 0 <= law <= 1:
        raise BadInput(f"law is {law!r}: it must be a share, from 0 to 1")
    allowed = STANDARD_ERRORS * math.sqrt(law * (1 - law) / samples)
    evidence = f"measured {measured:.1%}, law {law:.1%} ± {allowed:.1%}"
    return Check(sentence, abs(measured - law) <= allowed, evidence)


def like_simulations(
    measured: Result, names: Sequence[str], seeds: int = 20, allowance: float = 0.25, **instead: Any
) -> list[Check]:
    """A check for each of the measures `names`: simulations with other chances could have come out like it.

    That is within 5 standard deviations of as many simulations as there are `seeds`, with the dials `instead` in place
    of the run's own; and a machine that is slow may add the share `allowance` of their mean. Raises `BadInput` as
    `among_simulations` does, which runs them.
    """
    rows = among_simulations(measured, names, seeds, allowance, **instead)
    return [
        check(
            f"{words(name)} is what {seeds} simulations allow",
            bool(row["deviations apart"] < DEVIATIONS),
            f"measured {measured.measures[name]}, simulated {measured.measures[name].said(row['simulated'])}",
        )
        for name, row in rows.iterrows()
    ]
