"""The causality checkers, held against a search of the test's own, and against clocks with planted faults."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.causality import Vector
from labkit.checkers.causality import (
    Event,
    Execution,
    by_number,
    by_vector,
    no_write_dropped,
    respects_causality,
    tally,
    tells_causality,
)
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

NODES = "abc"
acts = st.lists(st.tuples(st.sampled_from(NODES), st.booleans(), st.integers(0, 5)), min_size=1, max_size=20)


def execution_of(actions):
    """Events by what was drawn: each node's own, some of them receipts of an earlier event of another node."""
    events, counts = [], dict.fromkeys(NODES, 0)
    for at, (node, receives, which) in enumerate(actions):
        counts[node] += 1
        earlier = [event for event in events if event.node != node]
        cause = earlier[which % len(earlier)] if receives and earlier else None
        events.append(Event(node, counts[node], at, cause=(cause.node, cause.number) if cause else None))
    return Execution(reversed(events))


def after(execution, event):
    """What → leads to, event by event, breadth first."""
    found, waiting = [], deque([event])
    while waiting:
        one = waiting.popleft()
        for other in execution.events:
            follows = (other.node, other.number) == (one.node, one.number + 1)
            if (follows or other.cause == (one.node, one.number)) and other not in found:
                found.append(other)
                waiting.append(other)
    return found


def true_vectors(execution):
    """A vector clock for each event, from the definition: how many events of each node are before or equal."""
    vectors = []
    for index, event in enumerate(execution.events):
        past = [one for place, one in enumerate(execution.events) if execution.before[index] >> place & 1] + [event]
        vectors.append(Vector(tuple((node, sum(one.node == node for one in past)) for node in NODES
                                    if any(one.node == node for one in past))))  # fmt: skip
    return vectors


@settings(max_examples=500, deadline=None)
@given(acts)
def test_the_graph_agrees_with_a_search(actions):
    execution = execution_of(actions)
    for event in execution.events:
        later = after(execution, event)
        for other in execution.events:
            pair = (event.node, event.number), (other.node, other.number)
            assert execution.happened_before(*pair) == (other in later)
    assert execution.ordered_pairs == sum(len(after(execution, event)) for event in execution.events)


@settings(max_examples=300, deadline=None)
@given(acts)
def test_vectors_by_the_definition_tell_causality_and_each_fault_is_found(actions):
    execution = execution_of(actions)
    vectors = true_vectors(execution)
    verdict = tells_causality("vector", execution, by_vector(vectors), vectors)
    assert verdict.status == (HOLDS if execution.edges else UNDECIDED)
    receipts = [index for index, event in enumerate(execution.events) if event.cause]
    for index in receipts[:1]:
        event = execution.events[index]
        planted = list(vectors)
        planted[index] = Vector(((event.node, event.number),))  # not merged on receipt
        found = tells_causality("vector", execution, by_vector(planted), planted)
        assert found.status == ILLEGAL and found.counterexample[1] == event


@settings(max_examples=300, deadline=None)
@given(acts, st.data())
def test_every_pair_is_counted_once_and_as_what_it_is(actions, data):
    execution = execution_of(actions)
    size = len(execution.events)
    readings = data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    counted = tally(execution, by_number(readings))
    expected = dict.fromkeys(("inverted", "missed", "invented", "right"), 0)
    for one in range(size):
        for other in range(size):
            if execution.before[other] >> one & 1:
                kind = "right" if readings[one] < readings[other] else "inverted"
                expected["missed" if readings[one] == readings[other] else kind] += 1
            elif one < other and not execution.before[one] >> other & 1:
                expected["right" if readings[one] == readings[other] else "invented"] += 1
    assert {name: getattr(counted, name) for name in expected} == expected
    assert counted.pairs == execution.pairs == sum(expected.values())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=12))
def test_bits_say_what_vectors_say_one_by_one(counts):
    vectors = [
        Vector(tuple((node, number) for node, number in zip(NODES, each, strict=True) if number)) for each in counts
    ]
    before, later = by_vector(vectors)
    for one, mine in enumerate(vectors):
        for other, theirs in enumerate(vectors):
            assert bool(before[other] >> one & 1) == (mine < theirs)
            assert bool(later[other] >> one & 1) == (theirs < mine)


