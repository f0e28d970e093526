"""Fault plans: data that is checked, written and read back, drawn, and carried out."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import After, BadInput, FaultPlan, Node
from labkit.chaos import chaos
from labkit.faults import ENDS, KINDS, Fault, FaultWindow, Standing, windows
from tests.clusters import client, node, simulate, simulate_work

NAMES = st.sampled_from(["a", "b", "c"])
GROUPS = st.lists(NAMES, max_size=3, unique=True).map(tuple)
PROBABILITY = st.none() | st.floats(0, 1)
WHEN = st.floats(0, 1e6) | st.builds(
    After, operations=st.integers(0, 9), note=st.text(max_size=3), delay=st.floats(0, 9)
)
FAULTS = st.builds(
    Fault, st.sampled_from(KINDS), WHEN, GROUPS, GROUPS, st.booleans(), st.floats(-9, 9), PROBABILITY, PROBABILITY
)


@given(st.lists(FAULTS, max_size=6).map(lambda faults: FaultPlan(tuple(faults))))
def test_a_plan_survives_being_written_as_json(plan):
    assert FaultPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_plan_reads_from_left_to_right_and_never_changes():
    empty = FaultPlan()
    plan = empty.crash("a", at=1).restart("a", at=2) + FaultPlan().heal(at=3)
    assert [(fault.kind, fault.at) for fault in plan] == [("crash", 1), ("restart", 2), ("heal", 3)]
    assert (len(empty), len(plan)) == (0, 3)


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (FaultPlan().crash("x", at=1), "the fault plan names 'x': the nodes are a, b"),
        (FaultPlan().partition(["a"], ["x"], at=1), "names 'x'"),
        (FaultPlan().restart("a", at=1), "a restart of 'a' is planned: it must come after a crash"),
        (FaultPlan().crash("a", at=2).restart("a", at=1), "it must come after a crash"),
        (FaultPlan().crash("b", at=1).restart("a", at=2), "it must come after a crash"),
        (FaultPlan().resume("a", at=1), "a resume of 'a' is planned: it must come after a pause"),
        (FaultPlan((Fault("crash", 1.0, ("a", "b")),)), "it must be for one node"),
        (FaultPlan((Fault("clock step", 1.0),)), "it must be for one node"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(plan, complaint):
    with pytest.raises(BadInput, match=complaint):
        plan.check(["a", "b"])


def test_conditional_faults_come_last_when_a_plan_is_checked():
    plan = FaultPlan().restart("a", at=After(note="later")).crash("a", at=1)
    plan.check(["a"])
    assert len(plan) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault("explode", 1.0),
        lambda: FaultPlan().crash("a", at=-1),
        lambda: FaultPlan().crash("a", at=math.nan),
        lambda: FaultPlan().crash("a", at=math.inf),
        lambda: FaultPlan().change_links(at=1, loss=1.5),
        lambda: FaultPlan().change_links(at=1, duplication=-0.5),
        lambda: FaultPlan().outages(["a"], 0.0, 1, until=1, seed=0),
        lambda: FaultPlan().outages(["a"], 1.5, 1, until=1, seed=0),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_one_sentence(make):
    with pytest.raises(BadInput, match=r"it must be ") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_partition_cuts_one_way_or_both():
    both = Fault("partition", 0.0, ("a",), ("b", "c"))
    one_way = Fault("partition", 0.0, ("a",), ("b", "c"), both_ways=False)
    assert [both.cuts(name) for name in "abcd"] == [("b", "c"), ("a",), ("a",), ()]
    assert [one_way.cuts(name) for name in "abcd"] == [("b", "c"), (), (), ()]


def test_windows_last_until_their_fault_is_undone():
    plan = (
        FaultPlan()
        .crash("a", at=1)
        .pause("b", at=2)
        .partition(["a"], ["b"], at=3)
        .restart("a", at=4)
        .heal(at=5)
        .crash("a", at=6)
        .step_clock("a", 1.0, at=7)
    )
    assert windows(plan, until=9) == [
        FaultWindow("crash", ("a",), 1, 4),
        FaultWindow("pause", ("b",), 2, 9),
        FaultWindow("partition", ("a",), 3, 5, ("b",)),
        FaultWindow("crash", ("a",), 6, 9),
    ]


@given(st.lists(st.tuples(st.sampled_from([*ENDS, *ENDS.values()]), NAMES, st.floats(0, 100)), max_size=12))
def test_windows_never_end_before_they_begin_or_after_the_run(entries):
    faults = [Fault(kind, at, (name,)) for kind, name, at in sorted(entries, key=lambda entry: entry[2])]
    found = windows(faults, until=100)
    assert len(found) == sum(fault.kind in ENDS for fault in faults)
    assert all(window.begin <= window.end <= 100 for window in found)


@pytest.mark.parametrize(("availability", "mean_outage"), [(0.9, 1.0), (0.5, 0.2), (0.99, 0.05)])
def test_outages_keep_the_availability_from_the_first_instant_on(availability, mean_outage):
    names = [f"n{number}" for number in range(400)]
    plan = FaultPlan().outages(names, availability, mean_outage, until=20.0, seed=1)
    plan.check(names)
    for instant in (0.0, 1.0, 19.9):
        down = dict.fromkeys(names, 0)
        for fault in plan:
            if fault.at <= instant:
                down[fault.nodes[0]] = fault.kind == "crash"
        expected = len(names) * (1 - availability)
        assert abs(sum(down.values()) - expected) <= 4 * math.sqrt(expected * availability)
    few = [fault for fault in plan if fault.nodes[0] in names[:40]]
    lasting = [window.end - window.begin for window in windows(few, until=20.0) if 0 < window.begin < 10]
    assert math.fsum(lasting) / len(lasting) == pytest.approx(mean_outage, rel=4 / math.sqrt(len(lasting)))


def test_outages_are_drawn_from_the_seed_a_node_at_a_time():
    one = FaultPlan().outages(["a", "b"], 0.9, 1.0, until=50, seed=3)
    assert one == FaultPlan().outages(["a", "b"], 0.9, 1.0, until=50, seed=3)
    assert one != FaultPlan().outages(["a", "b"], 0.9, 1.0, until=50, seed=4)
    alone = FaultPlan().outages(["b"], 0.9, 1.0, until=50, seed=3)
    assert [fault for fault in one if fault.nodes == ("b",)] == list(alone)
    assert len(FaultPlan().outages(["a"], 1.0, 1.0, until=50, seed=3)) == 0


def test_what_still_stands_is_what_a_new_node_must_know():
    standing = Standing()
    plan = (
        FaultPlan()
        .partition(["a"], ["b"], at=1)
        .crash("a", at=1)
        .hold(["a"], ["c"], at=2)
        .step_clock("a", 1, at=3)
        .drift_clock("b", 5, at=4)
        .change_links(at=5, loss=0.1)
        .heal(at=6)
        .partition(["b"], ["c"], at=7)
    )
    for fault in plan:
        standing.note(fault)
    assert [(fault.kind, fault.at) for fault in standing.for_node("a")] == [
        ("hold", 2), ("clock step", 3), ("link", 5), ("partition", 7),
    ]  # fmt: skip
    assert [fault.kind for fault in standing.for_node("b")] == ["hold", "clock drift", "link", "partition"]


class Server(Node):
    async def start(self) -> None:
        self.note("clock", reading=self.clock.now())

    async def ask(self) -> float:
        return self.clock.now()


async def ask_every_second(self):
    for _ in range(8):
        with self.operation("ask") as operation:
            operation.value = await self.peer("server").ask(timeout=0.25)
        await asyncio.sleep(1 - asyncio.get_running_loop().time() % 1)


def outcomes(recording) -> str:
    return "".join("o" if operation.ok else "-" for operation in recording.operations)


def test_a_restarted_node_finds_partitions_and_its_clock_as_they_stand():
    plan = (
        FaultPlan()
        .step_clock("server", 100, at=0.5)
        .drift_clock("server", 500_000, at=1.5)
        .crash("server", at=2.5)
        .partition(["server"], ["client"], at=2.75, both_ways=False)
        .restart("server", at=3.5)
        .heal(at=5.5)
    )
    recording = simulate_work(ask_every_second, node("server", Server), faults=plan)
    assert outcomes(recording) == "ooo---oo"
    assert [operation.value for operation in recording.operations if operation.ok] == [0, 101, 102.25, 108.25, 109.75]
    assert recording.notes[-1].clock_us == 104_500_000


@pytest.mark.parametrize(
    ("both_ways", "nodes", "others"),
    [(True, "client", "server"), (False, "client", "server"), (False, "server", "client")],
)
def test_a_cut_in_either_direction_leaves_calls_unanswered(both_ways, nodes, others):
    plan = FaultPlan().partition([nodes], [others], at=1.5, both_ways=both_ways).heal(at=4.5)
    recording = simulate_work(ask_every_second, node("server", Server), faults=plan)
    assert outcomes(recording) == "oo---ooo"


def test_links_that_change_lose_everything_while_they_are_bad():
    plan = FaultPlan().change_links(at=1.5, loss=1.0).change_links(at=3.5, loss=0.0)
    assert outcomes(simulate_work(ask_every_second, node("server", Server), faults=plan)) == "oo--oooo"


def test_a_condition_on_operations_holds_after_that_many_and_only_once():
    plan = FaultPlan().crash("server", at=After(operations=3, delay=0.5)).restart("server", at=After(operations=5))
    recording = simulate_work(ask_every_second, node("server", Server), faults=plan)
    assert [(fault.kind, fault.at) for fault in recording.faults] == [("crash", 2.5), ("restart", 4.25)]
    assert outcomes(recording) == "ooo--ooo"


class Teller(Node):
    def __init__(self, pause: float = 1.0):
        self.pause = pause

    async def run(self) -> None:
        for number in range(4):
            await asyncio.sleep(self.pause)
            self.note("milestone" if number else "start")


def test_a_condition_may_name_the_node_that_notes():
    plan = FaultPlan().crash("server", at=After(note="milestone", node="two"))
    recording = simulate(node("server", Server), client("one", Teller), client("two", Teller, pause=1.5), faults=plan)
    assert [fault.at for fault in recording.faults] == [3.0]


def test_a_condition_on_a_note_holds_when_it_is_first_noted():
    plan = FaultPlan().crash("server", at=After(note="milestone", delay=0.25))
    recording = simulate(node("server", Server), client("teller", Teller), faults=plan)
    assert [(fault.kind, fault.at) for fault in recording.faults] == [("crash", 2.25)]


@pytest.mark.parametrize(
    "plan",
    [
        lambda: FaultPlan().step_clock("a", math.nan, at=1),
        lambda: FaultPlan().drift_clock("a", -1_000_000.0, at=1),
        lambda: FaultPlan().outages(["a"], 0.9, 0.0, 10.0, seed=1),
        lambda: FaultPlan().outages(["a"], 0.9, -1.0, 10.0, seed=1),
        lambda: FaultPlan().outages(["a"], 0.9, 1.0, math.nan, seed=1),
        lambda: FaultPlan().outages(["a"], 0.9, 1.0, math.inf, seed=1),
        lambda: chaos([], 1.0, seed=1),
        lambda: chaos(["a"], 1.0, seed=1, kinds=[]),
        lambda: chaos(["a"], 1.0, seed=1, incidents=-1),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_sentence(plan):
    with pytest.raises(BadInput, match="must be"):
        plan()
