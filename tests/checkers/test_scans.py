"""The checker of scans: by keys and not by their number, against a judgement of each key by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.checkers.scans import no_scan_misses
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

SPAN = 4


def write(user: int, begin: int, end: int | None, outcome: str = "ok") -> Operation:
    return Operation(f"w{user}.{begin}", "write", user, f"{user}@{begin}", begin, end, outcome)


def scan(low: int, rows: list[int], begin: int = 100, end: int = 110, outcome: str = "ok") -> Operation:
    return Operation("scanner", "scan", low, rows, begin, end, outcome)


def test_as_many_rows_as_are_due_are_not_those_that_are_due():
    """Users 1 and 2 are due; the scan has 1, and a user 3 who is written while it runs."""
    history = [write(1, 0, 10), write(2, 0, 10), write(3, 95, 105), scan(1, [1, 3])]
    verdict = no_scan_misses(history, SPAN)
    assert verdict.status == ILLEGAL
    assert verdict.counterexample == (history[1], history[3])
    assert verdict.explanation == "1 of 1 scan: one lacks 2, acknowledged before it began"


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([1, 2], HOLDS),
        ([2, 1, 3], HOLDS),  # 3 is written while the scan runs
        ([1, 2, 4], HOLDS),  # 4 has an unknown outcome
        ([1, 2, 1], ILLEGAL),
        ([1, 2, 5], ILLEGAL),  # written, and beyond what was asked for
        ([0, 1, 2], ILLEGAL),
        ([1], ILLEGAL),
        ([], ILLEGAL),
    ],
)
def test_what_a_scan_may_have(rows, status):
    history = [write(1, 0, 10), write(2, 0, 10), write(3, 95, 105), write(4, 20, None, "unknown"), write(5, 0, 10)]
    assert no_scan_misses([*history, write(0, 0, 10), scan(1, rows)], SPAN).status == status


@pytest.mark.parametrize("never", [[], [write(3, 0, 10, "fail")], [write(3, 111, 120)]])
def test_a_row_that_nobody_had_written_is_a_fault(never):
    assert no_scan_misses([write(1, 0, 10), *never, scan(1, [1, 3])], SPAN).status == ILLEGAL


def test_a_scan_that_failed_or_had_nothing_to_find_is_no_success():
    assert no_scan_misses([], SPAN).status == UNDECIDED
    assert no_scan_misses([write(1, 0, 10), scan(1, [], outcome="unknown")], SPAN).status == UNDECIDED
    assert no_scan_misses([write(9, 0, 10), scan(1, [])], SPAN).status == UNDECIDED
    assert no_scan_misses([write(1, 50, 100), scan(1, [])], SPAN).status == UNDECIDED  # at one instant: concurrent


OUTCOMES = st.sampled_from(["ok", "ok", "ok", "unknown", "fail"])
TIMES = st.integers(0, 30)


@st.composite
def histories(draw):
    history = []
    for _ in range(draw(st.integers(0, 8))):
        begin, outcome = draw(TIMES), draw(OUTCOMES)
        end = None if outcome == "unknown" and draw(st.booleans()) else begin + draw(TIMES)
        history.append(write(draw(st.integers(0, 6)), begin, end, outcome))
    for _ in range(draw(st.integers(1, 2))):
        begin = draw(TIMES)
        rows = draw(st.lists(st.integers(0, 6), max_size=5))
        history.append(scan(draw(st.integers(0, 5)), rows, begin, begin + draw(TIMES)))
    return draw(st.permutations(history))


def is_wrong(history: list[Operation], one: Operation) -> bool:
    """Each key by itself: how often it must be there at least, and may be at most."""
    for key in range(-1, 8):
        asked = [each for each in history if each.function == "write" and each.key == key]
        inside = one.key <= key < one.key + SPAN
        must = inside and any(each.ok and each.returned_us < one.invoked_us for each in asked)
        may = inside and any(each.outcome != "fail" and each.invoked_us <= one.returned_us for each in asked)
        if not must <= one.value.count(key) <= may:
            return True
    return False


@given(histories())
def test_a_verdict_is_what_each_key_by_itself_says(history):
    scans = [each for each in history if each.function == "scan"]
    expected = [one for one in scans if is_wrong(history, one)]
    verdict = no_scan_misses(history, SPAN)
    assert (verdict.status == ILLEGAL) == bool(expected)
    if expected:
        assert verdict.counterexample[-1] in expected
        assert verdict.explanation.startswith(f"{len(expected)} of ")