def test_the_counterexample_is_the_closest_pair():
    events = [Event("a", 1, 0), Event("a", 2, 1), Event("b", 1, 5, cause=("a", 1)), Event("b", 2, 6)]
    execution = Execution(events)
    readings = [4, 5, 1, 2]
    verdict = respects_causality("Lamport", execution, by_number(readings), readings)
    assert verdict.status == ILLEGAL and verdict.property == "Lamport clocks respect causality"
    assert [str(event) for event in verdict.counterexample] == [
        "a's event 1, event, at 0.000 ms",
        "b's event 1, event of a's event 1, at 0.005 ms",
    ]
    assert "a's event 1 has 4, b's event 1 1" in verdict.explanation


def test_a_clock_that_orders_the_concurrent_does_not_tell_causality():
    execution = Execution([Event("a", 1, 0), Event("a", 2, 1), Event("b", 1, 5)])
    readings = [1, 2, 3]
    assert respects_causality("Lamport", execution, by_number(readings), readings).status == HOLDS
    verdict = tells_causality("Lamport", execution, by_number(readings), readings)
    assert verdict.status == ILLEGAL and "seems to have caused" in verdict.explanation


def test_nothing_to_judge_is_undecided():
    execution = Execution([Event("a", 1, 0), Event("b", 1, 5)])
    assert respects_causality("Lamport", execution, by_number([1, 1]), [1, 1]).status == UNDECIDED
    assert tells_causality("vector", Execution([]), by_vector([]), []).status == UNDECIDED


@pytest.mark.parametrize(
    "events",
    [
        [Event("a", 1, 0, cause=("b", 1)), Event("b", 1, 0, cause=("a", 1))],
        [Event("a", 1, 0), Event("a", 1, 3)],
    ],
)
def test_events_that_cannot_be_are_refused(events):
    with pytest.raises(ValueError):
        Execution(events)


def test_a_cause_goes_before_its_effect_even_if_the_times_say_otherwise():
    """Two machines' times differ by what synchronising leaves."""
    execution = Execution([Event("b", 1, 5, cause=("a", 1)), Event("a", 1, 6)])
    assert [event.node for event in execution.events] == ["a", "b"]


def edit(process, at, seen, value=None, outcome="ok", wrote=None):
    read = Operation(process, "read", "k", tuple(seen), at, at + 1, "ok")
    write = Operation(process, "write", "k", value or process, at + (wrote or 2), at + (wrote or 2) + 1, outcome)
    return [read, write]


def left(*values, at=100):
    return [Operation("auditor", "read", "k", values, at, at + 1, "ok")]


