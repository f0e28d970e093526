"""What nodes send and store is theirs: nobody else can change it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.clocks import Timestamp
from labkit.copying import cannot_change, snapshot

SCALARS = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.booleans(), st.none())
FROZEN = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=10)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def changeable_parts(value):
    if isinstance(value, (list, dict)):
        yield value
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from changeable_parts(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from changeable_parts(part)


@given(VALUES)
def test_a_snapshot_is_equal_and_shares_nothing_that_can_change(value):
    copy = snapshot(value)
    assert copy == value
    originals = {id(part) for part in changeable_parts(value)}
    assert not originals & {id(part) for part in changeable_parts(copy)}


@given(FROZEN)
def test_what_cannot_change_is_not_copied(value):
    assert cannot_change(value)
    assert snapshot(value) is value


@given(VALUES)
def test_only_values_without_changeable_parts_are_passed_as_they_are(value):
    assert cannot_change(value) == (not list(changeable_parts(value)))


def test_timestamps_are_passed_as_they_are():
    value = ("key", (Timestamp(1, 2, "a"), ("x", Timestamp(3, 4, "b"))))
    assert snapshot(value) is value


@pytest.mark.parametrize("value", [lambda: 0, (1, lambda: 0), [open]], ids=["function", "in a tuple", "builtin"])
def test_what_cannot_be_sent_fails_or_arrives_whole(value):
    try:
        assert snapshot(value) == value
    except (pickle.PicklingError, AttributeError) as error:
        assert "pickle" in str(error)
