"""Whatever a dial accepts is allowed; what it refuses, it names."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import BadInput, Choice, Dial, Switch
from labkit.dials import accept, dials_of, parse, settings, suggestion

WHOLE = Dial(3, 1, 9, help="copies")
REAL = Dial(0.5, 0.0, 10.0, "s", "time")
CHOICE = Choice("one", ("one", "two"))
SWITCH = Switch(False)
ANYTHING = st.one_of(
    st.integers(), st.integers(0, 10), st.floats(), st.floats(0, 10), st.text(max_size=4), st.booleans(), st.none(),
    st.lists(st.integers(), max_size=2), st.complex_numbers(), st.binary(max_size=2), st.fractions(),
)  # fmt: skip


@given(ANYTHING)
def test_whatever_a_dial_accepts_is_of_its_kind_and_in_its_range(value):
    for dial, kind in ((WHOLE, int), (REAL, float)):
        try:
            taken = accept("dial", dial, value)
        except BadInput as error:
            assert str(error) == f"dial is {value!r}: it must be {dial.allowed}"
        else:
            assert type(taken) is kind
            assert dial.low <= taken <= dial.high
            assert taken == float(value)


@given(st.text(max_size=8))
def test_whatever_text_is_accepted_is_allowed(text):
    for dial in (WHOLE, REAL):
        try:
            assert dial.low <= parse("dial", dial, text) <= dial.high
        except BadInput as error:
            assert str(error) == f"dial is {text!r}: it must be {dial.allowed}"


@given(st.integers(1, 9))
def test_every_allowed_whole_number_is_accepted_in_every_spelling(number):
    for value in (number, float(number), np.int64(number), np.float64(number), Fraction(number)):
        assert accept("dial", WHOLE, value) == number
    assert parse("dial", WHOLE, str(number)) == number


@given(st.floats(0, 10))
def test_every_allowed_number_is_accepted_as_it_is(number):
    assert accept("dial", REAL, number) == number
    assert parse("dial", REAL, repr(number)) == number


@pytest.mark.parametrize("dial", [WHOLE, REAL])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, False, None, "3", [3], 10**400, np.bool_(1)])
def test_what_is_no_number_in_range_is_refused(dial, value):
    with pytest.raises(BadInput) as caught:
        accept("replicas", dial, value)
    assert str(caught.value) == f"replicas is {value!r}: it must be {dial.allowed}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "three", "3;", "1e999", "0x3", "true"])
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(BadInput, match=r"replicas is .*: it must be a whole number from 1 to 9"):
        parse("replicas", WHOLE, text)


def test_a_whole_number_has_no_fraction():
    with pytest.raises(BadInput, match=r"replicas is 2\.5: it must be a whole number from 1 to 9"):
        accept("replicas", WHOLE, 2.5)


def test_the_limits_are_allowed_and_nothing_beyond():
    assert (accept("n", WHOLE, 1), accept("n", WHOLE, 9), accept("t", REAL, 0), accept("t", REAL, 10)) == (1, 9, 0, 10)
    with pytest.raises(BadInput, match=r"t is 10\.0+1: it must be a number from 0 to 10 s"):
        accept("t", REAL, 10.0000001)


def test_an_option_is_one_of_those_named():
    assert accept("kind", CHOICE, "two") == "two"
    for value in ("three", None, 1, ["one"], "", "ONE"):
        with pytest.raises(BadInput, match="it must be one of one, two"):
            accept("kind", CHOICE, value)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("YES", True), ("1", True), ("off", False), ("No", False)])
def test_a_switch_understands_words(text, value):
    assert parse("on", SWITCH, text) is value


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_a_switch_takes_nothing_but_true_and_false(value):
    with pytest.raises(BadInput, match=r"on is .*: it must be true or false"):
        accept("on", SWITCH, value)


def test_settings_are_defaults_unless_given():
    dials = {"n": WHOLE, "t": REAL, "kind": CHOICE}
    assert settings("lab", dials, {"n": 5.0}) == {"n": 5, "t": 0.5, "kind": "one"}


def test_an_unknown_dial_is_named_with_what_may_have_been_meant():
    with pytest.raises(BadInput, match="lab has no dial 'replica': did you mean 'replicas'"):
        settings("lab", {"replicas": WHOLE}, {"replica": 3})
    assert suggestion("zzz", {"a": 1, "b": 2}) == "there are a, b"


def test_an_experiment_declares_all_its_dials():
    def build(lab, *, n=WHOLE, t=REAL): ...
    def careless(lab, *, n=3): ...
    def reserved(lab, *, seed=WHOLE): ...

    assert dials_of(build, frozenset({"seed"})) == {"n": WHOLE, "t": REAL}
    for bad in (careless, reserved):
        with pytest.raises(TypeError, match="needs a dial"):
            dials_of(bad, frozenset({"seed"}))
