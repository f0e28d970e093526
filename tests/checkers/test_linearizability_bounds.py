"""How long the search for a linearization may take, and what it then tells."""

from __future__ import annotations

import time

import pytest

from labkit.checkers import linearizability
from labkit.checkers.linearizability import FEW_STEPS, REGISTER, SHRINKING_STEPS, linearizable
from labkit.checkers.linearization import judge
from labkit.checkers.models import Register
from labkit.checkers.staleness import fresh_reads
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED
from tests.checkers.histories import lived_through, read, with_one_stale_read, write
from tests.checkers.test_linearizability import has_an_order


@pytest.mark.parametrize("values", [None, 5])
def test_thousands_of_operations_of_ten_clients_with_fifty_unknown_ones_are_judged(values):
    operations = lived_through(1, clients=10, count=4000, unknown=50, values=values)
    begin = time.process_time()
    assert linearizable(operations).status == HOLDS
    assert time.process_time() - begin < 30, "in proportion to the operations, not to the orders"


@pytest.mark.parametrize("clients", [10, 100])
def test_one_stale_read_among_thousands_is_found_and_told_alone(clients):
    operations = with_one_stale_read(lived_through(2, clients=clients, count=4000, unknown=50), 2)
    verdict = linearizable(operations)
    assert verdict.status == ILLEGAL and len(verdict.counterexample) == 3
    assert fresh_reads(verdict.counterexample).status == ILLEGAL


def test_what_is_wrong_is_told_even_if_the_search_runs_out_of_steps():
    operations = with_one_stale_read(lived_through(1, clients=10, count=4000, unknown=50, values=2000), 1)
    assert judge(operations, REGISTER, len(operations) + 1).status == UNDECIDED
    verdict = linearizable(operations, most_steps=0)
    assert verdict.status == ILLEGAL and not has_an_order(verdict.counterexample)


@pytest.fixture
def all_steps(monkeypatch):
    """The number of steps of each search that a checker makes."""
    steps = []

    def counted(*arguments, **settings):
        judgement = judge(*arguments, **settings)
        steps.append(judgement.steps)
        return judgement

    monkeypatch.setattr(linearizability, "judge", counted)
    return steps


def with_one_read_of(history, value) -> list[Operation]:
    reads = [one for one in history if one.function == "read"]
    reads[len(reads) // 2].value = value
    return history


def test_a_value_that_nobody_wrote_is_told_without_a_search(all_steps):
    operations = with_one_read_of(lived_through(3, clients=30, count=600, unknown=50, values=2), 99)
    verdict = linearizable(operations)
    assert [one.value for one in verdict.counterexample] == [99]
    assert verdict.roles == ("its answer fits nowhere",) and all_steps == [1], "only to tell it"
    operations.append(write("late", 99, 10**9, None, "unknown"))
    verdict = linearizable(operations)
    assert [(one.function, one.value) for one in verdict.counterexample] == [("read", 99), ("write", 99)]
    assert linearizable([read("a", 0, 0, 1), read("b", 7, 2, 9), write("c", 7, 9, 12)], Register(0)).status == HOLDS


def test_what_cannot_be_made_smaller_costs_no_more_than_its_budget(all_steps):
    """Each unknown write explains one read of its value after it was overwritten, and there is one read too many."""
    count = 120
    operations = [write(f"unknown-{number}", "a", 0, None, "unknown") for number in range(count)]
    for begin in range(10, 10 * count + 20, 10):
        operations += [write("writer", "b", begin, begin + 2), read("reader", "a", begin + 4, begin + 6)]
    verdict = linearizable(operations)
    assert verdict.status == ILLEGAL and 3 * count < len(verdict.counterexample) <= len(operations)
    whole, *_, told = all_steps
    assert sum(all_steps) - whole - told <= SHRINKING_STEPS + FEW_STEPS
    assert told <= SHRINKING_STEPS + FEW_STEPS


def test_what_is_wrong_is_looked_for_around_each_operation_that_did_not_fit(all_steps):
    """A long stale read, much that goes on meanwhile, and at its end a read that only waits for what comes later."""
    operations = [write("a", 1, 0, 1), write("a", 2, 2, 3), read("b", 1, 4, 100_000)]
    for begin in range(10, 6_000, 10):
        operations += [write("a", begin, begin, begin + 2), read("c", begin, begin + 4, begin + 6)]
    operations += [read("d", "late", 95_000, 200_000), write("a", "late", 150_000, 160_000)]
    operations.append(write("a", 1, 300_000, 300_001))
    assert judge(operations, REGISTER, 5_000).blocked[-1].process == "d"
    verdict = linearizable(operations)
    assert verdict.counterexample == (*operations[:3], operations[-1])
    assert sum(all_steps[1:]) < 100, "the search of the whole history was the only long one"


# Histories of others, as small inputs: what, and whether it is linearizable.
