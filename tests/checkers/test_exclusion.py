"""The checker of mutual exclusion against a comparison of every pair of tenures."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.checkers.exclusion import Tenure, one_holder, overlaps, tenures
from labkit.history import Note
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

END = 1000


@st.composite
def histories(draw):
    """Tenures of three nodes, each node's one after the other; the last of a node may never be given up."""
    held = []
    for node in "abc":
        cuts = sorted(draw(st.lists(st.integers(0, 60), max_size=6, unique=True)))
        pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
        held += [Tenure(node, 10 * begin + ord(node), begin, end) for begin, end in pairs]
        if len(cuts) % 2:
            held.append(Tenure(node, 10 * cuts[-1] + ord(node), cuts[-1], END))
    return held


def notes_of(held) -> list[Note]:
    notes = []
    for tenure in held:
        notes.append(Note(tenure.node, "lease held", tenure.begin_us, 0, {"token": tenure.token}))
        if tenure.end_us < END:
            notes.append(Note(tenure.node, "lease given up", tenure.end_us, 0, {"token": tenure.token}))
    return notes


def overlapping(one: Tenure, other: Tenure) -> bool:
    return one.node != other.node and max(one.begin_us, other.begin_us) < min(one.end_us, other.end_us)


@given(histories())
def test_tenures_are_what_the_notes_tell(held):
    assert set(tenures(notes_of(held), END)) == set(held)


@settings(max_examples=200)
@given(histories())
def test_two_at_once_are_found_exactly_if_some_pair_overlaps(held):
    expected = any(overlapping(*pair) for pair in combinations(held, 2))
    verdict = one_holder(notes_of(held), END)
    assert verdict.status == (ILLEGAL if expected else HOLDS if held else UNDECIDED)


@settings(max_examples=200)
@given(histories())
def test_each_tenure_that_began_too_early_is_found_once(held):
    ordered = tenures(notes_of(held), END)
    found = [(later, length) for _, later, length in overlaps(ordered)]
    expected = [later for place, later in enumerate(ordered) if any(overlapping(e, later) for e in ordered[:place])]
    assert [later for later, _ in found] == expected
    for earlier, later, length in overlaps(ordered):
        assert overlapping(earlier, later)
        assert length == min(earlier.end_us, later.end_us) - later.begin_us


def test_one_after_the_other_is_no_overlap_even_without_a_gap():
    held = [Tenure("a", 1, 0, 10), Tenure("b", 2, 10, 20), Tenure("a", 3, 20, END)]
    assert one_holder(notes_of(held), END).status == HOLDS


def test_the_shortest_overlap_is_told():
    held = [Tenure("a", 1, 0, 100), Tenure("b", 2, 40, 200), Tenure("c", 3, 197, 300)]
    verdict = one_holder(notes_of(held), END)
    assert verdict.status == ILLEGAL
    assert verdict.explanation.startswith("2 of 3 tenures began too early: b held token 2")
    assert verdict.explanation.endswith("together for 0.003 ms")


def test_nobody_ever_holding_it_is_no_success():
    assert one_holder([Note("a", "something else", 1, 1)], END).status == UNDECIDED
