"""Logical clocks as values, held against what their papers say; → is found here by a search of its own."""

from __future__ import annotations

import pickle
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.causality import (
    AFTER,
    BEFORE,
    CONCURRENT,
    EQUAL,
    Lamport,
    Vector,
    Version,
    joined,
    maximal,
    ordered,
    vector,
)
from labkit.clocks import ClockError, PhysicalClock
from labkit.copying import cannot_change, snapshot

NODES = "abcd"
OPPOSITE = {BEFORE: AFTER, AFTER: BEFORE, CONCURRENT: CONCURRENT, EQUAL: EQUAL}

vectors = st.dictionaries(st.sampled_from(NODES), st.integers(0, 3)).map(vector)

# What happens next: a node acts, and either steps, sends, or receives one of the messages that are under way.
acts = st.lists(
    st.tuples(st.sampled_from(NODES), st.sampled_from(["step", "send", "receive"]), st.integers(0, 7)),
    min_size=1,
    max_size=30,
)
errors = st.lists(st.integers(-200, 200), min_size=len(NODES), max_size=len(NODES))


class Execution:
    """A random execution, its events stamped, and the steps of → between them."""

    def __init__(self, actions, offsets=(0, 0, 0, 0)):
        self.now = [10_000]  # so that every clock is past its beginning
        self.physical = {
            node: PhysicalClock(lambda: self.now[0], ClockError(offset / 1e6), node)
            for node, offset in zip(NODES, offsets, strict=True)
        }
        self.clocks = {node: (Lamport(), Vector()) for node in NODES}
        self.stamps, self.steps, last, travelling = [], {}, {}, []
        self.found = {}
        for node, what, number in actions:
            self.now[0] += 1 + number
            event = len(self.stamps)
            self.steps[event] = []
            if node in last:
                self.steps[last[node]].append(event)
            last[node] = event
            lamport, known = self.clocks[node]
            if what == "receive" and travelling:
                cause = travelling.pop(number % len(travelling))
                self.steps[cause].append(event)
                sent = self.stamps[cause]
                self.clocks[node] = (lamport.receive(sent[0]), known.receive(sent[1], node))
                hybrid = self.physical[node].hybrid.receive(sent[2])
            else:
                self.clocks[node] = (lamport.tick(), known.tick(node))
                hybrid = self.physical[node].hybrid.tick()
                if what == "send":
                    travelling.append(event)
            self.stamps.append((*self.clocks[node], hybrid, self.physical[node].now_us()))

    def reachable(self, event):
        """Every event after `event`, by breadth-first search."""
        if event in self.found:
            return self.found[event]
        found, waiting = set(), deque(self.steps[event])
        while waiting:
            following = waiting.popleft()
            if following not in found:
                found.add(following)
                waiting.extend(self.steps[following])
        self.found[event] = found
        return found


@settings(max_examples=1500, deadline=None)
@given(acts)
def test_a_happened_before_b_if_and_only_if_its_vector_is_smaller(actions):
    """Mattern 1989: for all events, e < e' if and only if C(e) < C(e')."""
    execution = Execution(actions)
    for one, (_, mine, *_) in enumerate(execution.stamps):
        later = execution.reachable(one)
        for other, (_, theirs, *_) in enumerate(execution.stamps):
            assert (mine < theirs) == (other in later)
            if one == other:
                assert mine.relation(theirs) == EQUAL
            elif other not in later and one not in execution.reachable(other):
                assert mine.relation(theirs) == CONCURRENT


@settings(max_examples=1500, deadline=None)
@given(acts, errors)
def test_scalar_and_hybrid_clocks_respect_causality(actions, offsets):
    """Lamport's clock condition: for any events a, b: if a → b then C(a) < C(b). Kulkarni et al. 2014: the same."""
    execution = Execution(actions, offsets)
    for one, (lamport, _, hybrid, _) in enumerate(execution.stamps):
        for other in execution.reachable(one):
            assert lamport.time < execution.stamps[other][0].time
            assert hybrid[:2] < execution.stamps[other][2][:2]


