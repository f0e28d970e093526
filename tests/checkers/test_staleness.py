"""The staleness checker against its definition, on histories small enough to try every pair."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.checkers.staleness import fresh_reads, judge_reads
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED, Verdict


def write(value, begin, end, outcome="ok", key="x", process=None, number=0) -> Operation:
    return Operation(process or f"w{value}", "write", key, value, begin, end, outcome, number=number)


def read(value, begin, end, key="x", process="r", number=9) -> Operation:
    return Operation(process, "read", key, value, begin, end, "ok", number=number)


def before(one: Operation, other: Operation) -> bool:
    """Real-time order: one process is sequential, and what may still happen has not ended."""
    if one.outcome == "unknown" or one.returned_us is None:
        return False
    if one.returned_us == other.invoked_us:
        return one.process == other.process and one.number < other.number
    return one.returned_us < other.invoked_us


def brute_force(operations: list[Operation]):
    """Each read with the writes that it missed, or None if no store may return its value."""
    for one in operations:
        if one.function != "read" or not one.ok:
            continue
        writes = [other for other in operations if other.function == "write" and other.key == one.key]
        source = next((other for other in writes if other.value == one.value), None)
        if (source is None and one.value is not None) or (
            source is not None and (source.outcome == "fail" or before(one, source))
        ):
            yield one, None
        else:
            later = [w for w in writes if w.ok and (source is None or before(source, w))]
            yield one, [w for w in later if before(w, one)]


@st.composite
def histories(draw):
    operations = []
    for number in range(draw(st.integers(1, 7))):
        begin = draw(st.integers(0, 12))
        length = draw(st.none() | st.integers(0, 6))
        outcome = "unknown" if length is None else draw(st.sampled_from(["ok", "ok", "ok", "fail", "unknown"]))
        function = draw(st.sampled_from(["write", "read"]))
        value = number if function == "write" else draw(st.none() | st.integers(0, 7))
        end = None if length is None else begin + length
        process, key = draw(st.sampled_from("pq")), draw(st.sampled_from("xxy"))
        operations.append(Operation(process, function, key, value, begin, end, outcome, number=number))
    return operations


@settings(max_examples=400)
@given(histories())
def test_every_read_is_judged_as_by_its_definition(operations):
    judged, expected = list(judge_reads(operations)), list(brute_force(operations))
    assert [judgement.read for judgement in judged] == [one for one, _ in expected]
    for judgement, (_, missed) in zip(judged, expected, strict=True):
        assert bool(judgement.impossible) == (missed is None)
        if missed is not None:
            assert judgement.versions_behind == len(missed)
            assert (judgement.missed is None) == (not missed)
            if missed:
                assert judgement.missed.returned_us == min(w.returned_us for w in missed)


@settings(max_examples=200)
@given(histories())
def test_the_verdict_is_the_reads_taken_together(operations):
    expected = [missed for _, missed in brute_force(operations)]
    verdict = fresh_reads(operations)
    if not expected:
        assert verdict.status == UNDECIDED
    elif all(missed == [] for missed in expected):
        assert verdict.status == HOLDS
    else:
        assert verdict.status == ILLEGAL
        assert fresh_reads(verdict.counterexample).status == ILLEGAL, "the counterexample alone is one"
        assert len(verdict.counterexample) <= 3


PLANTED = [
    ([write(1, 0, 1), read(2, 2, 3)], "it returned a value that nobody wrote"),
    ([write(1, 0, 1, "fail"), read(1, 2, 3)], "it returned a write that was refused"),
    ([write(1, 5, 6), read(1, 2, 3)], "it returned a write from its future"),
    ([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)], "1 of 1 reads missed a write"),
    ([write(1, 0, 1), read(None, 2, 3)], "1 of 1 reads missed a write"),
]


@pytest.mark.parametrize(("operations", "why"), PLANTED)
def test_a_planted_anomaly_is_found_and_told(operations, why):
    verdict = fresh_reads(operations)
    assert (verdict.status, verdict.explanation) == (ILLEGAL, why)
    assert verdict.counterexample[-1] is operations[-1]


LEGAL = [
    [write(1, 0, 10), read(None, 2, 3), read(1, 4, 5), read(None, 6, 7)],  # concurrent: either, even in turns
    [write(1, 0, 4), write(2, 1, 5), read(1, 6, 7), read(2, 6, 7)],  # concurrent writes have no order
    [write(1, 0, 2), write(2, 2, 4), read(1, 5, 6)],  # a tie between processes leaves the order open
    [write(1, 0, None, "unknown"), write(2, 3, 4), read(1, 5, 6)],  # still under way
    [write(1, 0, 2, "unknown"), write(2, 3, 4), read(1, 5, 6)],  # given up, but it may arrive at any time
    [write(1, 0, 1), write(2, 3, 4, "unknown"), read(1, 5, 6)],  # may never have happened
    [write(1, 0, 1, key="x"), read(None, 2, 3, key="y")],
]


@pytest.mark.parametrize("operations", LEGAL)
def test_what_a_regular_register_may_do_is_no_anomaly(operations):
    assert fresh_reads(operations).status == HOLDS


def test_a_tie_within_one_process_is_an_order():
    mine = [write(1, 0, 2, process="p", number=1), write(2, 2, 4, process="p", number=2)]
    assert fresh_reads([*mine, read(1, 4, 4, process="p", number=3)]).status == ILLEGAL
    assert fresh_reads([*mine, read(1, 4, 4, process="q", number=3)]).status == HOLDS


@pytest.mark.parametrize("operations", [[], [write(1, 0, 1)], [Operation("r", "read", "x", None, 0, 1, "unknown")]])
def test_without_reads_there_is_no_verdict(operations):
    verdict = fresh_reads(operations)
    assert verdict.status == UNDECIDED and verdict.vacuous


def test_the_smallest_counterexample_is_told():
    operations = [write(number, 10 * number, 10 * number + 1) for number in range(5)]
    operations += [read(0, 60, 61), read(3, 62, 63), read(1, 64, 65)]
    verdict = fresh_reads(operations)
    assert verdict.counterexample == (operations[3], operations[4], operations[6])
    assert verdict.explanation == "3 of 3 reads missed a write"


def test_versions_behind_are_counted():
    operations = [write(number, 10 * number, 10 * number + 1) for number in range(5)] + [read(1, 60, 61)]
    (judgement,) = judge_reads(operations)
    assert (judgement.versions_behind, judgement.missed, judgement.returned) == (3, operations[2], operations[1])


def test_two_writes_of_one_value_cannot_be_told_apart():
    with pytest.raises(ValueError, match="two writes of 1 to 'x'"):
        list(judge_reads([write(1, 0, 1), write(1, 2, 3), read(1, 4, 5)]))


def test_a_verdict_is_never_taken_for_a_bool():
    with pytest.raises(TypeError, match="three values"):
        bool(Verdict("property", HOLDS))