@pytest.mark.parametrize(
    ("history", "status"),
    [
        (edit("a", 0, []) + edit("b", 10, ["a"]) + left("b"), HOLDS),  # replaced by one that had read it
        (edit("a", 0, []) + edit("b", 1, []) + left("a", "b"), HOLDS),  # siblings
        (edit("a", 0, []) + edit("b", 1, []) + left("b"), ILLEGAL),
        (edit("a", 0, []) + edit("b", 10, []) + left("b"), ILLEGAL),  # later, but it had read nothing
        (edit("a", 0, [], outcome="unknown") + edit("b", 1, []) + left("b"), HOLDS),
        (edit("a", 0, []) + edit("b", 10, ["a"], outcome="unknown") + left(), HOLDS),  # it may have happened
        (edit("a", 0, []) + edit("b", 10, ["a"]) + edit("c", 10, ["a"]) + left("b"), ILLEGAL),
        (edit("a", 0, []) + edit("b", 10, ["a"], outcome="fail") + left(), ILLEGAL),  # b replaced nothing
        ([*edit("a", 0, [])[1:]], UNDECIDED),  # nobody read afterwards
        (edit("a", 10, []), UNDECIDED),  # nor here: its only read came before
        (edit("a", 0, []) + left("a", at=20) + edit("b", 30, ["a"])[1:], HOLDS),  # b came after the last read
        (left(), UNDECIDED),
        # What was read and replaced must go, and what a write of unknown outcome has replaced may.
        (edit("a", 0, []) + edit("b", 10, ["a"]) + left("a", "b"), ILLEGAL),
        (edit("a", 0, []) + edit("b", 10, ["a"]) + edit("c", 20, ["b"]) + left("a", "c"), ILLEGAL),
        (edit("a", 0, []) + edit("b", 10, ["a"], outcome="unknown") + left("a", "b"), HOLDS),
        (edit("a", 0, []) + edit("b", 10, ["a"], outcome="unknown") + left("a"), HOLDS),
        (edit("a", 0, []) + edit("b", 10, ["a"], outcome="fail") + left("a"), HOLDS),
        (edit("a", 0, []) + edit("b", 10, ["a"], wrote=95) + left("a", at=100) + left("b", at=200), HOLDS),
        # All who are asked in the end say the same.
        (edit("a", 0, []) + edit("b", 1, []) + left("a", "b") + left("b", "a", at=110), HOLDS),
        (edit("a", 0, []) + edit("b", 1, []) + left("a") + left("b", "a", at=110), ILLEGAL),
        (edit("a", 0, []) + edit("b", 10, ["a"]) + left("a") + left("b", at=110), ILLEGAL),
        (edit("a", 0, []) + edit("b", 1, [], outcome="unknown") + left("a") + left("a", "b", at=110), HOLDS),
        (edit("a", 0, []) + edit("b", 5, ["a"], outcome="unknown") + left("a") + left("b", at=110), HOLDS),
        (edit("a", 0, []) + left("a", at=20) + edit("b", 30, ["a"]) + left("b"), HOLDS),  # not an end yet
        # Nobody reads what was never written.
        (edit("a", 0, []) + left("a", "c"), ILLEGAL),
        (edit("a", 0, []) + edit("b", 1, [], outcome="fail") + left("a", "b"), ILLEGAL),
        (left("a", at=0) + edit("a", 3, []) + left("a"), ILLEGAL),  # nor before it is written
        (left("a", at=4) + edit("a", 3, []) + left("a"), HOLDS),  # a touch is no order
        (left("v", at=0) + edit("a", 3, [], value="v") + edit("b", 9, ["v"], value="v") + left("v"), ILLEGAL),
        (left("v", at=7) + edit("a", 3, [], value="v") + edit("b", 9, ["v"], value="v") + left("v"), UNDECIDED),
    ],
)
def test_a_write_may_only_vanish_by_one_that_has_read_it(history, status):
    assert no_write_dropped(history).status == status


def test_the_story_is_the_dropped_write_what_its_successor_had_read_and_wrote_and_what_was_left():
    history = edit("far", 50, ["b"]) + edit("a", 0, []) + edit("b", 1, []) + left("far")
    verdict = no_write_dropped(history)
    assert verdict.status == ILLEGAL and "1 of 3" in verdict.explanation
    # b's write may have come before a's; that of far came after it for certain.
    assert [(entry.process, entry.function) for entry in verdict.counterexample] == [
        ("a", "write"), ("far", "read"), ("far", "write"), ("auditor", "read"),
    ]  # fmt: skip
    overlapping = no_write_dropped(edit("a", 0, []) + edit("b", 1, []) + left("b"))
    assert [entry.process for entry in overlapping.counterexample] == ["a", "b", "b", "auditor"]


def test_who_had_read_the_write_or_failed_or_was_answered_before_it_is_not_named():
    knew, failed, earlier = edit("c", 20, ["b"]), edit("d", 10, [], outcome="fail"), edit("e", -40, [])
    history = edit("a", 0, []) + edit("b", 30, ["e"]) + knew + failed + earlier + left("b", "c")
    assert [entry.process for entry in no_write_dropped(history).counterexample][:2] == ["a", "c"]
    only = edit("a", 0, []) + failed + earlier + left("e")
    assert [entry.process for entry in no_write_dropped(only).counterexample] == ["a", "auditor"]


def test_the_story_of_a_survivor_is_the_write_its_reader_what_it_wrote_and_the_late_read():
    verdict = no_write_dropped(edit("a", 0, []) + edit("b", 10, ["a"]) + left("a", "b"))
    assert verdict.explanation == "1 write had been read and replaced, and can be read still"
    assert [(entry.process, entry.function) for entry in verdict.counterexample] == [
        ("a", "write"), ("b", "read"), ("b", "write"), ("auditor", "read"),
    ]  # fmt: skip
    differs = no_write_dropped(edit("a", 0, []) + edit("b", 1, []) + left("b") + left("a", "b", at=110))
    assert differs.explanation == "the final reads of 1 key do not agree"
    assert [entry.invoked_us for entry in differs.counterexample] == [100, 110]


