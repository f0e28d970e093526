"""Calls have three outcomes, and a quorum of them has too."""

from __future__ import annotations

import asyncio

import pytest

from labkit import Node, Refused, Unanswered, answers, first, settled
from labkit.calls import FAIL, OK, UNKNOWN, Call, CallError, QuorumNotReached
from tests.clusters import node, simulate_work


def calls(count: int) -> list[Call]:
    return [Call(f"replica-{number}", "read") for number in range(count)]


def in_loop(work):
    return asyncio.run(work())


@pytest.mark.parametrize(("outcome", "error"), [(FAIL, Refused), (UNKNOWN, Unanswered)])
def test_a_call_that_is_not_answered_raises_its_outcome(outcome, error):
    (call,) = calls(1)
    call.settle(outcome, "why")
    with pytest.raises(error, match=r"replica-0\.read: why") as caught:
        call.result()
    assert caught.value.outcome == outcome
    assert isinstance(caught.value, CallError)


def test_awaiting_gives_the_answer_whether_it_came_before_or_after():
    async def work():
        early, late = calls(2)
        early.settle(OK, "early")
        asyncio.get_running_loop().call_soon(late.settle, OK, "late")
        return await early, await late

    assert in_loop(work) == ("early", "late")


def test_cancelling_a_waiter_does_not_cancel_the_call():
    async def work():
        (call,) = calls(1)

        async def wait():
            return await call

        impatient, patient = asyncio.create_task(wait()), asyncio.create_task(wait())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        call.settle(OK, 7)
        return impatient.cancelled(), await patient, await call

    assert in_loop(work) == (True, 7, 7)


def test_first_gives_answers_in_order_of_arrival_and_leaves_the_rest_alone():
    async def work():
        a, b, c = calls(3)
        b.settle(OK, "b")
        waiting = asyncio.create_task(first(2, [a, b, c]))
        await asyncio.sleep(0)
        c.settle(OK, "c")
        a.settle(OK, "a")
        return await waiting, a.outcome

    assert in_loop(work) == (["b", "c"], OK)


def test_first_goes_on_while_the_quorum_is_possible():
    async def work():
        a, b, c = calls(3)
        waiting = asyncio.create_task(first(2, [a, b, c]))
        await asyncio.sleep(0)
        a.settle(FAIL, "no")
        b.settle(OK, "b")
        await asyncio.sleep(0)
        assert not waiting.done()
        c.settle(OK, "c")
        return await waiting

    assert in_loop(work) == ["b", "c"]


def test_an_impossible_quorum_is_raised_at_once():
    async def work():
        a, b, c = calls(3)
        waiting = asyncio.create_task(first(2, [a, b, c]))
        await asyncio.sleep(0)
        a.settle(UNKNOWN, None)
        b.settle(FAIL, "no")
        with pytest.raises(QuorumNotReached, match="0 of 3 answered, 2 needed"):
            await waiting
        return c.outcome

    assert in_loop(work) is None


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((FAIL, FAIL, FAIL), FAIL),
        ((FAIL, FAIL, UNKNOWN), UNKNOWN),
        ((FAIL, OK, FAIL), UNKNOWN),
        ((FAIL, FAIL, None), UNKNOWN),  # one is under way and may yet act
        ((FAIL, None, None), UNKNOWN),
    ],
)
def test_a_quorum_has_failed_only_if_every_call_was_refused(outcomes, expected):
    async def work():
        made = calls(3)
        for call, outcome in zip(made, outcomes, strict=True):
            if outcome is not None:
                call.settle(outcome, None)
        needed = 3 if outcomes.count(None) == 2 else 2
        with pytest.raises(QuorumNotReached) as caught:
            await first(needed, made)
        return caught.value.outcome

    assert in_loop(work) == expected


@pytest.mark.parametrize("needed", [4, -1])
def test_more_answers_than_calls_can_never_be_reached(needed):
    async def work():
        with pytest.raises(ValueError, match=f"quorum of {needed} cannot be reached with 3 calls"):
            await first(needed, calls(3))
        return True

    assert in_loop(work)


def test_no_answers_needed_are_there_at_once():
    async def work():
        return await first(0, calls(2)), await first(0, [])

    assert in_loop(work) == ([], [])


def test_settled_waits_for_all_and_keeps_the_order_given():
    async def work():
        a, b, c = made = calls(3)
        waiting = asyncio.create_task(settled(made))
        await asyncio.sleep(0)
        c.settle(FAIL, "no")
        a.settle(UNKNOWN, None)
        await asyncio.sleep(0)
        assert not waiting.done()
        b.settle(OK, 1)
        return [call.outcome for call in await waiting]

    assert in_loop(work) == [UNKNOWN, OK, FAIL]


def test_answers_come_one_by_one_as_they_end():
    async def work():
        a, b, c = made = calls(3)
        b.settle(OK, 1)
        loop = asyncio.get_running_loop()
        loop.call_soon(c.settle, FAIL, "no")
        loop.call_soon(a.settle, UNKNOWN, None)
        return [call.target async for call in answers(made)]

    assert in_loop(work) == ["replica-1", "replica-2", "replica-0"]


class Moody(Node):
    def __init__(self):
        self.done = 0

    async def agree(self) -> int:
        self.done += 1
        return self.done

    async def refuse(self) -> None:
        raise Refused("not now")

    async def dawdle(self) -> None:
        await asyncio.sleep(10)


def test_the_three_outcomes_reach_the_history():
    async def work(self):
        moody = self.peer("moody")
        for method in ("agree", "refuse", "dawdle"):
            with self.operation(method) as operation:
                operation.value = await getattr(moody, method)(timeout=0.5)

    recorded = simulate_work(work, node("moody", Moody)).operations
    assert [(o.function, o.outcome, o.value) for o in recorded] == [
        ("agree", "ok", 1),
        ("refuse", "fail", None),
        ("dawdle", "unknown", None),
    ]
    assert "not now" in recorded[1].error
    assert recorded[2].latency == 0.5


@pytest.mark.parametrize("bad", ["self.peer('moody').dance()", "self.peer('moody').agree(1)", "self.peer('nobody')"])
def test_calling_what_is_not_there_raises_at_once(bad):
    seen = []

    async def work(self):
        try:
            eval(bad, {"self": self})
        except (AttributeError, TypeError, LookupError) as error:
            seen.append(type(error))

    simulate_work(work, node("moody", Moody))
    assert len(seen) == 1
