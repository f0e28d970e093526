"""For each rule that a reader writes: the starting point fails, the solution holds, and wrong answers are caught."""

from __future__ import annotations

import pytest

from labkit.judging import judge
from labkit.lab import catalogue
from tests.judging.lab_rules import LABS, LabRule, is_folded, rules, section

RULES = rules()
SEEDS = {"recover": 100}
"""A thousand where they take some seconds; a booking's are slow."""

every_rule = pytest.mark.parametrize("rule", RULES, ids=str)
WRONG = [(rule, wrong) for rule in RULES for wrong in rule.wrong]


def judged(rule: LabRule, function, seeds: int, **how):
    return judge(rule.experiment, seeds=seeds, progress=False, parallel=False, **how, **{rule.name: function})


def test_every_lab_has_a_rule_and_every_rule_a_lab():
    declared = {(name, rule) for name, experiment in catalogue().items() for rule in experiment.rules}
    assert {(rule.experiment, rule.name) for rule in RULES} == declared
    assert {rule.stem for rule in RULES} == {path.stem for path in LABS}


@every_rule
def test_a_lab_has_one_starting_point_one_solution_and_two_wrong_answers(rule):
    assert (len(rule.starting), len(rule.solution)) == (1, 1)
    assert len(rule.wrong) >= 2


@every_rule
def test_the_starting_point_fails_within_a_few_seeds(rule):
    judgement = judged(rule, rule.starting[0], 20)
    assert not judgement.holds and not judgement.errors
    own = catalogue()[rule.experiment].rules[rule.name].breaks
    assert judgement[own].broken >= 3
    assert judgement.first_failure.verdict.property == own


@every_rule
def test_the_solution_holds_at_every_seed(rule):
    judgement = judged(rule, rule.solution[0], SEEDS.get(rule.name, 250))
    assert judgement.holds, str(judgement)
    assert judgement.first_failure is None
    assert all(tally.holds > judgement.seeds / 2 for tally in judgement.tallies), str(judgement)
    assert judgement.costs


@pytest.mark.parametrize(("rule", "wrong"), WRONG, ids=[f"{rule}-{wrong.__name__}" for rule, wrong in WRONG])
def test_a_wrong_answer_is_caught_within_a_hundred_seeds(rule, wrong):
    judgement = judged(rule, wrong, 25)
    assert judgement.broken and not judgement.errors, str(judgement)
    assert judgement.first_failure.seed < 100


@pytest.mark.parametrize("rule", [each for each in RULES if each.name not in ("get", "write")], ids=str)
def test_the_protocol_itself_holds(rule):
    """Not where a dial of the rule has taken the safeguard out of the protocol, so that only the reader's has it."""
    declared = catalogue()[rule.experiment].rules[rule.name]
    assert judged(rule, getattr(declared.of, declared.method), 10).holds


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(120)
@every_rule
def test_the_solution_holds_on_real_processes(rule):
    judgement = judged(rule, rule.solution[0], 1, runtime="ray")
    assert not judgement.errors, str(judgement)
    assert not any(tally.broken for tally in judgement.tallies), str(judgement)
    assert judgement.runtime == "ray"


@pytest.mark.parametrize("path", LABS, ids=[path.stem for path in LABS])
def test_a_starting_point_is_short_and_a_solution_is_folded(path):
    code = [cell for cell in section(path) if cell.cell_type == "code"]
    assert [is_folded(cell) for cell in code] == [False] * (len(code) - 1) + [True]
    assert all(len(cell.source.splitlines()) <= 12 for cell in code[:-1])
    assert code[-1].source.startswith("# Solution\n") and "assert " in code[-1].source