def test_two_writes_of_one_value_cannot_be_told_apart_and_are_not_accused():
    again = edit("a", 0, [], value="v") + edit("b", 10, ["v"]) + edit("c", 20, ["b"], value="v") + left("v")
    assert no_write_dropped(again).status == HOLDS


def test_a_write_that_shares_its_value_is_not_judged_and_not_counted():
    """c's v is dropped unread, but somebody had read and replaced a's v; the write of b is all that can be judged."""
    history = edit("a", 0, [], value="v") + edit("b", 10, ["v"]) + edit("c", 20, [], value="v") + left("b")
    verdict = no_write_dropped(history)
    assert verdict.status == HOLDS
    assert verdict.explanation == "1 acknowledged write; 2 of 3 not judged, since another write has the same value"
    nothing = no_write_dropped(edit("a", 0, [], value="v") + edit("c", 20, [], value="v") + left())
    assert nothing.status == UNDECIDED and nothing.vacuous
    assert nothing.explanation == "2 of 2 not judged, since another write has the same value"
    lost = no_write_dropped(history + edit("d", 30, []) + left("b", at=110))
    assert lost.status == ILLEGAL and lost.explanation.startswith("1 of 2 acknowledged writes vanished")


def test_a_process_reads_nothing_that_it_writes_itself_from_then_on():
    read = Operation("a", "read", "k", ("a",), 0, 5, "ok", number=1)
    write = Operation("a", "write", "k", "a", 5, 9, "ok", number=2)
    verdict = no_write_dropped([write, read, *left("a")])
    assert verdict.status == ILLEGAL and verdict.counterexample == (read,)
    assert verdict.explanation == "a read of 'k' returned what nobody had written"


def test_only_a_write_through_the_same_server_is_named():
    history = edit("a", 0, []) + edit("near", 1, []) + edit("b", 20, []) + left("b", "near")
    servers = {"a": 1, "b": 1, "near": 2}
    verdict = no_write_dropped(history, lambda write: servers[write.process])
    assert [entry.process for entry in verdict.counterexample] == ["a", "b", "b", "auditor"]
    alone = no_write_dropped(edit("a", 0, []) + left(), lambda write: servers[write.process])
    assert [entry.process for entry in alone.counterexample] == ["a", "auditor"]


def test_it_says_how_many_writes_it_could_judge():
    verdict = no_write_dropped(edit("a", 0, []) + left("a", at=20) + edit("b", 30, ["a"])[1:])
    assert verdict.explanation == "1 acknowledged write; 1 of 2 not judged, since not read afterwards"


def test_a_gap_in_a_nodes_numbers_hides_no_step():
    execution = Execution([Event("a", 1, 0), Event("a", 2, 1), Event("a", 4, 2)])
    readings = [1, 2, 0]
    assert execution.ordered_pairs == 3
    assert respects_causality("Lamport", execution, by_number(readings), readings).status == ILLEGAL


def test_a_receipt_without_its_sending_is_refused():
    with pytest.raises(ValueError, match="the sending of what b's event 1 received, a's event 3, is not among"):
        Execution([Event("a", 1, 0), Event("b", 1, 5, cause=("a", 3))])


writes = st.lists(st.booleans(), min_size=1, max_size=12)


@given(writes, st.integers(0, 20))
def test_a_planted_loss_is_found_and_a_store_that_keeps_siblings_is_not_accused(plan, which):
    history, now = [], ()
    for number, reads_first in enumerate(plan):
        seen = now if reads_first else ()
        history += edit(f"p{number}", 10 * number, seen)
        now = (*(value for value in now if value not in seen), f"p{number}")
    end = 10 * len(plan) + 50
    assert no_write_dropped(history + left(*now, at=end)).status == HOLDS
    forgets_nothing = left(*(f"p{number}" for number in range(len(plan))), at=end)
    assert no_write_dropped(history + forgets_nothing).status == (HOLDS if len(now) == len(plan) else ILLEGAL)
    lost = now[which % len(now)]
    differs = left(*now, at=end) + left(*(value for value in now if value != lost), at=end + 10)
    assert no_write_dropped(history + differs).status == ILLEGAL
    kept = [value for value in now if value != lost]
    assert no_write_dropped(history + left(*kept, at=end)).status == ILLEGAL
