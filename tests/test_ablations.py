"""Every safeguard that a protocol can lose is missed by its checker when it is gone, and by nothing else."""

from __future__ import annotations

import json

import pytest

from labkit import run
from labkit.ablations import Hunts, hunt, hunt_all
from labkit.checkers.staleness import PROPERTY as FRESH
from labkit.claims import LEFT
from labkit.command_line import NOT_CAUGHT_EXIT, main
from labkit.errors import BadInput, NodeFailure
from labkit.lab import Ablation, catalogue, find
from labkit.results import HOLDS, ILLEGAL, UNDECIDED, Verdict

DECLARED = [(name, ablation) for name, experiment in catalogue().items() for ablation in experiment.ablations]
SEEDS = 20
"""Enough for each to be caught; the command and the book's page ask a hundred."""
SMALL = {"read_quorum": 2, "write_quorum": 2, "pairs": 5}


@pytest.fixture
def declare(monkeypatch):
    """Declare one ablation of the quorum store, for one test."""

    def declared(name: str, without: dict, breaks: str = FRESH, **under) -> None:
        monkeypatch.setattr(find("quorums"), "ablations", {name: Ablation(name, without, under, breaks)})

    return declared


@pytest.fixture
def judge(monkeypatch):
    """Let a function of (dials, seed) add a verdict to every run of the quorum store, for one test."""
    quorums = find("quorums")
    verify = quorums._verify

    def judged(function) -> None:
        def verdicts(result):
            yield from verify(result)
            yield function(result.parameters, result.seed)

        monkeypatch.setattr(quorums, "_verify", verdicts)

    return judged


@pytest.mark.parametrize(("experiment", "ablation"), DECLARED, ids=[f"{one}: {other}" for one, other in DECLARED])
def test_each_ablation_is_caught_and_its_safeguard_holds_at_every_seed(experiment, ablation):
    found = hunt(experiment, ablation, seeds=SEEDS)
    assert found.unsound == (), found.accusation
    assert found.seed is not None, f"no seed below {SEEDS} shows it"
    assert found.explanation
    assert found.counterexample
    declared = find(experiment).ablations[ablation]
    broken = run(experiment, seed=found.seed, trace=False, **{**declared.under, **declared.without})
    for verdict in broken.verdicts:  # every step of every counterexample has its part in it
        assert len(verdict.roles) == len(verdict.counterexample) and all(verdict.roles), verdict


def test_every_seed_is_tried_with_the_safeguard_and_without_it(declare, judge):
    asked = []
    declare("quorums that miss each other", {"read_quorum": 1, "write_quorum": 1}, **SMALL)
    judge(lambda dials, seed: asked.append((seed, dials["read_quorum"])) or Verdict("another", HOLDS))
    hunt("quorums", "quorums that miss each other", seeds=3)
    assert sorted(asked) == [(seed, quorum) for seed in range(3) for quorum in (1, 2)]


def test_the_first_failing_seed_is_the_first_and_all_are_counted():
    found = hunt("quorums", "stand-ins answer for silent replicas", seeds=SEEDS)
    assert 0 < found.seed == found.failing[0] and 1 < len(found.failing) < SEEDS
    alone = hunt("quorums", "stand-ins answer for silent replicas", seeds=found.seed)
    assert (alone.seed, alone.failing, alone.tried) == (None, (), found.seed)


def test_what_takes_nothing_out_is_not_caught(declare):
    declare("nothing at all", {"durable": True}, **SMALL)
    found = hunt("quorums", "nothing at all", seeds=7)
    assert (found.seed, found.tried, found.failing, found.unsound) == (None, 7, (), ())
    assert not found.is_caught


def test_a_safeguard_that_does_not_hold_is_told(declare):
    declare("worse still", {"read_quorum": 1}, write_quorum=1, read_quorum=1, pairs=20)
    found = hunt("quorums", "worse still", seeds=3)
    assert found.seed == 0 and found.unsound[0] == 0
    assert found.accusation.startswith("every read is fresh: ILLEGAL (")
    assert not found.is_caught


def test_a_safeguard_that_fails_at_a_late_seed_only_is_told(declare, judge):
    """The kind of fault: a protocol was called sound because its first seed was."""
    declare("quorums that miss each other", {"read_quorum": 1, "write_quorum": 1}, **SMALL)
    judge(lambda dials, seed: Verdict("another", ILLEGAL if (dials["read_quorum"], seed) == (2, 5) else HOLDS, "why"))
    found = hunt("quorums", "quorums that miss each other", seeds=8)
    assert found.failing and found.unsound == (5,) and not found.is_caught
    assert found.accusation == "another: ILLEGAL (why)"


@pytest.mark.parametrize(
    ("verdict", "is_sound"),
    [
        (Verdict("another", HOLDS), True),
        (Verdict("another", ILLEGAL, "because"), False),
        (Verdict("another", UNDECIDED, "ran out of steps"), False),
        (Verdict.of_nothing("another", "there was none"), True),
    ],
    ids=["OK", "ILLEGAL", "gave up", "nothing to judge"],
)
def test_all_verdicts_count_and_only_nothing_to_judge_is_let_pass(declare, judge, verdict, is_sound):
    declare("quorums that miss each other", {"read_quorum": 1, "write_quorum": 1}, **SMALL)
    judge(lambda dials, seed: verdict)
    found = hunt("quorums", "quorums that miss each other", seeds=4)
    assert found.failing and found.is_caught == is_sound
    assert found.unsound == (() if is_sound else (0, 1, 2, 3))


