"""Placement, the sharded store and vertical partitioning against their laws."""

from __future__ import annotations

import math

import pytest

from labkit import BadInput, run
from labkit.chaos import KINDS, chaos
from labkit.checkers.scans import COMPLETE
from labkit.experiments.placement import (
    SURNAMES,
    expected_moved,
    moved_by_consistent_hashing,
    moved_by_modulo,
    ring_spread,
)
from labkit.experiments.sharding import capacity, expected_slow_scans
from labkit.experiments.sharding_measures import is_load, slow_scan_share
from labkit.faults import ENDS
from labkit.lab import find
from labkit.live.simulating import events
from labkit.protocols.sharding import Shard
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

KEYS = 20_000
RESIZES = [(3, 4), (10, 11), (4, 3), (5, 8)]


def sigma(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)


def test_the_laws_give_the_textbooks_numbers():
    assert moved_by_consistent_hashing(3, 4) == 0.25 and moved_by_modulo(3, 4) == 0.75
    assert moved_by_consistent_hashing(10, 11) == pytest.approx(0.0909, abs=5e-5)
    assert moved_by_modulo(10, 11) == pytest.approx(0.9091, abs=5e-5)
    assert moved_by_modulo(2, 4) == 0.5  # what is even and what is odd stays so


@pytest.mark.parametrize("resize", RESIZES, ids=str)
@pytest.mark.parametrize("rule", ["modulo", "rendezvous", "jump"])
def test_a_resize_moves_what_the_law_says(rule, resize):
    before, after = resize
    found = run("placement", rule=rule, keys=KEYS, shards=before, shards_after=after)
    law = expected_moved(found.parameters)
    assert abs(found["moved"] - law) < 3 * sigma(law, KEYS)


@pytest.mark.parametrize("resize", RESIZES, ids=str)
def test_a_ring_moves_it_on_average(resize):
    before, after = resize
    small, large = sorted(resize)
    rings, points = 10, 100
    found = [
        run("placement", seed=seed, keys=5000, shards=before, shards_after=after, points=points)["moved"]
        for seed in range(rings)
    ]
    law = moved_by_consistent_hashing(before, after)
    # The arcs of the shards that come or go: beta distributed, as in `ring_spread`.
    arcs = math.sqrt(law * (1 - law) / (large * points + 1))
    assert abs(sum(found) / rings - law) < 3 * math.hypot(arcs, sigma(law, 5000)) / math.sqrt(rings)
    assert small / large == pytest.approx(1 - law)


@pytest.mark.parametrize("points", [1, 10, 100])
def test_the_spread_of_a_ring_falls_with_the_root_of_its_points(points):
    squares = [
        run("placement", seed=seed, keys=10_000, shards=40, shards_after=40, points=points)["spread"] ** 2
        for seed in range(6)
    ]
    law = math.hypot(ring_spread(40, points), math.sqrt(39 / 10_000))
    # 240 shards: the standard error of their standard deviation is 1/√480 for a normal, and √2 that for one point.
    assert math.sqrt(sum(squares) / 6) == pytest.approx(law, rel=3 * math.sqrt((2 if points == 1 else 1) / 480))


def test_half_of_the_alphabet_has_more_than_half_of_the_surnames():
    real = sum(share for letter, share in SURNAMES.items() if letter <= "m") / sum(SURNAMES.values())
    found = run("placement", rule="range", key_type="surnames", shards=2, keys=KEYS)["largest"]
    assert real == pytest.approx(0.642, abs=0.001)
    assert abs(found - real) < 3 * sigma(real, KEYS)


def test_numbered_ranges_move_nothing_and_leave_the_new_shard_empty():
    found = run("placement", rule="range", keys=3000, shards=3, shards_after=4)
    assert found["moved"] == 0 and found["balance"] == 1
    assert found["balance_after"] == pytest.approx(4 / 3)


def test_no_placement_splits_the_most_popular_key():
    top = 1 / sum(1 / rank**1.5 for rank in range(1, 1001))
    for rule in ("ring", "rendezvous", "jump", "modulo"):
        found = run("placement", rule=rule, keys=1000, shards=50, shards_after=50, skew=1.5)
        assert top <= found["busiest"] < 1.5 * top


@pytest.mark.parametrize("shards", [1, 5, 25])
@pytest.mark.parametrize("slow", [0.01, 0.05])
def test_a_scan_is_as_slow_as_the_slowest_of_its_shards(shards, slow):
    found = run(
        "sharding", placement="rendezvous", shards=shards, shards_after=shards, scan_share=1.0, write_share=0.0,
        slow=slow, users=10, slots=256, rate=600.0, length=1.0, timeout=1.0, trace=False,
    )  # fmt: skip
    law = slow_scan_share(shards, slow)
    assert found["scan_shards"] == shards
    assert abs(found["slow_scans"] - law) < 3 * sigma(law, 600)
    assert expected_slow_scans(found.parameters) == law


