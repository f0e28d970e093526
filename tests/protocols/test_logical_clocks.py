"""Nodes that carry clocks and the store of versions, as the papers' sentences have them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from labkit import Exponential, FaultPlan, Link, Network, run
from labkit.causality import CONCURRENT
from labkit.checkers.causality import by_vector, execution_of, tells_causality
from labkit.experiments.logical_clocks import sayings
from labkit.protocols.logical_clocks import Talker, VersionStore
from labkit.results import Result
from labkit.shiviz import export, load
from tests.clusters import client, simulate

SEEDS = range(10)


def stamps_of(result):
    return [event.stamps for event in execution_of(result.notes).events]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_event_ticks_its_own_entry(seed):
    """Mattern 1989: each process ticks its own component at each event."""
    result = run("logical_clocks", seed=seed, loss=0.1)
    for node in "ABC":
        own = [stamps.vector[node] for stamps in stamps_of(result) if stamps.event[0] == node]
        assert own == list(range(1, len(own) + 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_receipt_knows_all_that_the_sender_knew(seed):
    """Mattern 1989: on receipt the vector becomes the componentwise maximum. Lamport's IR2 likewise."""
    execution = execution_of(run("logical_clocks", seed=seed).notes)
    receipts = [event for event in execution.events if event.cause]
    assert receipts
    for event in receipts:
        sent = execution.events[execution.place[event.cause]].stamps
        assert sent.vector < event.stamps.vector
        assert sent.versions <= event.stamps.versions
        assert event.stamps.lamport.time >= sent.lamport.time + 1


def test_a_lost_message_is_no_cause():
    result = run("logical_clocks", seed=3, loss=0.4)
    lost = sum(message.fate == "lost" for message in result.messages)
    notes = [note.label for note in result.notes]
    arrived = sum(message.arrived_us is not None for message in result.messages)
    assert lost and notes.count("receive") == arrived and notes.count("send") == len(result.messages)


def test_only_steps_tick_a_version_vector():
    result = run("logical_clocks", seed=3)
    for node in "ABC":
        mine = [stamps for stamps in stamps_of(result) if stamps.event[0] == node]
        steps = sum(note.label == "step" and note.node == node for note in result.notes)
        assert mine[-1].versions[node] == steps < len(mine)


@pytest.mark.parametrize(
    ("dials", "truth", "physical"),
    [
        ({}, CONCURRENT, "before"),  # the guide's own numbers: B 55 ms earlier, stamped 5 ms earlier
        ({"apart": 0.03}, CONCURRENT, "after"),
        ({"apart": 0.03, "message": True}, "before", "after"),
        ({"apart": 0.05}, CONCURRENT, "equal"),
        ({"first": "A", "message": True}, "before", "before"),
    ],
)
def test_the_guides_example_by_each_clock(dials, truth, physical):
    said = sayings(run("two_events", **dials))
    assert said["true cause"] == said["vector"] == said["version vector"] == truth
    assert said["physical"] == physical
    if truth == "before":
        assert said["lamport"] == said["hybrid"] == "before"


def test_a_message_may_take_longer_than_a_call_usually_waits():
    said = sayings(run("two_events", message=True, delay=0.8, apart=0.9))
    assert said["vector"] == said["true cause"] == "before"


def test_the_guides_stamps_are_the_guides():
    """Event 1 on B is stamped 5 ms before event 2 on A, and happened 55 ms before it."""
    steps = [note for note in run("two_events").notes if note.label == "step"]
    assert [(note.node, note.clock_us) for note in steps] == [("B", 140_000), ("A", 145_000)]
    assert [note.at_us for note in steps] == [90_000, 145_000]


@pytest.mark.parametrize("ids", ["dotted", "client"])
@pytest.mark.parametrize("loss", [0.0, 0.05])
@pytest.mark.parametrize("first", range(0, 100, 25))
def test_no_concurrent_write_is_dropped(ids, loss, first):
    for seed in range(first, first + 25):
        result = run("siblings", seed=seed, trace=False, ids=ids, loss=loss, edits=6, servers=3)
        assert result.verdicts[0].status == "OK", f"seed {seed}: {result.verdicts[0]}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("servers", [1, 2])
