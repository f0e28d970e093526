"""Did it end well, and was enough done? Some operations must have succeeded, or a share of them."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, Verdict
from labkit.wording import count


def all_succeeded(operations: Iterable[Operation], what: str) -> Verdict:
    """OK if each of the operations succeeded; else the first that did not. `what` is the property."""
    awaited = list(operations)
    if not awaited:
        return Verdict.of_nothing(what, "there is no operation that had to succeed")
    failed = [operation for operation in awaited if not operation.ok]
    if not failed:
        return Verdict(what, HOLDS, count(len(awaited), "operation"))
    why = f"{len(failed)} of {len(awaited)} operations did not succeed"
    return Verdict.against(what, why, (failed[0], failed[0].error or "had to succeed, and did not"))


def enough(what: str, reached: float, least: float) -> Verdict:
    """OK if a share has reached the `least` that is asked for; `what` is the property. NaN, of nothing, is not enough.

    For a rule that keeps every promise by doing nothing.
    """
    told = f"{reached:.0%}, where {least:.0%} is asked for"
    return Verdict(what, HOLDS if reached >= least else ILLEGAL, told)