SCANS = {"placement": "rendezvous", "shards_after": 3, "scan_share": 1.0, "write_share": 0.0}


@pytest.mark.parametrize(
    "disturbance",
    [
        {"loss": 0.01}, {"duplication": 0.01}, {"chaos": True}, {"service_time": 0.001}, {"stragglers": 0.01},
        {"slow_time": 0.01}, {"delay": 0.01}, {"sync_delay": 0.01}, {"timeout": 0.05}, {"placement": "range"},
        {"shards_after": 4},
    ],
    ids=str,
)  # fmt: skip
def test_the_law_of_slow_scans_is_silent_where_something_else_makes_them_slow(disturbance):
    settings = find("sharding").settings
    assert expected_slow_scans(settings(SCANS)) == 0.0
    assert expected_slow_scans(settings({**SCANS, **disturbance})) is None


def test_without_hiccups_no_scan_is_slow():
    assert run("sharding", **SCANS, length=1.0, trace=False)["slow_scans"] == 0.0


def scans_judged(**dials):
    common = {"write_share": 0.3, "users": 60, "slots": 12, "length": 1.0, "move_at": 0.2, "trace": False}
    result = run("sharding", **{**common, **dials})
    return next(verdict for verdict in result.verdicts if verdict.property == COMPLETE)


@pytest.mark.parametrize("dials", [{}, {"placement": "range"}, {"chaos": True, "loss": 0.02}], ids=str)
def test_scans_find_all_users_while_keys_move(dials):
    assert scans_judged(scan_share=0.5, seed=3, **dials).status == HOLDS


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[0]],
        lambda rows: [*rows[:-1], (10_000, "nobody's")],  # as many rows as there should be
    ],
    ids=["one less", "one twice", "one for another"],
)
def test_a_shard_whose_scans_spoil_their_rows_is_found(monkeypatch, spoilt):
    async def scan_and_spoil(self, epochs, low, high):
        rows = await scan(self, epochs, low, high)
        return spoilt(rows) if isinstance(rows, list) and len(rows) > 8 else rows

    scan = Shard.scan
    monkeypatch.setattr(Shard, "scan", scan_and_spoil)
    verdict = scans_judged(scan_share=0.5, placement="range")
    assert verdict.status == ILLEGAL and verdict.counterexample[-1].function == "scan"


def test_no_scans_are_no_success():
    assert scans_judged(scan_share=1e-9).status == UNDECIDED
    assert len(run("sharding", length=0.2, trace=False).verdicts) == 3


@pytest.mark.parametrize("seed", range(5))
def test_the_audit_begins_when_all_loads_are_over(seed):
    operations = run("sharding", seed=seed, clients=3, users=30, loss=0.05, length=1.0, trace=False).operations
    audit = min(each.invoked_us for each in operations if ".audit." in each.process)
    load = [each for each in operations if is_load(each)]
    assert max(each.invoked_us for each in load) < audit
    assert max(each.returned_us for each in load) < audit


def test_dean_and_barrosos_example():
    """The tail at scale, CACM 2013: with 100 servers, each slow once in 100 times, "63% of user requests" are."""
    assert slow_scan_share(100, 0.01) == pytest.approx(0.63, abs=0.005)
    assert slow_scan_share(1, 1.0) == 1.0


def test_a_shard_does_no_more_than_its_service_time_allows_and_the_others_do_not_mind():
    common = {
        "shards": 4,
        "shards_after": 4,
        "placement": "rendezvous",
        "users": 100,
        "slots": 100,
        "rate": 400.0,
        "length": 4.0,
    }
    work = {"service_time": 0.006, "timeout": 2.0, "patience": 2.0, "write_share": 0.0}
    calm = run("sharding", seed=7, trace=False, **common, **work)
    famous = run("sharding", seed=7, trace=False, skew=1.5, **common, **work)
    # Some 670 services, each exponential: the mean is known to within 1/√670.
    assert famous["hot_throughput"] == pytest.approx(1 / 0.006, rel=3 / math.sqrt(670))
    assert famous["hot_availability"] < 0.8 and famous["hot_p99"] > 3 * famous["other_p99"]
    assert calm["availability"] == 1.0


@pytest.mark.parametrize("write_share", [0.0, 0.5, 1.0])
def test_a_write_takes_as_much_work_as_two_reads(write_share):
    dials = {"shards": 1, "shards_after": 1, "users": 10, "rate": 400.0, "write_share": write_share}
    patient = {"queue": 100_000, "timeout": 10.0, "patience": 60.0}
    found = run("sharding", **dials, **patient, service_time=0.006, trace=False)
    # 800 services at least, each exponential: the mean is known to within 1/√800.
    assert found["hot_throughput"] == pytest.approx(capacity(found.parameters), rel=3 / math.sqrt(800))


