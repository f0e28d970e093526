"""Every safeguard that a protocol can lose is missed by its checker when it is gone, and by nothing else."""

from __future__ import annotations

import json

import pytest

from labkit.ablations import MOST_SEEDS, Hunts, hunt, hunt_all
from labkit.checkers.staleness import PROPERTY as FRESH
from labkit.command_line import NOT_CAUGHT_EXIT, main
from labkit.errors import BadInput
from labkit.lab import Ablation, catalogue, find

DECLARED = [(name, ablation) for name, experiment in catalogue().items() for ablation in experiment.ablations]
SMALL = {"read_quorum": 2, "write_quorum": 2, "pairs": 5}


@pytest.fixture
def declare(monkeypatch):
    """Declare one ablation of the quorum store, for one test."""

    def declared(name: str, without: dict, breaks: str = FRESH, **under) -> None:
        monkeypatch.setattr(find("quorums"), "ablations", {name: Ablation(name, without, under, breaks)})

    return declared


@pytest.mark.parametrize(("experiment", "ablation"), DECLARED, ids=[f"{one}: {other}" for one, other in DECLARED])
def test_each_ablation_is_caught_and_its_safeguard_holds(experiment, ablation):
    found = hunt(experiment, ablation, seeds=MOST_SEEDS)
    assert found.seed is not None, f"no seed below {MOST_SEEDS} shows it"
    assert found.unsound == ()
    assert found.explanation
    assert found.counterexample or experiment == "leases"  # whose tenures are no operations


def test_the_first_failing_seed_is_the_first():
    found = hunt("quorums", "stand-ins answer for silent replicas", seeds=MOST_SEEDS)
    assert found.seed > 0 and found.tried == found.seed + 1
    assert hunt("quorums", "stand-ins answer for silent replicas", seeds=found.seed).seed is None


def test_what_takes_nothing_out_is_not_caught(declare):
    declare("nothing at all", {"durable": True}, **SMALL)
    found = hunt("quorums", "nothing at all", seeds=7)
    assert (found.seed, found.tried, found.unsound) == (None, 7, ())
    assert not found.is_caught


def test_a_safeguard_that_does_not_hold_is_told(declare):
    declare("worse still", {"read_quorum": 1}, write_quorum=1, read_quorum=1, pairs=20)
    found = hunt("quorums", "worse still", seeds=3)
    assert found.seed == 0 and found.unsound == (0,)
    assert not found.is_caught


def test_a_verdict_on_nothing_is_not_ok(declare):
    declare("no reads", {"read_quorum": 1, "write_quorum": 1}, **SMALL, kill_after=0.001, loss=0.5, timeout=0.001)
    found = hunt("quorums", "no reads", seeds=2)
    assert found.unsound and not found.is_caught


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
    found = hunt_all(["quorums", "leases"], progress=lambda *done: told.append(done))
    assert [each.experiment for each in found] == ["quorums"] * 6 + ["leases"]
    assert told == [(done, 7) for done in range(1, 8)]
    text, html = str(found), found._repr_html_()
    assert all(each.ablation in text and f"{each.seed} of {each.tried} tried" in html for each in found)
    assert len({len(line) for line in text.splitlines()}) <= 5
    assert [entry["seed"] for entry in json.loads(found.to_json())] == [each.seed for each in found]
    assert isinstance(found, Hunts) and len(found) == 7


def test_the_command_says_by_its_exit_code_what_was_not_caught(declare, capsys):
    assert main(["ablations", "leases", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["experiment"] == "leases"
    declare("nothing at all", {"durable": True}, **SMALL)
    assert main(["ablations", "quorums", "--seeds", "2"]) == NOT_CAUGHT_EXIT
    assert "none of 2 tried" in capsys.readouterr().out