def test_the_write_that_is_named_is_one_that_dropped_the_other(seed, servers, monkeypatch):
    """Held against the store's own versions, which the checker does not see."""
    made, write = {}, VersionStore.write

    async def overheard(self, key, value, *others):
        made[value] = self.name, (await write(self, key, value, *others))
        return made[value][1]

    monkeypatch.setattr(VersionStore, "write", overheard)
    result = run("siblings", seed=seed, ids="server", clients=8, servers=servers)
    dropped, read, replacing, last = result.verdicts[0].counterexample
    (home, lost), (other, kept) = made[dropped.value], made[replacing.value]
    assert home == other and lost.relation(kept) == CONCURRENT and lost.vector < kept.vector
    assert read.process == replacing.process and read.key == replacing.key == last.key == dropped.key
    assert dropped.value not in read.value and dropped.value not in last.value and last.process == "auditor"


def test_readers_meet_siblings_and_a_writer_that_has_seen_them_joins_them():
    result = run("siblings", seed=1, keys=1)
    assert result["siblings_max"] >= 2
    sizes = [len(operation.value) for operation in result.operations if operation.function == "read"]
    assert min(sizes[5:]) == 1  # joined again


def test_a_client_that_is_alone_never_makes_siblings():
    for ids in ("dotted", "client", "server"):
        result = run("siblings", clients=1, ids=ids)
        assert result["siblings_max"] == 1 and result.verdicts[0].status == "OK"


def test_client_ids_grow_with_clients_and_dots_with_servers():
    """Preguiça et al. 2010: client ids make vectors as long as there are clients."""
    entries = {
        (ids, clients): run("siblings", ids=ids, clients=clients, keys=1, trace=False)["version_entries"]
        for ids in ("client", "dotted")
        for clients in (2, 12)
    }
    assert entries["client", 12] == 12 and entries["client", 2] == 2
    assert entries["dotted", 12] == entries["dotted", 2] == 2


CRASHES = {"clients": 5, "edits": 8, "crashes": 6, "downtime": 0.03}


@pytest.mark.parametrize("ids", ["dotted", "client"])
@pytest.mark.parametrize(
    "disturbed", [{}, {"loss": 0.05}, {"sync_delay": 0.004}, {"sync_delay": 0.01, "servers": 3}], ids=str
)
def test_no_crash_makes_a_server_forget_or_name_two_writes_alike(ids, disturbed):
    for seed in range(25):
        result = run("siblings", seed=seed, trace=False, ids=ids, **{**CRASHES, **disturbed})
        assert result.faults and result.verdicts[0].status == "OK", f"seed {seed}: {result.verdicts[0]}"


def told_before_it_is_on_disk(monkeypatch):
    async def siblings(self, key):
        return self._siblings.get(key, ())

    monkeypatch.setattr(VersionStore, "siblings", siblings)


def acknowledged_before_it_is_on_disk(monkeypatch):
    async def write(self, key, value, context, client, number):
        version = self._named(key, context)
        self._keep(key, [(version, value)])
        self.spawn(self.disk.sync())
        return version

    monkeypatch.setattr(VersionStore, "write", write)


def deaf_to_others(monkeypatch):
    async def merge(self, key, siblings):
        pass

    monkeypatch.setattr(VersionStore, "merge", merge)


@pytest.mark.parametrize("bug", [told_before_it_is_on_disk, acknowledged_before_it_is_on_disk, deaf_to_others])
def test_a_store_with_a_planted_bug_is_found(monkeypatch, bug):
    bug(monkeypatch)
    dials = {**CRASHES, "clients": 8, "sync_delay": 0.01, "think": 0.005}
    verdicts = (run("siblings", seed=seed, trace=False, **dials).verdicts[0] for seed in range(100))
    assert any(verdict.status == "ILLEGAL" for verdict in verdicts)


@dataclass(eq=False, kw_only=True)
class Steady(Talker):
    """Takes a step and tells a node, again and again, also after a restart."""

    async def run(self) -> None:
        for _ in range(6):
            await self.act(0.3)
            await asyncio.sleep(0.01)


def test_a_node_that_restarts_counts_its_events_under_another_name():
    nodes = [
        client(name, Steady, others=[other for other in "AB" if other != name], call_timeout=0.05) for name in "AB"
    ]
    plan = FaultPlan().crash("A", at=0.03).restart("A", at=0.035).crash("A", at=0.06).restart("A", at=0.07)
    for seed in SEEDS:
        recording = simulate(*nodes, seed=seed, network=Network(Link(Exponential(0.002))), faults=plan)
        execution = execution_of(recording.notes)
        assert {"A", "A#2", "A#3", "B"} >= {event.node for event in execution.events} > {"A#2", "B"}
        readings = [event.stamps.vector for event in execution.events]
        assert tells_causality("vector", execution, by_vector(readings), readings).status == "OK"
        assert not load(export(Result("none", "simulated", seed, {}, recording))).inconsistency
