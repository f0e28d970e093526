"""The search for a linearization against brute force, the theorem on registers, histories of others, and ablations."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import dataclass
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import run
from labkit.checkers import linearization
from labkit.checkers.linearizability import REGISTER, linearizable
from labkit.checkers.linearization import judge
from labkit.checkers.models import Register
from labkit.checkers.staleness import fresh_reads
from labkit.errors import BadInput
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED
from tests.checkers.histories import lived_through, read, write

HISTORIES = 2_000
"""Small histories that are held against brute force; 20,000 take three minutes and no other code."""


def before(one: Operation, other: Operation) -> bool:
    """Real-time order: one process is sequential, and what may still happen has not ended."""
    if one.outcome == "unknown":
        return False
    if one.returned_us == other.invoked_us:
        return one.process == other.process and one.number < other.number
    return one.returned_us < other.invoked_us


def has_an_order(operations) -> bool:
    """Brute force: every subset of the unknown operations, in every order."""
    certain = [one for one in operations if one.outcome == "ok"]
    unknown = [one for one in operations if one.outcome == "unknown"]
    for size in range(len(unknown) + 1):
        for happened in itertools.combinations(unknown, size):
            if any(map(is_linearization, itertools.permutations([*certain, *happened]))):
                return True
    return False


def is_linearization(order) -> bool:
    value = None
    for place, operation in enumerate(order):
        if any(before(later, operation) for later in order[place + 1 :]):
            return False
        if operation.function == "write":
            value = operation.value
        elif operation.ok and operation.value != value:
            return False
    return True


@st.composite
def small_histories(draw):
    """Up to six operations of three processes on one key; few instants and few values, so that many are equal."""
    operations = []
    for number in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, 8))
        length = draw(st.none() | st.integers(0, 5))
        outcome = "unknown" if length is None else draw(st.sampled_from(["ok", "ok", "ok", "ok", "fail", "unknown"]))
        function = draw(st.sampled_from(["write", "read"]))
        value = draw(st.integers(1, 3)) if function == "write" else draw(st.none() | st.integers(1, 3))
        end = None if length is None else begin + length
        operations.append(
            Operation(draw(st.sampled_from("pqr")), function, "x", value, begin, end, outcome, number=number)
        )
    return operations


@pytest.mark.slow
@settings(max_examples=HISTORIES, deadline=None)
@given(small_histories())
def test_a_verdict_is_that_of_brute_force(operations):
    verdict = linearizable(operations)
    if not any(one.ok and one.function == "read" for one in operations):
        assert verdict.status == UNDECIDED
    elif has_an_order(operations):
        assert verdict.status == HOLDS
    else:
        assert verdict.status == ILLEGAL
        story = list(verdict.counterexample)
        assert not has_an_order(story), "the counterexample alone is one"
        assert len(verdict.roles) == len(story)
        assert all(any(one is other for other in operations) for one in story)


@settings(max_examples=HISTORIES // 4, deadline=None)
@given(small_histories(), st.booleans())
def test_an_order_that_is_given_is_one(operations, thorough):
    may_have_happened = [one for one in operations if one.outcome != "fail"]
    judgement = judge(may_have_happened, REGISTER, 1000, thorough)
    assert is_linearization(judgement.order)
    completed = [one for one in may_have_happened if one.ok]
    placed = [one for one in completed if any(one is other for other in judgement.order)]
    assert (len(placed) == len(completed)) == (judgement.status == HOLDS)
    if judgement.status == ILLEGAL:
        assert judgement.blocked and not any(one is other for one in judgement.blocked for other in placed)
        if thorough:  # nothing that has to come next gives its answer there
            assert not any(is_linearization([*judgement.order, one]) for one in judgement.blocked)


def clusters_fit(operations) -> bool:
    """Whether a register whose writes differ has a linearization: Gibbons and Korach, Testing Shared Memories, 1997.

    All that write or read one value stay together, so two of these clusters fit unless each has an operation that
    precedes one of the other.
    """
    begun, ended = {None: float("-inf")}, {None: float("-inf")}  # of each value: the last to begin, the first to end
    written = {one.value: one for one in operations if one.function == "write" and one.outcome != "fail"}
    reads = [one for one in operations if one.function == "read" and one.ok]
    for one in [*(one for one in written.values() if one.ok or any(r.value == one.value for r in reads)), *reads]:
        source = written.get(one.value)
        if one.value is not None and (source is None or (one.ok and one.returned_us < source.invoked_us)):
            return False
        end = one.returned_us if one.ok else float("inf")
        begun[one.value] = max(begun.get(one.value, one.invoked_us), one.invoked_us)
        ended[one.value] = min(ended.get(one.value, end), end)
    return not any(ended[a] < begun[b] and ended[b] < begun[a] for a, b in itertools.combinations(begun, 2))


def test_long_histories_are_judged_as_the_theorem_says():
    statuses = []
    for seed in range(150):
        operations = lived_through(seed, clients=2 + seed % 6, count=60, unknown=seed % 7)
        for operation in operations:
            operation.process = f"process-{operation.number}"  # no two that touch are of one process
        if seed % 4:  # some reads return what a neighbour wrote
            reads = [one for one in operations if one.function == "read"]
            near = [one for one in operations if one.function == "write"]
            for place in range(2 * (seed % 4)):
                victim = reads[(seed * 7 + place * 11) % len(reads)]
                near.sort(key=lambda one: abs(one.invoked_us - victim.invoked_us))
                victim.value = near[(seed + place) % 4].value
        verdict = linearizable(operations)
        assert (verdict.status == HOLDS) == clusters_fit(operations), seed
        if verdict.status == ILLEGAL:
            assert not clusters_fit(verdict.counterexample) and len(verdict.counterexample) <= 8
        statuses.append(verdict.status)
    assert min(statuses.count(HOLDS), statuses.count(ILLEGAL)) > 40


def test_a_queue_may_return_what_only_a_search_can_tell():
    operations = [queued("a", "enqueue", 1, 0, 1), queued("b", "dequeue", 2, 2, 3)]
    verdict = linearizable(operations, Queue())
    assert verdict.status == ILLEGAL and len(verdict.counterexample) == 2


KNOWN = {
    "porcupine, a read of the old value while the write is under way": (
        [write("c0", 100, 0, 100), read("c1", 100, 25, 75), read("c2", 0, 30, 60)], HOLDS
    ),
    "porcupine, and once somebody has read the new one": (
        [write("c0", 200, 0, 100), read("c1", 200, 10, 30), read("c2", 0, 40, 90)], ILLEGAL
    ),
    "porcupine, operations that take no time": (
        [write("c0", 200, 0, 100), read("c1", 200, 10, 10), read("c2", 200, 10, 10), read("c3", 0, 40, 90)], ILLEGAL
    ),
    "porcupine, and at one instant on the old value": (
        [write("c0", 100, 0, 100), read("c1", 100, 25, 75), read("c2", 0, 30, 30), read("c3", 0, 30, 30)], HOLDS
    ),
    "jepsen on etcd, a write that timed out and is read later": (
        [write(0, 1, 0, 1), write(1, 2, 2, 3, "unknown"), read(0, 1, 4, 5), read(0, 2, 90, 91)], HOLDS
    ),
    "jepsen on etcd, and then the value before it again": (
        [write(0, 1, 0, 1), write(1, 2, 2, 3, "unknown"), read(0, 2, 4, 5), read(0, 1, 90, 91)], ILLEGAL
    ),
    "jepsen on etcd, a stale read of another node": (
        [write(0, 3, 0, 1), write(1, 4, 2, 3), read(2, 3, 4, 5)], ILLEGAL
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_histories(name):
    operations, status = KNOWN[name]
    assert linearizable(operations, Register(initial=0)).status == status


@dataclass(frozen=True)
class Queue:
    """First in, first out: another model for the same search."""

    initial: tuple = ()
    overwrites: bool = False

    def part(self, operation):
        return operation.key

    def reads(self, operation):
        return operation.function == "dequeue"

    def writes(self, operation):
        return True

    def seen(self, operation):
        raise AssertionError("a queue is not overwritten")

    def step(self, state, operation):
        if operation.function == "enqueue":
            return True, (*state, operation.value)
        return bool(state) and (not operation.ok or operation.value == state[0]), state[1:]


def queued(process, function, value, begin, end) -> Operation:
    return Operation(process, function, "q", value, begin, end, "ok" if end is not None else "unknown")


HERLIHY_AND_WING = {
    "a": ([("A", "enqueue", "x", 0, 3), ("B", "enqueue", "y", 1, 2), ("B", "dequeue", "x", 4, 5),
           ("A", "dequeue", "y", 6, 7), ("A", "enqueue", "z", 8, None)], HOLDS),
    "b": ([("A", "enqueue", "x", 0, 1), ("B", "enqueue", "y", 2, 4), ("A", "dequeue", "y", 3, 5)], ILLEGAL),
    "c": ([("A", "enqueue", "x", 0, None), ("B", "dequeue", "x", 1, 2)], HOLDS),
    "d": ([("A", "enqueue", "x", 0, 2), ("B", "enqueue", "y", 1, 3), ("A", "dequeue", "y", 4, 6),
           ("C", "dequeue", "y", 5, 7)], ILLEGAL),
}  # fmt: skip


@pytest.mark.parametrize("figure", HERLIHY_AND_WING)
def test_the_queues_of_figure_1_of_herlihy_and_wing(figure):
    rows, status = HERLIHY_AND_WING[figure]
    verdict = linearizable([queued(*row) for row in rows], Queue())
    assert verdict.status == status
    assert status == HOLDS or len(verdict.roles) == len(verdict.counterexample) == len(rows)


def test_the_read_inversion_of_overlapping_quorums_is_found():
    result = run(
        "quorums", seed=8, trace=False, read_quorum=2, write_quorum=2, keys=3, mixed=True, pairs=2000, rate=100
    )
    assert fresh_reads(result.operations).status == HOLDS
    verdict = linearizable(result.operations)
    assert verdict.status == ILLEGAL
    *writes, newer, older = verdict.counterexample
    assert [one.function for one in writes] == ["write", "write"]
    assert 4_136_000 < newer.returned_us < older.invoked_us < 4_143_000
    assert [newer.process, older.process] == ["client-2.389", "client-1.397"]
    assert [newer.value, older.value] == [writes[1].value, writes[0].value]
    assert verdict.roles[-1] == "began after what takes effect 3rd had ended, and its answer fits nowhere after that"


def test_readers_that_alternate_between_two_completed_writes_for_ever_are_wrong():
    operations = [write("a", 1, 0, 5), write("b", 2, 1, 6)]
    operations += [read(f"r{turn % 2}", 1 + turn % 2, 10 * turn + 10, 10 * turn + 15) for turn in range(200)]
    assert fresh_reads(operations).status == HOLDS
    verdict = linearizable(operations)
    assert verdict.status == ILLEGAL and len(verdict.counterexample) == 4


def test_what_touches_is_concurrent_unless_of_one_process():
    touching = [write("p", 1, 0, 2, number=1), read("q", None, 2, 4, number=2)]
    assert linearizable(touching).status == HOLDS
    touching[1].process = "p"
    assert linearizable(touching).status == ILLEGAL
    # A circle: each operation touches the other process's next, and only its own process's is after it.
    circle = [write("p", 1, 0, 2, number=1), read("q", 2, 0, 2, number=2)]
    circle += [write("p", 2, 2, 4, number=3), read("q", 1, 2, 4, number=4)]
    assert linearizable(circle).status == ILLEGAL
    assert linearizable([*circle[:1], read("q", None, 0, 2, number=2), *circle[2:]]).status == HOLDS


@pytest.mark.parametrize(
    "operations",
    [[], [write("p", 1, 0, 1)], [read("p", 1, 0, 1, "unknown")], [read("p", 1, 0, 1, "fail"), write("p", 1, 0, 1)]],
)
def test_without_an_answer_there_is_no_verdict(operations):
    assert linearizable(operations).status == UNDECIDED


def test_a_bound_that_is_reached_is_never_a_yes():
    operations = lived_through(3, clients=30, count=1000, values=50)
    assert judge(operations, REGISTER, 10).status == UNDECIDED
    verdict = linearizable(operations, most_steps=5)
    assert verdict.status == UNDECIDED
    assert verdict.explanation == "1 of 1 key still open after 5 steps in vain"
    other = [write("a", 1, 0, 1, key="y"), read("b", None, 2, 3, key="y")]
    assert linearizable([*operations, *other], most_steps=5).status == ILLEGAL, "one wrong key is enough"


@pytest.mark.parametrize(
    ("operations", "settings", "sentence"),
    [
        ([read("p", 1, 0, None)], {}, "returned_us is None in .*: it must not be before invoked_us"),
        ([read("p", 1, 5, 4)], {}, "returned_us is 4 in .*: it must not be before invoked_us"),
        ([Operation("p", "scan", "x", 1, 0, 1, "ok")], {}, "function is 'scan': a register has 'read' and 'write'"),
        ([write("p", 1, 5, 4, "unknown")], {}, "returned_us is 4 in .*: it must not be before invoked_us"),
        ([Operation("p", "read", "x", 1, 0, 1, "maybe")], {}, "outcome is 'maybe' in .*: it must be 'ok', 'fail' or"),
        ([read("p", 1, 0, 1)], {"most_steps": -1}, "most_steps is -1: it must be 0 or more"),
        ([read("p", [1], 0, 1)], {}, r"value is \[1\] in .*: it must be hashable, as a tuple is"),
        ([read("p", 1, 0, 1)], {"model": Register([])}, r"initial is \[\] in .*: it must be hashable, as a tuple is"),
        ([write("p", [1], 0, 1, "unknown")], {}, r"value is \[1\] in .*: it must be hashable, as a tuple is"),
        ([read("p", 1, 0, 1, key=["x"])], {}, r"key is \['x'\] in .*: it must be hashable, as a tuple is"),
        (
            [read("a", None, 0, 1), Operation("b", "cas", "x", 5, 2, None, "unknown"), read("c", 5, 4, 5)],
            {},
            "function is 'cas': a register has 'read' and 'write'",
        ),
    ],
)
def test_bad_input_is_one_sentence(operations, settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        linearizable(operations, **settings)


def test_what_failed_says_nothing_whatever_it_is_of():
    operations = [read("a", None, 0, 1), Operation("b", "cas", ["x"], [5], 2, 1, "fail")]
    assert linearizable(operations).status == HOLDS


def test_values_are_compared_by_equality():
    assert linearizable([write("a", 1, 0, 1), read("b", True, 2, 3), read("b", 1.0, 4, 5)]).status == HOLDS


def test_keys_are_judged_apart_and_failures_left_out():
    operations = [write("a", 1, 0, 1), write("b", 2, 2, 3, key="y"), read("c", 1, 4, 5), read("c", 2, 4, 5, key="y")]
    operations += [write("d", 3, 2, 3, "fail"), read("d", 9, 0, 1, "fail"), read("d", 9, 4, 5, "unknown")]
    assert (linearizable(operations).status, linearizable(operations).explanation) == (HOLDS, "5 operations")
    operations.append(read("c", 2, 6, 7))
    verdict = linearizable(operations)
    assert verdict.explanation == "1 of 2 keys: no order explains the answers of these 1 operation"
    assert verdict.roles == ("its answer fits nowhere",)


# Taking a line out of the search must change what it says of some history: the change, the history, and what is right.
ABLATIONS = {
    "an unknown write never happened": (
        "if not operation.ok and model.writes(operation)]", "if False]",
        [write("a", 1, 0, 1, "unknown"), read("b", 1, 5, 6)], HOLDS,
    ),
    "an unknown write took effect before its caller gave up": (
        "        self._pending = [operation for operation in ordered if not operation.ok and model.writes(operation)]",
        "        self._pending = []\n"
        "        self._completed = [o for o in ordered if o.ok or (model.writes(o) and o.returned_us is not None)]",
        [write("a", 1, 0, 1), write("b", 2, 2, 3, "unknown"), read("c", 1, 4, 5), read("c", 2, 6, 7)], HOLDS,
    ),
    "real time does not count": (
        "deadline_us = min(deadline_us, self._ended_us[number])", "deadline_us = math.inf",
        [write("a", 1, 0, 1), write("b", 2, 2, 3), read("c", 1, 4, 5)], ILLEGAL,
    ),
    "what touches is always concurrent": (
        "if all(map(configuration.has, self._after[number])):", "if True:",
        [write("p", 1, 0, 2, number=1), read("p", None, 2, 4, number=2)], ILLEGAL,
    ),
    "what touches always has an order": (
        "self._completed[number].invoked_us > deadline_us", "self._completed[number].invoked_us >= deadline_us",
        [write("p", 1, 0, 2, number=1), read("q", None, 2, 4, number=2)], HOLDS,
    ),
    "states are not remembered": (
        "before = visited[first, ahead, state]", "before = visited[first, ahead]",
        [queued("a", "enqueue", 1, 0, 10), queued("b", "enqueue", 2, 0, 10), queued("c", "dequeue", 2, 11, 12)], HOLDS,
    ),
    "which pending operations are left is forgotten": (
        "if any(earlier & taken == earlier for earlier in before):", "if before:",
        [write("a", 2, 0, None, "unknown"), write("b", 1, 3, 5), read("c", 1, 6, 9), read("d", 2, 8, 10),
         write("e", 2, 0, 3), read("f", 2, 4, 5), write("g", 1, 1, 3)], HOLDS,
    ),
    "a state that is awaited may be left for good": (
        "if self._prunes and not self._is_awaited(choice.configuration):", "if self._prunes:",
        [write("a", 3, 3, 6), write("b", 2, 4, 9), read("c", 2, 3, 6), read("d", 3, 7, 8)], HOLDS,
    ),
    "a state that is written again is given up": (
        "and not self._is_written_again(configuration)", "",
        [write("a", 1, 0, 1), write("b", 2, 2, 3), write("c", 1, 4, 5), read("d", 1, 6, 7)], HOLDS,
    ),
}  # fmt: skip


def ablated(line: str, instead: str) -> ModuleType:
    """The search with one piece of its text changed."""
    text = inspect.getsource(linearization)
    assert text.count(line) == 1, f"the search has {line!r} {text.count(line)} times"
    changed = ModuleType(linearization.__name__)
    exec(compile(text.replace(line, instead), "ablated", "exec"), vars(changed))
    return changed


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_search_with_a_line_taken_out_is_caught(name):
    line, instead, operations, status = ABLATIONS[name]
    model = Queue() if operations[0].function == "enqueue" else REGISTER
    assert model is not REGISTER or (status == HOLDS) == has_an_order(operations)
    assert judge(operations, model, 1000).status == status
    assert ablated(line, instead).judge(operations, model, 1000).status != status