@settings(max_examples=1000, deadline=None)
@given(acts, errors)
def test_a_hybrid_clock_stays_as_near_to_the_physical_one_as_the_clocks_are_to_each_other(actions, offsets):
    """Kulkarni et al. 2014: l.f ≥ pt.f, and |l.f − pt.f| ≤ ε. Its counter stays below the events so far."""
    execution = Execution(actions, offsets)
    apart = max(offsets) - min(offsets)
    for number, (_, _, hybrid, physical) in enumerate(execution.stamps):
        assert 0 <= hybrid.physical_us - physical <= apart
        assert hybrid.counter <= number


def test_the_converse_does_not_hold_for_scalar_clocks():
    """Lamport 1978: the converse of the clock condition does not hold."""
    a, b = Lamport().tick(), Lamport().tick().tick()
    assert a.relation(b) == BEFORE  # of two nodes that never exchanged a word
    assert Vector().tick("a").relation(Vector().tick("b").tick("b")) == CONCURRENT


def test_on_receipt_a_scalar_clock_is_advanced_past_both():
    """Rule IR2: the receiver's clock is moved past the message's timestamp, and never back."""
    assert Lamport(3).receive(Lamport(7)) == Lamport(8)
    assert Lamport(7).receive(Lamport(3)) == Lamport(8)


@given(vectors, vectors, vectors)
def test_vectors_are_a_lattice(one, other, third):
    assert one.merge(other) == other.merge(one)
    assert one.merge(one) == one
    assert one.merge(other).merge(third) == one.merge(other.merge(third)) == joined([one, other, third])
    assert one <= one.merge(other) and other <= one.merge(other)
    assert OPPOSITE[one.relation(other)] == other.relation(one)
    if one <= other and other <= third:
        assert one <= third


@given(vectors)
def test_a_tick_makes_a_vector_larger_by_one_entry(one):
    assert one < one.tick("a") and one.tick("a")["a"] == one["a"] + 1
    assert one.tick("a").tick("b") == one.tick("b").tick("a")


def test_sizes_grow_with_the_nodes_that_took_part():
    assert [vector(dict.fromkeys(NODES[:count], 1)).size_bytes for count in range(4)] == [0, 12, 24, 36]
    assert Lamport(1).size_bytes == Lamport(10**6).size_bytes == 8
    assert Version("a", 1, vector({"b": 1})).size_bytes == 24


def test_two_writes_through_one_server_that_did_not_see_each_other_are_siblings_only_with_dots():
    """Preguiça et al. 2010: a plain vector with server ids orders the second after the first."""
    first, second = Version("server", 1), Version("server", 2)
    assert first.relation(second) == CONCURRENT and maximal([first, second]) == [first, second]
    assert first.vector.relation(second.vector) == BEFORE and maximal([first, second], by_vector=True) == [second]


def test_client_ids_tell_them_apart_too_and_a_write_replaces_what_it_has_seen():
    first, second = Version("client-1", 1), Version("client-2", 1)
    assert maximal([first, second], by_vector=True) == [first, second]
    both = joined([first.vector, second.vector])
    merged = Version("client-1", 2, both)
    assert maximal([first, second, merged]) == [merged]
    assert merged.relation(first) == AFTER and first.relation(merged) == BEFORE and merged.relation(merged) == EQUAL


@pytest.mark.parametrize(
    ("one", "other", "relation"), [(1, 2, BEFORE), (2, 1, AFTER), (1, 1, EQUAL), ((1, 0), (1, 1), BEFORE)]
)
def test_readings_that_are_numbers_know_earlier_and_later(one, other, relation):
    assert ordered(one, other) == relation


@pytest.mark.parametrize("value", [Lamport(2), vector({"a": 1}), Version("a", 1, vector({"b": 2}))])
def test_stamps_cannot_change_and_travel(value):
    assert cannot_change(value) and snapshot(value) is value
    assert pickle.loads(pickle.dumps(value)) == value
    assert hash(value) == hash(pickle.loads(pickle.dumps(value)))
    with pytest.raises(AttributeError):
        setattr(value, type(value).__slots__[0], None)


def test_they_say_what_they_are():
    assert str(vector({"b": 1, "a": 2})) == "a:2 b:1" and str(Vector()) == "nothing" and str(Lamport(4)) == "4"
    assert str(Version("s", 2, vector({"s": 1}))) == "(s:2) after s:1"
