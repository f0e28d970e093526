"""A claim of the guide, held against a measurement; the last chapter collects them from the labs' outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from labkit.errors import BadInput

MIME = "application/vnd.labkit.claims+json"

HEAD = ("The guide says", "Measured here", "Verdict")
LEFT = "style='text-align:left;vertical-align:top'"
"""JupyterLab sets every table's cells on the right, and these hold sentences."""

VERDICTS = ("holds", "holds when", "does not hold")


@dataclass(frozen=True)
class Claim:
    """What the guide says, what was measured, and the verdict; `condition` completes ``holds when``."""

    guide: str
    measured: str
    verdict: str
    condition: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict is {self.verdict!r}: it must be one of {', '.join(VERDICTS)}")
        if (self.verdict == "holds when") != bool(self.condition):
            raise ValueError(
                f"condition is {self.condition!r}: it goes with the verdict 'holds when', and only with it"
            )

    def __str__(self) -> str:
        return " ".join(filter(None, (self.verdict, self.condition)))


@dataclass(frozen=True)
class Case:
    """What was measured in one case, and whether the claim was true there."""

    measured: str
    is_true: bool


def judged(guide: str, cases: Iterable[Case], *, when: str = "", otherwise: Iterable[Case] = ()) -> Claim:
    """A claim whose verdict follows from what was measured.

    ``holds`` if it was true in all `cases`, ``does not hold`` if it was false in all. ``holds when`` takes cases in
    which the condition `when` is met, and others, `otherwise`, in which it is not: true in all of the first, false in
    all of the second. Raises `BadInput` where the cases do not settle it: they contradict each other, or the condition
    makes no difference.
    """
    met, unmet = list(cases), list(otherwise)
    if not met or bool(unmet) != bool(when):
        raise BadInput("cases and otherwise: there must be a case, and others just where there is a condition, `when`")
    true, also_true = {case.is_true for case in met}, {case.is_true for case in unmet}
    told = "; ".join(case.measured for case in (*met, *unmet))
    if when:
        if true != {True} or also_true != {False}:
            raise BadInput(f"the cases do not show that {guide!r} holds when {when}: {told}")
        return Claim(guide, told, "holds when", when)
    if len(true) > 1:
        raise BadInput(f"the cases contradict each other on {guide!r}: {told}")
    return Claim(guide, told, "holds" if True in true else "does not hold")


class Claims:
    """Several claims as one table, and as data in the notebook's output."""

    def __init__(self, claims: Iterable[Claim]):
        self.claims = list(claims)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = "".join(
            "<tr>" + "".join(f"<td {LEFT}>{cell}</td>" for cell in _cells(claim)) + "</tr>" for claim in self.claims
        )
        head = "<tr>" + "".join(f"<th {LEFT}>{title}</th>" for title in HEAD) + "</tr>"
        plain = "\n".join(f"{claim.guide} | {claim.measured} | {claim}" for claim in self.claims)
        return {
            MIME: [asdict(claim) for claim in self.claims],
            "text/html": f'<table class="claims"><thead>{head}</thead><tbody>{rows}</tbody></table>',
            "text/plain": plain,
        }


def _cells(claim: Claim) -> tuple[str, str, str]:
    return escape(claim.guide), escape(claim.measured), f"<b>{escape(str(claim))}</b>"
