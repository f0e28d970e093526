"""Checks and claims: they say what is true, and cannot pass by accident."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import run
from labkit.checks import CheckFailed, Checks, check, like_simulations, none_of, share_near
from labkit.claims import Case, judged
from labkit.errors import BadInput


def test_checks_that_hold_are_a_list_of_sentences():
    checks = Checks([none_of("no read was stale", 0, 16_200), check("it is quick", np.bool_(True), "16.7 ms")])
    assert str(checks) == "✓ no read was stale: 0 of 16,200\n✓ it is quick: 16.7 ms"
    assert "<li" in checks._repr_mimebundle_()["text/html"]


def test_one_that_does_not_stops_the_cell_and_shows_them_all():
    with pytest.raises(CheckFailed, match=r"✗ no read was stale: 3 of 10\n✓ it is quick"):
        Checks([none_of("no read was stale", 3, 10), check("it is quick", True)])


def test_nothing_to_look_at_is_no_success():
    assert not none_of("no read was stale", 0, 0).holds
    assert not none_of("no read was stale", math.nan, 10).holds
    assert not share_near("the law", math.nan, 0.5, 100).holds
    with pytest.raises(BadInput, match="checks is empty"):
        Checks([])


@pytest.mark.parametrize("holds", [None, 1, 0.0, [], "yes", np.array([True])])
def test_only_truth_is_taken_for_truth(holds):
    with pytest.raises(BadInput, match=r"holds is .*: it must be true or false"):
        check("it is so", holds)


@given(st.floats(0.01, 0.99), st.integers(10, 10_000), st.floats(-6, 6))
def test_a_share_is_near_its_law_within_three_standard_errors(law, samples, errors):
    measured = law + errors * math.sqrt(law * (1 - law) / samples)
    if abs(abs(errors) - 3) > 1e-6:
        assert share_near("the law", measured, law, samples).holds == (abs(errors) < 3)


@pytest.mark.parametrize(("law", "samples", "message"), [(1.5, 10, "law is 1.5"), (0.5, 0, "samples is 0")])
def test_a_law_that_is_no_share_is_refused(law, samples, message):
    with pytest.raises(BadInput, match=message):
        share_near("the law", 0.5, law, samples)


def test_a_run_is_like_simulations_of_it_and_one_with_other_dials_is_not():
    dials = {"pairs": 200, "clients": 1}
    (like,) = like_simulations(run("quorums", seed=3, trace=False, **dials), ["read_p50"], seeds=10)
    assert like.holds and re.fullmatch(r"measured 1\S+ ms, simulated 1\S+ ms", like.evidence)
    other = run("quorums", seed=3, trace=False, read_quorum=3, **dials)
    other.parameters["read_quorum"] = 1
    assert not like_simulations(other, ["read_p50"], seeds=10)[0].holds
    gap = other["read_p50"] / run("quorums", seed=4, trace=False, **dials)["read_p50"]
    assert like_simulations(other, ["read_p50"], seeds=10, allowance=1.1 * gap)[0].holds  # however slow the machine is
    with pytest.raises(BadInput, match="allowance is -1"):
        like_simulations(other, ["read_p50"], allowance=-1)


TRUE, FALSE = Case("true here", True), Case("false there", False)


def test_a_verdict_follows_from_its_cases():
    assert str(judged("x", [TRUE, TRUE])) == "holds"
    assert str(judged("x", [FALSE])) == "does not hold"
    conditional = judged("x", [TRUE], when="quorums overlap", otherwise=[FALSE])
    assert str(conditional) == "holds when quorums overlap"
    assert conditional.measured == "true here; false there"


@pytest.mark.parametrize(
    ("cases", "when", "otherwise"),
    [
        ([], "", []),
        ([TRUE, FALSE], "", []),
        ([TRUE], "quorums overlap", []),
        ([TRUE], "", [FALSE]),
        ([TRUE], "quorums overlap", [TRUE]),  # the condition makes no difference
        ([FALSE], "quorums overlap", [TRUE]),
        ([TRUE, FALSE], "quorums overlap", [FALSE]),
    ],
)
def test_cases_that_do_not_settle_a_claim_are_refused(cases, when, otherwise):
    with pytest.raises(BadInput):
        judged("x", cases, when=when, otherwise=otherwise)
