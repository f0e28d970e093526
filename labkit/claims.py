"""A claim of the guide, held against a measurement; the last chapter collects them from the labs' outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

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