def test_the_capacity_is_that_of_reads_and_writes_alone():
    assert capacity(find("sharding").settings({})) is None
    assert capacity(find("sharding").settings({"service_time": 0.01, "scan_share": 0.1})) is None


@pytest.mark.parametrize(
    "dials",
    [
        {},
        {"write_share": 1.0, "clients": 8},
        {"scan_share": 1.0, "write_share": 0.0, "shards": 16, "shards_after": 16},
    ],
    ids=str,
)
def test_expected_events_are_about_right(dials):
    result = run("sharding", trace=False, **dials)
    foreseen = sum(find("sharding").expected_events(result.parameters).values())
    assert foreseen / 2 < events(result) < 2 * foreseen


@pytest.mark.parametrize("placement", ["ring", "rendezvous", "jump", "modulo", "range"])
def test_the_store_moves_the_users_of_the_slots_that_change_hands(placement):
    found = run("sharding", placement=placement, users=480, slots=480, length=0.5, move_at=0.1, trace=False)
    expected = {"modulo": 0.75, "range": 0.5}.get(placement, 0.25)
    spread = 0 if placement in ("modulo", "range") else 3 * math.hypot(sigma(0.25, 480), 0.25 * math.sqrt(3 / 401))
    assert abs(found["moved"] - expected) <= spread + 0.005
    assert [verdict.status for verdict in found.verdicts] == [HOLDS] * 3


def test_copying_first_keeps_slots_without_an_owner_for_less_time():
    common = {
        "users": 400,
        "slots": 12,
        "batch": 20,
        "delay": 0.005,
        "rate": 150.0,
        "placement": "rendezvous",
        "trace": False,
    }
    first, later = (run("sharding", seed=3, copy_first=copy_first, **common) for copy_first in (True, False))
    assert first["moved"] == later["moved"] > 0
    assert 1.5 * first["sealed_longest"] < later["sealed_longest"]


def test_a_range_scan_asks_few_shards():
    common = {
        "scan_share": 1.0,
        "write_share": 0.0,
        "users": 512,
        "slots": 64,
        "shards": 8,
        "shards_after": 8,
        "trace": False,
    }
    assert run("sharding", placement="range", **common)["scan_shards"] < 1.3
    assert run("sharding", placement="jump", **common)["scan_shards"] == 8


def test_whoever_needs_one_part_does_not_mind_that_another_is_down():
    found = run("vertical", seed=1, down="orders", trace=False)
    assert found["profile_while_down"] == found["payments_while_down"] == 1.0
    assert found["orders_while_down"] == found["checkout_while_down"] == 0.0


def test_a_page_that_needs_all_parts_waits_for_the_slowest_server():
    apart, together = (run("vertical", seed=1, apart=apart, pages=2000, trace=False) for apart in (True, False))
    assert apart["checkout_p50"] > 1.2 * together["checkout_p50"]
    assert apart["profile_p50"] == pytest.approx(together["profile_p50"], rel=0.15)


def test_shares_of_the_load_must_fit_together():
    with pytest.raises(BadInput, match=r"scan_share is 0\.8: it must be at most 0\.5"):
        run("sharding", scan_share=0.8, write_share=0.5)


@pytest.mark.parametrize("seed", range(20))
def test_chaos_undoes_all_that_it_does_in_time(seed):
    plan = chaos(["a", "b", "c"], 2.0, seed, bystanders=["client"], incidents=8)
    plan.check(["a", "b", "c", "client"])
    assert 2 < len(plan) <= 16
    assert all(0 <= fault.at <= 2.0 for fault in plan)
    open_faults: list[tuple[str, tuple[str, ...]]] = []
    for fault in plan:
        if fault.kind in KINDS:
            victims = () if fault.kind == "partition" else fault.nodes
            assert not any(nodes == victims for _, nodes in open_faults), "incidents of one victim do not overlap"
            assert victims != ("client",)
            open_faults.append((ENDS[fault.kind], victims))
        else:
            open_faults.remove((fault.kind, fault.nodes))
    assert not open_faults
    assert plan == chaos(["a", "b", "c"], 2.0, seed, bystanders=["client"], incidents=8)


def test_chaos_differs_from_seed_to_seed_and_keeps_to_the_kinds_asked_for():
    plans = [chaos(["a", "b"], 1.0, seed, kinds=["pause"]) for seed in range(10)]
    assert len(dict.fromkeys(plans)) == 10
    assert all(fault.kind in ("pause", "resume") for plan in plans for fault in plan)
    with pytest.raises(BadInput, match="kinds has 'flood'"):
        chaos(["a"], 1.0, 0, kinds=["flood"])
    with pytest.raises(BadInput, match="longest is 5"):
        chaos(["a"], 1.0, 0, longest=5)