def test_a_verdict_on_nothing_is_not_ok_for_the_property_that_is_vetted(declare):
    declare("no reads", {"read_quorum": 1, "write_quorum": 1}, **SMALL, kill_after=0.001, loss=0.5, timeout=0.001)
    found = hunt("quorums", "no reads", seeds=2)
    assert found.unsound and not found.is_caught


def test_a_run_that_fails_is_no_success_of_a_safeguard_and_no_catch_of_a_checker(declare, judge):
    def fail(dials, seed):
        raise NodeFailure("a node stumbled")

    declare("quorums that miss each other", {"read_quorum": 1, "write_quorum": 1}, **SMALL)
    judge(fail)
    found = hunt("quorums", "quorums that miss each other", seeds=2)
    assert (found.failing, found.unsound, found.accusation) == ((), (0, 1), "a node stumbled")


def test_a_property_that_nobody_judges_is_refused(declare):
    declare("a slip of the pen", {"read_quorum": 1}, breaks="every read is frsh", **SMALL)
    with pytest.raises(
        BadInput, match="'a slip of the pen' breaks 'every read is frsh': quorums has the verdicts every"
    ):
        hunt("quorums", "a slip of the pen")


@pytest.mark.parametrize(
    ("ablation", "seeds", "sentence"),
    [
        ("none", 10, "quorums has no ablation 'none': it has quorums do not overlap"),
        ("quorums do not overlap", 0, "seeds is 0: it must be from 1 to 1000"),
        ("quorums do not overlap", 1001, "seeds is 1001: it must be from 1 to 1000"),
    ],
)
def test_bad_input_is_one_sentence(ablation, seeds, sentence):
    with pytest.raises(BadInput, match=sentence):
        hunt("quorums", ablation, seeds)


def test_an_ablation_names_dials_that_there_are():
    with pytest.raises(BadInput, match="replica"):
        find("quorums").ablation("misspelt", without={"replica": 3}, breaks=FRESH)
    assert "misspelt" not in find("quorums").ablations


def test_all_ablations_are_hunted_with_progress():
    told = []
    found = hunt_all(["quorums", "leases"], seeds=5, progress=lambda *done: told.append(done))
    names = [(name, ablation) for name in ("quorums", "leases") for ablation in find(name).ablations]
    assert [(each.experiment, each.ablation) for each in found] == names
    assert told == [(done, 5 * len(names)) for done in range(1, 5 * len(names) + 1)]
    assert isinstance(found, Hunts) and len(found) == len(names)


def test_counts_first_seed_and_counterexample_are_in_text_html_and_json():
    found = hunt_all(["quorums", "leases"], seeds=5, progress=False)
    text, html, entries = str(found), found._repr_html_().replace(f"<td {LEFT}>", "<td>"), json.loads(found.to_json())
    for each, entry in zip(found, entries, strict=True):
        line = next(line for line in text.splitlines() if line.startswith(each.experiment) and each.ablation in line)
        assert f"{len(each.failing)} of 5" in line and "0 of 5" in line
        assert f"<td>{len(each.failing)} of 5</td><td>0 of 5</td>" in html
        assert (entry["fails_without"], entry["fails_with"]) == (len(each.failing), 0)
        assert (entry["seed"], entry["tried"]) == (each.seed, 5)
        if each.seed is not None:
            assert f"{each.experiment}: {each.ablation}, seed {each.seed}: {each.explanation}" in text
            assert all(operation in text for operation in each.counterexample)
            assert entry["counterexample"] == list(each.counterexample)
            assert f"<summary>{each.seed}</summary>" in html


@pytest.mark.real
@pytest.mark.timeout(120)
def test_all_cores_find_what_one_finds():
    one, all_cores = (hunt_all(["leases", "siblings"], 5, progress=False, parallel=spread) for spread in (False, True))
    assert list(one) == list(all_cores)


def test_the_command_says_by_its_exit_code_what_was_not_caught(declare, capsys):
    assert main(["ablations", "leases", "--seeds", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["fails_without"] == 3
    declare("nothing at all", {"durable": True}, **SMALL)
    assert main(["ablations", "quorums", "--seeds", "2"]) == NOT_CAUGHT_EXIT
    assert "0 of 2" in capsys.readouterr().out
    declare("worse still", {"read_quorum": 1}, write_quorum=1, read_quorum=1, pairs=20)
    assert main(["ablations", "quorums", "--seeds", "2"]) == NOT_CAUGHT_EXIT
    assert "with the safeguard, seed 0: every read is fresh: ILLEGAL" in capsys.readouterr().out


def test_a_hunt_counts_every_property_that_fell() -> None:
    forgetful = hunt("transactions", "a participant forgets its vote", seeds=6)
    assert forgetful.broken[forgetful.checker] == len(forgetful.failing) > 0
    unlocked = hunt("transactions", "locks are not held until the outcome", seeds=3)
    assert unlocked.broken.get("all or nothing", 0) == 0 < unlocked.broken[unlocked.checker]
    assert json.loads(json.dumps(unlocked.to_dict()))["broken"] == unlocked.broken
