"""The checkers of lost writes and of settling: against their definition, on hand-made and on generated histories."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.checkers.lost_writes import losses, no_lost_writes
from labkit.checkers.settling import all_succeeded
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED


def write(value, begin, end, outcome="ok", key="k"):
    return Operation("w", "write", key, value, begin, end, outcome)


def read(value, begin, end, outcome="ok", key="k"):
    return Operation("r", "read", key, value, begin, end, outcome)


@st.composite
def histories(draw):
    """Some writes of one key, and reads that return any of them or nothing, at any instants and with any outcome."""
    times = st.tuples(st.integers(0, 40), st.integers(1, 15))
    writes = []
    for value in range(draw(st.integers(0, 5))):
        begin, length = draw(times)
        writes.append(write(value, begin, begin + length, draw(st.sampled_from(["ok", "ok", "unknown"]))))
    reads = []
    for _ in range(draw(st.integers(0, 5))):
        begin, length = draw(times)
        reads.append(read(draw(st.sampled_from([None, *range(len(writes))])), begin, begin + length))
    return writes, reads


def by_definition(writes, reads):
    """Acknowledged writes after which, and after all reads of them or of what is not older, some read began."""
    lost = []
    for lone in filter(lambda write: write.ok, writes):
        newer = [
            each.returned_us
            for each in reads
            if each.value is not None
            and not (writes[each.value].ok and writes[each.value].returned_us < lone.invoked_us)
        ]
        if any(each.invoked_us > max([lone.returned_us, *newer]) for each in reads):
            lost.append(lone)
    return lost


@settings(max_examples=500)
@given(histories())
def test_losses_are_those_of_the_definition(history):
    writes, reads = history
    found = {loss.write.value for loss in losses([*writes, *reads])}
    assert found == {lost.value for lost in by_definition(writes, reads)}


@settings(max_examples=300)
@given(histories())
def test_a_counterexample_is_itself_illegal_and_needs_each_of_its_operations_but_the_first(history):
    verdict = no_lost_writes([*history[0], *history[1]])
    if verdict.status == ILLEGAL:
        assert no_lost_writes(verdict.counterexample).status == ILLEGAL
        for left_out in verdict.counterexample[-2:]:
            rest = [operation for operation in verdict.counterexample if operation is not left_out]
            assert no_lost_writes([each for each in rest if each.function == "write"]).status == UNDECIDED
            assert no_lost_writes(rest).status != HOLDS or left_out.function == "write"


def test_a_write_that_is_never_seen_again_is_lost():
    verdict = no_lost_writes([write("old", 0, 10), write("new", 20, 30), read("old", 40, 50), read("old", 60, 70)])
    assert verdict.status == ILLEGAL
    assert [operation.value for operation in verdict.counterexample] == ["old", "new", "old"]
    assert verdict.counterexample[-1].invoked_us == 40  # the shorter of two stories


def test_a_key_that_is_empty_again_has_lost_its_write():
    assert no_lost_writes([write("a", 0, 10), read(None, 20, 30)]).status == ILLEGAL


def test_a_write_that_was_seen_and_then_vanished_is_lost():
    verdict = no_lost_writes([write("a", 0, 10), read("a", 20, 30), read(None, 40, 50)])
    assert verdict.status == ILLEGAL
    assert [operation.value for operation in verdict.counterexample] == ["a", None]


def test_a_read_that_overlaps_one_that_shows_the_write_may_come_before_it():
    assert no_lost_writes([write("a", 0, 10), read("a", 20, 40), read(None, 30, 50)]).status == HOLDS


def test_a_write_that_shows_later_was_not_lost():
    assert no_lost_writes([write("a", 0, 10), read(None, 20, 30), read("a", 40, 50)]).status == HOLDS


def test_a_write_that_another_may_have_replaced_was_not_lost():
    assert no_lost_writes([write("a", 0, 30), write("b", 10, 20), read("b", 40, 50)]).status == HOLDS
    assert no_lost_writes([write("b", 0, 5, "unknown"), write("a", 10, 20), read("b", 40, 50)]).status == HOLDS


def test_a_write_that_was_not_acknowledged_may_vanish():
    assert no_lost_writes([write("a", 0, 10, "unknown"), read(None, 20, 30)]).status == UNDECIDED


@pytest.mark.parametrize("outcome", ["fail", None])
def test_what_nobody_has_written_is_illegal(outcome):
    written = [write("a", 0, 10, outcome)] if outcome else []
    assert no_lost_writes([*written, read("a", 20, 30)]).status == ILLEGAL


def test_nothing_to_judge_is_no_success():
    assert no_lost_writes([]).status == UNDECIDED
    assert no_lost_writes([write("a", 0, 10), read(None, 5, 8), read(None, 20, 30, "unknown")]).status == UNDECIDED


def test_two_writes_of_one_value_cannot_be_judged():
    with pytest.raises(ValueError, match="told apart"):
        no_lost_writes([write("a", 0, 1), write("a", 2, 3)])


def test_settling_is_success_of_all():
    assert all_succeeded([], "it settles").status == UNDECIDED
    assert all_succeeded([read(1, 0, 1)], "it settles").status == HOLDS
    verdict = all_succeeded([read(1, 0, 1), read(2, 3, 4, "unknown"), read(3, 5, 6, "fail")], "it settles")
    assert verdict.status == ILLEGAL and [each.value for each in verdict.counterexample] == [2]
