"""Dials as controls: every value that a slider offers is one that the dial accepts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.dials import Choice, Dial, Switch
from labkit.errors import BadInput
from labkit.lab import catalogue
from labkit.live.controls import control, few_values, is_wide, steps

DIALS = [
    pytest.param(name, dial, id=f"{experiment.name}-{name}")
    for experiment in catalogue().values()
    for name, dial in experiment.dials.items()
]


def holds(dial: Dial, values: list, *wanted) -> None:
    assert values == sorted(set(values))
    assert [dial.accept(value) for value in values] == values
    assert (values[0], values[-1]) == (dial.low, dial.high)
    assert {dial.default, *wanted} <= set(values)
    assert {type(value) for value in values} == {type(dial.default)}


@st.composite
def dials(draw) -> tuple[Dial, float]:
    """A dial and one more value that it accepts."""
    whole = draw(st.booleans())
    if whole:
        low = draw(st.integers(-1000, 1000))
        high = low + draw(st.integers(1, 10**6))
        inside = st.integers(low, high)
    else:
        low = draw(st.sampled_from([-10.0, 0.0, 0.001, 0.5, 1.0]))
        high = low + draw(st.sampled_from([0.5, 1.0, 10.0, 12345.6]))
        inside = st.floats(low, high)
    unit = draw(st.sampled_from(["", "s", "ppm"]))
    step = draw(st.sampled_from([None, None, 1 if whole else 0.5]))
    if step is not None and (high - low) / step > 1e4:
        step = None
    return Dial(draw(inside), low, high, unit, step=step), draw(inside)


@given(dials())
def test_sliders_step_through_values_that_the_dial_accepts(drawn):
    dial, wanted = drawn
    holds(dial, steps(dial, wanted), wanted)


@given(dials())
def test_few_values_are_few_and_hold_the_wanted_one(drawn):
    dial, wanted = drawn
    values = few_values(dial, wanted)
    assert wanted in values and len(values) <= 8
    assert [dial.accept(value) for value in values] == values == sorted(set(values))


@pytest.mark.parametrize(("name", "dial"), DIALS)
def test_every_dial_has_a_control(name, dial):
    made = control(name, dial, dial.default)
    assert made["label"] == name.replace("_", " ") and made["help"] == dial.help
    assert made["value"] == dial.default and dial.default in made["values"]
    assert len(made["values"]) == len(made["shown"]) <= 80
    assert len(set(made["shown"])) == len(made["shown"])
    if isinstance(dial, Dial):
        holds(dial, made["values"])
        assert (made["low"], made["high"], made["whole"]) == (dial.low, dial.high, isinstance(dial.default, int))


@pytest.mark.parametrize(
    ("dial", "wide"),
    [
        (Dial(3, 1, 9), False),
        (Dial(0, 0, 100_000), True),
        (Dial(0.5, 0.0, 1.0), False),
        (Dial(0.0, 0.0, 0.5), False),  # a probability
        (Dial(0.0, 0.0, 10.0, "s"), True),
        (Dial(0.02, 0.0, 1.0, "s"), True),
        (Dial(0.02, 0.0, 1.0, "s", step=0.01), False),
        (Dial(1.0, 0.01, 3600.0, "s"), True),
        (Dial(0.0, -10.0, 10.0, "s"), True),
    ],
)
def test_wide_ranges_are_stepped_by_ratio(dial, wide):
    assert is_wide(dial) == wide
    values = steps(dial)
    if wide:
        above = [value for value in values if value > 0][1:]
        assert all(later <= 2.01 * earlier for earlier, later in pairwise(above))
    elif not isinstance(dial.default, int):
        gaps = {f"{later - earlier:.6f}" for earlier, later in pairwise(values)}
        assert len(gaps) == 1


def test_times_are_said_as_captions_say_them():
    made = control("delay", Dial(0.02, 0.0, 1.0, "s", "mean"), 0.02)
    assert made["shown"][0] == "0 s" and "20 ms" in made["shown"] and made["shown"][-1] == "1 s"


def test_choices_and_switches():
    choice = control("shape", Choice("b", ("a", "b"), "which"), "a")
    assert (choice["kind"], choice["values"], choice["value"]) == ("choice", ["a", "b"], "a")
    switch = control("sloppy", Switch(True), False)
    assert (switch["kind"], switch["shown"], switch["value"]) == ("switch", ["off", "on"], False)


def test_numbers_are_what_they_print():
    for value in steps(Dial(0.0, 0.0, 10.0, "s")):
        assert math.isclose(value, float(f"{value:.6g}"), rel_tol=0, abs_tol=0)


def test_a_control_can_be_limited_to_some_values() -> None:
    dial = Dial(1, 1, 9, help="answers")
    described = control("read_quorum", dial, 1, [3, 2])
    assert described["values"] == [1, 2, 3] and described["shown"] == ["1", "2", "3"]
    assert (described["low"], described["high"]) == (1, 3)
    choice = Choice("a", ("a", "b", "c"))
    assert control("which", choice, "a", ["c", "a"])["values"] == ["c", "a"]
    with pytest.raises(BadInput, match="read_quorum is 12"):
        control("read_quorum", dial, 1, [12])
