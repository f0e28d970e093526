"""The checker of scans: by keys and not by their number, against a judgement of each key by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.checkers.scans import no_scan_misses
from labkit.errors import BadInput
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


def test_a_row_that_was_shown_once_may_not_vanish():
    """Nobody was told that 1 is written, but somebody saw it; rows are never deleted."""
    history = [write(2, 0, 1), write(1, 0, None, "unknown"), scan(1, [1, 2], 2, 3), scan(1, [2], 4, 5)]
    verdict = no_scan_misses(history, SPAN)
    assert verdict.status == ILLEGAL
    assert verdict.counterexample == (history[2], history[3])
    assert verdict.explanation == "1 of 2 scans: one lacks 1, which an earlier scan has shown"


@pytest.mark.parametrize(
    ("earlier", "status"),
    [
        (scan(1, [1, 2], 20, 30), ILLEGAL),
        (scan(0, [2, 1], 20, 30), ILLEGAL),  # it asked for other keys too
        (scan(1, [1, 2], 20, 110), HOLDS),  # both at once
        (scan(1, [1, 2], 20, 30, outcome="unknown"), HOLDS),  # its rows are no answer
        (Operation("another", "scan", 1, [1, 2], 20, 100, "ok"), HOLDS),  # they touch: concurrent
    ],
)
def test_only_a_scan_that_ended_before_makes_a_row_due(earlier, status):
    history = [write(2, 0, 1), write(1, 0, None, "unknown"), earlier, scan(1, [2])]
    assert no_scan_misses(history, SPAN).status == status


def test_a_row_that_no_scan_may_have_is_not_due_because_one_has_it():
    history = [write(2, 0, 1), scan(1, [1, 2], 2, 3), write(1, 4, 5), scan(1, [2], 5, 6)]
    verdict = no_scan_misses(history, SPAN)
    assert verdict.explanation == "1 of 2 scans: one has 1, which nobody had written"
    assert verdict.counterexample == (history[1],)


def by_p(function: str, key: int, value: object, begin: int, end: int, number: int) -> Operation:
    return Operation("p", function, key, value, begin, end, "ok", number=number)


def test_what_one_process_does_is_in_order_even_if_it_touches():
    first, missing = by_p("write", 1, "x", 0, 5, 1), by_p("scan", 1, [], 5, 9, 2)
    assert no_scan_misses([write(2, 20, 21), first, missing], SPAN).counterexample == (first, missing)
    early, later = by_p("scan", 1, [1], 2, 5, 1), by_p("write", 1, "x", 5, 9, 2)
    assert no_scan_misses([later, early], SPAN).counterexample == (early,)
    shown, gone = by_p("scan", 1, [1], 2, 5, 1), by_p("scan", 1, [], 5, 9, 2)
    assert no_scan_misses([write(1, 0, None, "unknown"), gone, shown], SPAN).counterexample == (shown, gone)


@pytest.mark.parametrize(("function", "value"), [("write", "x"), ("scan", [1])])
@pytest.mark.parametrize("end", [None, 1])
def test_what_succeeded_without_an_end_is_refused(function, value, end):
    endless = Operation("p", function, 1, value, 2, end, "ok")
    with pytest.raises(BadInput, match=r"returned_us is (None|1) in p: .* must not be before invoked_us"):
        no_scan_misses([write(1, 0, 1), endless, scan(1, [1])], SPAN)


OUTCOMES = st.sampled_from(["ok", "ok", "ok", "unknown", "fail"])
TIMES = st.integers(0, 30)


@st.composite
def histories(draw):
    """Some are of one process, which may do two things at one instant, in the order of their numbers."""
    history = []
    for _ in range(draw(st.integers(0, 8))):
        begin, outcome = draw(TIMES), draw(OUTCOMES)
        end = None if outcome == "unknown" and draw(st.booleans()) else begin + draw(TIMES)
        history.append(write(draw(st.integers(0, 6)), begin, end, outcome))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(TIMES)
        rows = draw(st.lists(st.integers(0, 6), max_size=5))
        history.append(scan(draw(st.integers(0, 5)), rows, begin, begin + draw(TIMES)))
    history = [replace(each, process=draw(st.sampled_from("pqr"))) for each in history]
    return [replace(each, number=number) for number, each in enumerate(draw(st.permutations(history)))]


def goes_before(one: Operation, other: Operation) -> bool:
    if not one.ok:
        return False
    is_in_order = one.process == other.process and one.number < other.number
    return one.returned_us < other.invoked_us or (one.returned_us == other.invoked_us and is_in_order)


def bounds(history: list[Operation], one: Operation, key: int) -> tuple[bool, bool]:
    """Whether the key must be in the scan, and whether it may be."""
    asked = [each for each in history if each.function == "write" and each.key == key]
    inside = one.key <= key < one.key + SPAN
    may = inside and any(each.outcome != "fail" and not goes_before(one, each) for each in asked)
    showed = [each for each in history if each.function == "scan" and key in each.value and goes_before(each, one)]
    is_shown = any(bounds(history, each, key)[1] for each in showed)
    return inside and (is_shown or any(goes_before(each, one) for each in asked)), may


def is_wrong(history: list[Operation], one: Operation) -> bool:
    """Each key by itself: how often it must be there at least, and may be at most."""
    for key in range(-1, 8):
        must, may = bounds(history, one, key)
        if (must and key not in one.value) or one.value.count(key) > may:
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
