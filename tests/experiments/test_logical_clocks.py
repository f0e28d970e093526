"""Lab 15: what is exact is exact, laws hold within chance, safeguards matter, and bad dials are refused."""

from __future__ import annotations

import math

import pytest

from labkit import run
from labkit.errors import BadInput
from labkit.experiments.logical_clocks import CLOCKS, inverted_messages, shares
from labkit.lab import find

ABLATIONS = [(name, each) for name in ("logical_clocks", "siblings") for each in find(name).ablations]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dials", [{}, {"nodes": 6, "loss": 0.1}, {"delay": 0.0, "work": 0.0}, {"drift_ppm": 1000.0}])
def test_vector_clocks_are_right_about_every_pair(seed, dials):
    result = run("logical_clocks", seed=seed, trace=False, **dials)
    assert result["vector_right"] == result["version_vector_updates"] == 1.0
    assert [verdict.status for verdict in result.verdicts] == ["OK"] * 3


@pytest.mark.parametrize("seed", range(10))
def test_what_each_clock_can_and_cannot_do(seed):
    judged = shares(run("logical_clocks", seed=seed, trace=False, offset=0.2, nodes=4))
    assert set(judged) == set(CLOCKS)
    assert judged["physical"].inverted > 0
    for clock in ("lamport", "hybrid", "vector", "version vector"):
        assert judged[clock].inverted == 0
    for clock in ("physical", "lamport", "hybrid"):
        assert judged[clock].invented > 0.5 * judged[clock].concurrent
    assert judged["vector"].invented == judged["vector"].missed == judged["lamport"].missed == 0
    # Version vectors count updates alone: they are right about those, and about no other pair for certain.
    assert judged["version vector"].missed > 0
    assert len({tally.ordered for tally in judged.values()}) == 1


def test_with_right_clocks_time_is_never_wrong_and_cause_is_still_invented():
    for seed in range(5):
        result = run("logical_clocks", seed=seed, clock="physical", offset=0.0, trace=False)
        assert result["against_time"] == result["inverted"] == 0
        assert result["invented"] > 0.99


@pytest.mark.parametrize(("nodes", "offset"), [(2, 0.01), (2, 0.05), (4, 0.05), (6, 0.02)])
def test_as_many_messages_are_inverted_as_the_law_says(nodes, offset):
    found = [
        run("logical_clocks", seed=seed, trace=False, nodes=nodes, offset=offset, local=0.0, events=120 // nodes)
        for seed in range(8)
    ]
    messages = 8 * 2 * 120
    share = sum(result["messages_inverted"] for result in found) / len(found)
    expected = inverted_messages(nodes, offset, 0.02)
    # Request and answer of one exchange go opposite ways, which makes the share vary less than independent ones would.
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / messages))
    assert find("logical_clocks").laws["messages_inverted"].expected(found[0].parameters) == expected


def test_the_law_holds_where_answers_take_longer_than_a_second():
    found = [
        run("logical_clocks", seed=seed, trace=False, nodes=2, local=0.0, rate=5.0, delay=0.5, offset=0.5, events=60)
        for seed in range(8)
    ]
    share = sum(result["messages_inverted"] for result in found) / len(found)
    expected = inverted_messages(2, 0.5, 0.5)
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / (8 * 2 * 120)))


def test_a_drifting_clock_inverts_messages_and_a_hybrid_one_none():
    dials = {"drift_ppm": 1000.0, "offset": 0.0, "rate": 0.2, "local": 0.2, "events": 60, "trace": False}
    for clock in ("physical", "hybrid", "lamport", "vector"):
        found = run("logical_clocks", clock=clock, **dials)
        assert (found["receipts_inverted"] > 0.2) == (clock == "physical")
        assert found["hybrid_counter_max"] < 2**16


def test_the_law_at_its_ends():
    assert inverted_messages(2, 0.0, 0.02) == 0
    assert inverted_messages(2, 100.0, 0.02) == pytest.approx(0.5)
    assert inverted_messages(5, 0.05, 0.0) == 0.5
    assert inverted_messages(2, 0.02, 0.02) == pytest.approx((1 - math.exp(-1)) / 2)


