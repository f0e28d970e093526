"""What a judgement says of a reader's rule, also of one that fails, loops, waits for ever or answers nonsense."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from labkit import Refused, first, judging, overdue
from labkit.experiments.leases import leases
from labkit.judgements import ENDS, Found, Trial, tallied
from labkit.judging import judge
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

QUICK = {"progress": False, "parallel": False}


async def accept(self, token):
    self.highest = max(self.highest, token)


async def fence(self, token):
    if token < self.highest:
        raise Refused("overtaken")
    self.highest = token


def judged(write, seeds=3, **how):
    return judge("leases", write=write, seeds=seeds, **{**QUICK, **how})


def test_the_text_says_what_is_broken_how_often_and_where_first():
    judgement = judged(accept, 5)
    line, story, *drawn = str(judgement).splitlines()
    assert line.startswith(
        "accept · no write of an overtaken holder is accepted: broken in 5 of 5 seeds, first at seed 0 · "
        "no write of the newest holder is refused: holds in 5 · every operation ends: holds in 5 · cost: "
    )
    assert story.startswith("seed 0: no write of an overtaken holder is accepted: ILLEGAL")
    assert sum(" -- " in told for told in drawn) == 2  # operations, with their roles
    page = judgement._repr_html_()
    assert page.count("<b>") == 1 and "<b>no write of an overtaken holder is accepted: broken in 5 of 5 seeds" in page
    assert "write(&#x27;storage&#x27;" in page


def test_the_first_failure_is_a_run_with_its_messages():
    failure = judged(accept).first_failure
    assert failure.result.messages and failure.result.seed == failure.seed == 0
    assert failure.verdict.status == ILLEGAL and len(failure.verdict.counterexample) == 2


def test_a_rule_that_holds_has_no_failure_and_the_same_numbers_twice():
    one, other = judged(fence, 10), judged(fence, 10)
    assert one.holds and one.first_failure is None and one.broken == []
    assert str(one) == str(other)


def test_the_protocol_stays_as_it_was():
    before = leases.cluster(0, leases.settings({})).nodes[1].node_class
    judged(accept)
    assert leases.cluster(0, leases.settings({})).nodes[1].node_class is before
    assert before.write is not accept


def test_a_class_may_be_given_that_has_the_rule_and_what_it_needs():
    class Fence:
        async def write(self, token):
            if self.is_overtaken(token):
                raise Refused("overtaken")
            self.highest = token

        def is_overtaken(self, token):
            return token < self.highest

    assert judged(Fence).holds


def test_an_error_is_told_with_its_type_and_the_readers_line_and_soon_ends_it():
    async def get(self, key):
        answers = await first(self.read_quorum, [each.read(key) for each in self.peers(self.replicas)])
        return answers["newest"]

    judgement = judge("quorums", get=get, seeds=50, **QUICK)
    assert judgement.seeds == len(judgement.errors) == judging.MOST_ERRORS
    assert "get raised TypeError in line" in judgement.first_error
    assert 'return answers["newest"]' in judgement.first_error
    assert not judgement.holds
    text = str(judgement)
    assert text.startswith("get failed in 20 of 20 seeds, first at seed 0 · ")
    assert "stopped after 20 seeds" in text and "Traceback" not in text
    assert "list indices must be integers" in judgement._repr_html_()


def test_a_mistake_within_labkit_is_told_with_the_readers_line():
    async def get(self, key):
        return await first(9, [each.read(key) for each in self.peers(self.replicas)])

    assert "a quorum of 9 cannot be reached" in judge("quorums", get=get, seeds=1, **QUICK).first_error


def test_an_answer_of_the_wrong_type_is_told():
    def receive_vector(self, mine, message):
        mine.merge(message)

    judgement = judge("logical_clocks", receive_vector=receive_vector, seeds=1, **QUICK)
    assert judgement.first_error == "receive_vector returned None: it must return a Vector"


def test_an_answer_that_no_checker_can_judge_is_told():
    async def get(self, key):
        return [key]

    judgement = judge("quorums", get=get, seeds=1, **QUICK)
    assert judgement.errors == (0,) and "cannot be judged" in judgement.first_error


def test_an_error_that_nobody_handles_is_told():
    async def hand_over(self, move):
        await move.copy()
        raise Refused("not today")

    assert "Refused in mover at" in judge("sharding", hand_over=hand_over, seeds=1, **QUICK).first_error


@pytest.mark.parametrize("swallows", [False, True], ids=["a loop", "a loop that swallows what it can"])
def test_a_rule_that_computes_for_ever_is_stopped(monkeypatch, swallows):
    monkeypatch.setattr(judging, "RUN_SECONDS", 0.3)

    async def loop(self, token):
        while True:
            self.highest += 1

    async def swallow(self, token):
        while True:
            try:
                self.highest += 1
            except BaseException:
                pass

    began = perf_counter()
    judgement = judged(swallow if swallows else loop, 50)
    assert perf_counter() - began < 10
    assert judgement.seeds == 1 and not judgement.holds
    assert "it was still computing after 0.3 s" in judgement.first_error
    assert "stopped after 1 seed" in str(judgement)
    assert judged(fence).holds  # nothing is left behind


def test_a_rule_that_never_lets_time_pass_is_stopped():
    async def spin(self, token):
        while True:
            await asyncio.sleep(0)

    judgement = judged(spin, 1)
    assert judgement.errors and "without letting time pass" in judgement.first_error


def test_a_rule_that_waits_for_ever_breaks_that_every_operation_ends():
    async def get(self, key):
        await asyncio.get_running_loop().create_future()

    judgement = judge("quorums", get=get, seeds=30, **QUICK)
    assert judgement[ENDS].broken == judgement.seeds == judging.MOST_UNFINISHED
    assert "stopped after 3 seeds: 3 runs did not end" in str(judgement)


def test_a_rule_that_refuses_everything_or_does_nothing_does_not_hold():
    async def refuse(self, token):
        raise Refused("no")

    async def nothing(self, move):
        pass

    async def vague(self, key):
        raise Refused("no")

    assert "no write of the newest holder is refused" in judged(refuse).broken
    assert "every slot has changed its owner" in judge("sharding", hand_over=nothing, seeds=3, **QUICK).broken
    assert "most requests are answered" in judge("quorums", get=vague, seeds=3, **QUICK).broken


def test_what_had_nothing_to_judge_at_any_seed_does_not_hold():
    trials = [Trial(seed, (Found("it", UNDECIDED, True, "no case"),)) for seed in range(3)]
    (tally,) = tallied(trials, "it")
    assert not tally.is_kept and tally.told(3) == "it: nothing to judge in 3"
    some = [*trials, Trial(3, (Found("it", HOLDS, False, ""),)), Trial(4, (Found("it", UNDECIDED, False, "budget"),))]
    (tally,) = tallied(some, "it")
    assert not tally.is_kept and tally.told(5) == "it: holds in 1, undecided in 1, nothing to judge in 3"


def test_progress_is_told_seed_by_seed():
    seen = []
    judged(fence, 4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_time_that_is_not_up_interrupts_nobody():
    with overdue.within(30):
        pass
    with pytest.raises(overdue.Overdue), overdue.within(0.05):
        while True:
            pass
    with pytest.raises(ValueError), overdue.within(0.05):
        raise ValueError


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(120)
def test_all_cores_find_what_one_does():
    one, all_cores = judged(accept, 30), judged(accept, 30, parallel=True)
    assert all_cores.tallies == one.tallies and all_cores.costs == one.costs


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(120)
def test_on_real_processes_a_wrong_rule_breaks_and_an_error_is_told():
    async def wrong(self, token):
        return self.nobody.has_this

    assert judged(accept, 1, runtime="ray").broken == ["no write of an overtaken holder is accepted"]
    judgement = judged(wrong, 1, runtime="ray")
    assert judgement.errors == (0,)
    assert judgement.first_error.startswith("write raised AttributeError in line") and "\n" not in judgement.first_error