@pytest.mark.parametrize("changes", [{"drift_ppm": 5.0}, {"loss": 0.1}])
def test_the_law_says_nothing_where_it_does_not_apply(changes):
    chosen = find("logical_clocks")
    assert chosen.laws["messages_inverted"].expected(chosen.settings(changes)) is None


def test_the_law_of_right_pairs_is_for_vector_clocks_that_are_merged():
    chosen = find("logical_clocks")
    law = chosen.laws["right"].expected
    assert law(chosen.settings({})) == 1.0
    assert law(chosen.settings({"clock": "lamport"})) is None and law(chosen.settings({"vector_merge": False})) is None


@pytest.mark.parametrize("dials", [{"offset": 0.3}, {"offset": 0.0, "drift_ppm": 1000.0}, {"offset": 0.05, "nodes": 8}])
def test_a_hybrid_clock_stays_within_what_the_clocks_differ_by(dials):
    """Kulkarni et al. 2014: l.f ≥ pt.f, and |l.f − pt.f| ≤ ε."""
    for seed in range(10):
        result = run("logical_clocks", seed=seed, trace=False, **dials)
        assert 0 <= result["hybrid_ahead_min"] <= result["hybrid_ahead_max"] <= result["hybrid_ahead_bound"] + 2e-6


def test_vectors_grow_with_the_nodes_and_numbers_do_not():
    for nodes in (2, 8, 24):
        found = {
            clock: run("logical_clocks", seed=2, nodes=nodes, clock=clock, trace=False)["clock_bytes"]
            for clock in CLOCKS
        }
        vectors = 12 * nodes
        assert found == {"physical": 8, "lamport": 8, "hybrid": 8, "version vector": vectors, "vector": vectors}


@pytest.mark.parametrize(("experiment", "ablation"), ABLATIONS)
def test_with_its_safeguard_no_seed_is_accused(experiment, ablation):
    chosen = find(experiment)
    declared = chosen.ablations[ablation]
    for seed in range(40):
        result = run(experiment, seed=seed, trace=False, **declared.under)
        assert {verdict.status for verdict in result.verdicts} == {"OK"}, seed


@pytest.mark.parametrize(
    ("experiment", "dials", "sentence"),
    [
        ("logical_clocks", {"nodes": 24, "events": 300}, "events is 300: it must be at most 5000 on all nodes"),
        ("logical_clocks", {"clock": "atomic"}, "clock is 'atomic'"),
        ("two_events", {"message": True, "delay": 0.1}, "delay is 0.1: it must be below apart, which is 0.055"),
        ("siblings", {"ids": "nobody"}, "ids is 'nobody'"),
    ],
)
def test_bad_dials_are_refused_in_one_sentence(experiment, dials, sentence):
    with pytest.raises(BadInput, match=sentence):
        run(experiment, **dials)


@pytest.mark.parametrize("experiment", ["logical_clocks", "siblings"])
@pytest.mark.parametrize("dials", [{}, {"loss": 0.1}])
def test_events_are_foreseen_within_a_factor_of_two(experiment, dials):
    from labkit.live import live

    answer = live(experiment, [], seed=3, **dials).answer
    chosen = find(experiment)
    foreseen = sum(chosen.expected_events(chosen.settings(dials)).values())
    assert foreseen / 2 <= answer["events"] <= foreseen * 2


def test_one_seed_gives_one_history():
    for name in ("logical_clocks", "siblings", "two_events"):
        assert run(name, seed=5).to_json(trace=True) == run(name, seed=5).to_json(trace=True)


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(180)
def test_on_real_processes_the_exact_stays_exact():
    result = run("logical_clocks", runtime="ray", seed=3)
    assert result["vector_right"] == 1.0 and {verdict.status for verdict in result.verdicts} == {"OK"}
    stored = run("siblings", runtime="ray", seed=3, edits=5)
    assert stored.verdicts[0].status == "OK"
